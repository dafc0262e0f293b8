"""PostgREST as a child process.

`Server` starts and stops one, for tests and tools; `serve()` runs one in the foreground: signals are
handed on, and the child's end is ours.
"""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Self

from pgcraft_django.errors import ServerError
from pgcraft_django.postgrest.config import Address

HANDED_ON = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
]
STOPPING = (signal.SIGINT, signal.SIGTERM)
STOP_SECONDS = 10


class Server:
    """A PostgREST child; as a context manager it is stopped at the end of the block, whatever happens there.

    `environment` is its whole configuration (`config.to_environment`), `output` where its output goes
    (default: where ours goes).
    """

    def __init__(
        self,
        binary: Path,
        environment: Mapping[str, str],
        address: Address,
        output: "int | IO[bytes] | None" = None,
    ) -> None:
        self.address = address
        command = [os.fspath(binary)]
        if sys.platform == "linux":
            launcher = Path(__file__).with_name("launch.py")
            command = [sys.executable, "-IS", os.fspath(launcher), str(os.getpid()), *command]
        self.process = subprocess.Popen(  # noqa: S603 - the program the project has chosen
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Its own group: a terminal's Ctrl-C reaches it once, through us.
            process_group=0 if os.name == "posix" else None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The API's URL."""
        return self.address.url

    def is_ready(self) -> bool:
        """Whether it answers, and not merely to say that it is still reading the schema."""
        connection = connection_to(self.address, timeout=2)
        try:
            connection.request("OPTIONS", "/")
            return connection.getresponse().status != http.HTTPStatus.SERVICE_UNAVAILABLE
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def wait_until_ready(self, seconds: float = 30) -> None:
        """Return when it answers. Raises `ServerError` when it has ended, or `seconds` are over."""
        deadline = time.monotonic() + seconds
        delay = 0.15  # seldom too early: PostgREST logs each question that it cannot answer yet
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(delay)
            if self.is_ready():
                return
            delay = min(delay * 1.5, 1)
        if self.process.poll() is None:
            raise ServerError(f"PostgREST does not answer on {self.url} after {seconds:g} seconds.")
        raise ServerError(f"PostgREST ended with status {exit_status(self.process)} before it served.")

    def stop(self) -> None:
        """End it: politely, then by force."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def serve(binary: Path, environment: Mapping[str, str], address: Address, when_ready: Callable[[], None]) -> int:
    """Run PostgREST until it ends and return our exit status: its own, or 0 when it was asked to stop.

    `when_ready` is called once it answers. Signals of this process are handed on to it.
    """
    with Server(binary, environment, address) as server, _handing_on(server.process) as received:
        try:
            server.wait_until_ready(float("inf"))
        except ServerError:
            pass  # it has ended, and has said why
        else:
            when_ready()
        server.process.wait()
    return 0 if any(number in STOPPING for number in received) else exit_status(server.process)


def exit_status(process: "subprocess.Popen[bytes]") -> int:
    """Return a child's status as a shell tells it: 128 + n for a death by signal n."""
    status = process.wait()
    return status if status >= 0 else 128 - status


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def connection_to(address: Address, timeout: float) -> http.client.HTTPConnection:
    """Return a connection to the API at `address` that connects when it is first used."""
    if address.unix_socket:
        return UnixConnection(address.unix_socket, timeout)
    return http.client.HTTPConnection(address.client_host, address.port, timeout=timeout)


@contextmanager
def _handing_on(process: "subprocess.Popen[bytes]") -> Iterator[list[int]]:
    """Hand the signals that we get on to `process`; the list tells which ones came."""
    received: list[int] = []

    def hand_on(number: int, frame: FrameType | None) -> None:
        received.append(number)
        process.send_signal(number)

    before = {number: signal.signal(number, hand_on) for number in HANDED_ON}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
