"""What an image file's header says, and whether the recipe wants an image of that size.

In: sizes and options. Out: Facts; Failed with img2dataset's wording where a bound is passed.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.download import DownloadSection
from schemas.reasons import Failed

HEAVY_PIXELS = 16_000_000
_COSTLY = frozenset({"WEBP", "AVIF", "HEIC", "JXL"})
UNDECODABLE = "Image decoding error"
SWAPS_SIDES = frozenset({5, 6, 7, 8})


@dataclass(frozen=True)
class Facts:
    """Width and height as decoded, before turning. `orientation` is what EXIF says, `turn` what is left to do of it:
    nothing where the decoder has turned the image itself. exif is the column's JSON, None where not asked for."""

    format: str
    width: int
    height: int
    orientation: int = 1
    turn: int = 1
    frame_count: int = 1
    exif: str | None = None

    @property
    def displayed(self) -> tuple[int, int]:
        """Width and height as a viewer shows them."""
        return (self.height, self.width) if self.turn in SWAPS_SIDES else (self.width, self.height)


def check_pixels(width: int, height: int, kind: str, section: DownloadSection) -> None:
    """The safety bound: before anything is decoded. Decoders that hold several copies get five eighths of it."""
    if width <= 0 or height <= 0:
        raise Failed("decode_error", UNDECODABLE)
    most = section.max_pixels * 5 // 8 if kind in _COSTLY else section.max_pixels
    if width * height > most:
        raise Failed("too_many_pixels", f"{kind} of {width} x {height} pixels is above the cap of {most}")


def check_wanted(width: int, height: int, section: DownloadSection) -> None:
    """The recipe's bounds, on the size as displayed."""
    if min(width, height) < section.min_image_size:
        raise Failed("too_small", "image too small")
    if section.max_image_area is not None and width * height > section.max_image_area:
        raise Failed("too_many_pixels", "image area too large")
    if section.max_aspect_ratio is not None and max(width, height) / min(width, height) > section.max_aspect_ratio:
        raise Failed("aspect_ratio", "aspect ratio too large")


def whole_shrink(facts: Facts, wanted: tuple[int, int] | None) -> int:
    """By which whole number the sides of a very large image may be divided before it is resized; 1 for all others."""
    if wanted is None or facts.width * facts.height <= HEAVY_PIXELS:
        return 1
    return max(1, min(facts.width // wanted[0], facts.height // wanted[1]) // 4)
