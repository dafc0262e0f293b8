"""Tokens: what they say, what signs them, and that PostgREST takes them and no others."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.apps.registry import Apps
from django.core.management import CommandError, call_command
from django.db import models

from pgcraft_django.api import API
from pgcraft_django.errors import ConfigurationError, RoleError
from pgcraft_django.models import PGCraftSimple
from pgcraft_django.tokens import PRIVATE_KEY_VARIABLE, key_set, make_token, read_token, signing_key
from tests.support.served import Served, serve
from tests.support.tokens import make_token as sign
from tests.support.world import World, new_site

SECRET = "a secret that is long enough to be one"


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGRST_JWT_SECRET", SECRET)
    monkeypatch.delenv(PRIVATE_KEY_VARIABLE, raising=False)


def pem(key: Any) -> str:
    kinds = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return str(key.private_bytes(*kinds).decode())


KEYS = {"RS256": rsa.generate_private_key(65537, 2048), "ES256": ec.generate_private_key(ec.SECP256R1())}
PUBLIC_KEYS = {
    "PEM": KEYS["RS256"]
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode(),
    "SSH": KEYS["ES256"]
    .public_key()
    .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    .decode(),
}


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    call_command("pgcraft_token", *arguments)
    return capsys.readouterr().out.strip()


def test_a_token_says_its_claims_and_how_long_it_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    token = printed(
        capsys,
        "--role",
        "webuser",
        "--claim",
        "sub=1",
        "--claim",
        "levels:=[1, 2]",
        "--claim",
        "a=b=c",
        "--expires",
        "2h",
    )
    said = jwt.decode(token, SECRET, ["HS256"])
    assert said["exp"] - said["iat"] == 7200
    assert len(said.pop("jti")) == 36
    assert {**said, "exp": 0, "iat": 0} == {
        "role": "webuser",
        "sub": "1",
        "levels": [1, 2],
        "a": "b=c",
        "exp": 0,
        "iat": 0,
    }


def test_two_tokens_can_be_told_apart() -> None:
    assert make_token("webuser") != make_token("webuser")


def test_claims_cannot_say_another_role_or_a_longer_time() -> None:
    said = jwt.decode(make_token("anon", claims={"role": "webuser", "exp": 9999999999}), SECRET, ["HS256"])
    assert said["role"] == "anon"
    assert said["exp"] - said["iat"] == 3600


def test_an_audience_is_said_where_postgrest_asks_for_one(settings: Any) -> None:
    settings.PGCRAFT = {**settings.PGCRAFT, "POSTGREST": {"jwt-aud": "school"}}
    assert jwt.decode(make_token("webuser"), SECRET, ["HS256"], audience="school")["aud"] == "school"


@pytest.mark.parametrize("path", ['.app."any role"', '$.app."any role"'])
def test_the_role_is_where_postgrest_reads_it(settings: Any, path: str) -> None:
    settings.PGCRAFT = {**settings.PGCRAFT, "POSTGREST": {"jwt-role-claim-key": path}}
    token = make_token("webuser", claims={"app": {"any role": "anon", "tenant": 7}, "role": "anon"})
    said = jwt.decode(token, SECRET, ["HS256"])
    assert (said["app"], said["role"]) == ({"any role": "webuser", "tenant": 7}, "anon")
    with pytest.raises(TypeError, match="'app' must be an object, because the role is in it, and is 'x'"):
        make_token("webuser", claims={"app": "x"})


@pytest.mark.parametrize("path", [".roles[0]", '.roles[?(@ == "webuser")]', "role", "$"])
def test_where_no_token_of_ours_has_the_role_none_is_made(settings: Any, path: str) -> None:
    settings.PGCRAFT = {**settings.PGCRAFT, "POSTGREST": {"jwt-role-claim-key": path}}
    with pytest.raises(ConfigurationError, match=r"only for a path of names, such as \"\.app\.role\""):
        make_token("webuser")


@pytest.mark.parametrize(
    "claims",
    [
        *({"tenant": value} for value in ({1}, float("nan"), "\ud800", object())),
        # What RFC 7519 gives a type: PostgREST would refuse the token, and PyJWT says so with the secret at hand.
        *({name: value} for name in ("iss", "sub", "jti") for value in (1, None, ["x"])),
        *({"aud": value} for value in (1, None, ["x", 1], {"x": 1})),
        *({"nbf": value} for value in ("1", None, True)),
    ],
)
def test_claims_that_no_token_can_hold_are_refused_before_the_secret_is_in_a_traceback(claims: Any) -> None:
    with pytest.raises(TypeError, match="claim") as caught:
        make_token("webuser", claims=claims)
    frame, found = caught.tb, []
    while frame is not None:
        found += [value for value in frame.tb_frame.f_locals.values() if value in (SECRET, SECRET.encode())]
        frame = frame.tb_next
    # This test itself holds none.
    assert found == []


@pytest.mark.parametrize("role", ["postgres", "authenticator", "", "nobody"])
def test_only_request_roles_get_tokens(role: str) -> None:
    with pytest.raises(RoleError, match="No request can switch"):
        make_token(role)


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("", "There is no secret"),
        ("weak5", "has 5 bytes"),
        ('{"kty": "RSA"}', "no private key"),
        ("@/no/file", "cannot be read"),
        (PUBLIC_KEYS["PEM"], "whoever has the public key"),
        (PUBLIC_KEYS["SSH"], "whoever has the public key"),
    ],
)
def test_what_cannot_sign_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, secret: str, message: str
) -> None:
    monkeypatch.setenv("PGRST_JWT_SECRET", secret)
    with pytest.raises(CommandError, match=message) as refused:
        call_command("pgcraft_token", "--role", "webuser")
    assert not secret or secret not in str(refused.value)


@pytest.mark.parametrize("said", ["true", "True", "1", "2"])
def test_a_secret_may_be_in_a_file_or_in_base64(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    monkeypatch.setenv("PGRST_JWT_SECRET", f"@{tmp_path / 'secret'}")
    assert jwt.decode(make_token("webuser"), SECRET, ["HS256"])
    key = bytes(range(200, 240))
    monkeypatch.setenv("PGRST_JWT_SECRET", base64.urlsafe_b64encode(key).decode())
    monkeypatch.setenv("PGRST_JWT_SECRET_IS_BASE64", said)
    assert jwt.decode(make_token("webuser"), key, ["HS256"])
    assert "40" not in repr(signing_key())


@pytest.mark.parametrize("algorithm", KEYS)
@pytest.mark.parametrize("in_file", [True, False])
def test_a_private_key_signs_and_its_public_half_is_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], algorithm: str, in_file: bool
) -> None:
    text = pem(KEYS[algorithm])
    (tmp_path / "key.pem").write_text(text)
    monkeypatch.setenv(PRIVATE_KEY_VARIABLE, str(tmp_path / "key.pem") if in_file else text)
    token = make_token("webuser")
    document = json.loads(printed(capsys, "--jwks"))
    [key] = jwt.PyJWKSet.from_dict(document).keys
    assert jwt.decode(token, key, [algorithm])["role"] == "webuser"
    assert jwt.get_unverified_header(token)["kid"] == document["keys"][0]["kid"]
    assert not {"d", "p", "q", "dp", "dq", "qi"} & document["keys"][0].keys()


@pytest.mark.parametrize(
    "text", ["x", pem(rsa.generate_private_key(65537, 1024)), pem(ec.generate_private_key(ec.SECP384R1()))]
)
def test_other_private_keys_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(PRIVATE_KEY_VARIABLE, text)
    with pytest.raises(ConfigurationError, match=PRIVATE_KEY_VARIABLE):
        make_token("webuser")


@pytest.mark.parametrize(
    "arguments", [["--expires", "1w"], ["--expires", "0s"], ["--claim", "sub"], ["--claim", "x:=["], ["--claim", "=1"]]
)
def test_what_is_no_claim_and_no_duration_is_told(arguments: list[str]) -> None:
    with pytest.raises(CommandError, match=r"is no (claim|duration|JSON)"):
        call_command("pgcraft_token", "--role", "webuser", *arguments)


# -- What PostgREST says -----------------------------------------------------------------------------------------


def declare(apps: Apps) -> None:
    meta = type("Meta", (), {"apps": apps, "app_label": "shop", "db_table": "papers"})
    inner = type("PGCraft", (), {"api": API(grants={"webuser": ["select"]})})
    type(
        "Paper", (PGCraftSimple,), {"__module__": __name__, "Meta": meta, "PGCraft": inner, "text": models.TextField()}
    )


@pytest.fixture(scope="module", params=["HS256", "RS256", "ES256"])
def api(request: pytest.FixtureRequest, django_db_blocker: Any) -> Iterator[tuple[str, Served]]:
    with ExitStack() as stack:
        stack.enter_context(django_db_blocker.unblock())
        secret = SECRET
        if request.param in KEYS:
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setenv(PRIVATE_KEY_VARIABLE, pem(KEYS[request.param]))
            secret = json.dumps(key_set())
        world = World()
        site = stack.enter_context(new_site())
        site.migrate(world.evolve(declare))
        yield request.param, stack.enter_context(serve(site.alias, secret))


def status(api: Served, token: str) -> int:
    return api.anon.get("/papers", headers={"Authorization": f"Bearer {token}"}).status_code


def test_postgrest_takes_our_tokens_and_no_broken_ones(
    api: tuple[str, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    algorithm, served = api
    if algorithm in KEYS:
        monkeypatch.setenv(PRIVATE_KEY_VARIABLE, pem(KEYS[algorithm]))
    token = make_token("webuser", claims={"sub": "1"})
    assert status(served, token) == 200
    said = jwt.decode(token, options={"verify_signature": False})
    unsigned = jwt.encode(said, None, "none")
    foreign = jwt.encode(said, "x" * 40, "HS256")
    expired = make_token("webuser", expires=timedelta(seconds=-60))
    swapped = ".".join([token.split(".")[0], unsigned.split(".")[1], foreign.split(".")[2]])
    for broken in (unsigned, foreign, expired, swapped, "x", "a.b.c"):
        assert status(served, broken) == 401, broken
    assert status(served, token) == 200


def test_a_public_key_signs_nothing(api: tuple[str, Served], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has it may try each of its forms as the secret of HS256: there must be no way to take it for one."""
    algorithm, served = api
    if algorithm in KEYS:
        monkeypatch.setenv(PRIVATE_KEY_VARIABLE, pem(KEYS[algorithm]))
        [key] = key_set()["keys"]
        forms = [served.secret, json.dumps(key), *(key[name] for name in ("n", "x", "y", "kid") if name in key)]
        public = KEYS[algorithm].public_key()
        for kind in (serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.OpenSSH):
            is_ssh = kind is serialization.PublicFormat.OpenSSH
            encoding = serialization.Encoding.OpenSSH if is_ssh else serialization.Encoding.PEM
            text = public.public_bytes(encoding, kind).decode()
            forms += [text, text.strip()]
    else:
        forms = ["", "HS256", hashlib.sha256(served.secret.encode()).hexdigest()]
    said = {"role": "webuser", "sub": "1", "exp": 9999999999, "jti": "1"}
    for form in forms:
        token = sign(form, **said)
        assert status(served, token) == 401, form
        with pytest.raises(ConfigurationError, match="no token that was made here"):
            read_token(token)
    assert status(served, make_token("webuser")) == 200
