"""Functions that book an entry over HTTP: `rpc/<name>_record` for one leg, `rpc/<name>_record_legs` for several.

They write with the rights of who asks, so that row-level security holds. They are parsed when they are made, so that
the caller needs no access to the schema of the table.
"""

from collections.abc import Iterator

from django.db import models

from pgcraft_django.bodies import read_body, read_sql
from pgcraft_django.columns import AnyField, column_name, column_types, postgresql
from pgcraft_django.conf import is_names
from pgcraft_django.factories.base import default_sql, exposed_at
from pgcraft_django.factories.ledger.keys import as_content, conflict
from pgcraft_django.factories.ledger.shape import (
    KEY,
    is_computed,
    is_double_entry,
    is_idempotent,
    value_field,
    written_fields,
)
from pgcraft_django.naming import is_identifier, plain_text, quote_name, quote_names, quote_text, shorten
from pgcraft_django.objects import DatabaseObject, Function, FunctionGrant, Role, Schema, SchemaGrant
from pgcraft_django.plugins.base import ColumnGrant, option


def recording_roles(model: type[models.Model]) -> list[str]:
    """Return the roles that may book, by `record_grants`."""
    declared = option(model, "record_grants", ())
    return sorted(plain_text(role) for role in declared if is_identifier(role)) if is_names(declared) else []


def recording_grants(model: type[models.Model]) -> Iterator[ColumnGrant]:
    """Yield what the roles need on the table: the functions write and read as who asks."""
    given = {column_name(field) for field in written_fields(model)} | {"entry_id"}
    given |= {KEY} if is_idempotent(model) else set()
    for role in recording_roles(model):
        for field in model._meta.local_concrete_fields:
            yield ColumnGrant(role, "select", column_name(field))
            if column_name(field) in given:
                yield ColumnGrant(role, "insert", column_name(field))


def recording_objects(model: type[models.Model], schema: str) -> Iterator[DatabaseObject]:
    """Yield the functions of the API and what is behind them."""
    roles = recording_roles(model)
    place, name = exposed_at(model)
    if roles and is_identifier(place) and is_identifier(name):
        functions = _Functions(model, schema)
        yield Schema(name=place)
        made = list(functions.behind())
        made += functions.exposed(made[-1], place, name)
        yield from made
        for role in roles:
            yield Role(name=role)
            yield SchemaGrant(schema=place, role=role)
            for item in made:
                yield FunctionGrant(schema=item.schema, function=item.name, arguments=item.parameters, role=role)


