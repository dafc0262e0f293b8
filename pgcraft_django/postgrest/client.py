"""Requests to the running API, and answers as people read them."""

import http.client
import json
import re
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from django.core.management.color import Style

from pgcraft_django.errors import ConfigurationError, ServerError
from pgcraft_django.postgrest.config import Address
from pgcraft_django.postgrest.server import connection_to

METHOD = re.compile(r"[A-Za-z]+")
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
# What may stand in a URL as it is; "%" among it, so that what is encoded already stays so.
SAFE = "%/:?@!$&'()*,;=+-._~"


@dataclass(frozen=True)
class Response:
    """An answer of the API."""

    status: int
    reason: str
    headers: Sequence[tuple[str, str]]
    body: bytes

    @property
    def is_error(self) -> bool:
        """Whether the request failed. PostgREST answers 300 to an ambiguous embedding."""
        return not 200 <= self.status < 300 and self.status != http.HTTPStatus.NOT_MODIFIED

    @property
    def is_json(self) -> bool:
        """Whether the body is JSON."""
        kind = next((value for name, value in self.headers if name.lower() == "content-type"), "")
        return bool(re.match(r"application/(?:[\w.+-]+\+)?json\b", kind.strip(), re.IGNORECASE))


def encode(path: str) -> str:
    """Return `path` with its query as a URL takes it: `students?name=eq.Zoë B` -> `/students?name=eq.Zo%C3%AB%20B`.

    What is encoded already stays as it is.
    """
    return "/" + quote(STRAY_PERCENT.sub("%25", path.lstrip("/")), safe=SAFE, errors="surrogateescape")


def parse_header(text: str) -> tuple[str, str]:
    """Return `Name: value` as a pair. Raises `ConfigurationError` for anything else."""
    name, colon, value = text.partition(":")
    value = value.strip()
    if not colon or not HEADER_NAME.fullmatch(name.strip()):
        raise ConfigurationError(f"{text!r} is not a header. Write: -H 'Name: value'")
    if not value.isprintable() or not _fits_latin_1(value):
        raise ConfigurationError(f"The header {name.strip()} has a character that HTTP does not allow.")
    return name.strip(), value


def request(
    base: str | Address,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    data: bytes | None = None,
    timeout: float = 60,
) -> Response:
    """Send one request to the API at `base`, a URL or the server's own address, and return the answer.

    Raises `ConfigurationError` for a URL or a method that is none, `ServerError` when there is no answer.
    """
    if not METHOD.fullmatch(method):
        raise ConfigurationError(f"{method!r} is not a request method. Use GET, POST, PATCH, PUT or DELETE.")
    url, prefix, connection = _connect(base, timeout)
    try:
        connection.request(method.upper(), prefix + encode(path), body=data, headers=dict(headers or {}))
        answer = connection.getresponse()
        return Response(answer.status, answer.reason, answer.getheaders(), answer.read())
    except TimeoutError:
        raise ServerError(f"{url} did not answer within {timeout:g} seconds.") from None
    except ssl.SSLError as error:
        raise ServerError(f"No safe connection to {url}: {error.reason or error}") from None
    except (ConnectionRefusedError, FileNotFoundError):
        raise ServerError(f"Nothing is listening on {url}. Start it with: manage.py pgcraft_serve") from None
    except socket.gaierror:
        raise ServerError(f"The host of {url} is not known.") from None
    except (OSError, http.client.HTTPException) as error:
        raise ServerError(f"{url} gave no proper answer ({error or type(error).__name__}). Is it PostgREST?") from None
    finally:
        connection.close()


def error_text(response: Response) -> str:
    """Return what went wrong: PostgREST's message, details and hint, or the status and what else came."""
    status = f"{response.status} {response.reason}".strip()
    try:
        said = json.loads(response.body)
    except ValueError:
        said = None
    if not isinstance(said, dict) or "message" not in said:
        text = _printable(response.body[:500].decode(errors="replace")).strip()
        return f"{status}: {text}" if text else status
    code = f" ({said['code']})" if said.get("code") else ""
    lines = [f"{status}: {said['message']}{code}"]
    lines += [f"{name.capitalize()}: {_flat(said[name])}" for name in ("details", "hint") if said.get(name)]
    return _printable("\n".join(lines))


class Number(str):
    """A JSON number as it was written: a float would lose digits."""


def pretty(body: bytes, style: Style) -> str:
    """Return JSON indented, and coloured as `style` does. Raises `ValueError` when it is not JSON."""
    try:
        value = json.loads(body, parse_float=Number, parse_int=Number)
        return _write(value, style, "\n")
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _write(value: Any, style: Style, line: str) -> str:
    inner = line + "  "
    if isinstance(value, dict):
        items = [f"{style.SQL_TABLE(_text(key))}: {_write(item, style, inner)}" for key, item in value.items()]
        return f"{{{inner}{f',{inner}'.join(items)}{line}}}" if items else "{}"
    if isinstance(value, list):
        items = [_write(item, style, inner) for item in value]
        return f"[{inner}{f',{inner}'.join(items)}{line}]" if items else "[]"
    paint: Callable[[str], str]
    if isinstance(value, Number):
        paint, text = style.SQL_KEYWORD, str(value)
    elif isinstance(value, str):
        paint, text = style.HTTP_REDIRECT, _text(value)
    else:
        paint, text = style.HTTP_NOT_MODIFIED, json.dumps(value)
    return paint(text)


def _text(value: str) -> str:
    """A JSON string for a terminal: what the terminal would obey is escaped."""
    written = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in written)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text)


def _flat(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _fits_latin_1(value: str) -> bool:
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _connect(base: str | Address, timeout: float) -> tuple[str, str, http.client.HTTPConnection]:
    """Return the URL to speak of, the path to put before each request, and an unused connection."""
    if isinstance(base, Address):
        return base.url, "", connection_to(base, timeout)
    try:
        parts = urlsplit(base)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError(f"{base!r} is not the URL of an API. Write: http://127.0.0.1:3000")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return base.rstrip("/"), encode(parts.path).rstrip("/"), kind(parts.hostname, port, timeout=timeout)
