"""HEIC and JPEG XL: read by an extra's plug-ins in the same processes as all others; without it, a reason names it."""

from __future__ import annotations

import io
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from beam_jobs.fetching.decoders import DecoderPool
from beam_jobs.fetching.jxl_header import jxl_size
from beam_jobs.fetching.pixels import prepare
from beam_jobs.fetching.sniff import sniff
from schemas.download import DownloadSection
from schemas.reasons import Failed

pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif, of the extra `formats`, is not installed")
pytest.importorskip("pillow_jxl", reason="pillow-jxl-plugin, of the extra `formats`, is not installed")

AS_IS = DownloadSection(resize="no", encode_format="png")
PILLOW_NAMES = {"HEIC": "HEIF", "JXL": "JXL"}


def picture(kind: str, width: int = 48, height: int = 32, **options: object) -> bytes:
    """Red, with green at the top left."""
    pillow_heif.register_heif_opener()
    image = Image.new("RGB", (width, height), (255, 0, 0))
    image.paste((0, 255, 0), (0, 0, width // 3, height // 2))
    file = io.BytesIO()
    image.save(file, PILLOW_NAMES[kind], quality=95, **options)
    return file.getvalue()


def pixels_of(data: bytes) -> np.ndarray:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(found, cv2.COLOR_BGR2RGB).astype(int)


@pytest.mark.parametrize("kind", ["HEIC", "JXL"])
def test_decoding_processes_read_them(kind):
    data = picture(kind)
    assert sniff(data) == kind
    pool = DecoderPool(1, timeout=20.0)
    try:
        prepared = pool.submit(data, AS_IS).result(60)
    finally:
        pool.close()
    pixels = pixels_of(prepared.data)
    assert (prepared.format, prepared.width, prepared.height, prepared.frame_count) == (kind, 48, 32, 1)
    assert np.abs(pixels[4, 4] - (0, 255, 0)).max() < 20
    assert np.abs(pixels[28, 40] - (255, 0, 0)).max() < 20


def test_what_a_heic_says_of_its_orientation_is_done_once():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Maker"
    prepared = prepare(picture("HEIC", exif=exif.tobytes()), AS_IS)
    pixels = pixels_of(prepared.data)
    assert (prepared.width, prepared.height) == (32, 48)
    assert np.abs(pixels[4, 28] - (0, 255, 0)).max() < 20  # a quarter turn clockwise: top left goes to top right
    assert '"Image Make": "Maker"' in (prepared.exif or "")


@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize(
    ("width", "height"), [(1, 1), (8, 8), (256, 256), (257, 100), (640, 480), (1600, 900), (3000, 10)]
)
def test_the_size_of_a_jpeg_xl_is_read_from_its_header(container, width, height):
    assert jxl_size(picture("JXL", width, height, use_container=container)) == (width, height)


def test_no_size_is_read_from_what_is_no_header():
    whole = picture("JXL", 640, 480)
    assert jxl_size(b"") is None
    assert jxl_size(whole[:3]) is None
    assert jxl_size(b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0\0\0\0jxlc") is None
    assert jxl_size(b"\0\0\0\x0cJXL \r\n\x87\n" * 2000) is None


@pytest.mark.parametrize("kind", ["HEIC", "JXL"])
def test_the_cap_on_pixels_holds_before_decoding(kind):
    with pytest.raises(Failed) as caught:
        prepare(picture(kind), DownloadSection(max_pixels=1000))
    assert caught.value.reason == "too_many_pixels"


@pytest.mark.parametrize("kind", ["HEIC", "JXL"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_damaged_file_has_a_reason(kind, share):
    data = picture(kind, 300, 200)
    with pytest.raises(Failed) as caught:
        prepare(data[: int(len(data) * share)], AS_IS)
    assert caught.value.reason in ("truncated", "decode_error")


WITHOUT = """
import sys
sys.modules["pillow_heif"] = sys.modules["pillow_jxl"] = None
from beam_jobs.fetching.pixels import prepare
from schemas.download import DownloadSection
from schemas.reasons import Failed
for name in sys.argv[1:]:
    try:
        prepare(open(name, "rb").read(), DownloadSection())
    except Failed as failed:
        print(failed)
"""


def test_without_the_extra_the_reason_names_it(tmp_path):
    paths = []
    for kind in ("HEIC", "JXL"):
        paths.append(tmp_path / kind)
        paths[-1].write_bytes(picture(kind))
    command = [sys.executable, "-c", WITHOUT, *map(str, paths)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said.splitlines() == [
        "not_an_image: HEIC is read with pip install 'pairmill[formats]': pillow_heif is absent",
        "not_an_image: JXL is read with pip install 'pairmill[formats]': pillow_jxl is absent",
    ]
