"""The triggers and functions that keep balances."""

from collections.abc import Iterator

from django.db import models

from pgcraft_django.bodies import read_body, read_sql
from pgcraft_django.columns import AnyField, column_type, column_types
from pgcraft_django.factories.guard import RESTORING, by_hand, guard_truncate
from pgcraft_django.factories.ledger.balance import Balance, dimension_columns
from pgcraft_django.factories.ledger.shape import signed_value, used_fields
from pgcraft_django.naming import quote_name, quote_names, quote_text, quote_value, shorten
from pgcraft_django.objects import DatabaseObject, Filling, Function, Trigger

NEW_ROWS, OLD_ROWS = "NEW TABLE AS new_rows", "OLD TABLE AS old_rows"
"""What the bodies call the rows of the statement."""


def balance_objects(
    plugin: Balance, model: type[models.Model], companion: type[models.Model], schema: str
) -> Iterator[DatabaseObject]:
    """Yield what fills the table of `companion`, keeps it, and refuses whatever else writes to it."""
    return _Objects(plugin, model, companion, schema).all()


def trigger_names(plugin: Balance) -> list[str]:
    """Return the names of the triggers of the ledger that keep the balances: for INSERT, UPDATE and DELETE."""
    name = shorten(f"pgcraft_{plugin.name}")
    return [name, shorten(f"{name}_update"), shorten(f"{name}_delete")]


