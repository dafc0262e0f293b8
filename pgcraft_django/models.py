"""The public face of the factories."""

from pgcraft_django.factories.simple import PGCraftSimple

__all__ = ["PGCraftSimple"]
