"""Which system account runs PostgreSQL, which refuses to run as root.

Everybody but root runs it as themselves. Root runs it as the owner of the data; where that is root again, in a
user namespace that calls root by another name, and where those are forbidden, as `postgres` or `nobody`.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgcraft_django.errors import ServerError

# A server outlives the command that starts it: it gets no secrets and no PG* settings of that command.
KEPT_VARIABLES = ("PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "ICU_DATA")


@dataclass(frozen=True)
class Account:
    """A system account that can run PostgreSQL's programs."""

    uid: int
    gid: int
    wrapper: tuple[str, ...] = ()

    def run(self, *command: str | Path, pass_fds: tuple[int, ...] = ()) -> "subprocess.CompletedProcess[str]":
        """Run `command` to its end under this account and return its status and output (both streams in one)."""
        switch: dict[str, Any] = {}
        if self.uid != os.geteuid():
            switch = {"user": self.uid, "group": self.gid, "extra_groups": []}
        environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        return subprocess.run(  # noqa: S603
            [*self.wrapper, *command],
            cwd="/",
            env={**environment, "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            umask=0o077,
            start_new_session=True,  # Ctrl-C in the terminal is not for the server
            pass_fds=pass_fds,
            check=False,
            **switch,
        )


def account_for(folder: Path, binaries: Path) -> Account:
    """Return the account to run the server of `folder` under, and make it the folder's owner.

    Raises `ServerError` if this process is root and no account can reach both folders.
    """
    if os.geteuid():
        return Account(os.geteuid(), os.getegid())
    owner = folder.stat()
    if owner.st_uid:
        return Account(owner.st_uid, owner.st_gid)
    for account in _stand_ins():
        reach = account.run("/bin/sh", "-c", 'test -x "$0" && test -x "$1"', binaries / "postgres", folder.parent)
        if reach.returncode == 0:
            if account.uid:
                for path in (folder, *folder.rglob("*")):
                    os.chown(path, account.uid, account.gid, follow_symlinks=False)
            return account
    raise ServerError(
        "PostgreSQL refuses to run as root, and there is no other account for it: user namespaces are not permitted "
        f"here, and neither `postgres` nor `nobody` can enter both {binaries} and {folder.parent}. Run this as "
        "another user, or open both folders to all users (embedded.start() takes another one for the data), or write a "
        "server of your own into DATABASES."
    )


def _stand_ins() -> Iterator[Account]:
    import pwd  # not on Windows

    if unshare := shutil.which("unshare"):
        # Outside the namespace the server still is root: it can use root's folders, whatever their modes.
        yield Account(0, 0, (unshare, "--user", "--map-user=65534", "--map-group=65534"))
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        yield Account(entry.pw_uid, entry.pw_gid)
