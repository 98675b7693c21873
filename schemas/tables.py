"""The tables of a run folder, as Arrow schemas. A sidecar has the rows and the order of its shard.

Texts are never null in PAIRS: `alt_state` tells an empty alt from a missing one. `reason` is null while a row
is alive. Columns that a source adds of its own stand behind those of PAIRS and travel with the row.
"""

from __future__ import annotations

import pyarrow as pa

PAIRS = pa.schema(
    [
        ("uid", pa.string()),
        ("url", pa.string()),
        ("text", pa.string()),
        ("clean_text", pa.string()),  # without tags, entities, invisible characters and needless spaces
        ("alt_state", pa.string()),  # text | empty | missing
        ("text_source", pa.string()),  # alt | title | figcaption | aria_label | og | table | caption
        ("page_url", pa.string()),
        ("src", pa.string()),  # the reference as the page writes it
        ("reference", pa.string()),  # where it stood: src | srcset | picture | lazy | noscript | og
        ("title", pa.string()),  # of the element
        ("figcaption", pa.string()),
        ("page_title", pa.string()),
        ("page_language", pa.string()),  # as the page declares it
        ("detected_language", pa.string()),  # of the page's text, where that is clear; null for a WAT, which has none
        ("heading", pa.string()),  # the nearest heading before
        ("text_before", pa.string()),
        ("text_after", pa.string()),
        ("position", pa.int32()),  # 0-based, among the images of its page
        ("declared_width", pa.int32()),
        ("declared_height", pa.int32()),
        ("licence", pa.string()),  # the image's own, else its page's
        ("page_licence", pa.string()),
        ("opt_out", pa.string()),  # directives found, joined by a comma; null when none
        ("source", pa.string()),  # file or URL that the row came from
        ("source_offset", pa.int64()),  # record offset, or row number
        ("reason", pa.string()),  # null, or a failure class found at extraction
        ("message", pa.string()),
    ]
)

# `reason` and `message` end with extraction: only living rows are planned.
PLANNED_DROPS = ("reason", "message")
PLANNED = pa.schema([field for field in PAIRS if field.name not in PLANNED_DROPS])

PRESELECTED = pa.schema([("uid", pa.string()), ("reason", pa.string()), ("shard", pa.int32())])

# What we add to img2dataset's columns, in front of them as its own additional columns are.
OUR_IMAGE_FIELDS = pa.schema(
    [
        ("uid", pa.string()),
        ("reason", pa.string()),  # null on success, else a failure class
        ("final_url", pa.string()),
        ("http_status", pa.int32()),
        ("content_type", pa.string()),
        ("format", pa.string()),  # of the original: JPEG, PNG, WEBP, GIF ...
        ("byte_size", pa.int64()),  # of the original
        ("frame_count", pa.int32()),
        ("orientation", pa.int32()),  # EXIF orientation found, 1 when none
    ]
)

# img2dataset's contract, column for column.
IMG2DATASET = pa.schema(
    [
        ("caption", pa.string()),
        ("url", pa.string()),
        ("key", pa.string()),
        ("status", pa.string()),  # success | failed_to_download | failed_to_resize
        ("error_message", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("original_width", pa.int32()),
        ("original_height", pa.int32()),
        ("exif", pa.string()),
        ("sha256", pa.string()),
    ]
)

IMAGES = pa.schema([*OUR_IMAGE_FIELDS, *IMG2DATASET])

SELECTED = pa.schema([("uid", pa.string()), ("keep", pa.bool_()), ("reason", pa.string())])


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """`table` with exactly `schema`'s columns and types: absent ones are null, others are refused.

    Raises ValueError when a column is not of the schema, pa.ArrowInvalid when a value does not fit its type.
    """
    extra = [name for name in table.column_names if name not in schema.names]
    if extra:
        raise ValueError(f"columns {extra} are not of the schema {schema.names}")
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
