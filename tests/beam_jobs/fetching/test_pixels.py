"""Real and hostile image files to prepared ones: sizes as displayed, true colours, a reason for each failure."""

from __future__ import annotations

import csv
import io
import json
import struct
import time
import zlib
from collections import Counter
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from beam_jobs.fetching.jpeg import open_jpeg
from beam_jobs.fetching.pixels import Prepared, prepare
from beam_jobs.fetching.rasters import open_raster
from beam_jobs.fetching.sniff import sniff
from schemas.download import DownloadSection
from schemas.reasons import Failed

AS_IS = DownloadSection(resize="no", encode_format="png")
WHITE, RED, GREEN, BLUE = (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(prepared: Prepared) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(prepared.data, np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def corner(prepared: Prepared) -> tuple[int, ...]:
    return tuple(int(value) for value in decoded(prepared)[0, 0])


def reason_of(data: bytes, section: DownloadSection = AS_IS) -> str:
    with pytest.raises(Failed) as caught:
        prepare(data, section)
    return caught.value.reason


def test_sizes_of_real_images_are_those_that_pillow_sees(shared_folder):
    with open(shared_folder / "web" / "pairs.tsv", newline="", encoding="utf-8") as file:
        rows = {row["image_path"]: row for row in csv.DictReader(file, delimiter="\t")}
    wrong, seen = [], Counter()
    for path, row in rows.items():
        data = (shared_folder / "web" / path).read_bytes()
        kind = sniff(data)
        seen[kind] += 1
        if kind == "SVG":
            assert row["image_format"] == "SVG"
            continue
        source = open_jpeg(data, AS_IS) if kind == "JPEG" else open_raster(data, str(kind), AS_IS)
        found = (source.facts.format, *map(str, source.facts.displayed), str(source.facts.frame_count))
        if found != (row["image_format"], row["image_w"], row["image_h"], row["image_frames"]):
            wrong.append((path, found))
    assert wrong == []
    assert seen == {"PNG": 600, "JPEG": 362, "SVG": 7}


def test_every_hostile_image_ends_with_pixels_or_a_reason(shared_folder):
    with open(shared_folder / "hostile" / "manifest.tsv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["path"].startswith("images/")]
    section = DownloadSection(resize="keep_ratio", image_size=64)
    ended: Counter[tuple[str, str]] = Counter()
    slowest = 0.0
    for row in rows:
        data = (shared_folder / "hostile" / row["path"]).read_bytes()
        started = time.monotonic()
        try:
            prepare(data, section)
            ended["pixels", row["pillow_outcome"]] += 1
        except Failed as failed:
            ended[failed.reason, row["pillow_outcome"]] += 1
        slowest = max(slowest, time.monotonic() - started)
    assert sum(ended.values()) == len(rows) == 571
    assert slowest < 5
    # Pillow also reads formats that are not taken here (DDS, ICO, PPM ...), one file without strips, and one so long
    # and thin that 64 pixels on its shorter side are too many on the other.
    read_by_pillow = {reason: count for (reason, outcome), count in ended.items() if outcome == "decodes"}
    assert read_by_pillow == {"pixels": 250, "not_an_image": 46, "decode_error": 1, "too_many_pixels": 1}


@pytest.mark.parametrize(("name", "orientation"), [("Landscape_1", 1), ("Landscape_6", 6), ("Landscape_8", 8)])
def test_orientation_of_real_photographs(shared_folder, name, orientation):
    folder = shared_folder / "hostile" / "images" / "exif-orientation"
    upright = prepare((folder / "Landscape_1.jpg").read_bytes(), DownloadSection(resize="keep_ratio"))
    turned = prepare((folder / f"{name}.jpg").read_bytes(), DownloadSection(resize="keep_ratio"))
    assert turned.orientation == orientation
    assert (turned.width, turned.height) == (upright.width, upright.height) == (384, 256)
    assert (turned.original_width, turned.original_height) == (
        upright.original_width,
        upright.original_height,
    )
    assert np.abs(decoded(turned).astype(int) - decoded(upright)).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_is_applied(orientation, kind):
    """Stored pixels are turned so that, shown as EXIF says, red is at the top left and green at the top right."""
    shown = Image.new("RGB", (48, 32), WHITE)
    shown.paste(RED, (0, 0, 16, 16))
    shown.paste(GREEN, (32, 0, 48, 16))
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transpositions that undo each orientation
    stored = shown if orientation == 1 else shown.transpose(Image.Transpose(inverse[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100} if kind in ("JPEG", "AVIF") else {"lossless": True} if kind == "WEBP" else {}
    prepared = prepare(saved(stored, kind, exif=exif, **options), AS_IS)
    pixels = decoded(prepared).astype(int)
    assert (prepared.width, prepared.height) == (48, 32) == (prepared.original_width, prepared.original_height)
    assert np.abs(pixels[4, 4] - RED).max() < 12
    assert np.abs(pixels[4, 44] - GREEN).max() < 12
    assert np.abs(pixels[28, 4] - WHITE).max() < 12


def test_transparency_lies_on_white():
    half = Image.new("RGBA", (8, 8), (255, 0, 0, 128))
    clear = Image.new("LA", (8, 8), (0, 0))
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 0, 0, 255])
    assert corner(prepare(saved(half, "PNG"), AS_IS)) == (255, 127, 127)
    assert corner(prepare(saved(clear, "PNG"), AS_IS)) == WHITE
    assert corner(prepare(saved(palette, "PNG"), AS_IS)) == BLUE
    assert corner(prepare(saved(palette, "PNG", transparency=1), AS_IS)) == WHITE
    assert corner(prepare(saved(Image.new("RGB", (8, 8), RED), "PNG", transparency=RED), AS_IS)) == WHITE


def test_modes_of_more_or_fewer_bits():
    gray16 = Image.fromarray(np.full((8, 8), 32896, np.uint16))
    unit = Image.fromarray(np.full((8, 8), 0.5, np.float32))
    assert corner(prepare(saved(gray16, "PNG"), AS_IS)) == (128, 128, 128)
    assert corner(prepare(saved(gray16, "TIFF"), AS_IS)) == (128, 128, 128)
    assert corner(prepare(saved(unit, "TIFF"), AS_IS)) == (128, 128, 128)
    assert corner(prepare(saved(Image.new("1", (8, 8), 1), "PNG"), AS_IS)) == WHITE
    gray = prepare(saved(Image.new("L", (8, 8), 77), "PNG"), AS_IS)
    assert cv2.imdecode(np.frombuffer(gray.data, np.uint8), cv2.IMREAD_UNCHANGED).shape == (8, 8)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind):
    pixels = corner(prepare(saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), kind), AS_IS))
    assert np.abs(np.array(pixels) - RED).max() < 8


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_icc_profile_is_applied(kind):
    """In this profile red and green have changed places: what is stored as green is to be seen as red."""
    srgb = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    swapped = bytes(srgb).replace(b"rXYZ", b"TEMP").replace(b"gXYZ", b"rXYZ").replace(b"TEMP", b"gXYZ")
    swapped = swapped.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be")).replace(b"sRGB", b"swap")
    image = Image.new("RGB", (16, 16), GREEN)
    seen = corner(prepare(saved(image, kind, icc_profile=swapped), AS_IS))
    assert np.abs(np.array(seen) - RED).max() < 12
    plain = corner(prepare(saved(image, kind, icc_profile=b"no profile at all"), AS_IS))
    assert np.abs(np.array(plain) - GREEN).max() < 12


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_first_frame_is_taken_and_frames_are_counted(kind):
    frames = [Image.new("RGB", (16, 16), colour) for colour in (BLUE, RED, GREEN)]
    options = {"lossless": True} if kind == "WEBP" else {}
    prepared = prepare(saved(frames[0], kind, save_all=True, append_images=frames[1:], **options), AS_IS)
    assert (prepared.frame_count, prepared.format) == (3, kind)
    assert np.abs(np.array(corner(prepared)) - BLUE).max() < 8


