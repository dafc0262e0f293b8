"""Do policies keep requests apart? Tried with the statements that a request could send; nothing of it stays.

One property covers every policy: whatever a request writes, the rows that another one sees stay as they are.
"""

import secrets
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from typing import Any

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, models, transaction

from pgcraft_django.columns import AnyField, column_name
from pgcraft_django.naming import quote_name, quote_names
from pgcraft_django.registry import model_resources
from pgcraft_django.request_role import as_role

Row = dict[str, Any]
"""Column -> value."""
Rows = dict[tuple[Any, ...], Row]
"""Primary key -> row."""


@dataclass(frozen=True)
class Attempt:
    """A statement that must not succeed, and what it would be."""

    what: str
    statement: str
    parameters: Sequence[Any]
    is_proof: bool = False
    """Whether it names the rows of another request, so that it must find none."""


def assert_policy_isolates(
    rows: "type[models.Model] | models.QuerySet[Any]",
    *,
    role: str,
    claims: Sequence[Mapping[str, Any]],
    using: str = DEFAULT_DB_ALIAS,
) -> None:
    """Fail if one of the requests as `role`, one for each of `claims`, reads or changes `rows` that another one sees.

    `rows` is a model, or a queryset of those of its rows that have to be kept apart. Each request has to see at least
    one of them, or nothing would be proven. Reads, changes, removals, rows made in the name of another one and rows
    handed over to it are tried with the columns that the role may write, through every resource of the model, and
    taken back. What fails for another reason than a policy, such as a required column that is not among them, proves
    nothing.

    Reads ask the resource with the name of the table, as in `as_role()`. Raises `ValueError` for fewer than two
    requests, or if the role may not select the primary key there.
    """
    if len(claims) < 2:
        raise ValueError("assert_policy_isolates() needs the claims of two requests or more.")
    queryset = rows if isinstance(rows, models.QuerySet) else rows._default_manager.all()
    trial = _Trial(queryset.using(using), role, using)
    seen = [trial.read(claim) for claim in claims]
    for claim, found in zip(claims, seen, strict=True):
        _require(found, f"{dict(claim)} sees no row of {trial.label}: make one for it, or nothing is proven.")
    for (me, mine), (other, theirs) in permutations(zip(claims, seen, strict=True), 2):
        shared = sorted(mine.keys() & theirs.keys(), key=str)
        _require(not shared, f"{dict(me)} and {dict(other)} both see {trial.label} with the key {shared[:1]}.")
        for attempt in trial.attempts(me, mine, theirs):
            if trial.succeeds(me, attempt, lambda: trial.read(other) != theirs):  # noqa: B023
                raise AssertionError(f"{dict(me)} can {attempt.what} of {trial.label} that {dict(other)} sees.")


def _require(met: object, otherwise: str) -> None:
    if not met:
        raise AssertionError(otherwise)


