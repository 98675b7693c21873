"""Facts of a picture's pixels: brightness, contrast, entropy, sharpness, colour, uniformity.

In: the stored picture. Out: one number per fact. Size and aspect stand in the images table already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from filters.scorer import IMAGE, Batch, Column, Scorer, Scores, option
from schemas.refusal import Refusal

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

_LEVELS = 256
_WINDOW = 9

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
        import numpy as np

        rgb = image if image.mode == "RGB" else image.convert("RGB")
        factor = -(-max(rgb.size) // self.max_side)
        return image_facts(np.asarray(rgb.reduce(factor) if factor > 1 else rgb))

    def score(self, batch: Batch, model: Any) -> Scores:
        columns = {self.column(name): pa.array([facts[name] for facts in batch.images], pa.float32()) for name in FACTS}
        return Scores(pa.table(columns))


def image_facts(rgb: np.ndarray) -> dict[str, float]:
    """The facts of one picture, an array (height, width, 3) of uint8."""
    import numpy as np

    red, green, blue = (rgb[..., channel].astype(np.int32) for channel in range(3))
    luma = (299 * red + 587 * green + 114 * blue + 500) // 1000
    shares = np.bincount(luma.ravel(), minlength=_LEVELS) / luma.size
    levels = np.arange(_LEVELS)
    mean = float(shares @ levels)
    present = shares[shares > 0]
    highest = np.maximum(np.maximum(red, green), blue)
    lowest = np.minimum(np.minimum(red, green), blue)
    return {
        "brightness": mean,
        "contrast": float(np.sqrt(shares @ (levels - mean) ** 2)),
        "entropy": abs(float(present @ np.log2(present))),
        "sharpness": _laplacian_variance(luma),
        "colourfulness": _colourfulness(red, green, blue),
        "saturation": float(((highest - lowest) / np.maximum(highest, 1)).mean()),
        "uniform_share": min(_largest_window(rgb[..., channel]) for channel in range(3)),
        "dark_share": float(shares[:16].sum()),
        "bright_share": float(shares[240:].sum()),
    }


def _laplacian_variance(luma: np.ndarray) -> float:
    """Over the inner pixels; 0 where there are none."""
    if min(luma.shape) < 3:
        return 0.0
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return float((around - 4 * luma[1:-1, 1:-1]).var())


def _colourfulness(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> float:
    red_green = red - green
    yellow_blue = (red + green) / 2 - blue
    spread = (red_green.var() + yellow_blue.var()) ** 0.5
    distance = (red_green.mean() ** 2 + yellow_blue.mean() ** 2) ** 0.5
    return float(spread + 0.3 * distance)


def _largest_window(channel: np.ndarray) -> float:
    import numpy as np

    histogram = np.bincount(channel.ravel(), minlength=_LEVELS)
    return float(np.convolve(histogram, np.ones(_WINDOW, dtype=np.int64)).max() / channel.size)
