"""The triggers and functions of a state machine."""

from collections.abc import Iterator

from django.core.exceptions import FieldError

from pgcraft_django.bodies import one_line, read_body
from pgcraft_django.columns import AnyField, column_name, column_types
from pgcraft_django.conditions import condition_sql
from pgcraft_django.factories.actor import ACTOR, REASON
from pgcraft_django.factories.base import default_sql
from pgcraft_django.factories.guard import RESTORING, guard_insert, guard_log
from pgcraft_django.factories.state_machine.machine import Machine
from pgcraft_django.factories.state_machine.signature import Signature, declaration
from pgcraft_django.naming import quote_name, quote_names, quote_text, shorten
from pgcraft_django.objects import DatabaseObject, Function, FunctionGrant, Role, Schema, SchemaGrant, Trigger
from pgcraft_django.objects.function import GROWING

# Triggers of one event fire in order of their names: these come before those of the project, which may lead a row on.
TRIGGER = "!pgcraft_state"
"""What the names of the triggers begin with."""


class Parts:
    """Names and pieces of SQL that the bodies of one machine share."""

    def __init__(self, machine: Machine, schema: str) -> None:
        self.machine = machine
        self.schema = schema
        self.signature = Signature(machine)
        self.log_model = self.signature.log_model
        self.table_name = machine.model._meta.db_table
        self.table = quote_name(schema, self.table_name)
        self.log = quote_name(schema, self.log_model._meta.db_table)
        self.keys = self.signature.keys
        self.state = quote_name(column_name(machine.field))

    def state_of(self, row: str) -> str:
        """Return the state of a row, to be compared letter by letter also where its collation has "new" equal "NEW"."""
        exactly = ' COLLATE "C"' if getattr(self.machine.field, "db_collation", None) else ""
        return f"{row}.{self.state}{exactly}"

    def key_of(self, row: str) -> list[str]:
        """Return the columns of the key in a row of SQL."""
        return [f"{row}.{quote_name(key)}" for key in self.keys]

    def same_key(self, row: str, values: list[str]) -> str:
        """Return whether `row` has the key `values`."""
        return " AND ".join(f"{left} = {right}" for left, right in zip(self.key_of(row), values, strict=True))

    def latest(self, values: list[str]) -> str:
        """Return what leads to the latest line of the log `earlier` for the key `values`."""
        return f"WHERE {self.same_key('earlier', values)}\nORDER BY earlier.step DESC LIMIT 1"

    def step(self, *values: str) -> str:
        """Return what tells a step, the values of the key and both states, from those of all rows of all tables."""
        return f"pg_catalog.jsonb_build_array({', '.join([quote_text(self.table), *values])})"

    @property
    def declared(self) -> str:
        """Return every pair of states that there is a way between."""
        pairs = [f"({quote_text(state)}, {quote_text(way.to)})" for state, way in self.machine.ways()]
        return ",\n".join(pairs)

    @property
    def reads(self) -> dict[str, dict[str, str]]:
        """Return the columns that every body names."""
        own = column_types([*self.signature.key_fields, self.machine.field])
        return {self.table: own, self.log: column_types(self.log_model._meta.local_concrete_fields)}


def machine_objects(parts: Parts) -> Iterator[DatabaseObject]:
    """Yield what writes the log and refuses what is not declared, and the function that lets one of two rivals win."""
    yield from guard_log(parts.schema, parts.log_model._meta.db_table)
    yield from guard_insert(parts.schema, parts.log_model._meta.db_table)
    created = _created(parts)
    yield created
    yield Trigger(
        schema=parts.schema,
        table=parts.table_name,
        name=f"{TRIGGER}_created",
        event="AFTER INSERT",
        definition="REFERENCING NEW TABLE AS new_rows\n    FOR EACH STATEMENT",
        function=(created.schema, created.name),
    )
    changed = _changed(parts)
    yield changed
    pairs = [
        *zip(parts.key_of("OLD"), parts.key_of("NEW"), strict=True),
        (parts.state_of("OLD"), parts.state_of("NEW")),
    ]
    condition = " OR ".join(f"{old} IS DISTINCT FROM {new}" for old, new in pairs)
    yield Trigger(
        schema=parts.schema,
        table=parts.table_name,
        name=f"{TRIGGER}_changed",
        event="AFTER UPDATE",
        definition=f"FOR EACH ROW WHEN ({condition})",
        function=(changed.schema, changed.name),
        reads={parts.table: [*parts.keys, column_name(parts.machine.field)]},
    )
    yield _transition(parts)


