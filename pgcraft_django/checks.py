"""Numbered system checks."""


def register() -> None:
    """Register."""
