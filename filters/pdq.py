"""PDQ, a published perceptual hash: 256 bits that stay nearly the same when a picture is resized or encoded again.

In: the stored picture. Out: the hash in hex and how much detail it rests on. Equal pictures differ in 0 bits, copies
in up to about 31, unrelated ones in about 128.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from filters.rgb import in_rgb
from filters.scorer import IMAGE, Batch, Column, Scorer, Scores

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

LEAST_SIDE = 8
_SIDE, _WAVES, _DIGITS = 64, 16, 64
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, kw_only=True)
class Pdq(Scorer):
    """The PDQ hash, for the grouper `perceptual` and for lists of known hashes."""

    name: ClassVar[str] = "pdq"
    version: ClassVar[int] = 1
    source: ClassVar[str] = "Facebook, 'The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm', 2019"

    @property
    def inputs(self) -> tuple[str, ...]:
        return (IMAGE,)

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column(self.column("pdq"), pa.string(), "the hash, 64 hex digits"),
            Column(self.column("pdq_quality"), pa.int32(), "0 (plain) to 100; hashes below 50 say little"),
        )

    def prepare(self, image: Image.Image, model: Any) -> tuple[str, int]:
        return pdq(image)

    def score(self, batch: Batch, model: Any) -> Scores:
        names = [column.name for column in self.columns]
        hashes = pa.array([digest for digest, _ in batch.images], pa.string())
        quality = pa.array([quality for _, quality in batch.images], pa.int32())
        return Scores(pa.table([hashes, quality], names=names))


def pdq(image: Image.Image) -> tuple[str, int]:
    """The hash in hex and its quality; zeros of quality 0 for a picture of fewer than 8 pixels a side."""
    import numpy as np

    if min(image.size) < LEAST_SIDE:
        return "0" * _DIGITS, 0
    pixels = np.asarray(in_rgb(image), dtype=np.float32)
    small = _shrink(pixels @ np.array(_LUMA, np.float32))
    waves = _waves()
    strengths = waves @ small @ waves.T
    bits = strengths > np.median(strengths)
    return np.packbits(bits.ravel()[::-1]).tobytes().hex(), _quality(small)


def _shrink(luma: np.ndarray) -> np.ndarray:
    """64 x 64 samples of the picture after two box blurs, as wide as a 128th of it, down and across."""
    import numpy as np

    for _ in range(2):
        for axis in (1, 0):
            luma = _blur(luma, -(-luma.shape[axis] // (2 * _SIDE)), axis)
    rows, columns = (((np.arange(_SIDE) + 0.5) * size / _SIDE).astype(np.int64) for size in luma.shape)
    return luma[np.ix_(rows, columns)]


def _blur(luma: np.ndarray, window: int, axis: int) -> np.ndarray:
    """Means over a window, which ends where the picture does; the middle of an even window is its left one."""
    import numpy as np

    size = luma.shape[axis]
    before = window - (window + 2) // 2
    sums = np.cumsum(np.insert(luma, 0, 0, axis=axis), axis=axis, dtype=np.float64)
    first = np.clip(np.arange(size) - before, 0, size)
    last = np.clip(np.arange(size) - before + window, 0, size)
    counts = (last - first).reshape((-1, 1) if axis == 0 else (1, -1))
    return ((sums.take(last, axis=axis) - sums.take(first, axis=axis)) / counts).astype(np.float32)


def _waves() -> np.ndarray:
    """The 16 lowest cosine waves but the constant one, over 64 samples, as rows."""
    import numpy as np

    frequency, place = np.arange(1, _WAVES + 1)[:, None], np.arange(_SIDE)[None]
    return np.sqrt(2 / _SIDE) * np.cos(np.pi / (2 * _SIDE) * frequency * (2 * place + 1))


def _quality(small: np.ndarray) -> int:
    """How much neighbouring samples differ: the sum of whole percents of the range, by 90, up to 100."""
    import numpy as np

    steps = [np.trunc(np.diff(small, axis=axis) * 100 / 255) for axis in (0, 1)]
    return min(100, int(sum(float(np.abs(step).sum()) for step in steps)) // 90)
