"""The recorded state: which objects the migrations so far have made.

Operations fold their values into the `ProjectState` that Django replays, app by app. It is only read by the
autodetector; `ProjectState.clone()` forgets it, which is why no operation depends on it when it runs.
"""

from django.db.migrations.state import ProjectState

from pgcraft_django.objects import DatabaseObject, ObjectKey

ObjectMap = dict[ObjectKey, DatabaseObject]

_ATTRIBUTE = "pgcraft_django"


def recorded(state: ProjectState) -> dict[str, ObjectMap]:
    """Return app label -> key -> object."""
    states: dict[str, ObjectMap] = state.__dict__.setdefault(_ATTRIBUTE, {})
    return states


def record(state: ProjectState, app_label: str, *objects: DatabaseObject) -> None:
    """Note that a migration of `app_label` made `objects`."""
    recorded(state).setdefault(app_label, {}).update({item.key: item for item in objects})


def forget(state: ProjectState, app_label: str, *objects: DatabaseObject) -> None:
    """Note that a migration of `app_label` dropped `objects`."""
    known = recorded(state).get(app_label, {})
    for item in objects:
        known.pop(item.key, None)