class _Trial:
    """The rows in question, as a role sees them."""

    def __init__(self, queryset: "models.QuerySet[Any]", role: str, using: str) -> None:
        self.queryset, self.role, self.using = queryset, role, using
        self.meta = queryset.model._meta
        self.label = self.meta.label
        self.table = quote_name(self.meta.db_table)
        self.resources = [quote_name(item.schema, item.name) for item in model_resources(queryset.model)]
        self.fields: dict[str, AnyField] = {column_name(item): item for item in self.meta.concrete_fields}
        self.key = [column_name(item) for item in self.meta.pk_fields]

    def read(self, claims: Mapping[str, Any]) -> Rows:
        """Return the rows that a request with `claims` sees, with the columns that it may select."""
        columns = self._granted(claims, "SELECT", self.table)
        if set(self.key) - set(columns):
            raise ValueError(
                f"The role {self.role} may not select the primary key of {self.label}, in a resource that is called "
                f"{self.meta.db_table} as its table is."
            )
        with as_role(self.role, claims=claims, using=self.using):
            found = list(self.queryset.values_list(*(self.fields[name].attname for name in columns)))
        rows = [dict(zip(columns, values, strict=True)) for values in found]
        return {tuple(row[name] for name in self.key): row for row in rows}

    def attempts(self, claims: Mapping[str, Any], mine: Rows, theirs: Rows) -> Iterator[Attempt]:
        """Yield what a request could try on the rows of another one, as far as it may name the columns.

        Without a condition PostgreSQL asks no policy of SELECT, so some go without.
        """
        found, keys = self._where(theirs)
        own, other = (self._whole(*next(iter(rows.items()))) for rows in (mine, theirs))
        for relation in self.resources:
            changed = [name for name in self._granted(claims, "UPDATE", relation) if name not in self.key]
            if changed:
                kept = ", ".join(f"{quote_name(name)} = {quote_name(name)}" for name in changed)
                yield Attempt("change a row", f"UPDATE {relation} SET {kept} WHERE {found}", keys, is_proof=True)
            for what, row in (("hand a row over to those", other), ("take a row", own)):
                for distinct in self._distinct():
                    values = self._values(row, [name for name in changed if name not in distinct])
                    given = ", ".join(f"{quote_name(name)} = %s" for name in values)
                    if values:
                        yield Attempt(what, f"UPDATE {relation} SET {given}", list(values.values()))
            for distinct in self._distinct():
                values = self._values(other, self._granted(claims, "INSERT", relation), distinct)
                marks = ", ".join(["%s"] * len(values))
                if values:
                    statement = f"INSERT INTO {relation} ({quote_names(list(values))}) VALUES ({marks})"
                    yield Attempt("add a row to those", statement, list(values.values()))
            yield Attempt("remove a row", f"DELETE FROM {relation} WHERE {found}", keys, is_proof=True)
            yield Attempt("remove a row", f"DELETE FROM {relation}", [])

    def _whole(self, key: tuple[Any, ...], row: Row) -> Row:
        """Return the row with the columns too that only Django's own database user may read."""
        manager = self.queryset.model._base_manager.using(self.using)
        fields = [field for field in self.fields.values() if not field.generated]
        for values in manager.filter(pk=key if len(key) > 1 else key[0]).values_list(*(f.attname for f in fields)):
            row = {**row, **dict(zip(map(column_name, fields), values, strict=True))}
        return row

    def succeeds(self, claims: Mapping[str, Any], attempt: "Attempt", has_changed: Callable[[], bool]) -> bool:
        """Tell whether a request with `claims` gets at what another one sees. Whatever it did is taken back."""
        with transaction.atomic(using=self.using):
            try:
                with as_role(self.role, claims=claims, using=self.using), self._cursor() as cursor:
                    cursor.execute(attempt.statement, attempt.parameters)
                    touched = cursor.rowcount > 0
                return touched and (attempt.is_proof or has_changed())
            except DatabaseError:
                return False
            finally:
                transaction.set_rollback(True, using=self.using)

    def _granted(self, claims: Mapping[str, Any], privilege: str, relation: str) -> list[str]:
        """Return the columns of `relation` that the role has the privilege for."""
        with as_role(self.role, claims=claims, using=self.using), self._cursor() as cursor:
            cursor.execute(
                "SELECT attname FROM pg_catalog.pg_attribute"
                " WHERE attrelid = pg_catalog.to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
                " AND pg_catalog.has_column_privilege(attrelid, attnum, %s) ORDER BY attnum",
                [relation, privilege],
            )
            granted = [name for (name,) in cursor.fetchall()]
        return [name for name in granted if name in self.fields and not self.fields[name].generated]

    def _where(self, rows: Rows) -> tuple[str, list[Any]]:
        """Return the condition that finds `rows` by their keys, and its parameters."""
        marks = ", ".join(["%s"] * len(self.key))
        condition = f"({quote_names(self.key)}) IN ({', '.join([f'({marks})'] * len(rows))})"
        return condition, [self._prepared(name, row[name]) for row in rows.values() for name in self.key]

    def _distinct(self) -> Iterator[set[str]]:
        """Yield each set of columns that keeps a copy of a row apart from it, as the unique constraints want it."""
        groups = [self.key, *self._unique_together(), *([name] for name, field in self.fields.items() if field.unique)]
        yield from map(set, product(*groups))

    def _values(self, row: Row, columns: Sequence[str], fresh: Collection[str] = ()) -> Row:
        """Return `row` for a statement: those of `columns` that the database does not make, `fresh` ones anew."""
        return {
            name: self._prepared(name, self._fresh(name, row[name]) if name in fresh else row[name])
            for name in columns
            if name in row and not self._is_made(name)
        }

    def _is_made(self, name: str) -> bool:
        """Tell whether it is the key, and the database makes it."""
        field = self.fields[name]
        return name in self.key and (isinstance(field, models.AutoField) or field.has_db_default())

    def _unique_together(self) -> Iterator[list[str]]:
        groups = [*self.meta.unique_together]
        groups += [item.fields for item in self.meta.constraints if isinstance(item, models.UniqueConstraint)]
        for names in groups:
            if names:
                yield [column_name(self.meta.get_field(name)) for name in names]

    def _fresh(self, name: str, value: Any) -> Any:
        """Return a value that no row has, if it is of a type for which that is simple."""
        field = self.fields[name]
        if field.is_relation:
            return value
        if isinstance(field, models.CharField | models.TextField):
            return secrets.token_hex(8)[: field.max_length]
        if isinstance(field, models.IntegerField):
            return secrets.randbelow(2**15 if isinstance(field, models.SmallIntegerField) else 2**31)
        return uuid.uuid4() if isinstance(field, models.UUIDField) else value

    def _prepared(self, name: str, value: Any) -> Any:
        return self.fields[name].get_db_prep_save(value, connections[self.using])

    def _cursor(self) -> Any:
        return connections[self.using].cursor()
