"""Embedding across many-to-many fields.

PostgREST finds a many-to-many relationship by itself only if the linking table's key is the pair of foreign
keys; Django's has a key of its own. So each exposed pair gets a *computed relationship*: a function from a row of
one resource to the rows of the other, which PostgREST embeds and PostgreSQL inlines. It runs with the privileges
of the role that asks, through the three views, and therefore needs all three to be exposed.

It is named after the embedded resource, as PostgREST names relationships. A computed relationship of that name
hides all others between the two, so where there are others, it is named after the Django field (backwards: its
accessor), or, if that is the name of a resource or there is none, `courses_via_attendance`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django.db import models

from pgcraft_django.api import Resource
from pgcraft_django.naming import quote_name, shorten
from pgcraft_django.objects import DatabaseObject, Function, FunctionGrant


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
    """What Django calls it; empty if it has no name backwards."""

    @property
    def ends(self) -> tuple[str, str, str]:
        """What PostgREST looks a relationship up by."""
        return self.source.schema, self.source.name, self.target.name

    @property
    def roles(self) -> set[str]:
        """Who may go it."""
        return self.source.roles("select") & self.link.roles("select") & self.target.roles("select")

    @property
    def is_found_by_postgrest(self) -> bool:
        """Whether the linking table's key has both foreign keys in it."""
        return {self.link_source, self.link_target} <= {field.column for field in self.link.model._meta.pk_fields}


def embedding_objects(resources: Sequence[Resource]) -> Iterator[tuple[str, DatabaseObject]]:
    """Yield app label and object for each computed relationship among `resources`."""
    resource_names = {(resource.schema, resource.name) for resource in resources}
    steps = sorted(_steps(resources), key=lambda step: not step.roles)  # a name is not for what nobody may use
    parallel = Counter(step.ends for step in steps)
    used: set[tuple[str, str, str]] = set()
    for step in steps:
        if parallel[step.ends] == 1 and not _refer_to_each_other(step.source.model, step.target.model):
            if step.is_found_by_postgrest:
                continue
            name = step.target.name
        elif step.field_name and (step.source.schema, step.field_name) not in resource_names:
            name = step.field_name
        else:
            name = shorten(f"{step.target.name}_via_{step.link.name}")
        if (identity := (step.source.schema, step.source.name, name)) in used:
            continue  # another resource of the same model has taken it
        used.add(identity)
        function = _function(step, name)
        yield step.link.app_label, function
        for role in sorted(step.roles):
            yield (
                step.link.app_label,
                FunctionGrant(schema=function.schema, function=function.name, arguments=function.arguments, role=role),
            )


def _refer_to_each_other(model: type[models.Model], other: type[models.Model]) -> bool:
    """Tell whether a foreign key goes one way or the other; a model that is both ends has two ways to itself."""
    model, other = _concrete(model), _concrete(other)
    return model is other or other in _referred(model) or model in _referred(other)


def _referred(model: type[models.Model]) -> set[type[models.Model]]:
    return {_concrete(field.related_model) for field in model._meta.local_concrete_fields if field.related_model}


def _concrete(model: Any) -> type[models.Model]:
    return model._meta.concrete_model  # type: ignore[no-any-return]


def _steps(resources: Sequence[Resource]) -> Iterator[_Step]:
    of_model: dict[tuple[str, type[models.Model]], list[Resource]] = {}
    for resource in sorted(resources, key=lambda resource: bool(resource.model._meta.proxy)):
        of_model.setdefault((resource.schema, _concrete(resource.model)), []).append(resource)
    for (schema, model), sources in of_model.items():
        for field in model._meta.local_many_to_many:
            links = of_model.get((schema, _concrete(field.remote_field.through)), [])
            targets = of_model.get((schema, _concrete(field.related_model)), [])
            backwards = "" if field.remote_field.hidden else field.remote_field.get_accessor_name() or ""
            for source in sources:
                # Where a model has several resources, a name of the field's own means its first, or the source itself.
                for target in sorted(targets, key=lambda target: target is not source):
                    for forwards in _steps_between(source, links, target, field):
                        yield forwards
                        if not field.remote_field.symmetrical:
                            yield _reversed(forwards, backwards)


def _steps_between(
    source: Resource, links: Sequence[Resource], target: Resource, field: "models.ManyToManyField[Any, Any]"
) -> Iterator[_Step]:
    """Yield the way along `field` through the first of `links` that exposes what it takes and that somebody may go."""
    ways = [
        _Step(
            source=source,
            link=link,
            target=target,
            source_column=_column(field.model, field.m2m_target_field_name()),
            link_source=field.m2m_column_name(),
            link_target=field.m2m_reverse_name(),
            target_column=_column(field.related_model, field.m2m_reverse_target_field_name()),
            field_name=field.name,
        )
        for link in links
    ]
    exposed = [
        way
        for way in ways
        if way.source_column in source.columns
        and way.target_column in target.columns
        and {way.link_source, way.link_target} <= set(way.link.columns)
    ]
    if exposed:
        yield next((way for way in exposed if way.roles), exposed[0])


def _reversed(step: _Step, field_name: str) -> _Step:
    return _Step(
        source=step.target,
        link=step.link,
        target=step.source,
        source_column=step.target_column,
        link_source=step.link_target,
        link_target=step.link_source,
        target_column=step.source_column,
        field_name=field_name,
    )


def _column(model: Any, field_name: str) -> str:
    return model._meta.get_field(field_name).column  # type: ignore[no-any-return]


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
        requires=sorted({("relation", item.schema, item.name) for item in (step.source, step.link, step.target)}),
        comment=f"Embeds {step.target.name} in {step.source.name}: {step.source.name}?select=*,{name}(*)",
    )
