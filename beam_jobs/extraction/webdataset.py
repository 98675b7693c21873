"""An existing WebDataset as a source: rows from the json and txt members of its samples.

In: a tar, of whatever headers. Out: rows of PAIRS: url and uid from the json, text from the txt or the json. Images in
the tar are not read. A damaged archive gives what stands before the damage.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from typing import IO, Any

from beam_jobs.extraction.opening import open_source
from beam_jobs.extraction.rows import Counts, clean, pair_values, shown
from beam_jobs.extraction.tables import kept_uid
from schemas.sources import Source

_LARGEST_MEMBER = 4_194_304
_READ = ("json", "txt")
_TEXT_FIELDS = ("caption", "text")


def shard_rows(source: Source, file: str, counts: Counts, *, name: str) -> Iterator[dict[str, Any]]:
    """The samples of a tar, in its order. `name`: the file as rows tell it."""
    with open_source(file) as opened:
        for number, (key, members) in enumerate(_samples(opened, counts, name)):
            yield _row(source, number, key, members, name)


def _samples(opened: IO[bytes], counts: Counts, name: str) -> Iterator[tuple[str, dict[str, bytes]]]:
    key: str | None = None
    members: dict[str, bytes] = {}
    offset = 0
    try:
        with tarfile.open(fileobj=opened, mode="r|") as tar:
            for member in tar:
                offset = member.offset
                if not member.isreg():
                    continue
                folder, slash, base = member.name.rpartition("/")
                stem, _, extension = base.partition(".")
                if folder + slash + stem != key:
                    if key is not None:
                        yield key, members
                    key, members = folder + slash + stem, {}
                if extension.lower() in _READ and member.size <= _LARGEST_MEMBER:
                    held = tar.extractfile(member)
                    members[extension.lower()] = b"" if held is None else held.read()
    except (tarfile.TarError, EOFError):
        counts.bad_record(name, offset)
        key = None
    if key is not None:
        yield key, members


def _row(source: Source, number: int, key: str, members: dict[str, bytes], name: str) -> dict[str, Any]:
    values, wrong = _fields(members.get("json"))
    url = clean(str(values.get(source.url_column) or ""))
    text = _text(source, members, values)
    reason, message = None, None
    if wrong is not None:
        reason, message = "bad_row", f"sample {key}: {wrong}"
    elif not url:
        reason, message = "no_image_url", f"sample {key} has no {source.url_column!r} in its json"
    return {
        **pair_values(text or "", shown(url) if reason else url, identity=kept_uid(values.get("uid"))),
        "alt_state": "missing" if text is None else "text" if text else "empty",
        "text_source": "caption",
        "src": shown(url),
        "source": name,
        "source_offset": number,
        "reason": reason,
        "message": message,
    }


def _fields(member: bytes | None) -> tuple[dict[str, Any], str | None]:
    if member is None:
        return {}, None
    try:
        values = json.loads(member)
    except (ValueError, RecursionError) as error:
        return {}, f"its json is no JSON: {str(error)[:200]}"
    return (values, None) if isinstance(values, dict) else ({}, "its json is no object")


def _text(source: Source, members: dict[str, bytes], values: dict[str, Any]) -> str | None:
    if "txt" in members:
        return members["txt"].decode("utf-8", "replace")
    for field in (source.text_column, *_TEXT_FIELDS):
        value = values.get(field)
        if value is not None:
            return clean(str(value))
    return None
