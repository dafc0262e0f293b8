"""What the vault protects of another app: the admin's log is for who wrote it, and not exposed."""

from django.contrib.admin.models import LogEntry

from pgcraft_django import register
from pgcraft_django.policies import OwnerPolicy

register(LogEntry, api=[], policies=[OwnerPolicy("user")])
