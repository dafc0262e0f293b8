#!/usr/bin/env python
"""Django's command line for the playground."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured

from pgcraft_django.errors import PGCraftError

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "playground_project.settings")
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except (PGCraftError, ImproperlyConfigured) as error:  # settings that cannot be used, before any command runs
        sys.exit(f"{type(error).__name__}: {error}")
