"""Small pictures of an evaluation set, kept in its index so that a report can show what was hit.

In: the stored pictures of an image shard. Out: INDEX/pictures/NNNNN.tar, members `<uid>.jpg` in the order of uids; and
the pictures of some uids.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping

from beam_jobs.known.index import pictures_url
from beam_jobs.storage.files import atomic_write, exists, open_read
from beam_jobs.storage.tar_shard import TarShardWriter, iter_samples

SIDE = 128
_QUALITY = 80


def write_pictures(index: str, part: int, tar: str, uids: Mapping[str, str]) -> int:
    """Writes the thumbnails of a part; how many. uids: by the key of a stored sample."""
    small: dict[str, bytes] = {}
    with open_read(tar) as file:
        for sample in iter_samples(file, uids.__contains__):
            images = [data for extension, data in sorted(sample.members.items()) if extension not in ("json", "txt")]
            small[uids[sample.key]] = _shrunk(images[0])
    with atomic_write(pictures_url(index, part)) as made:
        writer = TarShardWriter(made)
        for uid, data in sorted(small.items()):
            writer.add(f"{uid}.jpg", data)
        writer.close()
    return len(small)


def read_pictures(index: str, part: int, uids: Collection[str]) -> dict[str, bytes]:
    """The pictures of these uids, as far as the part has them."""
    url = pictures_url(index, part)
    if not exists(url):
        return {}
    with open_read(url) as file:
        found = iter_samples(file, frozenset(uids).__contains__)
        return {sample.key: sample.members["jpg"] for sample in found}


def _shrunk(data: bytes) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
