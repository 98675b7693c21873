"""Facts of a picture's pixels: brightness, contrast, entropy, sharpness, colour, uniformity.

In: the stored picture. Out: one number per fact. Size and aspect stand in the images table already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from filters.rgb import reduced
from filters.scorer import IMAGE, Batch, Column, Scorer, Scores, option
from schemas.refusal import Refusal

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

_LEVELS = 256
_WINDOW = 9
_DARK = _BRIGHT = 16

FACTS: Mapping[str, str] = {
    "brightness": "mean luma (ITU-R 601), 0 (black) to 255 (white)",
    "contrast": "standard deviation of luma, 0 (flat) to 127.5",
    "entropy": "Shannon entropy of the luma histogram in bits, 0 (one level) to 8",
    "sharpness": "variance of luma's 4-neighbour Laplacian, from 0 (no detail); blurred pictures stay below 100",
    "colourfulness": "Hasler and Suesstrunk's M3, from 0 (grey); 33 is moderate, 82 high",
    "saturation": "mean of (max - min) / max over R, G, B, 0 (grey) to 1",
    "uniform_share": "largest share of pixels within 9 neighbouring levels of a channel, the least of the three "
    "channels: above 0 to 1 (one colour)",
    "dark_share": "share of pixels with luma below 16, 0 to 1",
    "bright_share": "share of pixels with luma above 239, 0 to 1",
}


@dataclass(frozen=True, kw_only=True)
class ImageFacts(Scorer):
    """Brightness, contrast, entropy, sharpness, colour and uniformity, from the pixels.

    A picture whose longer side exceeds `max_side` is first reduced by a whole factor (mean of each block), so that
    cost and the meaning of sharpness do not grow with its size.
    """

    name: ClassVar[str] = "image_facts"
    version: ClassVar[int] = 1
    source: ClassVar[str] = (
        "colourfulness: Hasler and Suesstrunk, 'Measuring colourfulness in natural images', 2003; "
        "sharpness: Pech-Pacheco et al., 'Diatom autofocusing in brightfield microscopy', 2000"
    )

    max_side: int = option(512, "pixels of the longer side above which a picture is reduced first")

    def check(self) -> None:
        if self.max_side < 16:
            raise Refusal(f"scorer 'image_facts': max_side must be at least 16; given {self.max_side}")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (IMAGE,)

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(Column(self.column(name), pa.float32(), meaning) for name, meaning in FACTS.items())

    def prepare(self, image: Image.Image, model: Any) -> dict[str, float]:
        return image_facts(reduced(image, self.max_side))

    def score(self, batch: Batch, model: Any) -> Scores:
        columns = {self.column(name): pa.array([facts[name] for facts in batch.images], pa.float32()) for name in FACTS}
        return Scores(pa.table(columns))


def image_facts(image: Image.Image) -> dict[str, float]:
    """The facts of one picture in mode RGB."""
    import numpy as np

    grey = image.convert("L")
    luma = np.asarray(grey, dtype=np.int16)
    shares = np.array(grey.histogram()) / luma.size
    levels = np.arange(_LEVELS)
    mean = float(shares @ levels)
    present = shares[shares > 0]
    channels = np.asarray(image)
    red, green, blue = (channels[..., channel].astype(np.int16) for channel in range(3))
    histograms = np.array(image.histogram()).reshape(3, _LEVELS)
    return {
        "brightness": mean,
        "contrast": float(np.sqrt(shares @ (levels - mean) ** 2)),
        "entropy": abs(float(present @ np.log2(present))),
        "sharpness": _laplacian_variance(luma),
        "colourfulness": _colourfulness(red, green, blue),
        "saturation": _saturation(red, green, blue),
        "uniform_share": min(_largest_window(histogram) for histogram in histograms),
        "dark_share": float(shares[:_DARK].sum()),
        "bright_share": float(shares[-_BRIGHT:].sum()),
    }


def _laplacian_variance(luma: np.ndarray) -> float:
    """Over the inner pixels; 0 where there are none."""
    import numpy as np

    if min(luma.shape) < 3:
        return 0.0
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return _moments(around - np.int16(4) * luma[1:-1, 1:-1])[1]


def _colourfulness(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> float:
    red_green_mean, red_green_variance = _moments(red - green)
    # Twice yellow against blue, in whole numbers.
    twice_mean, twice_variance = _moments(red + green - 2 * blue)
    spread = (red_green_variance + twice_variance / 4) ** 0.5
    distance = (red_green_mean**2 + (twice_mean / 2) ** 2) ** 0.5
    return float(spread + 0.3 * distance)


def _saturation(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> float:
    import numpy as np

    highest = np.maximum(np.maximum(red, green), blue)
    lowest = np.minimum(np.minimum(red, green), blue)
    shares = (highest - lowest).astype(np.float32) / np.maximum(highest, 1)
    return float(shares.mean(dtype=np.float64))


def _moments(numbers: np.ndarray) -> tuple[float, float]:
    """Mean and variance of whole numbers, summed without rounding."""
    import numpy as np

    wide = numbers.astype(np.int32)
    mean = int(wide.sum(dtype=np.int64)) / wide.size
    return mean, max(int((wide * wide).sum(dtype=np.int64)) / wide.size - mean * mean, 0.0)


def _largest_window(histogram: np.ndarray) -> float:
    import numpy as np

    return float(np.convolve(histogram, np.ones(_WINDOW, dtype=np.int64)).max() / histogram.sum())
