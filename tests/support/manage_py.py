"""`manage.py` in a process of its own that need not import Django first, which takes most of a short command's time.

A process that has imported what all commands need waits for orders, and forks for each: the child gets the folder,
the arguments, the environment and the streams of the order, and runs the file as Python does. There is nothing else
that it shares with others.
"""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

SECONDS = 120
FOREKNOWN = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
"""The variables of Python itself that an order can change; for others Python has to be started anew."""

WAITING = """
import gc, json, os, runpy, socket, sys
import django.core.management.commands.makemigrations, django.core.management.commands.migrate
import django.db.backends.postgresql.base, django.views.debug
import pgcraft_django.apps, pgcraft_django.autodetector.wiring, pgcraft_django.checks, pgcraft_django.migrating
import pgcraft_django.api, pgcraft_django.lifecycle.roles, pgcraft_django.registry, pgcraft_django.tokens

gc.freeze()  # the children collect nothing of this when they end
channel, path = socket.socket(fileno=int(sys.argv[1])), sys.path[1:]
while True:
    message, streams, _, _ = socket.recv_fds(channel, 65536, 3)
    if not message:
        channel.close()
        sys.exit()
    while not message.endswith(b"\\n"):
        message += channel.recv(65536)
    child = os.fork()
    if child == 0:
        break
    for stream in streams:
        os.close(stream)
    channel.send(b"%d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

channel.close()
for number, stream in enumerate(streams):
    os.dup2(stream, number)
    os.close(stream)
folder, sys.argv, environment = json.loads(message)
os.chdir(folder)
os.environ.clear()
os.environ.update(environment)
sys.path[:] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)), *path]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_manage_py(
    folder: Path, arguments: Sequence[str], environment: Mapping[str, str], *, answer: str = "", apart: bool = True
) -> "subprocess.CompletedProcess[str]":
    """Run the `manage.py` in `folder` to its end, with warnings as errors; `answer` is its standard input.

    Its standard error is kept apart from its standard output, or goes where that goes.
    """
    command = ["manage.py", *arguments]
    interpreter = {name for name in (*environment, *os.environ) if name.startswith(("PYTHON", "LC_", "LANG"))}
    if any(environment.get(name) != os.environ.get(name) for name in interpreter.difference(FOREKNOWN)):
        return subprocess.run(
            [sys.executable, "-W", "error", *command],
            cwd=folder,
            env=environment,
            input=answer,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if apart else subprocess.STDOUT,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    process, channel = _waiting()
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as warned:
        given.write(answer.encode())
        given.seek(0)
        order = json.dumps([str(folder), command, dict(environment)]).encode() + b"\n"
        socket.send_fds(channel, [order], [stream.fileno() for stream in (given, said, warned if apart else said)])
        try:
            status = int(channel.recv(16))
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            _waiting.cache_clear()
            raise
        texts = []
        for stream in (said, warned):
            stream.seek(0)
            texts.append(stream.read().decode())
    return subprocess.CompletedProcess(command, status, *texts)


@cache
def _waiting() -> "tuple[subprocess.Popen[bytes], socket.socket]":
    mine, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", WAITING, str(theirs.fileno())],
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    mine.settimeout(SECONDS)
    atexit.register(_end, process, mine)
    return process, mine


def _end(process: "subprocess.Popen[bytes]", channel: socket.socket) -> None:
    channel.close()
    process.wait()
