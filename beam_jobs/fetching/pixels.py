"""From the bytes of an image file to a prepared image: checked, upright, in sRGB, resized, encoded.

In: bytes, and the recipe's `download:` section. Out: Prepared, or Failed with a class and a message. The size is
read from the header and checked before anything is decoded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from beam_jobs.fetching.colour import to_bgr
from beam_jobs.fetching.encode import check_encodable, encode
from beam_jobs.fetching.facts import SWAPS_SIDES, UNDECODABLE, Facts, check_wanted
from beam_jobs.fetching.jpeg import JpegSource, open_jpeg
from beam_jobs.fetching.rasters import RasterSource, open_raster
from beam_jobs.fetching.resize import Pixels, average_to, frame, plan_resize, scale_to, turn_upright
from beam_jobs.fetching.sniff import RASTERS, sniff
from schemas.download import DownloadSection
from schemas.reasons import Failed

# PDQ's own measure of detail, below which its publication advises to trust no match.
PLAIN_BELOW = 50
_EXTENSION_OF = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}


@dataclass(frozen=True)
class Prepared:
    """An image ready to be stored. Sizes are None where nothing was decoded (disable_all_reencoding)."""

    data: bytes
    width: int | None
    height: int | None
    original_width: int | None
    original_height: int | None
    format: str
    frame_count: int
    orientation: int
    exif: str | None
    sha256: str
    pdq: str | None = None


def prepare(
    data: bytes,
    section: DownloadSection,
    *,
    alone: Callable[[], AbstractContextManager[object]] = nullcontext,
    hashed: bool = False,
) -> Prepared:
    """Prepares one image, or raises Failed: svg, not_an_image, truncated, decode_error, too_small ...

    alone: what is held while a very large image is decoded, so that only one is at a time. hashed: whether `pdq` is
    wanted: the perceptual hash of the whole picture at its own size, for which it is
    decoded once more.
    """
    if len(data) < section.min_bytes:
        raise Failed("too_small", "image too small")
    kind = sniff(data)
    if kind == "SVG":
        raise Failed("svg", "an SVG is a vector image: only rasters are taken")
    if kind is None or kind not in RASTERS:
        raise Failed("not_an_image", UNDECODABLE)
    source = _open(data, kind, section)
    with alone() if source.heavy else nullcontext():
        width, height = source.facts.displayed
        check_wanted(width, height, section)
        pdq = _hash(_open(data, kind, section)) if hashed else None
        if section.disable_all_reencoding:
            return _prepared(data, data, None, source.facts, None, pdq)
        return _prepared(data, *_process(data, source, section), source.facts, (width, height), pdq)


def _open(data: bytes, kind: str, section: DownloadSection) -> JpegSource | RasterSource:
    return open_jpeg(data, section) if kind == "JPEG" else open_raster(data, kind, section)


def _hash(source: JpegSource | RasterSource) -> str | None:
    """The PDQ hash of a picture as it is seen; None of one that is too plain for its hash to say anything."""
    from PIL import Image

    from filters.pdq import pdq

    pixels = turn_upright(to_bgr(source.decode(None)), source.facts.turn)
    digest, quality = pdq(Image.fromarray(pixels[:, :, ::-1]))
    return digest if quality >= PLAIN_BELOW else None


def _process(data: bytes, source: JpegSource | RasterSource, section: DownloadSection) -> tuple[bytes, tuple[int, int]]:
    """The bytes to store, and the size of the image in them."""
    facts = source.facts
    width, height = facts.displayed
    plan = plan_resize(width, height, section)
    check_encodable(*((plan.width, plan.height) if plan is not None else (width, height)), section)
    recoloured = source.recoloured
    raw = source.decode(_as_stored(facts, (plan.width, plan.height)) if plan is not None and plan.shrinks else None)
    unchanged = plan is None and facts.orientation == 1 and not recoloured
    if section.skip_reencode and unchanged and _EXTENSION_OF.get(facts.format) == section.encode_format:
        return data, (width, height)
    if plan is not None:
        size = _as_stored(facts, (plan.width, plan.height))
        lossy = facts.format == "JPEG" and plan.shrinks and plan.interpolation == "area"
        resized = average_to(raw.pixels, *size) if lossy else scale_to(raw.pixels, *size, plan.interpolation)
        raw = replace(raw, pixels=resized)
    pixels: Pixels = turn_upright(to_bgr(raw), facts.turn)
    if plan is not None:
        pixels = frame(pixels, plan)
    return encode(pixels, section), (pixels.shape[1], pixels.shape[0])


def _as_stored(facts: Facts, size: tuple[int, int]) -> tuple[int, int]:
    """A displayed (width, height) as it lies in the file."""
    return (size[1], size[0]) if facts.turn in SWAPS_SIDES else size


def _prepared(
    original: bytes,
    stored: bytes,
    size: tuple[int, int] | None,
    facts: Facts,
    shown: tuple[int, int] | None,
    pdq: str | None,
) -> Prepared:
    return Prepared(
        data=stored,
        width=size[0] if size else None,
        height=size[1] if size else None,
        original_width=shown[0] if shown else None,
        original_height=shown[1] if shown else None,
        format=facts.format,
        frame_count=facts.frame_count,
        orientation=facts.orientation,
        exif=facts.exif,
        sha256=hashlib.sha256(original).hexdigest(),
        pdq=pdq,
    )
