"""The ground truth of the embedded web: a `Page` in, rows of TRUTH out, one for each `<img>`.

`expected` is what a download must end in: `ok`, or a failure class of `schemas.reasons`. `too_small` (1 x 1) may be
found at download or by a rule; it is the same word. `duplicate_group` is equal for all rows that show one picture,
whatever its size, format or URL, and null where no picture is served. `facts` is the scene's description as JSON.
`detail` is how a wrong alt is wrong (other_scene, colour, count, shape), or the style of a good one.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from beam_jobs.world.drawing import size_of
from beam_jobs.world.rows import true_caption
from beam_jobs.world.web import Page

TRUTH = pa.schema(
    [
        ("url", pa.string()),
        ("text", pa.string()),
        ("page_url", pa.string()),
        ("position", pa.int32()),  # 0-based, among the images of its page
        ("label", pa.string()),  # good vague wrong empty missing boilerplate file_name non_english
        ("detail", pa.string()),
        ("language", pa.string()),  # of the text; '' when it is in none
        ("true_caption", pa.string()),
        ("facts", pa.string()),
        ("fate", pa.string()),  # a key of rows.FATES, or bomb
        ("expected", pa.string()),
        ("opt_out", pa.string()),  # directives that reserve the page's images, '' when none
        ("duplicate_group", pa.string()),
        ("width", pa.int32()),  # as displayed; null where no picture is served
        ("height", pa.int32()),
        ("format", pa.string()),
        ("orientation", pa.int32()),
        ("sha256", pa.string()),  # of the file; null where there is none
    ]
)


def truth_rows(page: Page, digests: dict[str, str]) -> list[dict[str, Any]]:
    """The truth about a page. digests: SHA-256 by `host/file` of what is served."""
    rows = []
    for position, reference in enumerate(page.references):
        shown = reference.row
        pictured = shown.expected == "ok"
        width, height = size_of(shown.scene, shown.stored.longer)
        group = f"{'quiet' if page.opt_out else 'row'}-{shown.original:07d}"
        rows.append(
            {
                "url": reference.url,
                "text": shown.alt.text,
                "page_url": page.url,
                "position": position,
                "label": shown.alt.label,
                "detail": shown.alt.detail,
                "language": shown.alt.language,
                "true_caption": true_caption(shown.scene) if pictured else None,
                "facts": json.dumps(shown.scene.description, sort_keys=True) if pictured else None,
                "fate": shown.fate,
                "expected": "opted_out" if page.opt_out else shown.expected,
                "opt_out": page.opt_out,
                "duplicate_group": group if pictured else None,
                "width": width if pictured else None,
                "height": height if pictured else None,
                "format": shown.stored.format if pictured else None,
                "orientation": shown.stored.orientation if pictured else None,
                "sha256": digests.get(f"{reference.host}/{reference.file}"),
            }
        )
    return rows