class _Functions:
    def __init__(self, model: type[models.Model], schema: str) -> None:
        self.model = model
        self.schema = schema
        self.name = model._meta.db_table
        self.table = quote_name(schema, self.name)
        self.fields = written_fields(model)
        self.keyed = is_idempotent(model)
        self.reads = {self.table: column_types(model._meta.local_concrete_fields)}
        keys = getattr(model, "pgcraft_keys", None)
        self.keys = quote_name(schema, keys._meta.db_table) if keys else ""

    def behind(self) -> Iterator[Function]:
        """Yield what judges the legs and, last, what books them: an entry's id, its legs, and perhaps its key."""
        names = [column_name(field) for field in self.fields]
        parts = {
            "table": self.table,
            "keys": self.keys,
            "ledger_name": quote_text(self.name),
            "names": f"ARRAY[{', '.join(map(quote_text, names))}]",
            "example": quote_text(f"Each leg has the names {', '.join(names)}."),
            "exact": self._exact(),
        }
        legs = Function(
            schema=self.schema,
            name=shorten(f"{self.name}_legs"),
            arguments="jsonb",
            returns="jsonb",
            language="plpgsql",
            volatility="immutable",
            body=read_body(__file__, "legs", **parts),
        )
        yield legs
        requires = [tuple(legs.key)]
        if self.keyed:
            parts["content"] = as_content(f"leg.{quote_name(column_name(field))}" for field in self._compared())
            repeated = Function(
                schema=self.schema,
                name=shorten(f"{self.name}_repeated"),
                arguments="text, jsonb",
                returns="uuid",
                language="plpgsql",
                security_definer=True,
                body=read_body(__file__, "repeated", **parts, conflict=conflict(self.name, "$1")),
                reads=self.reads,
            )
            yield repeated
            requires.append(tuple(repeated.key))
        yield self._record(legs, repeated if self.keyed else None, requires)

    def _exact(self) -> str:
        """Return what refuses an amount that the column would round, as `record()` of the ORM does."""
        value = value_field(self.model)
        if not isinstance(value, models.DecimalField) or value.decimal_places is None:
            return "-- A fraction of a whole number is refused by its type."
        parts = {"value": quote_text(column_name(value)), "places": str(value.decimal_places)}
        return read_sql(__file__, "exact", ledger_name=quote_text(self.name), **parts)

    def _compared(self) -> list[AnyField]:
        """Return the fields by which legs that come again are counted: what is computed is another value each time."""
        return [field for field in self.fields if not (field.has_db_default() and is_computed(field))]

    def _record(self, legs: Function, repeated: Function | None, requires: list[tuple[str, ...]]) -> Function:
        columns = ["entry_id", *(column_name(field) for field in self.fields), *([KEY] if self.keyed else [])]
        given = ", ".join(["$1", *map(_value, self.fields), *(["$3"] if self.keyed else [])])
        typed = ", ".join(f"{quote_name(column_name(field))} {_type(field)}" for field in self.fields)
        insert = (
            f"INSERT INTO {self.table} ({quote_names(columns)})\n"
            f"    SELECT {given}\n"
            f"    FROM jsonb_to_recordset({quote_name(legs.schema, legs.name)}($2)) AS leg ({typed})"
        )
        if repeated is None:
            statements = [f"{insert}\n    RETURNING *"]
        else:
            # In a statement of its own, which sees what a rival with the same key has booked.
            sent = as_content(map(_value, self._compared()))
            is_new = f"$3 IS NULL OR EXISTS (SELECT FROM {self.table} AS own WHERE own.entry_id = $1)"
            judged = quote_name(repeated.schema, repeated.name)
            # Policies may hide the entry that has the key: then nothing was booked, and an answer would be a lie.
            statements = [
                insert,
                f"SELECT entry.*::{self.table}\n"
                f"    FROM (\n"
                f"        SELECT CASE WHEN {is_new} THEN $1 ELSE (\n"
                f"            SELECT {judged}($3, jsonb_agg({sent}))\n"
                f"            FROM jsonb_to_recordset($2) AS leg ({typed})\n"
                "        ) END AS entry_id\n"
                "    ) AS booked\n"
                f"    LEFT JOIN {self.table} AS entry ON entry.entry_id = booked.entry_id\n"
                "    WHERE CASE WHEN entry.id IS NULL AND booked.entry_id <> $1\n"
                f"        THEN {judged}($3, NULL) IS NULL ELSE entry.id IS NOT NULL END\n"
                "    ORDER BY entry.id",
            ]
        body = "".join(f"    {statement};\n" for statement in statements)
        return Function(
            schema=self.schema,
            name=shorten(f"{self.name}_record"),
            arguments="uuid, jsonb, text" if self.keyed else "uuid, jsonb",
            returns=f"SETOF {self.table}",
            body=f"BEGIN ATOMIC\n{body}END",
            requires=requires,
            reads=self.reads,
        )

    def exposed(self, record: Function, place: str, name: str) -> list[Function]:
        """Return the functions of the API. One leg alone is no entry where debits and credits have to be equal."""
        key = [f"{quote_name(KEY)} text"] if self.keyed else []
        needed = [field for field in self.fields if not _may_be_left_out(field)]
        rest = [field for field in self.fields if _may_be_left_out(field)]
        pairs = ", ".join(
            f"{quote_text(column_name(field))}, ${number}" for number, field in enumerate([*needed, *rest], 1)
        )
        keyed = f" The same {KEY} again returns what it booked before." if self.keyed else ""
        one = self._exposed(
            record,
            place,
            shorten(f"{name}_record"),
            f"Books an entry of one leg in {name}.\n\nReturns its row.{keyed}",
            [f"{quote_name(column_name(field))} {_type(field)}" for field in needed],
            [*(f"{quote_name(column_name(field))} {_type(field)}" for field in rest), *key],
            f"jsonb_build_array(jsonb_build_object({pairs}))",
        )
        columns = ", ".join(map(column_name, [*needed, *rest]))
        several = self._exposed(
            record,
            place,
            shorten(f"{name}_record_legs"),
            f"Books an entry of several legs in {name}.\n\n"
            f"The legs are an array of objects with the names {columns}. Returns their rows.{keyed}",
            ['"legs" jsonb'],
            key,
            "$1",
        )
        return [several] if is_double_entry(self.model) else [one, several]

    def _exposed(
        self, record: Function, place: str, name: str, comment: str, needed: list[str], optional: list[str], legs: str
    ) -> Function:
        key = f", ${len(needed) + len(optional)}" if self.keyed else ""
        call = f"{quote_name(record.schema, record.name)}(gen_random_uuid(), {legs}{key})"
        return Function(
            schema=place,
            name=name,
            arguments=", ".join(needed),
            optional=optional,
            returns=f"SETOF {self.table}",
            body=f"BEGIN ATOMIC\n    SELECT {call};\nEND",
            requires=[tuple(record.key)],
            reads=self.reads,
            comment=comment,
        )


def _type(field: AnyField) -> str:
    return str(field.db_type(postgresql()))


def _may_be_left_out(field: AnyField) -> bool:
    return field.null or default_sql(field) is not None


def _value(field: AnyField) -> str:
    column = f"leg.{quote_name(column_name(field))}"
    default = default_sql(field)
    return column if default is None else f"coalesce({column}, {default})"
