"""Who changes something, and why: SQL expressions for the logs that the database writes.

A request is by the `sub` of its JWT's claims. Anything else is by whom `history_context()` names, or by nobody.
A setting that was given for one transaction is an empty text afterwards, not NULL: it counts as not given.
"""

from pgcraft_django.naming import quote_text

ACTOR_SETTING = "pgcraft.actor"
REASON_SETTING = "pgcraft.reason"


def _setting(name: str) -> str:
    return f"nullif(pg_catalog.current_setting({quote_text(name)}, true), '')"


ACTOR = f"""\
coalesce(
    {_setting("request.jwt.claims")}::pg_catalog.jsonb ->> 'sub',
    {_setting(ACTOR_SETTING)}
)"""
"""The acting person, a text."""

REASON = _setting(REASON_SETTING)
"""What `history_context()` gives as the reason, a text."""
