"""Migration operations that create, replace and drop database objects.

Each carries complete values for both directions, so that running one never needs to know what came before, its
reverse is a swap, and a migration can be read as the change it makes. To change only the state (for adopting
what a database has already), put one into `SeparateDatabaseAndState(state_operations=[...])`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.conf import settings
from django.db import ProgrammingError, router, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.operations.fields import AddField, AlterField
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import MigrationWriter
from django.db.models import Model

from pgcraft_django.columns import AnyField
from pgcraft_django.diagnosis import (
    INSUFFICIENT_PRIVILEGE,
    UNDEFINED_COLUMN,
    UNDEFINED_FUNCTION,
    UNDEFINED_OBJECT,
    UNDEFINED_TABLE,
    server_hint,
    server_message,
    sqlstate,
)
from pgcraft_django.errors import IdentifierError, MigrationError
from pgcraft_django.messages import some
from pgcraft_django.naming import DEFAULT_SCHEMA, quote_name
from pgcraft_django.objects import DatabaseObject, TablePlacement
from pgcraft_django.objects.relation import move_table_sql
from pgcraft_django.objects.role import ROLES_HINT
from pgcraft_django.objects.trigger import SETTLED, lock_tables_sql, without_guards_sql
from pgcraft_django.recorded import forget, record
from pgcraft_django.writer import ObjectSerializer

# Objects come into a migration file inside operations only: whoever writes them has imported this.
MigrationWriter.register_serializer(DatabaseObject, ObjectSerializer)


BRANCHES_HINT = (
    "If two branches have changed one model: delete the migration of one of them that nobody has applied yet, and run "
    "`manage.py makemigrations` without --merge."
)

PACKAGE_HINT = (
    "If the migration of a package has removed or renamed it: add that migration to `run_before` in this one."
)

ROUTERS_HINT = (
    "If a router lets in only some models of the app: give the others an app of their own, since what is made around "
    "models is asked about by app."
)

AT_ONCE = 50  # statements that go to the server together: most take less time than the way there and back


class ObjectOperation(Operation):
    """What all operations of this module share."""

    missing_hint = f"{BRANCHES_HINT} {PACKAGE_HINT}"
    """What may be the reason if something is not there that was there when the migration was written."""

    @property
    def names(self) -> list[str]:
        """Names of what it is about, without the schemas and roles that several apps share."""
        raise NotImplementedError

    @property
    def migration_name_fragment(self) -> str:
        return "_".join([type(self).__name__.lower(), *self.names[:1]]).lower()

    def statements(self) -> list[str]:
        """SQL that runs forwards."""
        raise NotImplementedError

    def reversed_statements(self) -> list[str]:
        """SQL that runs backwards."""
        raise NotImplementedError

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self._run(app_label, schema_editor, self.statements)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self._run(app_label, schema_editor, self.reversed_statements)

    def _run(self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, render: Callable[[], list[str]]) -> None:
        connection = schema_editor.connection
        if connection.vendor != "postgresql" or not router.allow_migrate(connection.alias, app_label):
            return
        try:
            statements = render()
        except IdentifierError as error:  # a comment with a NUL, for one
            raise MigrationError(f"{self.describe()}: {error}") from error
        _settle(schema_editor)
        # One by one for who reads them, and for a driver that prepares them.
        one_by_one = schema_editor.collect_sql or "prepare_threshold" in connection.settings_dict["OPTIONS"]
        at_once = 1 if one_by_one else AT_ONCE
        for first in range(0, len(statements), at_once):
            try:
                # A statement may end with a comment; and without parameters a % in a name or a text is just a %.
                schema_editor.execute("\n;\n".join(statements[first : first + at_once]), params=None)
            except ProgrammingError as error:
                if message := _explain(error, self.missing_hint):
                    raise MigrationError(f"{self.describe()}: {message}") from error
                raise


def _settle(schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Make the foreign keys and indexes of new tables that Django keeps for the end of the migration.

    A squashed migration goes on to change the tables, and Django changes only the constraints that it finds there.
    Usually it has nothing left to change, but our operations keep it from merging changes into `CreateModel`.
    """
    for statement in schema_editor.deferred_sql:
        schema_editor.execute(statement, None)
    schema_editor.deferred_sql.clear()


def runs_here(operation: Operation, editor: BaseDatabaseSchemaEditor, model: type[Model]) -> bool:
    """Tell whether an operation on the table of `model` is to do anything in the editor's database."""
    connection = editor.connection
    return connection.vendor == "postgresql" and operation.allow_migrate_model(connection.alias, model)


def change_rows(editor: BaseDatabaseSchemaEditor, statement: str, parameters: Sequence[Any] | None = None) -> None:
    """Run an UPDATE, and check its foreign keys now: as long as that is to be done, ALTER TABLE fails."""
    editor.execute(statement, parameters)
    for settling in SETTLED:
        editor.execute(settling, params=None)


