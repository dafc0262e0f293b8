"""JSON Web Tokens, signed with HS256."""

import base64
import hashlib
import hmac
import json


def make_token(secret: str, **claims: object) -> str:
    """Return a token that says `claims`."""
    content = ".".join(_encoded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return f"{content}.{_encoded(hmac.digest(secret.encode(), content.encode(), hashlib.sha256))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
