"""Tokens: what a request shows to say who it is. Signed here, checked by PostgREST.

They are JSON Web Tokens (RFC 7519), signed with the secret that PostgREST has (`jwt-secret`, HS256), or with a private
key whose public half PostgREST has as a JSON Web Key Set (RS256, ES256). PyJWT does the work: `pgcraft-django[tokens]`.
"""

import base64
import json
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pgcraft_django.conf import get_config
from pgcraft_django.errors import ConfigurationError, RoleError
from pgcraft_django.messages import listed
from pgcraft_django.postgrest.config import collect
from pgcraft_django.postgrest.versions import (
    KEY_FILE_GIVEN,
    LEAST_SECRET,
    MAKE_ONE,
    is_key_file,
    role_claim,
    secret_key,
)

PRIVATE_KEY_VARIABLE = "PGCRAFT_JWT_PRIVATE_KEY"
TEXTS = ("iss", "sub", "jti")
"""Claims that are texts (RFC 7519, 4.1). PostgREST refuses the whole token if they are not."""


@dataclass(frozen=True)
class SigningKey:
    """A key with what a token says of it. It does not show itself."""

    key: Any
    algorithm: str
    id: str | None = None

    def __repr__(self) -> str:
        return f"<SigningKey {self.algorithm}>"


def make_token(role: str, *, claims: Mapping[str, Any] | None = None, expires: timedelta = timedelta(hours=1)) -> str:
    """Return a token for requests as `role`, with further claims, that is valid until `expires` has passed.

    The role is where PostgREST reads it (`jwt-role-claim-key`). `iat`, `exp` and `jti` are added, and `aud` if it asks
    for one (`jwt-aud`). Raises `RoleError` for a role that no request can switch to, `ConfigurationError` if there is
    no key to sign with, or a weak one, and `TypeError` for claims that JSON cannot hold, or that PostgREST does not
    read.
    """
    jwt = _pyjwt()
    if role not in get_config().request_roles:
        raise RoleError(f"No request can switch to {role!r}. The roles are {listed(get_config().request_roles)}.")
    now = int(time.time())
    settings = collect()
    audience = settings.get("jwt-aud")
    said = {
        **({"aud": audience} if audience else {}),
        "jti": str(uuid.uuid4()),
        **_with_role(claims or {}, role_claim(settings), role),
        "iat": now,
        "exp": now + int(expires.total_seconds()),
    }
    try:  # before the key is there: a traceback shows what its functions hold
        json.dumps(said, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise TypeError(f"JSON cannot hold the claims: {error}") from None
    _check_registered(said)
    signing = signing_key()
    return str(jwt.encode(said, signing.key, signing.algorithm, headers={"kid": signing.id} if signing.id else None))


def _with_role(claims: Mapping[str, Any], path: list[str], role: str) -> dict[str, Any]:
    """Return the claims with the role at a path of names."""
    name, *further = path
    if not further:
        return {**claims, name: role}
    inner = claims.get(name, {})
    if not isinstance(inner, Mapping):
        raise TypeError(f"The claim {name!r} must be an object, because the role is in it, and is {inner!r}.")
    return {**claims, name: _with_role(inner, further, role)}


def _check_registered(said: Mapping[str, Any]) -> None:
    """Raise `TypeError` if a claim that RFC 7519 gives a type has another one."""
    for name in TEXTS:
        if name in said and not isinstance(said[name], str):
            raise TypeError(f"The claim {name!r} must be a text, and is {said[name]!r}. Write str(…).")
    audience = said.get("aud", "")
    if not all(isinstance(item, str) for item in (audience if isinstance(audience, list) else [audience])):
        raise TypeError(f"The claim 'aud' must be a text or a list of texts, and is {audience!r}.")
    start = said.get("nbf", 0)
    if isinstance(start, bool) or not isinstance(start, int | float):
        raise TypeError(f"The claim 'nbf' must be a number of seconds since 1970, and is {start!r}.")


def read_token(token: str) -> dict[str, Any]:
    """Return what a token of ours says. Raises `ConfigurationError` if it is none, or there is no key to tell by."""
    jwt = _pyjwt()
    signing = signing_key()
    key = signing.key if isinstance(signing.key, bytes) else signing.key.public_key()
    options = {"require": ["exp", "jti"], "verify_aud": False, "verify_exp": False}
    try:
        return dict(jwt.decode(token, key, [signing.algorithm], options=options))
    except jwt.PyJWTError as error:
        raise ConfigurationError(f"This is no token that was made here: {error}") from None


def signing_key() -> SigningKey:
    """Return the private key that `PGCRAFT_JWT_PRIVATE_KEY` holds or names, or else PostgREST's secret.

    Raises `ConfigurationError` if there is none, or it cannot be used.
    """
    if given := os.environ.get(PRIVATE_KEY_VARIABLE):
        return _private_key(given)
    key = secret_bytes()
    if key is None:
        raise ConfigurationError(
            "There is no secret to sign with. Set the environment variable PGRST_JWT_SECRET, for PostgREST too. "
            f"{MAKE_ONE}"
        )
    if len(key) < LEAST_SECRET:
        raise ConfigurationError(
            f"jwt-secret has {len(key)} bytes, and at least {LEAST_SECRET} are needed: a shorter one can be guessed. "
            f"{MAKE_ONE}"
        )
    if is_key_file(key):
        raise ConfigurationError(KEY_FILE_GIVEN)
    return SigningKey(key, "HS256")


def secret_bytes() -> bytes | None:
    """Return the secret that PostgREST checks tokens with; None if there is none.

    Raises `ConfigurationError` if it is no secret, or cannot be read.
    """
    settings = collect()
    secret = str(settings.get("jwt-secret", ""))
    if secret.startswith("@"):
        secret = _read(Path(secret[1:]), "jwt-secret").rstrip("\n")
    if secret.lstrip().startswith("{"):
        raise ConfigurationError(
            "jwt-secret is a JSON Web Key (Set), which holds no private key to sign with. Set "
            f"{PRIVATE_KEY_VARIABLE} to the path of the private key, a PEM file."
        )
    if not secret:
        return None
    return secret_key(secret, settings)


def key_set() -> dict[str, Any]:
    """Return the public half of the private key as a JSON Web Key Set (RFC 7517): PostgREST's `jwt-secret`.

    Raises `ConfigurationError` if there is no private key.
    """
    given = os.environ.get(PRIVATE_KEY_VARIABLE)
    if not given:
        raise ConfigurationError(f"Set {PRIVATE_KEY_VARIABLE} to the path of a private key, a PEM file.")
    signing = _private_key(given)
    return {"keys": [{**_public(signing.key), "kid": signing.id, "alg": signing.algorithm, "use": "sig"}]}


def _pyjwt() -> Any:
    try:
        import jwt
    except ImportError as error:
        raise ConfigurationError('Tokens need PyJWT. Run: pip install "pgcraft-django[tokens]"') from error
    return jwt


def _private_key(given: str) -> SigningKey:
    _pyjwt()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    text = given if "PRIVATE KEY" in given else _read(Path(given), PRIVATE_KEY_VARIABLE)
    try:
        key = serialization.load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError(f"{PRIVATE_KEY_VARIABLE} is no private key in PEM form without a password.") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        algorithm = "RS256"
    elif isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        algorithm = "ES256"
    else:
        raise ConfigurationError(f"{PRIVATE_KEY_VARIABLE} must be an RSA key of 2048 bits or more, or a P-256 key.")
    return SigningKey(key, algorithm, _thumbprint(_public(key)))


def _public(key: Any) -> dict[str, Any]:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from jwt.algorithms import ECAlgorithm, RSAAlgorithm

    maker: Any = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    found: dict[str, Any] = maker.to_jwk(key.public_key(), as_dict=True)
    return {name: value for name, value in found.items() if name in ("kty", "n", "e", "crv", "x", "y")}


def _thumbprint(public: Mapping[str, Any]) -> str:
    """Return the key's name: RFC 7638."""
    import hashlib

    canonical = json.dumps(dict(sorted(public.items())), separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=").decode()


def _read(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is no text"
        raise ConfigurationError(f"{name} names a file that cannot be read: {reason}.") from None
