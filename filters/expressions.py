"""Expressions of a recipe: a text that judges one row by its own columns, compiled for Polars.

In: SQL as people write it in a rule, such as `clip_similarity >= 0.3 and not (text like '%.jpg')`. Out: an
`Expression`, which knows its columns and answers true, false or null (unknown) for each row of a table.

The language is a closed list. Columns (in "double quotes" when the name is a word of the language), numbers, 'texts'
(a quote inside is doubled), true, false, null; `+ - * / %` (`/` never rounds; by zero it is infinite, `%` null) and
`||`; `= == != <> < <= > >=`; `and or not`; `is [not] null`; `is [not] distinct from`; `[not] between
.. and ..`; `[not] in (..)`; `[not] like | ilike 'pattern'` (% any text, _ one character); `~ ~* !~ !~*` with a
regular expression; `case when .. then .. else .. end`; `try_cast(x as int | bigint | float | double | varchar)`; and
FUNCTIONS. Nothing else parses: no aggregate or window (the answer for a row never depends on other rows), no
subquery, no clock, no randomness, no file. Comparisons with null are null; NaN counts as null.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import polars as pl
import pyarrow as pa

FUNCTIONS: Mapping[str, str] = {
    "length": "characters of a text; also char_length",
    "char_length": "characters of a text",
    "octet_length": "bytes of a text in UTF-8",
    "lower": "a text in lower case",
    "upper": "a text in upper case",
    "trim": "a text without white space around it; also ltrim, rtrim",
    "ltrim": "a text without white space before it",
    "rtrim": "a text without white space behind it",
    "left": "the first n characters: left(text, n)",
    "right": "the last n characters: right(text, n)",
    "substr": "n characters from the i-th: substr(text, i, n)",
    "replace": "a text with another instead of each: replace(text, from, to)",
    "concat": "texts joined; null counts as empty",
    "split_part": "the i-th part between separators: split_part(text, separator, i)",
    "strpos": "where a text begins in another, 0 when it is not there: strpos(text, part)",
    "starts_with": "whether a text begins so",
    "ends_with": "whether a text ends so",
    "regexp_like": "whether a regular expression is found: regexp_like(text, 'pattern')",
    "abs": "without its sign",
    "ceil": "rounded up",
    "floor": "rounded down",
    "round": "rounded to n decimals: round(x, n)",
    "sign": "-1, 0 or 1",
    "sqrt": "the square root",
    "ln": "the natural logarithm",
    "log10": "the decimal logarithm",
    "exp": "e to that power",
    "mod": "the remainder: mod(x, y)",
    "least": "the lowest of several, of those that are not null",
    "greatest": "the highest of several, of those that are not null",
    "coalesce": "the first that is not null",
    "nullif": "null when both are equal, else the first",
    "if": "if(condition, then, else)",
    "array_length": "how many a list holds",
    "array_contains": "whether a list holds a value",
    "try_cast": "a value as another type, null where it is none: try_cast(x as float)",
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KEYWORDS = _words("and or not is null in like ilike between case when then else end true false distinct from as")
# Words that may stand before a parenthesis without being a function.
_BEFORE_PARENTHESIS = _KEYWORDS - _words("null true false end")
_CAST_TYPES = _words("int bigint float double varchar")
_OTHER_ROWS = _words(
    "count sum avg mean min max median stddev stdev stddev_pop stddev_samp var variance var_pop var_samp first last "
    "quantile quantile_cont quantile_disc corr covar covar_pop covar_samp array_agg string_agg rank dense_rank "
    "percent_rank row_number lag lead first_value last_value nth_value ntile cume_dist any_value mode "
    "approx_count_distinct over exists any all unnest explode"
)
_MAX_CHARACTERS = 4_000
_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<text>'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")+")
      | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?![A-Za-z0-9_.]))
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<match>!~\*|!~|~\*|~)
      | (?P<operator>\|\||<>|<=|>=|!=|==|[=<>+*/%(),-])""",
    re.VERBOSE,
)


