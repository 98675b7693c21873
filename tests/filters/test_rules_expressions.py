from __future__ import annotations

import pyarrow as pa
import pytest

from filters.expressions import Malformed, check_types, compile_expression, frame_of

NAN = float("nan")
TABLE = pa.table(
    {
        "sim": pa.array([0.3, 0.2999, None, NAN], pa.float32()),
        "width": pa.array([3, 7, None, 0], pa.int32()),
        "height": pa.array([2, 0, 1, 0], pa.int32()),
        "text": ["añ😀", "", "IMG.jpg", None],
        "good": [True, False, None, True],
        "tags": [["a"], [], None, ["b", "a"]],
        "count": pa.array([1, 2, 3, 4], pa.int64()),
        "odd name": pa.array([1, 2, 3, 4], pa.int64()),
    }
)
T, F, N = True, False, None


def answers(text: str) -> list[bool | None]:
    expression = compile_expression(text)
    check_types(expression, TABLE.schema)
    frame = frame_of(TABLE, expression.columns)
    return frame.select(answer=expression.compiled)["answer"].to_list()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A float column is compared in its own precision: 0.3 as float32 is 0.3; NaN is unknown.
        ("sim >= 0.3", [T, F, N, N]),
        ("sim = 3e-1", [T, F, N, N]),
        ("sim in (0.3, 0.5)", [T, F, N, N]),
        ("sim between .1 and 0.3", [T, T, N, N]),
        ("sim is null", [F, F, T, T]),
        # Division never rounds; by zero it is infinite, and 0 / 0 is NaN, which Polars puts above all numbers.
        ("width / height > 1.4", [T, T, N, T]),
        ("width / height < 1.6", [T, F, N, F]),
        ("1.0 * width / 2 = 1.5", [T, F, N, F]),
        ("width % 2 = 1", [T, T, N, F]),
        ("-width < -2", [T, T, N, F]),
        ("greatest(width, height) > 3 * least(width, height)", [F, T, F, F]),
        ("nullif(width, 0) > 2", [T, T, N, N]),
        ("width <> 3 and width != 7", [F, F, N, T]),
        # Characters, not bytes.
        ("length(text) = 3", [T, F, F, N]),
        ("octet_length(text) = 7", [T, F, T, N]),
        ("text like '%.jpg'", [F, F, T, N]),
        ("text ilike 'img_jpg'", [F, F, T, N]),
        ("text not like '%.jpg'", [T, T, F, N]),
        ("text ~ '^[a-z]'", [T, F, F, N]),
        ("text ~* '^img'", [F, F, T, N]),
        ("text !~ 'G'", [T, T, F, N]),
        ("regexp_like(text, 'a|G')", [T, F, T, N]),
        ("lower(text) in ('img.jpg', 'x')", [F, F, T, N]),
        ("starts_with(text, 'IMG') or ends_with(text, '😀')", [T, F, T, N]),
        ("text || 'x' = 'x'", [F, T, F, N]),
        ("text = 'it''s'", [F, F, F, N]),
        ("try_cast(text as float) is null", [T, T, T, T]),
        ("text is not distinct from null", [F, F, F, T]),
        ("good", [T, F, N, T]),
        ("not good", [F, T, N, F]),
        ("good and sim >= 0.3", [T, F, N, N]),
        ("good or sim >= 0.3", [T, F, N, T]),
        ("coalesce(good, false)", [T, F, F, T]),
        ("case when width > 3 then good else true end", [T, F, T, T]),
        ("if(width > 3, good, true)", [T, F, T, T]),
        ("array_contains(tags, 'a')", [T, F, N, T]),
        ("array_length(tags) > 1", [F, F, N, T]),
        # A column may be called like a function, or hold a space.
        ("count > 3", [F, F, F, T]),
        ('"odd name" > 3 or "count" = 1', [T, F, F, T]),
    ],
)
def test_expressions_answer_true_false_or_unknown(text: str, expected: list[bool | None]) -> None:
    assert answers(text) == expected


