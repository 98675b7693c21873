"""Tables of URLs and texts: Parquet, CSV, TSV, JSONL, the text formats also gzipped; streamed.

In: a file, or some row groups of a Parquet file, and the names of its columns. Out: rows of PAIRS and of the extra
columns asked for. URLs and texts stay as they are, and so does a uid column. A row that cannot be read ends as bad_row.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from beam_jobs.extraction.opening import open_source
from beam_jobs.extraction.references import resolve
from beam_jobs.extraction.rows import clean, pair_values, shown
from schemas.reasons import Failed
from schemas.refusal import Refusal
from schemas.sources import Source

TABLE_ENDINGS = (".parquet", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".jsonl", ".jsonl.gz")
ROWS_PER_SPLIT = 250_000
_ROWS_READ = 8_192
_UID_DIGITS = 32
_DELIMITERS = {".csv": ",", ".tsv": "\t"}

# a row's place, its values by column, or the message that says why it has none
_Row = tuple[int, dict[str, Any], str | None]


def ending_of(file: str) -> str:
    """The ending of TABLE_ENDINGS that a file has."""
    return max((ending for ending in TABLE_ENDINGS if file.lower().endswith(ending)), key=len)


def row_group_spans(file: str) -> list[tuple[int, int]]:
    """Spans of row groups of about ROWS_PER_SPLIT rows each; (0, 0) for a format without them."""
    if ending_of(file) != ".parquet":
        return [(0, 0)]
    with open_source(file) as opened:
        metadata = pq.ParquetFile(opened).metadata
        sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    spans: list[tuple[int, int]] = []
    start = rows = 0
    for number, size in enumerate(sizes):
        if rows and rows + size > ROWS_PER_SPLIT:
            spans.append((start, number))
            start, rows = number, 0
        rows += size
    return [*spans, (start, len(sizes))] if sizes else []


def check_columns(source: Source, file: str) -> None:
    """A Refusal where the file lacks a column asked for, or is not what its ending says."""
    held = column_names(file)
    for option, name in [
        ("--url_column", source.url_column),
        ("--text_column", source.text_column),
        *(("extra column", name) for name in source.extra_columns),
    ]:
        if name not in held:
            raise Refusal(f"{file} has no column {name!r} ({option}); it has {', '.join(held) or 'none'}")


def column_names(file: str) -> list[str]:
    """The columns of a file: of Parquet its schema's, of CSV and TSV the first line's, of JSONL the first object's."""
    ending = ending_of(file).removesuffix(".gz")
    try:
        if ending == ".parquet":
            with open_source(file) as opened:
                return list(pq.read_schema(opened).names)
        with _opened(file) as lines:
            if ending == ".jsonl":
                first = json.loads(next((line for line in lines if line.strip()), "{}"))
                return list(first) if isinstance(first, dict) else []
            return next(csv.reader(lines, delimiter=_DELIMITERS[ending]), [])
    except (pa.ArrowInvalid, OSError, EOFError, ValueError, csv.Error) as error:
        raise Refusal(f"{file} is no readable {ending[1:]} file: {str(error)[:200]}") from error


def extra_schema(source: Source, file: str) -> pa.Schema:
    """The extra columns: of Parquet with their types, else as strings."""
    if source.extra_columns and ending_of(file) == ".parquet":
        with open_source(file) as opened:
            schema = pq.read_schema(opened)
        return pa.schema([pa.field(name, _plain(schema.field(name).type)) for name in source.extra_columns])
    return pa.schema([(name, pa.string()) for name in source.extra_columns])


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def table_rows(source: Source, file: str, start: int, stop: int, *, name: str) -> Iterator[dict[str, Any]]:
    """The rows of a file, or of row groups start to stop of a Parquet file. `name`: the file as rows tell it."""
    ending = ending_of(file).removesuffix(".gz")
    if ending == ".parquet":
        rows = _parquet_rows(source, file, start, stop)
    elif ending == ".jsonl":
        rows = _jsonl_rows(source, file)
    else:
        rows = _csv_rows(file, _DELIMITERS[ending])
    number = -1
    try:
        for number, values, wrong in rows:
            yield _row(source, number, values, wrong, name)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        yield _row(source, number + 1, {}, f"the file cannot be read on: {error}", name)


