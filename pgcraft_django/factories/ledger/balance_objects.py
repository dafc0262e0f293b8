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
        fields = plugin.fields(model)
        columns = dimension_columns(plugin, model)
        self.dimensions = quote_names(columns)
        self.reads = {
            quote_name(schema, self.table): column_types([*fields, *used_fields(model)]),
            quote_name(schema, self.kept): column_types(companion._meta.local_concrete_fields),
        }
        self.checkpoints: type[models.Model] = companion.pgcraft_checkpoints  # type: ignore[attr-defined]
        noted = quote_name(schema, self.checkpoints._meta.db_table)
        self.noted = {noted: column_types(self.checkpoints._meta.local_concrete_fields)}
        self.total: AnyField = companion._meta.get_field("balance")  # type: ignore[assignment]
        amount = signed_value(model)
        self.minimum = quote_value(plugin.minimum) if plugin.has_minimum else ""
        sum_of = 'kept."balance" + excluded."balance"'
        refuse = quote_name(schema, self._name("refused"))
        self.parts = {
            "balance": quote_name(schema, self.kept),
            "dimensions": self.dimensions,
            "amount": amount,
            "opening": 'min("id")',
            "opening_of_one": '"id"',
            "sum": sum_of,
            "fill": (
                f'INSERT INTO {quote_name(schema, self.kept)} ("id", {self.dimensions}, "balance")\n'
                f'SELECT min("id"), {self.dimensions}, sum({amount})\n'
                f"FROM {quote_name(schema, self.table)}\n"
                f"GROUP BY {self.dimensions}"
            ),
            "below": "",
            "restored": "",
            "minimum": self.minimum,
            "ledger_name": quote_text(self.table),
            "balance_name": quote_text(self.kept),
            "schema_name": quote_text(schema),
            "constraint": quote_text(plugin.constraint(model)),
        }
        if self.minimum:
            self.parts["below"] = (
                "-- A new group that begins below the minimum.\n"
                f"IF TG_WHEN = 'AFTER' AND NOT (\n{RESTORING}\n) THEN\n"
                f'    PERFORM {refuse}({self._group("NEW", columns)}, NEW."balance");\n'
                "END IF;"
            )
            self.parts["opening_of_one"] = f'CASE WHEN {amount} < {self.minimum} THEN -"id" ELSE "id" END'
            self.parts["opening"] = f'CASE WHEN sum({amount}) < {self.minimum} THEN -min("id") ELSE min("id") END'
            self.parts["restoring"] = RESTORING
            self.parts["restored"] = read_sql(__file__, "balance_restored", **self.parts, sum_of=sum_of)
            self.parts["sum"] = (
                f"CASE\n"
                f"    WHEN {sum_of} < {self.minimum}\n"
                f"        THEN {refuse}({self._group('kept', columns)}, {sum_of})\n"
                f"    ELSE {sum_of}\n"
                f"END"
            )

    @staticmethod
    def _group(row: str, columns: list[str]) -> str:
        parts = (
            f"{quote_text(f'{column} ')} || coalesce({row}.{quote_name(column)}::text, 'NULL')" for column in columns
        )
        return f"pg_catalog.concat_ws(', ', {', '.join(parts)})"

    def _name(self, what: str) -> str:
        return shorten(f"{self.kept}_{what}")

    def _function(self, what: str, body: str, *, requires: list[tuple[str, ...]] | None = None) -> Function:
        return Function(
            schema=self.schema,
            name=self._name(what),
            returns="trigger",
            language="plpgsql",
            security_definer=True,
            body=read_body(__file__, body, **self.parts),
            requires=requires or [],
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
        rows = Filling(
            schema=self.schema,
            table=self.kept,
            source=self.table,
            query=self.parts["fill"],
            reads=self.reads,
        )
        yield rows
        yield Filling(
            schema=self.schema,
            table=self.checkpoints._meta.db_table,
            source=self.table,
            reads={**self.reads, **self.noted},
        )
        after = [tuple(rows.key)]
        if self.minimum:
            refused = Function(
                schema=self.schema,
                name=self._name("refused"),
                arguments=f"text, {column_type(self.total)}",
                returns=column_type(self.total),
                language="plpgsql",
                body=read_body(__file__, "balance_refused", **self.parts),
            )
            yield refused
            after.append(tuple(refused.key))
        inserting, updating, deleting = trigger_names(self.plugin)
        kept = self._function("kept", "balance", requires=after)
        yield kept
        yield self._trigger(
            self.table,
            inserting,
            "AFTER INSERT",
            "REFERENCING NEW TABLE AS new_rows\n    FOR EACH STATEMENT",
            kept,
        )
        rebuilt = self._function("rebuilt", "balance_rebuilt", requires=after)
        yield rebuilt
        for name, event in ((updating, "UPDATE"), (deleting, "DELETE")):
            yield self._trigger(
                self.table,
                name,
                f"AFTER {event}",
                "REFERENCING OLD TABLE AS old_rows\n    FOR EACH STATEMENT",
                rebuilt,
            )
        guarded = self._function("guarded", "balance_guarded", requires=after)
        yield guarded
        # What the trigger of the ledger writes, it writes from within a trigger.
        outside = f"FOR EACH ROW WHEN ({by_hand(self.schema, self.kept)})"
        yield self._trigger(self.kept, "pgcraft_balance_guard", "BEFORE INSERT OR UPDATE OR DELETE", outside, guarded)
        if self.minimum:
            below = 'FOR EACH ROW WHEN (NEW."id" < 0)'
            yield self._trigger(self.kept, "pgcraft_minimum", "AFTER INSERT", below, guarded)
        yield from guard_truncate(self.schema, self.kept)