OTHER_ROWS = "looks at other rows; an expression judges a row by its own columns"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sum(width) > 1", f"'sum' {OTHER_ROWS}"),
        ("width > AVG(width)", f"'avg' {OTHER_ROWS}"),
        ("count(*) > 1", f"'count' {OTHER_ROWS}"),
        ("first(width) = 1", f"'first' {OTHER_ROWS}"),
        ("row_number() over (order by width) < 5", f"'row_number' {OTHER_ROWS}"),
        ("width over (partition by text) > 1", f"'over' {OTHER_ROWS}"),
        ("width > all(height)", f"'all' {OTHER_ROWS}"),
        ("exists (select 1)", f"'exists' {OTHER_ROWS}"),
        ("unnest(tags) = 'a'", f"'unnest' {OTHER_ROWS}"),
        ("width in (select height)", "cannot parse"),
        ("random() > 0.5", "unknown function 'random'; known: length, "),
        ("now() > width", "unknown function 'now'; known: "),
        ("read_csv('/etc/passwd') = 'a'", "unknown function 'read_csv'; known: "),
        ("read_parquet(text) is null", "unknown function 'read_parquet'; known: "),
        ("cast(text as int) > 1", "unknown function 'cast'; known: "),
        ("columns('.*') > 1", "unknown function 'columns'; known: "),
        ('"sum"(width) > 1', '"sum" is a column, not a function'),
        ("date '2020-01-01' > width", "date cannot stand before the text '2020-01-01'"),
        ("interval '1' day > width", "interval cannot stand before the text '1'"),
        ("try_cast(text as date) is null", "try_cast to 'date' is not known; known: bigint, double, float, int, "),
        ("width > 1 as int", "`as` stands only in try_cast(x as float)"),
        ("width::float > 1", "'::float > 1' at character 6 of 'width::float > 1' is not read here; write try_cast"),
        ("pairs.width > 1", "'.width > 1' at character 6 of 'pairs.width > 1' is not read here; a column whose name"),
        ("width > 1; drop table x", "'; drop table' at character 10 of"),
        ("width = $1", "'$1' at character 9"),
        ("width & 1 = 1", "'& 1 = 1' at character 7"),
        ("text = 'open", '"\'open" at character 8 of "text = \'open" is a quote that is never closed'),
        ("text ~ text", "~ needs a 'regular expression' behind it; given 'text'"),
        ("regexp_like(text, text)", "regexp_like needs a column and a 'regular expression'"),
        ("text like text", "cannot parse 'text like text': LIKE/ILIKE pattern must be a string literal"),
        ("width >", "cannot parse 'width >'"),
        ("(width > 1", "cannot parse '(width > 1'"),
        ("width > 1)", "cannot parse 'width > 1)'"),
        ("width > 1 height > 1", "cannot parse"),
        ("good is not true", "`is true` is not read here; write coalesce(x, false)"),
        ("good is false", "`is false` is not read here; write coalesce(x, false)"),
        ("1 = 1", "'1 = 1' reads no column"),
        ("true", "'true' reads no column"),
        ("*", "'*' reads no column"),
        ("", "'' reads no column"),
        ("(" * 1990 + "good" + ")" * 1990, "cannot parse"),
        ("not " * 1000 + "good", "longer than 4000 characters"),
    ],
)
def test_what_is_not_of_the_language_is_refused(text: str, expected: str) -> None:
    with pytest.raises(Malformed) as caught:
        compile_expression(text)
    assert str(caught.value).startswith(expected) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("width", "'width' must be true or false for each row; it is of type Int32"),
        ("length(text)", "'length(text)' must be true or false for each row; it is of type UInt32"),
        ("text > 3", "'text > 3' does not fit its columns (text is string): cannot compare string with numeric"),
        ("not text", "'not text' does not fit its columns (text is string): "),
        ("width = 'a'", "\"width = 'a'\" does not fit its columns (width is int32): "),
        ("width and good", "'width and good' does not fit its columns (width is int32, good is bool): "),
        ("tags = 1", "'tags = 1' does not fit its columns (tags is list<item: string>): "),
        ("text ~ '('", "\"text ~ '('\" does not fit its columns (text is string): regex error"),
    ],
)
def test_what_does_not_fit_its_columns_is_refused_without_a_row(text: str, expected: str) -> None:
    with pytest.raises(Malformed) as caught:
        check_types(compile_expression(text), TABLE.schema.empty_table().schema)
    assert str(caught.value).startswith(expected) and "\n" not in str(caught.value)


def test_words_of_sql_that_are_not_of_the_language_are_columns() -> None:
    assert compile_expression("current_date > width").columns == ("current_date", "width")
    assert compile_expression("select = 1 or length > 1").columns == ("select", "length")


def test_an_answer_does_not_depend_on_the_rows_beside_it() -> None:
    expression = compile_expression("sim >= 0.3 or width / height > 1.4 or text like 'IMG%'")
    whole = frame_of(TABLE, expression.columns).select(answer=expression.compiled)["answer"].to_list()
    alone = [
        frame_of(TABLE.slice(row, 1), expression.columns).select(answer=expression.compiled)["answer"][0]
        for row in range(TABLE.num_rows)
    ]
    assert whole == alone == [T, T, T, T]
