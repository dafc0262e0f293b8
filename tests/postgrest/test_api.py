"""`pgcraft_api` shows what the API answers, and says plainly why it did not."""

import json
import os
import pty
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.core.management.color import no_style

from pgcraft_django.errors import ConfigurationError
from pgcraft_django.postgrest.client import Response, encode, error_text, parse_header, pretty
from pgcraft_django.postgrest.config import Address, collect, to_environment
from pgcraft_django.postgrest.login import Login
from pgcraft_django.postgrest.preflight import check_port
from pgcraft_django.postgrest.server import Server
from tests.postgrest.conftest import PASSWORD, Project, Served


@pytest.fixture(scope="module")
def url(served: Served, binary: Path) -> Iterator[str]:
    """The URL of a running API."""
    host, port, _ = served.postgres
    login = Login({"host": host, "port": port, "dbname": served.database, "user": served.authenticator}, PASSWORD)
    address = Address("127.0.0.1", check_port(Address("127.0.0.1", 0)))
    settings = collect(host=address.host, port=address.port, environ={"PGRST_DB_ANON_ROLE": served.anon})
    with Server(binary, to_environment(settings, login), address, output=subprocess.DEVNULL) as server:
        server.wait_until_ready()
        yield server.url


def api(url: str, *arguments: str) -> str:
    output = StringIO()
    call_command("pgcraft_api", *arguments, "--url", url, stdout=output)
    return output.getvalue()


# -- paths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "encoded"),
    [
        ("", "/"),
        ("/students", "/students"),
        ("students?select=*,user:users(*)", "/students?select=*,user:users(*)"),
        ("s?name=eq.Zoë B", "/s?name=eq.Zo%C3%AB%20B"),
        ("s?name=eq.Zo%C3%AB%20B", "/s?name=eq.Zo%C3%AB%20B"),
        ('s?or=(name.eq."a,b",id.gt.3)', "/s?or=(name.eq.%22a,b%22,id.gt.3)"),
        ("s?name=like.100%", "/s?name=like.100%25"),
        ("s?tags=cs.{a,b}&x=is.null#y", "/s?tags=cs.%7Ba,b%7D&x=is.null%23y"),
        ("s?name=eq.O'Neil\r\nX: y", "/s?name=eq.O'Neil%0D%0AX:%20y"),
    ],
)
def test_a_path_is_encoded_once(path: str, encoded: str) -> None:
    assert encode(path) == encoded


@pytest.mark.parametrize(
    "path",
    [
        "users?id=eq.2&select=id",
        "/users?id=eq.2&select=id",
        'users?name=eq.Zoë "Z" O\'Neil (jr) 100%&select=id',
        "users?name=eq.Zo%C3%AB%20%22Z%22%20O'Neil%20(jr)%20100%25&select=id",
        'users?or=(name.eq."Zoë \\"Z\\" O\'Neil (jr) 100%",id.eq.9)&select=id',
        "users?name=like.Zo*100*&select=id",
    ],
)
def test_a_path_reaches_postgrest_as_it_was_meant(path: str, url: str) -> None:
    assert json.loads(api(url, path)) == [{"id": 2}]


def test_without_a_path_the_api_describes_itself(url: str) -> None:
    assert "/users" in json.loads(api(url))["paths"]


def test_a_base_url_may_have_a_path_and_a_slash(url: str) -> None:
    assert api(f"{url}/", "users?id=eq.2&select=id") == '[{"id":2}]'
    with pytest.raises(CommandError, match="404"):
        api(f"{url}/elsewhere", "users")


# -- requests --------------------------------------------------------------------------------------------------


def test_data_is_posted_as_json_and_headers_are_sent(url: str, served: Served) -> None:
    prefer = "Prefer: return=representation"
    assert json.loads(api(url, "users?select=name", "-d", '{"id": 10, "name": "Ünal"}', "-H", prefer)) == [
        {"name": "Ünal"}
    ]
    csv = ("-H", "content-type: text/csv", "-H", prefer, "-H", "Accept: text/csv")
    assert api(url, "users?select=id,name", "-d", "id,name\n11,Csv", *csv) == "id,name\n11,Csv"
    served.execute("DELETE FROM private.users WHERE id >= 10")


