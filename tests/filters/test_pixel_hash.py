"""The hash of the pixels: the same for one picture in several lossless files, and for nothing else."""

from __future__ import annotations

import hashlib
import io
import struct
from pathlib import Path

import pytest
from PIL import Image

from filters.pixel_hash import pixel_sha256


def encoded(image: Image.Image, form: str, **options: object) -> Image.Image:
    file = io.BytesIO()
    image.save(file, form, **options)
    return Image.open(io.BytesIO(file.getvalue()))


def test_the_hash_is_that_of_size_and_rgb_values() -> None:
    image = Image.new("RGB", (2, 1))
    image.putpixel((1, 0), (1, 2, 3))
    expected = hashlib.sha256(struct.pack("<II", 2, 1) + bytes([0, 0, 0, 1, 2, 3])).hexdigest()
    assert pixel_sha256(image) == expected


@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})])
def test_lossless_files_of_a_photograph_have_one_hash(
    form: str, options: dict[str, object], shared_folder: Path
) -> None:
    with Image.open(shared_folder / "near_duplicates/pdq/bridge-mods/aaa-orig.jpg") as file:
        photograph = file.resize((400, 251))
    assert pixel_sha256(encoded(photograph, form, **options)) == pixel_sha256(photograph)


def test_another_size_another_pixel_or_a_lossy_file_has_another_hash(shared_folder: Path) -> None:
    with Image.open(shared_folder / "near_duplicates/pdq/bridge-mods/aaa-orig.jpg") as file:
        photograph = file.resize((400, 251))
    moved = photograph.copy()
    moved.putpixel((17, 5), (1, 2, 3))
    others = [moved, encoded(photograph, "JPEG", quality=95), photograph.reduce(2), Image.new("RGB", (251, 400))]
    assert len({pixel_sha256(image) for image in (photograph, *others)}) == 5
