"""Database objects as frozen values, one file per kind.

This import path is permanent: migrations are written with it. A new kind is one new file, and a name here.
"""

from pgcraft_django.objects.base import DatabaseObject, ObjectKey
from pgcraft_django.objects.comment import Comment
from pgcraft_django.objects.constraint import Constraint
from pgcraft_django.objects.extension import Extension
from pgcraft_django.objects.filling import Filling
from pgcraft_django.objects.function import Function, SharedFunction
from pgcraft_django.objects.grant import FunctionGrant, SchemaGrant, TableGrant
from pgcraft_django.objects.index import Index
from pgcraft_django.objects.partitioning import Partitioning
from pgcraft_django.objects.policy import Policy
from pgcraft_django.objects.relation import MaterializedView, TablePlacement, View
from pgcraft_django.objects.role import Role, RoleMembership
from pgcraft_django.objects.row_security import RowSecurity
from pgcraft_django.objects.schema import Schema
from pgcraft_django.objects.trigger import Trigger

__all__ = [
    "Comment",
    "Constraint",
    "DatabaseObject",
    "Extension",
    "Filling",
    "Function",
    "FunctionGrant",
    "Index",
    "MaterializedView",
    "ObjectKey",
    "Partitioning",
    "Policy",
    "Role",
    "RoleMembership",
    "RowSecurity",
    "Schema",
    "SchemaGrant",
    "SharedFunction",
    "TableGrant",
    "TablePlacement",
    "Trigger",
    "View",
]