def _created(parts: Parts) -> Function:
    return Function(
        schema=parts.schema,
        name=shorten(f"{parts.table_name}_state_created"),
        returns="trigger",
        language="plpgsql",
        security_definer=True,
        settings=GROWING,
        body=read_body(
            __file__,
            "created",
            state=parts.state,
            state_of_entity=parts.state_of("entity"),
            column=quote_text(column_name(parts.machine.field)),
            initial=quote_text(parts.machine.initial),
            log=parts.log,
            key=quote_names(parts.keys),
            table=parts.table,
            same_entity=parts.same_key("entity", parts.key_of("fresh")),
            entity_key=", ".join(parts.key_of("entity")),
            latest=parts.latest(parts.key_of("entity")),
            line_key=", ".join(parts.key_of("line")),
            same_row=parts.same_key("line", parts.key_of("begun")),
            restoring=RESTORING,
            actor=ACTOR,
            reason=REASON,
        ),
        reads=parts.reads,
    )


def _changed(parts: Parts) -> Function:
    unmet, fields = _unmet(parts)
    extras = column_types(parts.signature.extra_fields)
    names = list(map(quote_name, extras))
    given = [f"given_{number}" for number in range(len(extras))]
    new_key = parts.key_of("NEW")
    return Function(
        schema=parts.schema,
        name=shorten(f"{parts.table_name}_state_changed"),
        returns="trigger",
        language="plpgsql",
        security_definer=True,
        settings=GROWING,
        body=read_body(
            __file__,
            "changed",
            state=parts.state,
            step_taken=f"({parts.state_of('OLD')}, {parts.state_of('NEW')})",
            column=quote_text(column_name(parts.machine.field)),
            declared=parts.declared,
            unmet=unmet,
            log=parts.log,
            key=quote_names(parts.keys),
            key_changed=f"({', '.join(parts.key_of('OLD'))}) IS DISTINCT FROM ({', '.join(new_key)})",
            key_text=_shown(new_key),
            new_key=", ".join(new_key),
            latest=parts.latest(new_key),
            step=parts.step(*new_key, f"OLD.{parts.state}", f"NEW.{parts.state}"),
            given="\n".join(f"{name} {kind};" for name, kind in zip(given, extras.values(), strict=True)),
            take_extras=_take_extras(parts.log, names, given),
            extras="".join(f", {name}" for name in names),
            extra_values="".join(f",\n{value}" for value in _or_default(parts.signature.extra_fields, given)),
            actor=ACTOR,
            reason=REASON,
        ),
        reads={**parts.reads, parts.table: {**parts.reads[parts.table], **column_types(fields)}},
    )


def _or_default(fields: list[AnyField], given: list[str]) -> Iterator[str]:
    """Yield what the log holds of each field: the value that was given, or else what the column has by default."""
    for field, name in zip(fields, given, strict=True):
        default = default_sql(field)
        yield name if default is None else f"coalesce({name}, {default})"


def _take_extras(log: str, names: list[str], given: list[str]) -> str:
    """Return what reads the values of the extra columns, with the types that they have in the log."""
    if not names:
        return "-- The log has no columns of its own."
    values = ", ".join(f"extras.{name}" for name in names)
    return (
        "IF context -> 'extras' <> 'null' THEN\n"
        f"    SELECT {values} INTO {', '.join(given)}\n"
        f"    FROM pg_catalog.jsonb_populate_record(NULL::{log}, context -> 'extras') AS extras;\n"
        "END IF;"
    )


def _given_extras(signature: Signature) -> str:
    """Return the values of the extra columns as `jsonb`, or NULL if there are none."""
    names = [column_name(field) for field in signature.extra_fields]
    if not names:
        return "NULL"
    positions = signature.extra_positions(after=len(signature.arguments) + 1)
    pairs = ", ".join(f"{quote_text(name)}, {place}" for name, place in zip(names, positions, strict=True))
    return (
        f"CASE WHEN pg_catalog.num_nonnulls({', '.join(positions)}) > 0\n"
        f"    THEN pg_catalog.jsonb_build_object({pairs}) END"
    )


