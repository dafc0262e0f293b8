"""One set of settings, in the words of each PostgREST release."""

import base64
from pathlib import Path

import pytest

from pgcraft_django.errors import ConfigurationError
from pgcraft_django.postgrest.binary import Version
from pgcraft_django.postgrest.config import Settings
from pgcraft_django.postgrest.versions import for_version

RELEASES: list[Version] = [(12, 0, 2), (13, 0, 4), (14, 1), (16, 4)]


@pytest.mark.parametrize("version", RELEASES)
def test_settings_that_all_releases_share_are_left_alone(version: Version) -> None:
    settings: Settings = {"db-schemas": "api", "db-max-rows": 5, "jwt-secret": "x" * 32}
    assert for_version(settings, version) == settings


@pytest.mark.parametrize("version", RELEASES)
@pytest.mark.parametrize(
    "settings",
    [
        {"jwt-secret": "x" * 31},
        {"jwt-secret": base64.b64encode(b"x" * 31).decode(), "jwt-secret-is-base64": True},
        {"jwt-secret": base64.b64encode(b"x" * 31).decode(), "jwt-secret-is-base64": "true"},
    ],
)
def test_a_short_secret_is_refused_with_a_way_to_make_one(settings: Settings, version: Version) -> None:
    with pytest.raises(ConfigurationError, match=r"has 31 characters.*at least 32.*token_urlsafe"):
        for_version(settings, version)


@pytest.mark.parametrize("begin", ["-----BEGIN PUBLIC KEY-----", "-----BEGIN CERTIFICATE-----", "ssh-ed25519 "])
def test_a_public_key_is_no_secret(begin: str, tmp_path: Path) -> None:
    """PostgREST would take its text for one: whoever has the key could sign tokens with it."""
    text = f"{begin}\n{'x' * 40}\n"
    (tmp_path / "key.pem").write_text(text)
    encoded = base64.b64encode(text.encode()).decode()
    given: list[Settings] = [
        {"jwt-secret": text},
        {"jwt-secret": f"@{tmp_path / 'key.pem'}"},
        {"jwt-secret": encoded, "jwt-secret-is-base64": True},
    ]
    for settings in given:
        with pytest.raises(ConfigurationError, match="whoever has the public key"):
            for_version(settings, (12,))


def test_a_secret_is_measured_as_postgrest_reads_it() -> None:
    for_version({"jwt-secret": "ü" * 16}, (13,))
    for_version({"jwt-secret": "@/etc/key"}, (13,))
    for_version({"jwt-secret": ""}, (13,))
    for_version({"jwt-secret": base64.urlsafe_b64encode(b"\xff" * 32).decode(), "jwt-secret-is-base64": True}, (13,))
    with pytest.raises(ConfigurationError, match="not Base64"):
        for_version({"jwt-secret": "é" * 40, "jwt-secret-is-base64": True}, (13,))


@pytest.mark.parametrize(
    ("version", "given", "expected"),
    [
        ((12, 0, 2), {"jwt-cache-max-lifetime": 60}, {"jwt-cache-max-lifetime": 60}),
        ((13,), {"jwt-cache-max-entries": 0}, {"jwt-cache-max-lifetime": 0}),
        ((13,), {"jwt-cache-max-entries": 500}, {"jwt-cache-max-lifetime": 3600}),
        ((13,), {"jwt-cache-max-entries": 500, "jwt-cache-max-lifetime": 9}, {"jwt-cache-max-lifetime": 9}),
        ((14, 1), {"jwt-cache-max-entries": 500}, {"jwt-cache-max-entries": 500}),
        ((14, 1), {"jwt-cache-max-lifetime": 60}, {}),
        ((14, 1), {"jwt-cache-max-lifetime": "0"}, {"jwt-cache-max-entries": 0}),
        ((16,), {"jwt-cache-max-entries": 5, "jwt-cache-max-lifetime": 0}, {"jwt-cache-max-entries": 5}),
    ],
)
def test_the_cache_of_tokens_is_set_as_the_release_knows_it(
    version: Version, given: Settings, expected: Settings
) -> None:
    assert for_version(given, version) == expected


@pytest.mark.parametrize(
    ("path", "json_path"),
    [
        (".role", "$.role"),
        (".a.b_c.d1", "$.a.b_c.d1"),
        (".roles.write-role", '$.roles["write-role"]'),
        ('."https://example.org/role"', '$["https://example.org/role"]'),
        ('.realm."my roles"[2]', '$.realm["my roles"][2]'),
        (".größe", '$["größe"]'),
        ('.roles[?(@ == "admin")]', '$.roles[?@ == "admin"]'),
        ('.roles[?(@ != "admin")]', '$.roles[?@ != "admin"]'),
        ('.roles[?(@ ^== "app_")]', '$.roles[?search(@, "^app_")]'),
        ('.roles[?(@ ==^ ".x")]', '$.roles[?search(@, "\\\\.x$")]'),
        ('.roles[?(@ *== "a+b")]', '$.roles[?search(@, "a\\\\+b")]'),
        ("$.role", "$.role"),
    ],
)
def test_the_path_of_the_role_claim_is_jsonpath_from_16_on(path: str, json_path: str) -> None:
    assert for_version({"jwt-role-claim-key": path}, (16,)) == {"jwt-role-claim-key": json_path}


def test_a_path_that_cannot_be_said_in_a_release_is_refused() -> None:
    assert for_version({"jwt-role-claim-key": ".role"}, (14, 1)) == {"jwt-role-claim-key": ".role"}
    with pytest.raises(ConfigurationError, match=r"has no JSONPath\. Write it in the older form"):
        for_version({"jwt-role-claim-key": "$.role"}, (14, 1))
    with pytest.raises(ConfigurationError, match="cannot be translated"):
        for_version({"jwt-role-claim-key": "role"}, (16,))
