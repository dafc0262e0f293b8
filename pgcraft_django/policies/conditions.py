"""Conditions of policies as SQL: on columns of the row itself, and, through relations, on those of other rows.

What is behind a relation is read by a function with the rights of the tables' owner, so that a role needs no privilege
on the other table, and the other table's own policies do not count. It returns the keys of all rows that it is true
of: PostgreSQL asks it once in a statement.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import FieldError
from django.db import models
from django.db.models.constants import LOOKUP_SEP
from django.db.models.sql import Query
from django.db.models.sql.datastructures import Join

from pgcraft_django.columns import AnyField, column_name, postgresql
from pgcraft_django.conditions import columns_of, compiler_of, field_errors, literal
from pgcraft_django.factories.base import get_factory
from pgcraft_django.naming import dollar_quote, quote_name, shorten
from pgcraft_django.objects import Function
from pgcraft_django.objects.relation import Reads
from pgcraft_django.policies.claims import Claim
from pgcraft_django.policies.declaration import Condition
from pgcraft_django.registry import table_schema


@dataclass
class Rendered:
    """A condition as SQL, with the fields of the row that it reads and the functions that it calls."""

    sql: str
    fields: list[AnyField]
    functions: list[Function] = field(default_factory=list)


def render(model: type[models.Model], condition: Condition, name: str) -> Rendered:
    """Return the condition on rows of `model`; `name` is what its functions begin with.

    Raises `FieldError` if it is no condition on rows of the model.
    """
    if isinstance(condition, str):
        # What SQL reads is not known, so every column counts.
        constant = condition.strip().lower() in ("true", "false")
        fields = [] if constant else list(model._meta.local_concrete_fields)
        return Rendered(_named(model, condition, fields) if fields else condition, fields)
    functions: list[Function] = []

    def reach(field: AnyField, target: AnyField, rest: models.Q) -> "_Reached":
        functions.append(keys_of(table_schema(model), f"{name}_{len(functions) + 1}", target, rest))
        return _Reached(field.attname, _keys(functions[-1]))

    prepared = _prepared(model, as_q(condition), reach)
    sql, fields = get_factory(model).condition_sql(model, prepared)
    return Rendered(sql or "true", fields, functions)


def _named(model: type[models.Model], condition: str, fields: list[AnyField]) -> str:
    """Return a condition in SQL so that it finds the model's columns by their names."""
    factory = get_factory(model)
    if not factory.has_view:
        return condition
    columns = ", ".join(factory.source(model, table_schema(model), fields).columns)
    return f"(SELECT ({condition}) FROM (SELECT {columns}) AS {quote_name(model._meta.db_table)})"


def as_q(condition: Condition) -> models.Q:
    """Return a condition that is not SQL as a `Q`. Raises `FieldError` if it is not true or false."""
    if isinstance(condition, models.Q):
        return condition
    if not getattr(condition, "conditional", False):
        raise FieldError(f"it is of type {type(condition).__name__}, which is not true or false.")
    return models.Q(condition)


def named(condition: Any, key: str) -> Any:
    """Return a condition, or a part of one, that calls the key by its name: `pk` is another one in another model."""
    if isinstance(condition, models.Q):
        children = [
            (_with_key(child[0], key), named(child[1], key)) if isinstance(child, tuple) else named(child, key)
            for child in condition.children
        ]
        return models.Q(*children, _connector=condition.connector, _negated=condition.negated)
    if isinstance(condition, models.F):
        return type(condition)(_with_key(condition.name, key))  # type: ignore[attr-defined]
    if isinstance(condition, models.Expression):
        condition = condition.copy()
        condition.set_source_expressions([named(item, key) for item in condition.get_source_expressions()])
    return condition


def _with_key(path: str, key: str) -> str:
    first, *further = path.split(LOOKUP_SEP)
    return LOOKUP_SEP.join([key if first == "pk" else first, *further])


class _Reached(models.Expression):
    """Whether a column's value is among the keys that a function returns."""

    conditional = True

    def __init__(self, attribute: str, keys: str) -> None:
        super().__init__(output_field=models.BooleanField())
        self.column: Any = models.F(attribute)
        self.keys = keys

    def get_source_expressions(self) -> list[Any]:
        return [self.column]

    def set_source_expressions(self, expressions: Any) -> None:
        [self.column] = expressions

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        column, parameters = compiler.compile(self.column)
        return _among(column, self.keys.replace("%", "%%")), parameters