def _explain(error: ProgrammingError, missing_hint: str) -> str:
    """Say in plain words what to do, or nothing if the error is not about what is missing, or about privileges."""
    message, code = server_message(error).rstrip("."), sqlstate(error)
    if code == UNDEFINED_OBJECT:
        return f"{message}. If it is a role: {ROLES_HINT} {missing_hint}".rstrip()
    if code in (UNDEFINED_COLUMN, UNDEFINED_FUNCTION, UNDEFINED_TABLE) and missing_hint:
        hints = (
            [ROUTERS_HINT, missing_hint] if code == UNDEFINED_TABLE and settings.DATABASE_ROUTERS else [missing_hint]
        )
        return f"{message}. {' '.join(hints)}"
    if code == INSUFFICIENT_PRIVILEGE:
        return f"{message}. {server_hint(error) or 'Migrate as the owner of the database and its tables.'}"
    return ""


class _ListOperation(ObjectOperation):
    """What Create and Drop share: a list of objects, created in one direction and dropped in the other."""

    serialization_expand_args = ["objects"]

    def __init__(self, objects: Iterable[DatabaseObject]) -> None:
        self.objects = list(objects)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [], {"objects": self.objects}

    @property
    def names(self) -> list[str]:
        return [item.key.name for item in self.objects if not item.shared]

    def describe(self) -> str:
        return f"{type(self).__name__} {_name_some(self.objects)}"


class Create(_ListOperation):
    """Create `objects` in the order given; backwards, drop them in the opposite order."""

    category = OperationCategory.ADDITION

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        record(state, app_label, *self.objects)

    def statements(self) -> list[str]:
        return [sql for item in self.objects for sql in item.create_sql()]

    def reversed_statements(self) -> list[str]:
        return _drop_sql(list(reversed(self.objects)))

    def reduce(self, operation: Operation, app_label: str) -> bool | list[Operation]:
        if isinstance(operation, Drop):
            return self._reduce_drop(operation)
        if isinstance(operation, Replace):
            return self._reduce_replace(operation)
        return super().reduce(operation, app_label)

    def _reduce_drop(self, operation: "Drop") -> bool | list[Operation]:
        dropped = [item for item in operation.objects if item in self.objects]
        if not dropped:
            gone = {item.key for item in operation.objects}
            return not any(item.key in gone or item.depends_on & gone for item in self.objects)
        created = [item for item in self.objects if item not in dropped]
        rest = [item for item in operation.objects if item not in dropped]
        return [*([Create(created)] if created else []), *([Drop(rest)] if rest else [])]

    def _reduce_replace(self, operation: "Replace") -> bool | list[Operation]:
        pairs = list(zip(operation.old, operation.new, strict=True))
        changes = {old.key: new for old, new in pairs if old in self.objects}
        if not changes:
            return False
        created = Create([changes.get(item.key, item) for item in self.objects])
        rest = [pair for pair in pairs if pair[0].key not in changes]
        return [created, *([Replace(*zip(*rest, strict=True))] if rest else [])]


class Drop(_ListOperation):
    """Drop `objects` in the order given; backwards, create them in the opposite order."""

    category = OperationCategory.REMOVAL

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        forget(state, app_label, *self.objects)

    def statements(self) -> list[str]:
        return _drop_sql(self.objects)

    def reversed_statements(self) -> list[str]:
        return [sql for item in reversed(self.objects) for sql in item.create_sql()]


class Replace(ObjectOperation):
    """Turn each of `old` into the one at its place in `new`; backwards, the other way round."""

    category = OperationCategory.ALTERATION
    serialization_expand_args = ["old", "new"]

    def __init__(self, old: Iterable[DatabaseObject], new: Iterable[DatabaseObject]) -> None:
        self.old = list(old)
        self.new = list(new)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [], {"old": self.old, "new": self.new}

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        record(state, app_label, *self.new)

    def statements(self) -> list[str]:
        pairs = zip(self.old, self.new, strict=True)
        return [sql for old, new in pairs for sql in _replace_sql(old, new)]

    def reversed_statements(self) -> list[str]:
        pairs = reversed(list(zip(self.old, self.new, strict=True)))
        return [sql for old, new in pairs for sql in _replace_sql(new, old)]

    @property
    def names(self) -> list[str]:
        return [item.key.name for item in self.new if not item.shared]

    def describe(self) -> str:
        return f"Replace {_name_some(self.new)}"


