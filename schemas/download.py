"""The `download:` section of a recipe: what is done to each image. Imports nothing of ours.

In: the section's keys, each with img2dataset's meaning and default where img2dataset has it. Out: one frozen
dataclass; a wrong value raises ValueError with one line that says what was expected, given and possible.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

RESIZE_MODES = ("no", "border", "keep_ratio", "keep_ratio_largest", "center_crop")
ENCODE_FORMATS = ("jpg", "png", "webp")
INTERPOLATIONS = ("nearest", "linear", "bilinear", "cubic", "bicubic", "area", "lanczos", "lanczos4")
DIRECTIVES = ("noai", "noimageai", "noindex", "noimageindex", "noml", "none")
QUALITY_RANGES = {"jpg": (1, 100), "webp": (1, 100), "png": (0, 9)}
DEFAULT_QUALITY = {"jpg": 95, "webp": 95, "png": 3}

# option -> allowed values, where they are a closed list
CHOICES: dict[str, tuple[str, ...]] = {
    "resize": RESIZE_MODES,
    "encode_format": ENCODE_FORMATS,
    "upscale_interpolation": INTERPOLATIONS,
    "downscale_interpolation": INTERPOLATIONS,
}


@dataclass(frozen=True)
class DownloadSection:
    """Options of `download:`. A size of 0, or None, sets no bound.

    resize: border pads to a square in white; keep_ratio bounds the shorter side, keep_ratio_largest the longer.
    encode_quality: of JPEG and WebP 1 to 100 (95), of PNG the compression level 0 to 9 (3).
    min_bytes, max_bytes: of the file as served; more than max_bytes fails, nothing is cut off.
    max_pixels: a safety bound, checked in the header before anything is decoded.
    exif_location: keep GPS positions and serial numbers in the `exif` column. An image that is stored as it came
    (skip_reencode, disable_all_reencoding) keeps what its file holds; one encoded anew holds no metadata.
    disallowed_directives: X-Robots-Tag words that forbid an image.
    """

    resize: str = "border"
    image_size: int = 256
    resize_only_if_bigger: bool = False
    upscale_interpolation: str = "lanczos"
    downscale_interpolation: str = "area"
    encode_format: str = "jpg"
    encode_quality: int | None = None
    skip_reencode: bool = False
    disable_all_reencoding: bool = False
    min_image_size: int = 0
    max_image_area: float | None = None
    max_aspect_ratio: float | None = None
    min_bytes: int = 0
    max_bytes: int = 33_554_432
    max_pixels: int = 64_000_000
    extract_exif: bool = True
    exif_location: bool = False
    rows_per_shard: int = 10_000
    robots: bool = True
    tdm_reservation: bool = True
    disallowed_directives: tuple[str, ...] = DIRECTIVES

    def __post_init__(self) -> None:
        object.__setattr__(self, "disallowed_directives", tuple(self.disallowed_directives))
        for field in fields(self):
            _check(field.name, str(field.type), getattr(self, field.name))
        low, high = QUALITY_RANGES[self.encode_format]
        if not low <= self.quality <= high:
            raise ValueError(
                f"download: encode_quality of {self.encode_format} is {low} to {high}, got {self.encode_quality}"
            )
        if self.min_bytes > self.max_bytes:
            raise ValueError(f"download: min_bytes {self.min_bytes} exceeds max_bytes {self.max_bytes}")

    @property
    def quality(self) -> int:
        """The encoder's quality, with each format's own default."""
        return DEFAULT_QUALITY[self.encode_format] if self.encode_quality is None else self.encode_quality


_AT_LEAST_ONE = ("image_size", "max_bytes", "max_pixels", "rows_per_shard")


def _check(name: str, kind: str, value: Any) -> None:
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise ValueError(f"download: unknown {name} {value!r}; known: {', '.join(CHOICES[name])}")
    elif kind == "bool":
        if not isinstance(value, bool):
            raise ValueError(f"download: {name} is true or false, got {value!r}")
    elif kind.startswith("tuple"):
        if not all(isinstance(word, str) and word for word in value):
            raise ValueError(f"download: {name} is a list of words, got {list(value)!r}")
    elif value is None and kind.endswith("None"):
        return
    elif isinstance(value, bool) or not isinstance(value, (int, float) if "float" in kind else int):
        raise ValueError(f"download: {name} is a number, got {value!r}")
    elif value < (1 if name in _AT_LEAST_ONE else 0):
        raise ValueError(f"download: {name} is at least {1 if name in _AT_LEAST_ONE else 0}, got {value!r}")
