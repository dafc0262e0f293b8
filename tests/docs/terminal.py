"""A command at a terminal, as a person starts it."""

import os
import re
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

SECONDS = 180


class Terminal:
    """A running command, whose output is read all the time so that it never has to wait for us."""

    def __init__(self, command: str, cwd: Path, environment: Mapping[str, str]) -> None:
        self._master, other = os.openpty()
        name = os.ttyname(other)
        self.process = subprocess.Popen(
            # The first of a session that opens a terminal gets it as its own: that is how Ctrl-C reaches it.
            ["sh", "-c", f"exec <{name} >{name} 2>&1\n{command}"],
            cwd=cwd,
            env=dict(environment),
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
        )
        os.close(other)
        self._seen = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # nobody holds the other side any more
                return
            if not data:
                return
            self._seen += data

    @property
    def seen(self) -> str:
        """What has been printed so far."""
        return self._seen.decode(errors="replace").replace("\r\n", "\n")

    def wait_for(self, pattern: str) -> bool:
        """Wait until what is printed contains `pattern`; return False if the command ends without it."""
        deadline = time.monotonic() + SECONDS
        while not re.search(pattern, self.seen):
            if not self._reader.is_alive():
                return bool(re.search(pattern, self.seen))
            assert time.monotonic() < deadline, self.seen
            time.sleep(0.02)
        return True

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def end(self) -> int:
        """Wait for the end; return the exit status."""
        try:
            status = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"does not end, maybe because it asks something:\n{self.seen}") from None
        finally:
            self._reader.join(SECONDS)
            os.close(self._master)
        return status

    def press_ctrl_c(self) -> int:
        """End a command that runs until it is told to stop."""
        self.type("\x03")
        return self.end()
