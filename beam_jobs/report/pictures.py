"""Small pictures of a few stored images, as `data:` URIs: decoded and encoded anew, so that no byte of the web's stays.

In: rows of a shard, by the keys of their images. Out: WebP of at most 192 pixels a side and about 8 kB. Archives are
read by their headers; only the images asked for are read whole.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

from beam_jobs.storage.files import exists, open_read
from beam_jobs.storage.run_folder import RunFolder
from beam_jobs.storage.tar_shard import iter_samples

SIDE = 192
MOST_BYTES = 8_000
_QUALITIES = (68, 45, 20, 1)
_NOT_PICTURES = ("json", "txt")


def thumbnail(data: bytes) -> str:
    """An image as a small WebP `data:` URI; empty where it cannot be read."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (2 * SIDE, 2 * SIDE))
            clear = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
            shown = image.convert("RGBA" if clear else "RGB")
            shown.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
            for quality in _QUALITIES:
                encoded = io.BytesIO()
                shown.save(encoded, "WEBP", quality=quality, method=4)
                if encoded.tell() <= MOST_BYTES:
                    break
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""
    return "data:image/webp;base64," + base64.b64encode(encoded.getvalue()).decode("ascii")


def thumbnails(folder: RunFolder, shard: int, rows_by_key: Mapping[str, int]) -> dict[int, str]:
    """Row to picture, for those keys of a shard's archive that hold a readable image."""
    found: dict[int, str] = {}
    if not rows_by_key or not exists(folder.image_tar(shard)):
        return found
    left = len(rows_by_key)
    with open_read(folder.image_tar(shard)) as file:
        for sample in iter_samples(file, rows_by_key.__contains__):
            data = next((data for kind, data in sample.members.items() if kind not in _NOT_PICTURES), b"")
            found[rows_by_key[sample.key]] = thumbnail(data)
            left -= 1
            if left == 0:
                break
    return {row: picture for row, picture in found.items() if picture}