def _transition(parts: Parts) -> Function:
    keys = [parts.signature.position(key) for key in parts.keys]
    same_key, to = parts.same_key("entity", keys), parts.signature.position("to")
    return Function(
        schema=parts.schema,
        name=parts.signature.name,
        arguments=", ".join([*declaration(parts.signature.arguments), "text"]),
        optional=declaration(parts.signature.extras),
        returns=parts.log,
        language="plpgsql",
        security_definer=True,
        settings=GROWING,
        body=read_body(
            __file__,
            "transition",
            table=parts.table,
            table_text=quote_text(parts.table),
            shown_table=quote_text(parts.table_name),
            state=parts.state,
            states=", ".join(map(quote_text, parts.machine.states)),
            declared=parts.declared,
            log=parts.log,
            same_key=same_key,
            change=f"UPDATE {parts.table} AS entity SET {parts.state} = {to} WHERE {same_key};",
            latest=parts.latest(keys),
            key_text=_shown(keys),
            key_line=one_line(_shown(keys)),
            expected_line=one_line(parts.signature.position("from")),
            step=parts.step(*keys, "found_state", to),
            to=to,
            expected=parts.signature.position("from"),
            caller=parts.signature.caller,
            allowed=",\n".join(_allowed(parts)),
            reason=parts.signature.position("reason"),
            extras=_given_extras(parts.signature),
        ),
        reads=parts.reads,
    )


def _allowed(parts: Parts) -> list[str]:
    """Return pairs of a role and a state that it may lead rows to."""
    pairs = [
        f"({quote_text(role)}::name, {quote_text(state)})"
        for role, states in parts.machine.granted.items()
        for state in states
    ]
    return pairs or ["(NULL::name, NULL::text)"]


def api_objects(parts: Parts, schema: str, name: str) -> Iterator[DatabaseObject]:
    """Yield the function of the API for the roles that are granted transitions.

    It looks for the row with the rights of who asks, and row-level security lets pass who may update it. The rest is
    done by the function behind it.
    """
    roles = list(parts.machine.granted)
    if not roles:
        return
    behind = _transition(parts)
    function = _api_function(parts, behind, schema, name)
    yield Schema(name=schema)
    yield function
    for role in roles:
        yield Role(name=role)
        yield SchemaGrant(schema=schema, role=role)
        for item in (function, behind):
            yield FunctionGrant(schema=item.schema, function=item.name, arguments=item.parameters, role=role)


def _api_function(parts: Parts, behind: Function, schema: str, resource: str) -> Function:
    signature = parts.signature
    count, keys = len(signature.arguments), [signature.position(key) for key in parts.keys]
    given = [f"${number}" for number in range(len(keys) + 1, count + 1)]
    asked = ", ".join([*parts.key_of("seen"), *given, "current_user", *signature.extra_positions(after=count)])
    declared = declaration([*signature.arguments, *signature.extras])
    return Function(
        schema=schema,
        name=shorten(f"{resource}_transition"),
        arguments=", ".join(declared[: len(keys) + 1]),
        optional=declared[len(keys) + 1 :],
        returns=parts.log,
        # Parsed when it is created: the caller needs no access to the schema of the table.
        body=(
            "BEGIN ATOMIC\n"
            f"    SELECT {quote_name(behind.schema, behind.name)}({asked})\n"
            "    FROM (VALUES (1)) AS once\n"
            "    LEFT JOIN LATERAL (\n"
            f"        SELECT {', '.join(parts.key_of('entity'))}\n"
            f"        FROM {parts.table} AS entity\n"
            f"        WHERE {parts.same_key('entity', keys)}\n"
            "        FOR NO KEY UPDATE\n"
            "    ) AS seen ON true;\n"
            "END"
        ),
        requires=[tuple(behind.key)],
        reads=parts.reads,
        comment=_comment(parts.machine, resource),
    )


def _comment(machine: Machine, resource: str) -> str:
    ways = "\n".join(
        f"{state} → {', '.join(way.to for way in ways)}" for state, ways in machine.transitions.items() if ways
    )
    return (
        f"Leads a row of {resource} to another state.\n\n{ways}\n\n"
        "With from, the row has to be in that state. The reason goes into the log, of which the new line is returned."
    )


def _shown(values: list[str]) -> str:
    return f"nullif(pg_catalog.concat_ws(', ', {', '.join(values)}), '')"


def _unmet(parts: Parts) -> tuple[str, list[AnyField]]:
    """Return whether the guard of the way from OLD to NEW is not true, and the fields that guards read."""
    cases: list[str] = []
    read: list[AnyField] = []
    for state, way in parts.machine.ways():
        if way.guard is None:
            continue
        try:
            condition, fields = condition_sql(parts.machine.model, way.guard, row="new")
        except FieldError:  # left to the checks; until then nobody goes this way
            condition, fields = "false", []
        pair = f"({quote_text(state)}, {quote_text(way.to)})"
        step = f"({parts.state_of('OLD')}, {parts.state_of('NEW')})"
        cases.append(f"    WHEN {step} = {pair} THEN ({condition}) IS NOT TRUE")
        read += fields
    return ("\n".join(["CASE", *cases, "    ELSE false", "END"]) if cases else "false"), read