Reach = Callable[[AnyField, AnyField, models.Q], _Reached]
Way = tuple[AnyField, AnyField]
"""The columns that a relation joins: that of the row, and that of the next table."""


def _prepared(model: type[models.Model], condition: models.Q, reach: Reach | None) -> models.Q:
    """Return the condition with each claim typed, and, with `reach`, what goes through a relation handed to it.

    As in `filter()`, all that a `Q` says of a relation is about the same row there, unless it is negated.
    """
    prepared = models.Q(_connector=condition.connector, _negated=condition.negated)
    if reach is None or condition.negated or condition.connector != models.Q.AND:
        prepared.children = [_prepared_child(model, child, reach) for child in condition.children]
        return prepared
    parts = list(_conjuncts(condition))
    ways = [_ways(model, part) for part in parts]
    for number, part in enumerate(parts):
        elsewhere = set().union(*ways[:number], *ways[number + 1 :])
        if len(ways[number]) > 1 and (ways[number] & elsewhere) - {None}:
            # Each alternative is about the same row as what is beside it: (a or b) and c is (a and c) or (b and c).
            others = [*parts[:number], *parts[number + 1 :]]
            if part.connector != models.Q.OR:
                raise FieldError("it says with XOR of a relation what it says elsewhere, too.")
            either = models.Q(*(models.Q(child, *others) for child in part.children), _connector=models.Q.OR)
            return _prepared(model, either, reach)
    together: dict[Any, list[Any]] = {}  # in the order in which it was written
    for number, (part, found) in enumerate(zip(parts, ways, strict=True)):
        [way] = found if len(found) == 1 else [None]
        together.setdefault(number if way is None else way, []).append(part)
    for way, said in together.items():
        if isinstance(way, int):
            made: Any = _prepared_child(model, said[0], reach)
        else:
            here, there = way
            made = reach(here, there, models.Q(*(_onward(model, part) for part in said)))
        prepared.children.append(made)
    return prepared


def _prepared_child(model: type[models.Model], child: Any, reach: Reach | None) -> Any:
    if isinstance(child, models.Q):
        return _prepared(model, child, reach)
    if not isinstance(child, tuple):
        return child
    path, value = child
    if isinstance(value, Claim) and path.endswith(f"{LOOKUP_SEP}in"):
        raise FieldError(
            f"{path} has a claim in the place of a list. A claim is one value, also if it is a JSON array, which SQL "
            "takes apart: … = ANY (ARRAY(SELECT jsonb_array_elements_text(…)))."
        )
    way, onward, target = _followed(model, path)
    if reach is not None and way is not None:
        return reach(*way, models.Q((onward, _free(path, value))))
    if isinstance(value, list | tuple):
        return path, [_typed(item, target) for item in value]
    return path, _typed(value, target)


def _typed(value: Any, target: AnyField) -> Any:
    return value.of_type(target) if isinstance(value, Claim) else value


def _conjuncts(condition: models.Q) -> Iterator[Any]:
    """Yield what has to be true together, without the brackets around it."""
    for child in condition.children:
        if (
            isinstance(child, models.Q)
            and not child.negated
            and (child.connector == models.Q.AND or len(child.children) == 1)
        ):
            yield from _conjuncts(child)
        else:
            yield child


def _ways(model: type[models.Model], part: Any) -> set[Way | None]:
    """Return the relations that a part of a condition goes through; None stands for all else."""
    if isinstance(part, models.Q):
        return {None} if part.negated else set().union(*(_ways(model, child) for child in part.children))
    return {_followed(model, part[0])[0] if isinstance(part, tuple) else None}


def _onward(model: type[models.Model], part: Any) -> Any:
    """Return what a part, which goes through one relation, says of the row behind it."""
    if isinstance(part, models.Q):
        return models.Q(*(_onward(model, child) for child in part.children), _connector=part.connector)
    path, value = part
    return _followed(model, path)[1], _free(path, value)


def _free(path: str, value: Any) -> Any:
    """Return the value. Raises `FieldError` if it names a field, which would be one of the row behind the relation."""
    if isinstance(value, models.F):
        raise FieldError(f"{path} is compared with {value}: what is behind a relation takes no F().")
    for item in value if isinstance(value, list | tuple) else ():
        _free(path, item)
    for item in value.get_source_expressions() if hasattr(value, "get_source_expressions") else ():
        _free(path, item)
    return value


