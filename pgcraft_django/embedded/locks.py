"""The locks that let processes share a server, and that end with the process that holds them.

They are `flock`s on three files in a folder beside the data. The kernel frees them however their holder ends:

    start   exclusive, held while a process starts or stops the server: one at a time
    lease   shared, held by every process that uses the server: who can make it exclusive is the last one
    server  exclusive, inherited by PostgreSQL and its children: free means that none of them lives, which a
            process id in a file cannot tell (it may belong to another process by now, or to another container)
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_leases: dict[Path, int] = {}  # data folder -> file descriptor that holds this process's lease


def run_dir(folder: Path) -> Path:
    """Return the folder of the locks for the data in `folder`; half-made data is there too."""
    return folder.with_name(f"{folder.name}.run")


@contextmanager
def one_at_a_time(folder: Path, say: Callable[[str], None] = lambda line: None) -> Iterator[None]:
    """Wait until no other process starts or stops this server, and keep it so."""
    import fcntl  # not on Windows

    run = run_dir(folder)
    run.mkdir(parents=True, exist_ok=True)
    run.chmod(0o711)  # the server's account passes through; the files in it are closed to others
    fd = _open(folder, "start")
    try:
        if not _try_lock(fd):
            say("waiting for another process that starts or stops this server")
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def take_lease(folder: Path) -> bool:
    """Keep the server of `folder` running until this process ends; False if it did so before."""
    if folder in _leases:
        return False
    _leases[folder] = fd = _open(folder, "lease")
    return _try_lock(fd, shared=True)


def drop_lease(folder: Path) -> bool:
    """Give this process's lease back, if it has one; True if no other process has one."""
    fd = _leases.pop(folder, None)
    if fd is None:
        return False
    try:
        return _try_lock(fd)
    finally:
        os.close(fd)


def leased() -> tuple[Path, ...]:
    """Return the data folders that this process has a lease for."""
    return tuple(_leases)


@contextmanager
def server_lock(folder: Path) -> Iterator[int]:
    """Take the lock of the server itself, for the server to inherit within the `with` block."""
    fd = _open(folder, "server")
    try:
        _try_lock(fd)
        yield fd
    finally:
        os.close(fd)


def server_lives(folder: Path) -> bool:
    """Tell whether a process of a server that was started here lives."""
    fd = _open(folder, "server")
    try:
        return not _try_lock(fd)
    finally:
        os.close(fd)


def _open(folder: Path, name: str) -> int:
    return os.open(run_dir(folder) / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_lock(fd: int, *, shared: bool = False) -> bool:
    import fcntl

    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _forget() -> None:
    """Drop the leases in a forked child: they are its parent's to give back."""
    while _leases:
        os.close(_leases.popitem()[1])


if os.name != "nt":
    os.register_at_fork(after_in_child=_forget)
