"""The hash of the pixels: equal for pictures that show the same in every pixel, whatever file they came in.

In: the stored picture. Out: SHA-256 of its width, height and RGB values. A PNG, a BMP and a lossless WebP of one
picture have one hash; a JPEG that was encoded again has another: that is what perceptual hashes are for.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from filters.rgb import in_rgb
from filters.scorer import IMAGE, Batch, Column, Scorer, Scores
from schemas.grouping_known import PIXELS

if TYPE_CHECKING:
    from PIL import Image

_SIZE = struct.Struct("<II")


@dataclass(frozen=True, kw_only=True)
class PixelHash(Scorer):
    """SHA-256 of the pixels, for `exact: {by: pixels}` and for indexes of known images."""

    name: ClassVar[str] = "pixel_hash"
    version: ClassVar[int] = 1

    @property
    def inputs(self) -> tuple[str, ...]:
        return (IMAGE,)

    @property
    def columns(self) -> tuple[Column, ...]:
        return (Column(self.column(PIXELS), pa.string(), "SHA-256 of width, height and RGB pixels, 64 hex digits"),)

    def prepare(self, image: Image.Image, model: Any) -> str:
        return pixel_sha256(image)

    def score(self, batch: Batch, model: Any) -> Scores:
        return Scores(pa.table({self.columns[0].name: pa.array(list(batch.images), pa.string())}))


def pixel_sha256(image: Image.Image) -> str:
    """The hash of a picture, 64 hex digits."""
    pixels = in_rgb(image)
    digest = hashlib.sha256(_SIZE.pack(*pixels.size))
    digest.update(pixels.tobytes())
    return digest.hexdigest()