def test_bombs_are_found_in_the_header():
    bomb = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    bomb += _chunk(b"IDAT", zlib.compress(bytes(1000))) + _chunk(b"IEND", b"")
    jpeg = bytearray(saved(Image.new("RGB", (16, 16)), "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    wide = saved(Image.new("1", (60_000, 1)), "PNG")
    started = time.monotonic()
    assert [reason_of(bomb), reason_of(bytes(jpeg))] == ["too_many_pixels"] * 2
    assert reason_of(wide, DownloadSection(resize="keep_ratio")) == "too_many_pixels"
    assert time.monotonic() - started < 1


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("progressive", [False, True])
def test_jpegs_that_end_early(progressive):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    whole = saved(Image.fromarray(noise), "JPEG", progressive=progressive)
    assert reason_of(whole[: len(whole) // 2]) == "truncated"
    assert reason_of(whole[:30]) == "truncated"
    assert prepare(whole[:-2], AS_IS).original_width == 64  # only the end marker is missing
    assert prepare(whole + b"trailing bytes", AS_IS).original_width == 64


def test_what_is_no_image():
    assert reason_of(b"<!DOCTYPE html><html></html>") == "not_an_image"
    assert reason_of(b"not an image") == "not_an_image"
    assert reason_of(b"\x89PNG\r\n\x1a\n") == "decode_error"
    assert reason_of(saved(Image.new("RGB", (64, 64)), "PNG")[:60]) == "truncated"
    for svg in (
        b"<svg/>",
        b'<?xml version="1.0"?>\n<!-- c -->\n<svg xmlns="x">',
        b"\xef\xbb\xbf<!DOCTYPE svg><svg>",
    ):
        assert reason_of(svg) == "svg"
    assert sniff("<svg>".encode("utf-16")) == "SVG"
    assert sniff(b"<html><svg>") is None


def test_bounds_of_the_recipe_and_their_messages():
    data = saved(Image.new("RGB", (300, 100)), "PNG")
    bounds = {
        "min_image_size": (101, "too_small", "image too small"),
        "max_image_area": (29_999, "too_many_pixels", "image area too large"),
        "max_aspect_ratio": (2.9, "aspect_ratio", "aspect ratio too large"),
        "min_bytes": (100_000, "too_small", "image too small"),
    }
    for name, (value, reason, message) in bounds.items():
        with pytest.raises(Failed) as caught:
            prepare(data, DownloadSection(**{name: value}))
        assert (caught.value.reason, caught.value.message) == (reason, message)
    fits = DownloadSection(min_image_size=100, max_image_area=30_000, max_aspect_ratio=3.0)
    assert prepare(data, fits).original_width == 300


def test_exif_is_kept_without_place_and_serial_number(shared_folder):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 1
    exif.get_ifd(0x8769)[0x829D] = TiffImagePlugin.IFDRational(28, 10)
    exif.get_ifd(0x8769)[0xA431] = "SN-1234"
    exif.get_ifd(0x8825)[1] = "N"
    data = saved(Image.new("RGB", (16, 16)), "JPEG", exif=exif)
    kept = json.loads(prepare(data, AS_IS).exif or "")
    assert kept == {"Image Make": "Maker", "Image Orientation": "1", "EXIF FNumber": "2.8"}
    everything = json.loads(prepare(data, DownloadSection(exif_location=True)).exif or "")
    assert everything["GPS GPSLatitudeRef"] == "N"
    assert everything["EXIF BodySerialNumber"] == "SN-1234"
    assert prepare(data, DownloadSection(extract_exif=False)).exif is None
    assert prepare(saved(Image.new("RGB", (16, 16)), "JPEG"), AS_IS).exif == "{}"


def test_bytes_are_kept_where_nothing_has_to_change():
    plain = saved(Image.new("RGB", (16, 16), RED), "JPEG")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = saved(Image.new("RGB", (16, 16), RED), "JPEG", exif=exif)
    keep = DownloadSection(resize="keep_ratio", resize_only_if_bigger=True, skip_reencode=True)
    assert prepare(plain, keep).data == plain
    assert prepare(turned, keep).data != turned
    assert prepare(plain, DownloadSection(skip_reencode=True)).data != plain
    raw = prepare(turned, DownloadSection(disable_all_reencoding=True))
    assert (raw.data, raw.width, raw.original_width) == (turned, None, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"resize": "stretch"},
            "unknown resize 'stretch'; known: no, border, keep_ratio, keep_ratio_largest, center_crop",
        ),
        ({"encode_format": "gif"}, "unknown encode_format 'gif'; known: jpg, png, webp"),
        ({"image_size": 0}, "image_size is at least 1, got 0"),
        ({"image_size": "256"}, "image_size is a number, got '256'"),
        ({"encode_format": "png", "encode_quality": 95}, "encode_quality of png is 0 to 9, got 95"),
        ({"skip_reencode": "yes"}, "skip_reencode is true or false, got 'yes'"),
        ({"min_bytes": 10, "max_bytes": 5}, "min_bytes 10 exceeds max_bytes 5"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DownloadSection(**options)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "CMYK", "I;16"])
def test_very_large_images_go_strip_by_strip(mode):
    """A wide gradient of 17 megapixels: shrunk in strips it is what it is when resized whole."""
    ramp = np.linspace(0, 255, 8500, dtype=np.uint8)
    gray = np.broadcast_to(ramp, (2000, 8500))
    if mode == "I;16":
        image = Image.fromarray(gray.astype(np.uint16) * 257)
    else:
        white = Image.fromarray(np.full_like(gray, 255))
        dark = Image.fromarray(255 - gray)
        bands = {"RGB": [gray] * 3, "RGBA": [gray] * 3 + [white], "L": [gray], "CMYK": [0 * gray] * 3 + [dark]}[mode]
        channels = [
            band if isinstance(band, Image.Image) else Image.fromarray(np.ascontiguousarray(band)) for band in bands
        ]
        image = Image.merge(mode, channels) if len(channels) > 1 else channels[0]
    kind = "TIFF" if mode == "CMYK" else "PNG"
    data = saved(image, kind, **({"compress_level": 1} if kind == "PNG" else {"compression": "tiff_lzw"}))
    held = []

    @contextmanager
    def alone():
        held.append("taken")
        yield
        held.append("given back")

    prepared = prepare(data, DownloadSection(resize="keep_ratio", image_size=100, encode_format="png"), alone=alone)
    pixels = decoded(prepared).astype(int)
    assert (prepared.width, prepared.height, prepared.original_width) == (425, 100, 8500)
    assert held == ["taken", "given back"]
    expected = cv2.resize(gray.astype(np.float32), (425, 100), interpolation=cv2.INTER_AREA)
    assert np.abs(pixels - expected[:, :, None]).max() < 2
