"""PNG, WebP, GIF, BMP, TIFF, AVIF, and HEIC and JPEG XL where their plug-ins are installed: read by Pillow.

In: a file's bytes and its format. Out: Raw pixels of its first frame, as stored, before orientation.
"""

from __future__ import annotations

import importlib
import io
import struct
import warnings
import zlib
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

from PIL import Image, UnidentifiedImageError

from beam_jobs.fetching.colour import Raw, flatten, needs_conversion
from beam_jobs.fetching.exif import ORIENTATION, pillow_exif_json
from beam_jobs.fetching.facts import HEAVY_PIXELS, UNDECODABLE, Facts, check_pixels, whole_shrink
from beam_jobs.fetching.jxl_header import jxl_size
from schemas.download import DownloadSection
from schemas.reasons import Failed

MOST_FRAMES = 10_000
_PLUGINS = {"HEIC": "pillow_heif", "JXL": "pillow_jxl"}
_TURNED_BY_DECODER = frozenset({"TIFF", "HEIC", "JXL"})
_PILLOW_NAMES = {"HEIC": ["HEIF"], "BMP": ["BMP", "DIB"]}
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    OverflowError,
    MemoryError,
    RuntimeError,
    EOFError,
    AttributeError,
    struct.error,
    zlib.error,
)


class RasterSource:
    """An image whose announced size was found acceptable. `open_image` gives it as Pillow opened it."""

    def __init__(
        self,
        open_image: Callable[[], Image.Image],
        size: tuple[int, int],
        data: bytes,
        kind: str,
        section: DownloadSection,
    ) -> None:
        self._open_image = open_image
        self._size = size
        self._data = data
        self._kind = kind
        self._section = section

    @cached_property
    def _image(self) -> Image.Image:
        return self._open_image()

    @property
    def heavy(self) -> bool:
        """Whether decoding holds so much memory that one such image at a time is enough."""
        return self._size[0] * self._size[1] > HEAVY_PIXELS

    @cached_property
    def facts(self) -> Facts:
        """All that is known without decoding; of a PNG, whose EXIF may come last, with it."""
        image, section = self._image, self._section
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if self._kind == "PNG":
                    image.load()  # here, since damage would be lost inside getexif
                orientation = _orientation(image)
                exif = pillow_exif_json(image, location=section.exif_location) if section.extract_exif else None
                frames = count_frames(image, self._data, self._kind)
        except _BROKEN as error:
            raise _broken(error) from error
        turn = 1 if self._kind in _TURNED_BY_DECODER else orientation
        return Facts(self._kind, image.width, image.height, orientation, turn, frames, exif)

    @property
    def recoloured(self) -> bool:
        """Whether decoding changes colours or the mode: then the stored bytes are no substitute."""
        mode = self._image.mode
        return mode not in ("RGB", "L") or needs_conversion(self._image.info.get("icc_profile"), mode)

    def decode(self, wanted: tuple[int, int] | None) -> Raw:
        """The first frame: all pixels, or of a very large image so few that four are left for each pixel wanted."""
        image, facts = self._image, self.facts
        try:
            image.load()
            if image.size != (facts.width, facts.height):
                raise Failed("decode_error", UNDECODABLE)
            return flatten(image, whole_shrink(facts, wanted))
        except _BROKEN as error:
            raise _broken(error) from error
        finally:
            image.close()


def open_raster(data: bytes, kind: str, section: DownloadSection) -> RasterSource:
    """Reads the header; Failed where it is damaged, or promises too many pixels."""
    if kind in _PLUGINS:
        _register(kind)
    if kind == "JXL":
        size = jxl_size(data)
        if size is None:
            raise Failed("truncated", UNDECODABLE)
        check_pixels(*size, kind, section)
        return RasterSource(lambda: _open_image(data, kind), size, data, kind, section)
    image = _open_image(data, kind)
    check_pixels(image.width, image.height, kind, section)
    return RasterSource(lambda: image, image.size, data, kind, section)


def _open_image(data: bytes, kind: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(io.BytesIO(data), formats=_PILLOW_NAMES.get(kind, [kind]))
    except Image.DecompressionBombError as error:
        raise Failed("too_many_pixels", str(error)) from error
    except UnidentifiedImageError as error:
        raise Failed("decode_error", UNDECODABLE) from error
    except _BROKEN as error:
        raise _broken(error) from error


def count_frames(image: Image.Image, data: bytes, kind: str) -> int:
    """How many pictures a file holds, counted up to MOST_FRAMES; the image stays at its first."""
    if kind == "GIF":
        return max(1, _count_gif_frames(data))
    if kind != "TIFF":
        return max(1, min(int(getattr(image, "n_frames", 1)), MOST_FRAMES))
    frames = 1
    try:
        while frames < MOST_FRAMES:
            image.seek(frames)
            frames += 1
    except _BROKEN:
        pass
    image.seek(0)
    return frames


def _count_gif_frames(data: bytes) -> int:
    """Image descriptors, without decoding any."""
    frames, end = 0, len(data)
    at = 13 + _colour_table(data[10]) if end > 13 else end
    while at < end and frames < MOST_FRAMES:
        if data[at] == 0x2C and at + 10 <= end:
            frames += 1
            at += 10 + _colour_table(data[at + 9]) + 1
        elif data[at] == 0x21:
            at += 2
        else:
            break
        while at < end and data[at]:
            at += 1 + data[at]
        at += 1
    return frames


def _colour_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except _BROKEN:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


@lru_cache
def _register(kind: str) -> None:
    """Makes an optional format known to Pillow, on one thread, or says what is missing."""
    try:
        plugin: Any = importlib.import_module(_PLUGINS[kind])
    except ImportError as error:
        message = f"{kind} is read with pip install 'pairmill[formats]': {_PLUGINS[kind]} is absent"
        raise Failed("not_an_image", message) from error
    if kind == "HEIC":
        plugin.options.DECODE_THREADS = 1
        plugin.register_heif_opener()
    else:
        plugin.JpegXLImagePlugin.DECODE_THREADS = 0


def _broken(error: BaseException) -> Failed:
    text = str(error).lower()
    early = (
        "truncated" in text
        or "not enough image data" in text
        or "unexpected end" in text
        or isinstance(error, EOFError)
    )
    return Failed("truncated" if early else "decode_error", UNDECODABLE)
