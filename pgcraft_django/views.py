"""Tokens for who is logged in to Django, over HTTP: what `pgcraft_django.urls` leads to.

Requests and answers have the names of OAuth 2 (RFC 6749, 5; RFC 7009). Nothing of it may be stored on the way.
"""

import json
from contextlib import suppress
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_POST

from pgcraft_django import logins
from pgcraft_django.errors import LoginEnded


@require_POST
@csrf_protect
def log_in(request: HttpRequest) -> HttpResponse:
    """Give tokens to the user of the session. The session is a cookie, so Django's token against CSRF is asked for."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return _refused(401, "login_required", "Log in to Django first.")
    try:
        return _given(logins.log_in(request))
    except PermissionDenied as error:
        return _refused(403, "access_denied", str(error) or "This user gets no token.")


@csrf_exempt  # who shows a refresh token is known by it, and by no cookie
@require_POST
@sensitive_post_parameters()
@sensitive_variables()
def refresh(request: HttpRequest) -> HttpResponse:
    """Give the next tokens for a refresh token."""
    token = _shown(request)
    if not token:
        return _refused(400, "invalid_request", "Send refresh_token.")
    try:
        return _given(logins.refresh(request, token))
    except LoginEnded as error:
        return _refused(401, "invalid_grant", str(error))
    except PermissionDenied as error:
        return _refused(403, "access_denied", str(error) or "This user gets no token.")


@csrf_exempt
@require_POST
@sensitive_post_parameters()
@sensitive_variables()
def revoke(request: HttpRequest) -> HttpResponse:
    """End the login of a refresh token. What is none is as good as ended."""
    token = _shown(request)
    if not token:
        return _refused(400, "invalid_request", "Send refresh_token.")
    with suppress(LoginEnded):
        logins.log_out(token)
    return _answer(200, {})


@sensitive_variables()
def _shown(request: HttpRequest) -> str:
    """Return the refresh token of a form or of JSON; an empty text if there is none."""
    given: Any = request.POST
    if request.content_type == "application/json":
        try:
            given = json.loads(request.body)
        except (ValueError, RecursionError):
            return ""
    token = given.get("refresh_token") if hasattr(given, "get") else None
    return token if isinstance(token, str) else ""


@sensitive_variables()
def _given(tokens: logins.Tokens) -> HttpResponse:
    content = {
        "access_token": tokens.access,
        "token_type": "Bearer",
        "expires_in": tokens.expires_in,
        "refresh_token": tokens.refresh,
    }
    return _answer(200, content)


def _refused(status: int, error: str, description: str) -> HttpResponse:
    return _answer(status, {"error": error, "error_description": description})


@sensitive_variables()
def _answer(status: int, content: dict[str, Any]) -> HttpResponse:
    return JsonResponse(content, status=status, headers={"Cache-Control": "no-store"})
