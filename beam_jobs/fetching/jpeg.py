"""JPEG: decoded at the smallest scale that is large enough, by libjpeg-turbo; by Pillow where that is not possible.

In: a JPEG's bytes and the size wanted. Out: Raw pixels at least of that size, as stored, before orientation.
"""

from __future__ import annotations

import io
import math

import simplejpeg
from PIL import Image

from beam_jobs.fetching.colour import Raw, flatten, needs_conversion
from beam_jobs.fetching.exif import exif_json, tiff_orientation
from beam_jobs.fetching.facts import HEAVY_PIXELS, UNDECODABLE, Facts, check_pixels, whole_shrink
from beam_jobs.fetching.resize import Pixels
from beam_jobs.fetching.sniff import JpegHeader, read_jpeg_header
from schemas.download import DownloadSection
from schemas.reasons import Failed

# Pixels are decoded at an eighth, a quarter or a half of the size only where so many a side are left for each pixel
# wanted: the least gap at which no photograph of 385 becomes less like img2dataset's than full decoding makes it (SSIM
# 0.990; with a gap of 2, 0.987). Other scales take libjpeg-turbo longer.
_MARGIN = 2.4
_EIGHTHS = (1, 2, 4)
_MODES = {1: ("GRAY", "L"), 3: ("RGB", "RGB")}
# What libjpeg says of pixels that are lost; its other warnings are of bytes that do not matter.
_EARLY_END = "premature end of jpeg file"
_DAMAGE = ("bad huffman", "premature end of data segment", "bad arithmetic", "inconsistent progression")


class JpegSource:
    """A JPEG whose header was read and found acceptable."""

    def __init__(self, data: bytes, header: JpegHeader, facts: Facts) -> None:
        self.facts = facts
        self._data = data
        self._header = header

    @property
    def heavy(self) -> bool:
        """Whether decoding holds so much memory that one such image at a time is enough: not so at reduced scale."""
        whole = self._header.progressive or self._header.components not in _MODES
        return whole and self.facts.width * self.facts.height > HEAVY_PIXELS

    @property
    def recoloured(self) -> bool:
        """Whether decoding changes colours or the mode: then the stored bytes are no substitute."""
        mode = {1: "L", 3: "RGB"}.get(self._header.components, "CMYK")
        return needs_conversion(self._header.icc, mode)

    def decode(self, wanted: tuple[int, int] | None) -> Raw:
        """Pixels with a margin above `wanted` (width, height), or of the full size."""
        modes = _MODES.get(self._header.components)
        if modes is None or self._header.precision != 8:
            return self._decode_carefully(wanted)
        colours, mode = modes
        width, height = self.facts.width, self.facts.height
        least = _least_size(width, height, wanted)
        pixels = None
        try:
            pixels = _decode(self._data, colours, least)
        except ValueError as error:
            said = str(error).lower()
            if _EARLY_END in said:
                pixels = self._decode_ended(colours, least)
            elif any(words in said for words in _DAMAGE):
                raise Failed("decode_error", UNDECODABLE) from error
        if pixels is None:
            return self._decode_carefully(wanted)
        return Raw(pixels[:, :, 0] if mode == "L" else pixels, mode, self._header.icc)

    def _decode_ended(self, colours: str, least: tuple[int, int]) -> Pixels:
        """With the end marker put behind: a file that lacks nothing else is whole, any other ends early."""
        try:
            return _decode(self._data + b"\xff\xd9", colours, least)
        except ValueError as error:
            raise Failed("truncated", UNDECODABLE) from error

    def _decode_carefully(self, wanted: tuple[int, int] | None) -> Raw:
        """By Pillow: more modes, and indifferent to what does not touch the pixels."""
        try:
            with Image.open(io.BytesIO(self._data), formats=["JPEG", "MPO"]) as image:
                image.load()
                if image.size != (self.facts.width, self.facts.height):
                    raise Failed("decode_error", UNDECODABLE)
                return flatten(image, whole_shrink(self.facts, wanted))
        except OSError as error:
            reason = "truncated" if "truncated" in str(error) else "decode_error"
            raise Failed(reason, UNDECODABLE) from error
        except (SyntaxError, ValueError, TypeError, IndexError, KeyError, OverflowError, MemoryError) as error:
            raise Failed("decode_error", UNDECODABLE) from error


def _decode(data: bytes, colours: str, least: tuple[int, int]) -> Pixels:
    """Pixels of at least that size; ValueError with libjpeg's first complaint."""
    pixels: Pixels = simplejpeg.decode_jpeg(data, colours, min_width=least[0], min_height=least[1], strict=True)
    return pixels


def open_jpeg(data: bytes, section: DownloadSection) -> JpegSource:
    """Reads the header; Failed where there is none, or where it promises too many pixels."""
    header = read_jpeg_header(data)
    if header is None:
        reason = "decode_error" if b"\xff\xd9" in data[-64:] else "truncated"
        raise Failed(reason, UNDECODABLE)
    check_pixels(header.width, header.height, "JPEG", section)
    exif = exif_json(header.exif, location=section.exif_location) if section.extract_exif else None
    orientation = tiff_orientation(header.exif) if header.exif else 1
    return JpegSource(data, header, Facts("JPEG", header.width, header.height, orientation, orientation, exif=exif))


def _least_size(width: int, height: int, wanted: tuple[int, int] | None) -> tuple[int, int]:
    """Bounds that make the decoder choose the smallest scale with enough margin; else the full size."""
    if wanted is not None:
        for eighths in _EIGHTHS:
            if width * eighths >= 8 * _MARGIN * wanted[0] and height * eighths >= 8 * _MARGIN * wanted[1]:
                return math.ceil(width * eighths / 8), math.ceil(height * eighths / 8)
    return width, height
