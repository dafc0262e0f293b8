"""Embedding across many-to-many fields.

PostgREST finds a many-to-many relationship by itself only if the linking table's key is the pair of foreign
keys; Django's has a key of its own. So each exposed pair gets a *computed relationship*: a function from a row of
one resource to the rows of the other, which PostgREST embeds and PostgreSQL inlines. It runs with the privileges
of the role that asks, through the three views, and therefore needs all three to be exposed.

It is named after the embedded resource, as PostgREST names relationships; where the two resources have several
relationships, after the Django field (backwards: its accessor), so that no name is ambiguous.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from django.db import models

from pgcraft_django.api import Resource
from pgcraft_django.naming import quote_name
from pgcraft_django.objects import DatabaseObject, Function, FunctionGrant
from pgcraft_django.objects.relation import relation_key


class _Step(NamedTuple):
    """One direction of a many-to-many field, between resources of one schema."""

    source: Resource
    link: Resource
    target: Resource
    source_column: str
    link_source: str
    link_target: str
    target_column: str
    field_name: str


def embedding_objects(resources: Sequence[Resource]) -> Iterator[tuple[str, DatabaseObject]]:
    """Yield app label and object for each computed relationship among `resources`."""
    steps = list(_steps(resources))
    for step in steps:
        function = _function(step, step.field_name if _is_ambiguous(step, steps) else step.target.name)
        yield step.link.app_label, function
        for role in sorted(step.source.roles("select") & step.link.roles("select") & step.target.roles("select")):
            yield (
                step.link.app_label,
                FunctionGrant(schema=function.schema, function=function.name, arguments=function.arguments, role=role),
            )


def _is_ambiguous(step: _Step, steps: Sequence[_Step]) -> bool:
    source, target = step.source.model, step.target.model
    parallel = [other for other in steps if (other.source.model, other.target.model) == (source, target)]
    return source is target or len(parallel) > 1 or _refers(source, target) or _refers(target, source)


def _refers(model: type[models.Model], other: type[models.Model]) -> bool:
    return any(field.related_model is other for field in model._meta.local_concrete_fields)


def _steps(resources: Sequence[Resource]) -> Iterator[_Step]:
    first: dict[tuple[str, type[models.Model]], Resource] = {}
    for resource in resources:
        first.setdefault((resource.schema, resource.model), resource)
    for (schema, model), source in first.items():
        for field in model._meta.local_many_to_many:
            link = first.get((schema, field.remote_field.through))
            target = first.get((schema, field.related_model))
            if link is None or target is None or _found_by_postgrest(field):
                continue
            forwards = _Step(
                source=source,
                link=link,
                target=target,
                source_column=_column(model, field.m2m_target_field_name()),
                link_source=field.m2m_column_name(),
                link_target=field.m2m_reverse_name(),
                target_column=_column(field.related_model, field.m2m_reverse_target_field_name()),
                field_name=field.name,
            )
            if not _exposes_all(forwards):
                continue
            yield forwards
            if accessor := field.remote_field.get_accessor_name():
                yield _Step(
                    source=target,
                    link=link,
                    target=source,
                    source_column=forwards.target_column,
                    link_source=forwards.link_target,
                    link_target=forwards.link_source,
                    target_column=forwards.source_column,
                    field_name=accessor,
                )


def _column(model: type[models.Model], field_name: str) -> str:
    return model._meta.get_field(field_name).column


def _found_by_postgrest(field: models.ManyToManyField) -> bool:
    key = {item.column for item in field.remote_field.through._meta.pk_fields}
    return {field.m2m_column_name(), field.m2m_reverse_name()} <= key


def _exposes_all(step: _Step) -> bool:
    return (
        step.source_column in step.source.columns
        and step.target_column in step.target.columns
        and {step.link_source, step.link_target} <= set(step.link.columns)
    )


def _function(step: _Step, name: str) -> Function:
    source, link, target = (quote_name(item.schema, item.name) for item in (step.source, step.link, step.target))
    link_target, target_column = quote_name(step.link_target), quote_name(step.target_column)
    return Function(
        schema=step.source.schema,
        name=name,
        arguments=f'"source" {source}',
        returns=f"SETOF {target}",
        volatility="stable",
        # Parsed when it is created: no search path can change what it means, and none has to be set, which
        # would keep PostgreSQL from inlining it.
        body=(
            "BEGIN ATOMIC\n"
            "    SELECT target.*\n"
            f"    FROM {target} AS target\n"
            f"    JOIN {link} AS link ON link.{link_target} = target.{target_column}\n"
            f'    WHERE link.{quote_name(step.link_source)} = "source".{quote_name(step.source_column)};\n'
            "END"
        ),
        requires=sorted(
            {tuple(relation_key(item.schema, item.name)) for item in (step.source, step.link, step.target)}
        ),
    )