def test_the_method_can_be_chosen(url: str) -> None:
    assert api(url, "users", "-X", "head") == ""
    with pytest.raises(CommandError, match=r"401 Unauthorized: permission denied.*42501"):
        api(url, "users?id=eq.1", "-X", "DELETE")


def test_data_comes_from_a_file_or_from_standard_input(project: Project, url: str, served: Served) -> None:
    row = {"id": 20, "name": "from a file"}
    (project.folder / "row.json").write_text(json.dumps(row))
    prefer = ("-H", "Prefer: return=representation", "--url", url)
    done = project.manage("pgcraft_api", "users?select=id,name", "-d", "@row.json", *prefer)
    assert json.loads(done.stdout) == [row], done.stderr
    row = {"id": 21, "name": "frøm stdin"}
    done = project.manage("pgcraft_api", "users?select=id,name", "-d", "-", *prefer, text=json.dumps(row))
    assert json.loads(done.stdout) == [row], done.stderr
    served.execute("DELETE FROM private.users WHERE id >= 20")


def test_status_and_headers_are_shown_on_request(url: str) -> None:
    head, _, body = api(url, "users?id=eq.1&select=id", "-i").partition("\n\n")
    assert head.startswith("HTTP 200 OK\n")
    assert "Content-Range: 0-0/*" in head
    assert body == '[{"id":1}]'
    output = StringIO()
    with pytest.raises(CommandError, match="404 Not Found"):
        call_command("pgcraft_api", "nothing", "-i", "--url", url, stdout=output)
    assert output.getvalue().startswith("HTTP 404 Not Found\n")


# -- output ----------------------------------------------------------------------------------------------------


def test_piped_output_is_the_bytes_as_they_came(project: Project, url: str) -> None:
    done = project.manage("pgcraft_api", "users?id=eq.1&select=name,balance", "--url", url)
    assert (done.stdout, done.stderr) == ('[{"name":"Alice","balance":12345678901234567890.10}]', "")


