"""Bodies of functions, which are in `.sql` files beside the code that needs them."""

import re
from pathlib import Path

from pgcraft_django.naming import dollar_quote

LONGEST = 100
"""Characters of what a client has sent that a message shows, see `one_line`."""
_PART = re.compile(r"\{(\w+)\}")
# A quoted text or name may have lines of its own, which are not to be indented.
_QUOTED_OR_NEWLINE = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\n""")


def read_body(module: str, name: str, **parts: str) -> str:
    """Return `AS …` with the text of `name`.sql, see `read_sql`."""
    return f"AS {dollar_quote(read_sql(module, name, **parts))}"


def read_sql(module: str, name: str, **parts: str) -> str:
    """Return the text of `name`.sql, in which each `{part}` is replaced by that of `parts`.

    `module` is the `__file__` of the module beside it. The parts are SQL: quoted names and literals. Where a part has
    several lines, they are indented as its place is. Raises `KeyError` for a part that is not given.
    """

    def insert(found: re.Match[str]) -> str:
        before = found.string[found.string.rfind("\n", 0, found.start()) + 1 : found.start()]
        indentation = before[: len(before) - len(before.lstrip())]
        return indent_lines(parts[found[1]], indentation)

    text = Path(module).with_name(f"{name}.sql").read_text(encoding="utf-8")
    return _PART.sub(insert, text).strip()


def one_line(sql: str) -> str:
    """Return the text that `sql` gives as a short line, for messages of errors PTxyz.

    PostgREST makes such a message the first line of its answer as it is: what a client has sent, with line breaks,
    would go on as headers, and as the answer itself.
    """
    return rf"pg_catalog.left(pg_catalog.regexp_replace({sql}, '[\x01-\x1f\x7f]', ' ', 'g'), {LONGEST})"


def indent_lines(sql: str, indentation: str) -> str:
    """Return `sql` with all lines but the first indented. What is inside of quotes stays as it is."""
    return _QUOTED_OR_NEWLINE.sub(lambda found: f"\n{indentation}" if found[0] == "\n" else found[0], sql)