class Malformed(ValueError):
    """An expression that is not of the language, or does not fit its columns; the message says where and why."""


@dataclass(frozen=True)
class Expression:
    """A compiled expression. `text` is as written, `columns` are those it reads, in order of appearance."""

    text: str
    columns: tuple[str, ...]
    compiled: pl.Expr = field(compare=False, repr=False)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str

    @property
    def word(self) -> str:
        return self.text.lower() if self.kind == "word" else ""


@lru_cache(maxsize=1024)
def compile_expression(text: str) -> Expression:
    """Parses an expression; raises Malformed. Its columns and types are not checked yet: see `check_types`."""
    if len(text) > _MAX_CHARACTERS:
        raise Malformed(f"longer than {_MAX_CHARACTERS} characters")
    tokens = list(_tokens(text))
    columns: dict[str, None] = {}
    written = " ".join(_written(tokens, columns))
    if not columns:
        raise Malformed(f"{text!r} reads no column")
    try:
        compiled = pl.sql_expr(written)
    except pl.exceptions.PolarsError as error:
        raise Malformed(f"cannot parse {text!r}: {_first_line(error)}") from error
    if not isinstance(compiled, pl.Expr) or set(compiled.meta.root_names()) != set(columns):
        raise Malformed(f"cannot parse {text!r}: it is not one expression over the columns {', '.join(columns)}")
    return Expression(text, tuple(columns), compiled)


def check_types(expression: Expression, schema: pa.Schema, *, number: bool = False) -> None:
    """Raises Malformed unless the expression is true or false over columns of these types, or a number if so asked."""
    probe = pl.DataFrame([_probe(schema.field(name)) for name in expression.columns])
    try:
        answer = probe.select(answer=expression.compiled)["answer"]
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        types = ", ".join(f"{name} is {schema.field(name).type}" for name in expression.columns)
        raise Malformed(f"{expression.text!r} does not fit its columns ({types}): {_first_line(error)}") from error
    if number:
        if not answer.dtype.is_numeric() or len(answer) != len(probe):
            raise Malformed(f"{expression.text!r} must be a number for each row; it is of type {answer.dtype}")
    elif answer.dtype != pl.Boolean or len(answer) != len(probe):
        raise Malformed(f"{expression.text!r} must be true or false for each row; it is of type {answer.dtype}")


def frame_of(table: pa.Table | pa.RecordBatch, columns: tuple[str, ...]) -> pl.DataFrame:
    """The columns that expressions read, NaN as null."""
    frame = pl.DataFrame(pl.from_arrow(table.select(list(columns))))
    return frame.with_columns(pl.col(pl.Float32, pl.Float64).fill_nan(None))


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise Malformed(_why_not(text, position))
        position = match.end()
        if match.lastgroup != "space":
            yield _Token(str(match.lastgroup), match.group())


def _why_not(text: str, position: int) -> str:
    rest = text[position:]
    reason = "is not read here"
    if rest[0] in "'\"":
        reason = "is a quote that is never closed"
    elif rest.startswith("::"):
        reason = "is not read here; write try_cast(x as float)"
    elif rest[0] == ".":
        reason = 'is not read here; a column whose name holds a dot stands in "double quotes"'
    return f"{rest[:12]!r} at character {position + 1} of {text!r} {reason}"