def test_a_terminal_gets_it_pretty_and_coloured(project: Project, url: str) -> None:
    def on_terminal(*arguments: str) -> str:
        project.environment = {"TERM": "xterm", "LC_ALL": "C.UTF-8"}
        master, slave = pty.openpty()
        command = ("pgcraft_api", "users?id=eq.2&select=name,balance", "--url", url, *arguments)
        process = project._start(command, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        shown = b""
        try:
            while chunk := os.read(master, 4096):
                shown += chunk
        except OSError:  # what a terminal says at its end
            pass
        os.close(master)
        assert process.wait(20) == 0
        return shown.decode().replace("\r\n", "\n")

    plain = '[\n  {\n    "name": "Zoë \\"Z\\" O\'Neil (jr) 100%",\n    "balance": null\n  }\n]\n'
    assert on_terminal("--no-color") == plain
    assert "\x1b[" in on_terminal()


def test_pretty_json_keeps_every_digit_and_disarms_the_terminal() -> None:
    body = (
        '{"a": 1.10, "b": [12345678901234567890.12, 1e400, -0], "c": {}, "d": [], "e": "\x9b31m\\u001b[é", "f": true}'
    )
    shown = pretty(body.encode(), no_style())
    assert '"a": 1.10,' in shown
    assert "1e400" in shown
    assert '"e": "\\u009b31m\\u001b[é"' in shown
    assert json.loads(shown) == json.loads(body)
    with pytest.raises(ValueError, match="nested too deeply"):
        pretty(b"[" * 100_000, no_style())


def test_a_reader_that_goes_away_is_no_error(project: Project, url: str) -> None:
    project.write()
    command = f"'{sys.executable}' manage.py pgcraft_api --url {url} | true; echo $PIPESTATUS"
    done = subprocess.run(["bash", "-c", command], cwd=project.folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.strip() in ("141", "0")


# -- errors ----------------------------------------------------------------------------------------------------


def test_postgrests_error_is_told_with_details_and_hint(project: Project, url: str) -> None:
    done = project.manage("pgcraft_api", "users?select=*,teachers(*)", "--url", url)
    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()[:2]
    assert first.startswith("CommandError: 400 Bad Request: Could not find a relationship between 'users' and")
    assert first.endswith("(PGRST200)")
    assert second.startswith("Details: Searched for a foreign key relationship")


def test_an_error_without_postgrests_words_is_told_by_its_status() -> None:
    assert error_text(Response(502, "Bad Gateway", [], b"<h1>\x1b[31mno</h1>")) == "502 Bad Gateway: <h1> [31mno</h1>"
    assert error_text(Response(500, "", [], b"")) == "500"
    told = error_text(Response(400, "Bad Request", [], b'{"message": "m", "code": "c", "details": ["d"], "hint": "h"}'))
    assert told == '400 Bad Request: m (c)\nDetails: ["d"]\nHint: h'


def test_when_nothing_listens_the_command_to_start_it_is_named(project: Project, free_port: int) -> None:
    project.pgcraft = {"POSTGREST": {"server-host": "0.0.0.0", "server-port": free_port}}
    done = project.manage("pgcraft_api", "users")
    assert done.returncode == 1
    assert done.stderr == (
        f"CommandError: Nothing is listening on http://127.0.0.1:{free_port}. Start it with: manage.py pgcraft_serve\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-H", "no colon"], "'no colon' is not a header"),
        (["-H", "bad name: x"], "is not a header"),
        (["-H", "X: a\r\nY: b"], "a character that HTTP does not allow"),
        (["-H", "X: €"], "a character that HTTP does not allow"),
        (["-X", "GET /x"], "is not a request method"),
        (["-X", ""], None),
        (["-d", "@/not/there"], "The file '/not/there' cannot be read"),
        (["--timeout", "0"], "above 0"),
        (["--timeout", "nan"], "above 0"),
        (["-d", "{"], "400 Bad Request"),
    ],
)
def test_bad_input_ends_in_one_sentence(arguments: list[str], message: str | None, url: str) -> None:
    if message is None:
        assert api(url, "users?id=eq.1&select=id", *arguments) == '[{"id":1}]'
        return
    with pytest.raises(CommandError, match=message):
        api(url, "users", *arguments)


@pytest.mark.parametrize(
    "url", ["ftp://x", "localhost:3000", "http://", "http://x:y", "http://[", "http://u:p@x?y", "file:///etc/passwd"]
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(CommandError, match="is not the URL of an API"):
        api(url, "users")


def test_headers_are_split_at_the_first_colon() -> None:
    assert parse_header("X-Time:  12:30 ") == ("X-Time", "12:30")
    with pytest.raises(ConfigurationError):
        parse_header(": x")


@contextmanager
def answering(raw: bytes | None) -> Iterator[str]:
    """A server that says `raw` to its first client, or nothing at all."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            client, _ = server.accept()
            with client:
                client.recv(65536)
                if raw is None:
                    done.wait(20)
                else:
                    client.sendall(raw)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        done.set()
        thread.join()


def test_a_server_that_keeps_silent_is_not_waited_for() -> None:
    with answering(None) as url, pytest.raises(CommandError, match=r"did not answer within 0\.2 seconds"):
        api(url, "users", "--timeout", "0.2")


@pytest.mark.parametrize("raw", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
def test_a_server_that_is_no_api_is_told(raw: bytes) -> None:
    with answering(raw) as url, pytest.raises(CommandError, match="gave no proper answer"):
        api(url, "users")


def test_json_that_is_none_is_shown_as_it_came() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\nnope"
    with answering(raw) as url:
        assert api(url, "users") == "nope"