class SetTableSchema(ObjectOperation):
    """Move tables, with their indexes, constraints and sequences, from one schema to another.

    Django makes every table in the first schema of the search path and names it without a schema ever after;
    it finds the table again because all schemas with tables are on the search path.
    """

    category = OperationCategory.ALTERATION
    serialization_expand_args = ["tables"]

    def __init__(
        self, tables: Iterable[str], *, old_schema: str = DEFAULT_SCHEMA, new_schema: str = DEFAULT_SCHEMA
    ) -> None:
        self.tables = list(tables)
        self.old_schema = old_schema
        self.new_schema = new_schema

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        schemas = {"old_schema": self.old_schema, "new_schema": self.new_schema}
        return (
            type(self).__name__,
            [],
            {"tables": self.tables, **{k: v for k, v in schemas.items() if v != DEFAULT_SCHEMA}},
        )

    def placements(self, schema: str) -> list[TablePlacement]:
        """Return what is recorded of the tables while they are in `schema`; nothing where Django puts them."""
        if schema == DEFAULT_SCHEMA:
            return []
        return [TablePlacement(schema=schema, name=table) for table in self.tables]

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        forget(state, app_label, *self.placements(self.old_schema))
        record(state, app_label, *self.placements(self.new_schema))

    def statements(self) -> list[str]:
        return [move_table_sql(table, self.old_schema, self.new_schema) for table in self.tables]

    def reversed_statements(self) -> list[str]:
        return [move_table_sql(table, self.new_schema, self.old_schema) for table in reversed(self.tables)]

    def describe(self) -> str:
        return f"Move {some(self.tables)} from schema {self.old_schema} to {self.new_schema}"

    @property
    def names(self) -> list[str]:
        return self.tables

    def reduce(self, operation: Operation, app_label: str) -> bool | list[Operation]:
        # What only changes columns and indexes of a table does not care which schema the table is in.
        if isinstance(operation, AddField | AlterField) and not operation.field.many_to_many:
            return True
        return super().reduce(operation, app_label)


class WithoutGuards(ObjectOperation):
    """Run `sql` on `tables` whose rows are never changed, such as ledgers, and let its UPDATE and DELETE of them pass.

    It is all one transaction: nobody else finds the guards away, and they are back if it fails. Balances follow.
    Without `reverse_sql` it cannot be taken back.
    """

    category = OperationCategory.SQL
    missing_hint = ""

    def __init__(self, tables: Iterable[str], sql: str, reverse_sql: str | None = None) -> None:
        self.tables = list(tables)
        self.sql = sql
        self.reverse_sql = reverse_sql
        self.reversible = reverse_sql is not None  # type: ignore[misc]

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        reverse = {} if self.reverse_sql is None else {"reverse_sql": self.reverse_sql}
        return type(self).__name__, [], {"tables": self.tables, "sql": self.sql, **reverse}

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Change nothing: it is about rows."""

    def statements(self) -> list[str]:
        return without_guards_sql(self.tables, self.sql)

    def reversed_statements(self) -> list[str]:
        return without_guards_sql(self.tables, self.reverse_sql or "")

    def _run(self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, render: Callable[[], list[str]]) -> None:
        with transaction.atomic(using=schema_editor.connection.alias):  # the migration may not be
            super()._run(app_label, schema_editor, render)

    @property
    def names(self) -> list[str]:
        return self.tables

    def describe(self) -> str:
        return f"Change rows of {some(self.tables)} that are never changed"


class AlterFieldType(AlterField):
    """Django's `AlterField` for a column with a default in the database, whose type changes.

    PostgreSQL changes a column's type only if it can cast the default along, which it cannot from text to a number.
    So the default goes first and comes back last.
    """

    def reduce(self, operation: Operation, app_label: str) -> bool | list[Operation]:
        reduced = super().reduce(operation, app_label)
        if reduced == [operation] and type(operation) is AlterField:
            # The last alteration of the field says all there is to say, except that its default is in the way.
            arguments = operation.model_name, operation.name, operation.field, operation.preserve_default
            return [type(self)(*arguments)]
        return reduced

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        old_model = from_state.apps.get_model(app_label, self.model_name)
        model = to_state.apps.get_model(app_label, self.model_name)
        concerned = runs_here(self, schema_editor, model)
        old, new = old_model._meta.get_field(self.name), model._meta.get_field(self.name)
        if concerned and old.has_db_default():
            self._change_default(schema_editor, old_model, old, old, drop=True)
        super().database_forwards(app_label, schema_editor, from_state, to_state)
        if concerned and new.has_db_default():
            self._change_default(schema_editor, model, old, new, drop=False)

    @staticmethod
    def _change_default(
        schema_editor: BaseDatabaseSchemaEditor, model: type[Model], old: AnyField, new: AnyField, *, drop: bool
    ) -> None:
        editor: Any = schema_editor  # django-stubs leaves out what is private
        change, parameters = editor._alter_column_database_default_sql(model, old, new, drop=drop)
        table = quote_name(model._meta.db_table)
        editor.execute(editor.sql_alter_column % {"table": table, "changes": change}, parameters)


def _drop_sql(objects: Sequence[DatabaseObject]) -> list[str]:
    """Return statements that drop the objects."""
    return [*lock_tables_sql(objects), *(sql for item in objects for sql in item.drop_sql())]


def _replace_sql(old: DatabaseObject, new: DatabaseObject) -> list[str]:
    """Return statements that turn `old` into `new`; re-creating is right where nothing hangs on the object."""
    in_place = new.replace_sql(old)
    return [*old.drop_sql(), *new.create_sql()] if in_place is None else in_place


def _name_some(objects: Sequence[DatabaseObject]) -> str:
    return some([item.describe() for item in objects])
