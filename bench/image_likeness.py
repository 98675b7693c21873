"""How alike the images of two WebDatasets are: structural similarity, file by file.

In: shards whose samples have a `.jpg` and a `.json` with the `url` it came from. Out: the least and the mean SSIM over
the images that both hold.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_C1, _C2 = 6.5025, 58.5225


def ssim(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Mean structural similarity (Wang et al., 2004), over channels."""
    a, b = one.astype(np.float64), other.astype(np.float64)

    def mean(x: NDArray[Any]) -> NDArray[Any]:
        return cv2.GaussianBlur(x, (11, 11), 1.5)

    ma, mb = mean(a), mean(b)
    va, vb, together = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    return float((((2 * ma * mb + _C1) * (2 * together + _C2)) / ((ma**2 + mb**2 + _C1) * (va + vb + _C2))).mean())


def images_by_path(shards: Iterable[Path], most: int) -> dict[str, bytes]:
    """The first images of some shards, by the path of their URL."""
    found: dict[str, bytes] = {}
    for shard in shards:
        images: dict[str, bytes] = {}
        with tarfile.open(fileobj=io.BytesIO(shard.read_bytes())) as tar:
            for member in tar:
                key, _, extension = member.name.partition(".")
                file = tar.extractfile(member)
                assert file is not None, member.name
                if extension == "jpg":
                    images[key] = file.read()
                elif extension == "json" and key in images:
                    found[json.loads(file.read())["url"].split("/", 3)[3]] = images[key]
                if len(found) >= most:
                    return found
    return found


def likeness(ours: Iterable[Path], theirs: Iterable[Path], most: int) -> tuple[float, float]:
    """The least and the mean similarity of the images that both have among their first."""
    one, other = images_by_path(ours, most), images_by_path(theirs, 1 << 30)
    both = sorted(one.keys() & other.keys())
    assert both, "the two have no image in common"
    values = [ssim(_pixels(one[path]), _pixels(other[path])) for path in both]
    return min(values), sum(values) / len(values)


def _pixels(data: bytes) -> NDArray[Any]:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return pixels
