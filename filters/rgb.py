"""Pictures as scorers look at them: in RGB, and no larger than they ask for.

In: a decoded picture of any mode. Out: one in mode RGB, the same object where nothing is to be done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


def in_rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")


def reduced(image: Image.Image, max_side: int) -> Image.Image:
    """In RGB, reduced by the least whole factor (mean of each block) that leaves no side above max_side pixels."""
    rgb = in_rgb(image)
    factor = -(-max(rgb.size) // max_side)
    return rgb.reduce(factor) if factor > 1 else rgb