def _written(tokens: list[_Token], columns: dict[str, None]) -> Iterator[str]:
    """The expression as Polars is given it: every name that is not of the language is a quoted column."""
    nesting: list[str] = []  # the word before each open parenthesis
    for number, token in enumerate(tokens):
        before = tokens[number - 1] if number else _Token("", "")
        after = tokens[number + 1] if number + 1 < len(tokens) else _Token("", "")
        if token.kind in ("word", "quoted") and after.kind == "text" and token.word not in _KEYWORDS:
            raise Malformed(f"{token.text} cannot stand before the text {after.text}")
        if token.kind == "match" and after.kind != "text":
            raise Malformed(f"{token.text} needs a 'regular expression' behind it; given {after.text!r}")
        if token.text == "(":
            _check_call(before, tokens, number)
            nesting.append(before.word)
        elif token.text == ")" and nesting:
            nesting.pop()
        if token.word in ("true", "false") and "is" in (before.word, tokens[number - 2].word if number > 1 else ""):
            # Polars answers null `is not true` with null, where SQL says true.
            raise Malformed(f"`is {token.word}` is not read here; write coalesce(x, false)")
        inside = nesting[-1] if nesting else ""
        if token.word == "as" and inside != "try_cast":
            raise Malformed("`as` stands only in try_cast(x as float)")
        if token.kind == "quoted":
            yield _column(token.text[1:-1].replace('""', '"'), columns)
        elif token.kind == "word" and not _is_language(token, before, after):
            yield _column(token.text, columns)
        elif token.kind == "number":
            # A decimal literal is exact to Polars and would turn arithmetic into decimals, which overflow; as a
            # float it takes the precision of the column beside it. Only in lists do decimals compare so.
            exact = re.fullmatch(r"[0-9]+", token.text) or "e" in token.text.lower() or inside == "in"
            yield token.text if exact else f"{token.text}e0"
        else:
            yield token.text


def _is_language(token: _Token, before: _Token, after: _Token) -> bool:
    word = token.word
    if after.text == "(":
        return word in FUNCTIONS or word in _BEFORE_PARENTHESIS
    if word in ("distinct", "from"):
        return before.word in ("is", "not", "distinct")
    if before.word == "as":
        if word not in _CAST_TYPES:
            raise Malformed(f"try_cast to {token.text!r} is not known; known: {', '.join(sorted(_CAST_TYPES))}")
        return True
    return word in _KEYWORDS


def _check_call(before: _Token, tokens: list[_Token], opening: int) -> None:
    """Refuses what stands before a parenthesis and is no function of the language."""
    if before.kind == "quoted":
        raise Malformed(f"{before.text} is a column, not a function")
    name = before.word
    if not name or name in _BEFORE_PARENTHESIS:
        return
    if name in _OTHER_ROWS:
        raise Malformed(f"{name!r} looks at other rows; an expression judges a row by its own columns")
    if name not in FUNCTIONS:
        raise Malformed(f"unknown function {before.text!r}; known: {', '.join(FUNCTIONS)}")
    if name == "regexp_like":
        arguments = _arguments(tokens, opening)
        if len(arguments) != 2 or [token.kind for token in arguments[1]] != ["text"]:
            raise Malformed("regexp_like needs a column and a 'regular expression'")


def _arguments(tokens: list[_Token], opening: int) -> list[list[_Token]]:
    """The tokens of each argument of the call whose parenthesis opens there."""
    arguments: list[list[_Token]] = [[]]
    depth = 0
    for token in tokens[opening:]:
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0:
            break
        if depth == 1 and token.text == ",":
            arguments.append([])
        elif depth > 1 or token.text != "(":
            arguments[-1].append(token)
    return arguments


def _column(name: str, columns: dict[str, None]) -> str:
    columns[name] = None
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _probe(field: pa.Field) -> pl.Series:
    """A few values of a column's type: operations that only fail on values fail on these."""
    kind = field.type
    values: list[object] = [None, None, None]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        values = [None, "", "a b"]
    elif pa.types.is_integer(kind):
        values = [None, 0, 1]
    elif pa.types.is_floating(kind):
        values = [None, 0.0, 0.5]
    elif pa.types.is_boolean(kind):
        values = [None, False, True]
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        values = [None, [], []]
    return pl.Series(field.name, pl.from_arrow(pa.array(values, kind)))


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]
