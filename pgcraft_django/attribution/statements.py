"""What a statement may do, as far as its text tells.

A SELECT changes rows only through a function. Those that are known not to are listed here; with any other, it may.
Where the text can be misread, it is as something that may change rows: to say who does is never wrong, only slower.
"""

import re
from enum import Enum, auto


class Effect(Enum):
    """What becomes of rows, and of what was set for the transaction."""

    NONE = auto()
    CHANGES = auto()
    """It may change rows, and can do so in a transaction of its own."""
    UNKNOWN = auto()
    """It may change rows, but perhaps not in a transaction that others have begun: CALL, VACUUM."""
    UNDOES = auto()
    """It takes back what was set."""


_FIRST_WORD = re.compile(r"\A(?:[\s(;]|--[^\n]*|/\*.*?\*/)*(\w*)", re.DOTALL)
_EFFECTS = {
    **dict.fromkeys(("insert", "update", "delete", "merge", "copy", "execute"), Effect.CHANGES),
    **dict.fromkeys(("rollback", "abort", "commit", "end"), Effect.UNDOES),
    **dict.fromkeys(("begin", "start", "savepoint", "release", "set", "reset", "show"), Effect.NONE),
    **dict.fromkeys(("lock", "fetch", "move", "close", "listen", "unlisten", "notify"), Effect.NONE),
}
_QUERIES = {"select", "with", "values", "table", "explain"}
_CHANGES = ("insert", "update", "delete", "merge", "execute")
_COMMENTS = ("--", "/*")  # they may stand between the name of a function and its parenthesis
_SUSPICIOUS = re.compile(rf"\b(?:{'|'.join(_CHANGES)})\b|{'|'.join(map(re.escape, _COMMENTS))}")
# What stands before a parenthesis in queries that change nothing: SQL's own words, types, and common functions.
_HARMLESS_WORDS = """
    all and any array as between by case cast distinct else except exists filter from group having ilike in intersect is
    join lateral like limit materialized not offset on or over row select similar some then to union using values when
    where with within
    bit bpchar char character decimal float interval numeric time timestamp timestamptz timetz varbit varchar varying
    array_agg array_length avg bit_and bit_or bool_and bool_or cardinality corr count covar_pop covar_samp cume_dist
    dense_rank every first_value grouping json_agg jsonb_agg json_object_agg jsonb_object_agg lag last_value lead max
    min mode nth_value ntile percent_rank percentile_cont percentile_disc rank row_number stddev stddev_pop stddev_samp
    string_agg sum var_pop var_samp variance unnest generate_series
    abs ceil ceiling coalesce exp floor greatest least ln log mod nullif pi power random round sign sqrt trunc
    btrim char_length character_length concat concat_ws left length lower lpad ltrim md5 overlay position regexp_replace
    repeat replace reverse right rpad rtrim sha224 sha256 sha384 sha512 split_part strpos substr substring trim upper
    age clock_timestamp date_part date_trunc extract make_date make_interval now statement_timestamp to_char to_date
    to_timestamp transaction_timestamp
    json_array_length jsonb_array_length json_build_array jsonb_build_array json_build_object jsonb_build_object
    jsonb_extract_path jsonb_extract_path_text jsonb_path_exists jsonb_path_query jsonb_set jsonb_typeof to_json
    to_jsonb phraseto_tsquery plainto_tsquery setweight similarity to_tsquery to_tsvector ts_headline ts_rank ts_rank_cd
    unaccent websearch_to_tsquery word_similarity
"""
_HARMLESS = frozenset(_HARMLESS_WORDS.split())
_OPERATORS = tuple("+-*/<>=~!@#%^&|?,")  # no name ends with one, unless it is quoted


def effect_of(sql: str) -> Effect:
    """Return what the statement, or several in one text, may do."""
    _, word, rest = _FIRST_WORD.split(sql, maxsplit=1)
    word = word.lower()
    if word in _QUERIES:
        return Effect.CHANGES if _changes(rest) else Effect.NONE
    effect = _EFFECTS.get(word, Effect.UNKNOWN)
    return Effect.UNKNOWN if effect is Effect.NONE and ";" in rest.rstrip("; \n") else effect


def _changes(rest: str) -> bool:
    rest = rest.lower()
    if any(text in rest for text in (*_CHANGES, *_COMMENTS)) and _SUSPICIOUS.search(rest):
        return True
    called = (part.rstrip()[-80:].rsplit(None, 1)[-1:] for part in rest.split("(")[:-1])
    return any(word[0] not in _HARMLESS and not word[0].endswith(_OPERATORS) for word in called if word)