def _row(source: Source, number: int, values: dict[str, Any], wrong: str | None, name: str) -> dict[str, Any]:
    text = _string(values.get(source.text_column))
    url = _string(values.get(source.url_column)) or ""
    reason, message = ("bad_row", wrong) if wrong is not None else _url_failure(url)
    return {
        **pair_values(text or "", url if reason is None else shown(url), identity=kept_uid(values.get("uid"))),
        "alt_state": "missing" if text is None else "text" if text else "empty",
        "text_source": "table",
        "src": shown(url),
        "source": name,
        "source_offset": number,
        "reason": reason,
        "message": message,
        **{column: values.get(column) for column in source.extra_columns},
    }


def kept_uid(value: object) -> str | None:
    """An incoming uid as 32 digits in lower case; None where there is none."""
    text = "" if value is None else str(value).strip().lower()
    return clean(text).rjust(_UID_DIGITS, "0") if text else None


def _url_failure(url: str) -> tuple[str | None, str | None]:
    if url.startswith(("http://", "https://")):
        return None, None
    try:
        resolve(url, "about:blank")
    except Failed as failed:
        return failed.reason, failed.message
    return None, None


def _string(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return clean(value if isinstance(value, str) else str(value))


def _parquet_rows(source: Source, file: str, start: int, stop: int) -> Iterator[_Row]:
    with open_source(file) as opened:
        parquet = pq.ParquetFile(opened)
        held = parquet.schema_arrow.names
        wanted = dict.fromkeys([source.url_column, source.text_column, *source.extra_columns])
        columns = [*wanted, *(["uid"] if "uid" in held and "uid" not in wanted else [])]
        metadata = parquet.metadata
        number = sum(metadata.row_group(group).num_rows for group in range(start))
        for batch in parquet.iter_batches(_ROWS_READ, row_groups=list(range(start, stop)), columns=columns):
            for values in zip(*(batch.column(column).to_pylist() for column in columns), strict=True):
                yield number, dict(zip(columns, values, strict=True)), None
                number += 1


def _csv_rows(file: str, delimiter: str) -> Iterator[_Row]:
    with _opened(file) as lines:
        reader = csv.reader(lines, delimiter=delimiter)
        header = next(reader, [])
        number = 0
        while True:
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield number, {}, f"row {number}: {error}"
            else:
                if not fields:
                    continue
                wrong = None
                if len(fields) != len(header):
                    wrong = f"row {number} has {len(fields)} fields, its header {len(header)}"
                yield number, dict(zip(header, fields, strict=False)), wrong
            number += 1


def _jsonl_rows(source: Source, file: str) -> Iterator[_Row]:
    with _opened(file) as lines:
        for number, line in enumerate(lines):
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, {}, f"line {number} is no JSON: {str(error)[:200]}"
                continue
            if not isinstance(values, dict):
                yield number, {}, f"line {number} is no JSON object"
                continue
            for column in source.extra_columns:
                value = values.get(column)
                if value is not None and not isinstance(value, str):
                    values[column] = json.dumps(value, ensure_ascii=False)
            yield number, values, None


@contextmanager
def _opened(file: str) -> Iterator[IO[str]]:
    """A text file, unzipped; bytes that are no UTF-8 become U+FFFD, a byte-order mark goes."""
    with open_source(file) as opened:
        whole = cast("IO[bytes]", gzip.GzipFile(fileobj=opened)) if file.lower().endswith(".gz") else opened
        yield io.TextIOWrapper(whole, "utf-8-sig", errors="replace", newline="")
