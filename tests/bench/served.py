"""PostgREST, a client for it that does as little as possible between two requests, and requests for items."""

import json
import random
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

from tests.bench.items import BULK, PAGE, ROWS
from tests.bench.measuring import alternate, compare, rate
from tests.bench.project import Project
from tests.bench.report import Figure


@contextmanager
def serving(project: Project) -> Iterator["Client"]:
    """Yield a client of a PostgREST that serves the project."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = project.start("pgcraft_serve", "--port", str(port), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    try:
        said = ""
        while "Serving " not in said:
            if not (line := process.stdout.readline()):
                raise RuntimeError(f"pgcraft_serve ended:\n{said}")
            said += line
        with closing(Client(port)) as client:
            yield client
    finally:
        process.terminate()
        process.communicate()


def render(method: str, path: str, schema: str, body: Any = None) -> bytes:
    """Return a request to one of the exposed schemas."""
    profile = "Accept-Profile" if method == "GET" else "Content-Profile"
    data = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", f"{profile}: {schema}", f"Content-Length: {len(data)}"]
    if data:
        lines += ["Content-Type: application/json", "Prefer: return=minimal"]
    return "\r\n".join([*lines, "", ""]).encode() + data


class Client:
    """Sends prepared requests over one connection, with as little work as possible between two of them."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answers = self.socket.makefile("rb")

    def send(self, request: bytes) -> None:
        """Send a request and read the answer. Raises `RuntimeError` unless it went well."""
        self.socket.sendall(request)
        status = int(self.answers.readline().split()[1])
        length, chunked = 0, False
        while (line := self.answers.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            chunked = chunked or name.lower() == b"transfer-encoding"
        body = self._chunks() if chunked else self.answers.read(length)
        if not 200 <= status < 300:
            raise RuntimeError(f"PostgREST answered {status}: {body.decode()}")

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.answers.readline(), 16):
            body += self.answers.read(size)
            self.answers.readline()
        self.answers.readline()
        return body

    def close(self) -> None:
        """Close the connection."""
        self.answers.close()
        self.socket.close()


# -- Requests for items ------------------------------------------------------------------------------------------

Request = Callable[[str], bytes]
"""Makes the request for a schema."""


def compare_requests(
    client: Client,
    requests: Sequence[Request],
    ours: str,
    theirs: str,
    runs: int,
    *,
    prepare: Callable[[], None] = lambda: None,
    **about: Any,
) -> Figure:
    """Return the ratio of requests per second to two schemas; `prepare` comes before each measurement."""

    def measure_side(schema: str) -> float:
        prepare()
        return rate(rendered[schema])

    rendered = {schema: [partial(client.send, request(schema)) for request in requests] for schema in (ours, theirs)}
    for schema in (ours, theirs):
        measure_side(schema)  # once for caches and prepared statements
    pairs = alternate(runs, partial(measure_side, ours), partial(measure_side, theirs))
    return compare(pairs, medians_unit="requests/s", **about)


def _key() -> int:
    return random.randint(1, ROWS)


def _row(number: int) -> dict[str, Any]:
    return {
        "name": f"Name {number}",
        "city": f"City {number % 100}",
        "amount": number % 1000,
        "number": number,
        "is_active": True,  # the peer has no defaults
    }


def _read_one(number: int) -> Request:
    path = f"/items?id=eq.{_key()}"
    return lambda schema: render("GET", path, schema)


def _read_page(number: int) -> Request:
    path = f"/items?id=gt.{random.randint(0, ROWS - PAGE)}&order=id&limit={PAGE}"
    return lambda schema: render("GET", path, schema)


def _insert(number: int) -> Request:
    return lambda schema: render("POST", "/items", schema, _row(number))


def _update(number: int) -> Request:
    path = f"/items?id=eq.{_key()}"
    return lambda schema: render("PATCH", path, schema, {"name": f"New {number}", "number": number})


def bulk_insert() -> Request:
    rows = [_row(number) for number in range(BULK)]
    return lambda schema: render("POST", "/items", schema, rows)


BATCH = 100
"""Requests in one measurement."""

_KINDS: dict[str, Callable[[int], Request]] = {
    "read by key": _read_one,
    "page": _read_page,
    "insert": _insert,
    "update": _update,
}


def batch(kind: str) -> list[Request]:
    """Return the requests of one measurement: `read by key`, `page`, `insert` or `update`."""
    return [_KINDS[kind](number) for number in range(BATCH)]