def _followed(model: type[models.Model], path: str) -> tuple[Way | None, str, AnyField]:
    """Return the relation that a path begins with, what of the path is left behind it, and the field where it ends."""
    names = path.split(LOOKUP_SEP)
    hops, _, [target, *_], _ = Query(model).names_to_path(names, model._meta, fail_on_missing=False)
    for hop in hops:
        relation: Any = getattr(hop.join_field, "field", hop.join_field)
        if hasattr(relation, "content_type_field_name"):
            raise FieldError(f"{path} goes through a generic relation, which joins rows of other models, too.")
    # `user`, `user_id` and `user__id` are the foreign key's own column.
    if not hops or (len(hops) == 1 and target in hops[0].target_fields and hops[0].direct):
        return None, path, target
    field: Any = model._meta.get_field(names[0])
    first, *further = field.path_infos
    [way] = first.join_field.get_joining_fields()
    onward = names[1:] or ["pk"]
    if further:  # many-to-many: the next table is the linking one
        onward = [further[0].join_field.name, *onward]
    return way, LOOKUP_SEP.join(onward), target


def in_keys(column: str, function: Function) -> str:
    """Return whether the column's value is among the keys that the function returns."""
    return _among(column, _keys(function))


def _among(column: str, keys: str) -> str:
    # With an array, an index on the column finds the rows. With IN, all of them are read.
    return f"{column} = ANY (ARRAY({keys}))"


def _keys(function: Function) -> str:
    return f"SELECT {quote_name(function.schema, function.name)}()"


def keys_of(schema: str, name: str, target: AnyField, condition: Condition) -> Function:
    """Return the function that returns the values of `target` of all rows that `condition` is true of."""
    if isinstance(condition, str):
        column, table = quote_name(column_name(target)), _table(target.model)
        sql = f"SELECT {column}\nFROM {table}\nWHERE {condition}"
        reads: Reads = _reads(target.model, target.model._meta.local_concrete_fields)
        names = {target.model}
    else:
        with field_errors():
            sql, reads, names = _select(target, _prepared(target.model, as_q(condition), None))
    body = f"BEGIN\nRETURN QUERY\n{sql}\n;\nEND"
    return Function(
        schema=schema,
        name=shorten(name),
        returns=f"SETOF {target.rel_db_type(postgresql())}",
        language="plpgsql",  # it keeps its plan, and a function in SQL is planned for each statement
        volatility="stable",
        security_definer=True,
        body=f"AS {dollar_quote(body)}",
        requires=sorted(
            ("relation", table_schema(model), model._meta.db_table) for model in names if get_factory(model).has_view
        ),
        reads=reads,
    )


def _reads(model: type[models.Model], fields: Sequence[AnyField]) -> dict[str, Mapping[str, str]]:
    return dict(get_factory(model).source(model, table_schema(model), fields).reads)


def _select(target: AnyField, condition: models.Q) -> tuple[str, Reads, set[type[models.Model]]]:
    """Return the query for `target`, and the columns and models that it reads."""
    query: Any = models.QuerySet(target.model).filter(condition).order_by().query
    query.add_fields([target.attname], allow_m2m=False)
    columns = _qualify(query)
    for column in columns_of(query.where):
        columns.setdefault(column.target.model, set()).add(column.target)
    columns.setdefault(target.model, set()).add(target)
    sql, parameters = compiler_of(query).as_sql()
    reads: dict[str, Mapping[str, str]] = {}
    for model, fields in columns.items():
        reads |= _reads(model, sorted(fields, key=column_name))
    return literal(sql, parameters), reads, set(columns)


def _qualify(query: Any) -> dict[type[models.Model], set[AnyField]]:
    """Name each table with its schema, so that no search path decides; return the columns of the joins."""
    # Quoted here, because Django does so from 6.1 on only, and another text would be a migration.
    query.change_aliases({alias: f'"t{number}"' for number, alias in enumerate(list(query.alias_map), 1)})
    columns: dict[type[models.Model], set[AnyField]] = {}
    for table in query.alias_map.values():
        model = query.get_meta().model
        if isinstance(table, Join):
            join: Any = table.join_field
            for one, other in join.get_joining_fields():
                columns.setdefault(one.model, set()).add(one)
                columns.setdefault(other.model, set()).add(other)
                model = other.model
        table.table_name = _table(model)
    return columns


def _table(model: type[models.Model]) -> str:
    return quote_name(table_schema(model), model._meta.db_table)