class _Objects:
    def __init__(self, plugin: Balance, model: type[models.Model], companion: type[models.Model], schema: str) -> None:
        self.plugin = plugin
        self.schema = schema
        self.table, self.kept = model._meta.db_table, companion._meta.db_table
        self.columns = dimension_columns(plugin, model)
        self.minimum = quote_value(plugin.minimum) if plugin.has_minimum else ""
        self.reads = {
            quote_name(schema, self.table): column_types([*plugin.fields(model), *used_fields(model)]),
            quote_name(schema, self.kept): column_types(companion._meta.local_concrete_fields),
        }
        self.checkpoints: type[models.Model] = companion.pgcraft_checkpoints  # type: ignore[attr-defined]
        self.total: AnyField = companion._meta.get_field("balance")  # type: ignore[assignment]
        self.parts = self._parts(signed_value(model), plugin.constraint(model))
        if self.minimum:
            self._add_minimum()

    def _parts(self, amount: str, constraint: str) -> dict[str, str]:
        """Return what the bodies of the functions have in common, where there is no minimum."""
        dimensions = quote_names(self.columns)
        return {
            "balance": quote_name(self.schema, self.kept),
            "dimensions": dimensions,
            # With its table, since "sum" alone would also be what is selected.
            "in_order": ", ".join(f"new_rows.{quote_name(column)}" for column in self.columns),
            "amount": amount,
            "opening": 'min("id")',
            "opening_of_one": '"id"',
            "sum": 'kept."balance" + excluded."balance"',
            "fill": (
                f'INSERT INTO {quote_name(self.schema, self.kept)} ("id", {dimensions}, "balance")\n'
                f'SELECT min("id"), {dimensions}, sum({amount})\n'
                f"FROM {quote_name(self.schema, self.table)}\n"
                f"GROUP BY {dimensions}"
            ),
            "below": "",
            "restored": "",
            "minimum": self.minimum,
            "ledger_name": quote_text(self.table),
            "balance_name": quote_text(self.kept),
            "schema_name": quote_text(self.schema),
            "constraint": quote_text(constraint),
        }

    def _add_minimum(self) -> None:
        """Let the bodies refuse what falls below the minimum: see `balance` for what a negative id is."""
        amount, sum_of, refuse = self.parts["amount"], self.parts["sum"], quote_name(self.schema, self._name("refused"))
        self.parts |= {
            "below": (
                "-- A new group that begins below the minimum.\n"
                f"IF TG_WHEN = 'AFTER' AND NOT (\n{RESTORING}\n) THEN\n"
                f'    PERFORM {refuse}({self._group("NEW")}, NEW."balance");\n'
                "END IF;"
            ),
            "opening": f'CASE WHEN sum({amount}) < {self.minimum} THEN -min("id") ELSE min("id") END',
            "opening_of_one": f'CASE WHEN {amount} < {self.minimum} THEN -"id" ELSE "id" END',
            "restoring": RESTORING,
        }
        self.parts["restored"] = read_sql(__file__, "balance_restored", **self.parts, sum_of=sum_of)
        self.parts["sum"] = (
            f"CASE\n"
            f"    WHEN {sum_of} < {self.minimum}\n"
            f"        THEN {refuse}({self._group('kept')}, {sum_of})\n"
            f"    ELSE {sum_of}\n"
            f"END"
        )

    def _group(self, row: str) -> str:
        """Return the values of the dimensions in `row` as a text for people."""
        parts = (
            f"{quote_text(f'{column} ')} || coalesce({row}.{quote_name(column)}::text, 'NULL')"
            for column in self.columns
        )
        return f"pg_catalog.concat_ws(', ', {', '.join(parts)})"

    def _name(self, what: str) -> str:
        return shorten(f"{self.kept}_{what}")

    def _function(self, what: str, body: str, requires: list[tuple[str, ...]]) -> Function:
        return Function(
            schema=self.schema,
            name=self._name(what),
            returns="trigger",
            language="plpgsql",
            security_definer=True,
            body=read_body(__file__, body, **self.parts),
            requires=requires,
            reads=self.reads,
        )

    def _trigger(self, table: str, name: str, event: str, definition: str, function: Function) -> Trigger:
        return Trigger(
            schema=self.schema,
            table=table,
            name=name,
            event=event,
            definition=definition,
            function=(function.schema, function.name),
        )

    def all(self) -> Iterator[DatabaseObject]:
        """Yield the rows, what keeps them, and what guards them."""
        # Rows come before the triggers that let no row come from elsewhere.
        rows = self._rows()
        yield rows
        yield self._checkpoints()
        after = [tuple(rows.key)]
        if self.minimum:
            refused = self._refused()
            yield refused
            after.append(tuple(refused.key))
        yield from self._keeping(after)
        yield from self._guarding(after)

    def _rows(self) -> Filling:
        return Filling(
            schema=self.schema,
            table=self.kept,
            source=self.table,
            query=self.parts["fill"],
            reads=self.reads,
        )

    def _checkpoints(self) -> Filling:
        """Return that checkpoints begin anew, where the rows of balances do."""
        noted = self.checkpoints._meta
        columns = {quote_name(self.schema, noted.db_table): column_types(noted.local_concrete_fields)}
        return Filling(schema=self.schema, table=noted.db_table, source=self.table, reads={**self.reads, **columns})

    def _refused(self) -> Function:
        return Function(
            schema=self.schema,
            name=self._name("refused"),
            arguments=f"text, {column_type(self.total)}",
            returns=column_type(self.total),
            language="plpgsql",
            body=read_body(__file__, "balance_refused", **self.parts),
        )

    def _keeping(self, after: list[tuple[str, ...]]) -> Iterator[DatabaseObject]:
        """Yield what adds new entries to the balances, and works these out anew when a migration changes entries."""
        inserting, updating, deleting = trigger_names(self.plugin)
        kept = self._function("kept", "balance", after)
        yield kept
        of_new, of_old = (f"REFERENCING {rows}\n    FOR EACH STATEMENT" for rows in (NEW_ROWS, OLD_ROWS))
        yield self._trigger(self.table, inserting, "AFTER INSERT", of_new, kept)
        rebuilt = self._function("rebuilt", "balance_rebuilt", after)
        yield rebuilt
        yield self._trigger(self.table, updating, "AFTER UPDATE", of_old, rebuilt)
        yield self._trigger(self.table, deleting, "AFTER DELETE", of_old, rebuilt)

    def _guarding(self, after: list[tuple[str, ...]]) -> Iterator[DatabaseObject]:
        """Yield what lets only the ledger's trigger write the balances."""
        guarded = self._function("guarded", "balance_guarded", after)
        yield guarded
        # What the trigger of the ledger writes, it writes from within a trigger.
        outside = f"FOR EACH ROW WHEN ({by_hand(self.schema, self.kept)})"
        yield self._trigger(self.kept, "pgcraft_balance_guard", "BEFORE INSERT OR UPDATE OR DELETE", outside, guarded)
        if self.minimum:
            below = 'FOR EACH ROW WHEN (NEW."id" < 0)'
            yield self._trigger(self.kept, "pgcraft_minimum", "AFTER INSERT", below, guarded)
        yield from guard_truncate(self.schema, self.kept)
