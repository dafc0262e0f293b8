"""PostgREST's settings in the words of one release.

13 refuses short secrets at the start, 14 bounds the cache of verified tokens by their number instead of
their age, 16 reads the path of the role claim as JSONPath.
"""

import base64
import re
from pathlib import Path

from pgcraft_django.errors import ConfigurationError
from pgcraft_django.postgrest.binary import Version, format_version
from pgcraft_django.postgrest.config import Settings, plain, quoted

LEAST_SECRET = 32
"""Bytes: as many as HS256 puts out (RFC 7518, 3.2), and what PostgREST asks for."""
MAKE_ONE = 'Make one: python -c "import secrets; print(secrets.token_urlsafe(32))"'
"""The line that messages and documentation give."""
CACHE_SECONDS = 3600
KEY_FILE = re.compile(rb"\s*(?:-----BEGIN |ssh-|ecdsa-|sk-)")
"""How files of keys begin, PEM or SSH. PostgREST takes no keys from them, but the text for a secret."""
KEY_FILE_GIVEN = (
    "jwt-secret is the text of a key file, which PostgREST takes for a secret as it is: whoever has the public key "
    "could sign tokens with it. Set it to a JSON Web Key Set: manage.py pgcraft_token --jwks prints that of your key."
)

# One step of the paths before 16: .key, ."any key", [0], [?(@ == "text")].
STEP = re.compile(
    r"""\.(?P<key>[\w$@-]+)"""
    r"""|\."(?P<quoted>[^"]*)\""""
    r"""|\[(?P<index>\d+)\]"""
    r"""|\[\?\(@\s*(?P<operator>==\^|\^==|\*==|==|!=)\s*"(?P<text>[^"]*)"\)\]"""
)


def for_version(settings: Settings, version: Version) -> Settings:
    """Return `settings` as PostgREST `version` understands them.

    Raises `ConfigurationError` for what that release refuses, or cannot express.
    """
    _check_secret(settings, version)
    translated = dict(settings)
    if version >= (14,):
        lifetime = translated.pop("jwt-cache-max-lifetime", None)
        if lifetime is not None and str(lifetime) == "0":  # off; on is the default
            translated.setdefault("jwt-cache-max-entries", 0)
    elif (entries := translated.pop("jwt-cache-max-entries", None)) is not None:
        translated.setdefault("jwt-cache-max-lifetime", 0 if str(entries) == "0" else CACHE_SECONDS)
    if path := str(translated.get("jwt-role-claim-key", "")):
        translated["jwt-role-claim-key"] = _claim_key(path, version)
    return translated


def _check_secret(settings: Settings, version: Version) -> None:
    """Refuse a key file, and a short secret for every release: before 13 the server starts, but no token works."""
    given = str(settings.get("jwt-secret", ""))
    in_file = given.startswith("@")  # PostgREST reads it, and measures it
    key = secret_key(_content(given[1:]) if in_file else given, settings)
    if is_key_file(key):
        raise ConfigurationError(KEY_FILE_GIVEN)
    if given and not in_file and len(key) < LEAST_SECRET:
        raise ConfigurationError(
            f"jwt-secret has {len(key)} characters; PostgREST {format_version(version)} needs at least "
            f"{LEAST_SECRET}. {MAKE_ONE}"
        )


def secret_key(secret: str, settings: Settings) -> bytes:
    """Return the bytes that the text of a secret stands for. Raises `ConfigurationError` for what is not Base64."""
    said = plain(settings.get("jwt-secret-is-base64", False)).strip().lower()
    if said != "true" and not (said.isdecimal() and int(said)):  # as PostgREST reads it
        return secret.encode()
    try:
        return base64.b64decode(secret.rstrip("=.\n") + "==", altchars=b"-_")
    except ValueError:
        raise ConfigurationError("jwt-secret-is-base64 is set, but jwt-secret is not Base64.") from None


def is_key_file(secret: bytes) -> bool:
    """Tell whether a secret is the text of a key file: then it is no secret, or should not be here."""
    return KEY_FILE.match(secret) is not None


def _content(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""  # PostgREST says so


def _claim_key(path: str, version: Version) -> str:
    """Return the path of the role claim: `.a."b c"[0]` before 16, `$.a["b c"][0]` from then on."""
    if version < (16,):
        if path.startswith("$"):
            raise ConfigurationError(
                f"jwt-role-claim-key is {path!r}; PostgREST {format_version(version)} has no JSONPath. Write "
                'it in the older form, such as ".role": it is translated for the releases that have.'
            )
        return path
    if path.startswith("$"):
        return path
    translated, position = "$", 0
    while position < len(path):
        step = STEP.match(path, position)
        if step is None:
            raise ConfigurationError(
                f"jwt-role-claim-key is {path!r}, which cannot be translated for PostgREST "
                f'{format_version(version)}. Write it as JSONPath, such as "$.role".'
            )
        translated += _json_path_step(step)
        position = step.end()
    return translated


def role_claim(settings: Settings) -> list[str]:
    """Return the names of the claims that lead to the role, from the outermost one on: `["app", "role"]`.

    Raises `ConfigurationError` if `jwt-role-claim-key` leads there by anything else.
    """
    path = str(settings.get("jwt-role-claim-key") or ".role")
    steps = list(STEP.finditer(path))
    names = [step["key"] if step["key"] is not None else step["quoted"] for step in steps]
    if not names or None in names or "".join(step[0] for step in steps) != path.removeprefix("$"):
        raise ConfigurationError(
            f"jwt-role-claim-key is {path!r}, and tokens are made here only for a path of names, such as "
            '".app.role". Write such a path, or make the tokens elsewhere.'
        )
    return names


def _json_path_step(step: re.Match[str]) -> str:
    if (index := step["index"]) is not None:
        return f"[{index}]"
    if (operator := step["operator"]) is not None:
        text = step["text"]
        if operator in ("==", "!="):
            return f"[?@ {operator} {quoted(text)}]"
        pattern = re.sub(r"[\\.^$|?*+(){}\[\]-]", r"\\\g<0>", text)
        pattern = {"^==": f"^{pattern}", "==^": f"{pattern}$", "*==": pattern}[operator]
        return f"[?search(@, {quoted(pattern)})]"
    key = step["key"] if step["key"] is not None else step["quoted"]
    return f".{key}" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key) else f"[{quoted(key)}]"
