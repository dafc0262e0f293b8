"""What a request says of itself: the claims of its JWT, which PostgREST has verified."""

from typing import Any

from django.db import models

from pgcraft_django.columns import AnyField, postgresql
from pgcraft_django.naming import quote_text


class Claim(models.Expression):
    """A claim, `Claim("sub")`, or one inside another, `Claim("app_metadata", "tenant")`; NULL where there is none.

    In a `Q` it is of the type of what it is compared with; elsewhere a text, unless `output_field` says otherwise.
    """

    def __init__(self, name: str, *path: str, output_field: "AnyField | None" = None) -> None:
        super().__init__(output_field=output_field or models.TextField())
        self.path = (name, *path)
        self.has_type = output_field is not None

    def of_type(self, field: AnyField) -> "Claim":
        """Return the claim as it compares with `field`."""
        while isinstance(field, models.ForeignKey):
            field = field.target_field
        return self if self.has_type else Claim(*self.path, output_field=field)

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[()]]:
        # In a SELECT of its own it is evaluated once in a statement, and not once in a row. A setting that was given
        # for one transaction is an empty text afterwards, not NULL.
        claims = "nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb"
        # No parameters: some lookups take them for the value that is compared with, and change them.
        *path, last = (quote_text(name).replace("%", "%%") for name in self.path)
        steps = " -> ".join([claims, *path])
        # A length or a precision would cut the claim, and make it that of somebody else.
        kind = str(self.output_field.rel_db_type(postgresql())).partition("(")[0]
        if kind == "jsonb":  # as it is: a text is not the number that it looks like, and null is no claim
            return f"(SELECT nullif({steps} -> {last}, 'null'))", ()
        cast = "" if kind in ("text", "varchar", "char") else f"::{kind}"
        return f"(SELECT ({steps} ->> {last}){cast})", ()
