"""img2dataset's resize modes beside img2dataset's own Resizer, on the same files."""

from __future__ import annotations

import io
import os
import warnings

import cv2
import numpy as np
import pytest

from beam_jobs.fetching.pixels import Prepared, prepare
from beam_jobs.fetching.resize import Plan, average_to, plan_resize, turn_upright
from schemas.download import DownloadSection

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import would ask the network for news
resizer = pytest.importorskip("img2dataset.resizer", reason="img2dataset is not installed")

SIZES = [(640, 480), (480, 641), (100, 37), (300, 300), (1000, 260)]


def smooth_noise(width: int, height: int, channels: int = 3) -> np.ndarray:
    """A picture with detail at all scales and more of it in light than in colour, as photographs have."""
    random = np.random.default_rng(width * 10_000 + height)
    pixels = np.full((height, width, channels), 128.0, np.float32)
    for octave in range(7):
        coarse = random.normal(size=(2 + (height << octave) // 256, 2 + (width << octave) // 256, channels))
        scaled = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        pixels += scaled.reshape(height, width, channels) * 60 / 1.9**octave
    light = pixels.mean(axis=2, keepdims=True)
    return (light + 0.4 * (pixels - light)).clip(0, 255).astype(np.uint8).squeeze()


def encoded(pixels: np.ndarray, extension: str = ".png") -> bytes:
    return cv2.imencode(extension, pixels)[1].tobytes()


def pixels_of(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def theirs(data: bytes, size: int, mode: str, **options: object) -> tuple[np.ndarray, int, int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = resizer.Resizer(size, mode, options.pop("resize_only_if_bigger", False), **options)
        stored, width, height, _, _, error = made(io.BytesIO(data))
    assert error is None
    return pixels_of(stored), width, height


def ssim(ours: np.ndarray, other: np.ndarray) -> float:
    """Mean structural similarity of two images (Wang et al., 2004), over channels."""
    a, b = ours.astype(np.float64), other.astype(np.float64)

    def mean(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, (11, 11), 1.5)

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    c1, c2 = 6.5025, 58.5225
    return float((((2 * ma * mb + c1) * (2 * cov + c2)) / ((ma**2 + mb**2 + c1) * (va + vb + c2))).mean())


@pytest.mark.parametrize("mode", ["no", "border", "keep_ratio", "keep_ratio_largest", "center_crop"])
@pytest.mark.parametrize("bigger", [False, True])
def test_lossless_input_gives_the_same_pixels(mode, bigger):
    for width, height in SIZES:
        data = encoded(smooth_noise(width, height))
        section = DownloadSection(resize=mode, resize_only_if_bigger=bigger, encode_format="png")
        ours = prepare(data, section)
        other, other_width, other_height = theirs(
            data, 256, mode, resize_only_if_bigger=bigger, encode_format="png", encode_quality=3
        )
        assert (ours.width, ours.height) == (other_width, other_height)
        np.testing.assert_array_equal(pixels_of(ours.data), other)


@pytest.mark.parametrize("mode", ["border", "keep_ratio", "keep_ratio_largest", "center_crop"])
@pytest.mark.parametrize(("width", "height"), [(640, 480), (1280, 960), (960, 1280), (2048, 1365), (1024, 300)])
def test_photographs_are_as_similar_as_can_be(mode, width, height):
    data = encoded(smooth_noise(width, height), ".jpg")
    ours: Prepared = prepare(data, DownloadSection(resize=mode))
    other, other_width, other_height = theirs(data, 256, mode)
    assert (ours.width, ours.height) == (other_width, other_height)
    assert ssim(pixels_of(ours.data), other) >= 0.99


def test_real_photographs_and_drawings_are_alike(shared_folder):
    paths = sorted((shared_folder / "web").rglob("*.jpg"))[::14]
    paths += sorted((shared_folder / "near_duplicates" / "pdq" / "bridge-mods").glob("*a*.jpg"))
    paths += [shared_folder / "hostile" / "images" / "exif-orientation" / "Landscape_1.jpg"]
    compared = []
    for path in paths:
        data = path.read_bytes()
        ours = pixels_of(prepare(data, DownloadSection(resize="keep_ratio")).data)
        compared.append((round(ssim(ours, theirs(data, 256, "keep_ratio")[0]), 4), path.name))
    assert len(compared) > 20
    assert min(compared)[0] >= 0.99, sorted(compared)[:5]
    assert sum(likeness for likeness, _ in compared) / len(compared) >= 0.997


def test_gray_stays_gray():
    data = encoded(smooth_noise(800, 600, 1), ".jpg")
    ours = pixels_of(prepare(data, DownloadSection(resize="keep_ratio")).data)
    other, _, _ = theirs(data, 256, "keep_ratio")
    assert ours.shape == other.shape == (256, 341)
    assert ssim(ours, other) >= 0.99


def test_other_output_formats_and_qualities():
    data = encoded(smooth_noise(400, 300))
    for encode_format, quality in (("webp", 80), ("jpg", 70), ("png", 9)):
        section = DownloadSection(resize="keep_ratio", encode_format=encode_format, encode_quality=quality)
        other, _, _ = theirs(data, 256, "keep_ratio", encode_format=encode_format, encode_quality=quality)
        np.testing.assert_array_equal(pixels_of(prepare(data, section).data), other)


def test_plans():
    def plan(mode: str, width: int, height: int, **options: object) -> Plan | None:
        return plan_resize(width, height, DownloadSection(resize=mode, **options))  # type: ignore[arg-type]

    assert plan("no", 999, 10) is None
    assert plan("keep_ratio", 512, 1024) == Plan(256, 512, "area", True)
    assert plan("keep_ratio", 128, 256) == Plan(256, 512, "lanczos", False)
    assert plan("keep_ratio", 128, 256, resize_only_if_bigger=True) is None
    assert plan("keep_ratio_largest", 512, 1024) == Plan(128, 256, "area", True)
    assert plan("border", 1000, 3) == Plan(256, 1, "area", True, pad=256)
    assert plan("center_crop", 513, 1026, image_size=100) == Plan(100, 200, "area", True, crop=100)


def test_turning():
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    turned = {orientation: turn_upright(pixels, orientation).tolist() for orientation in range(1, 9)}
    assert turned == {
        1: [[0, 1, 2], [3, 4, 5]],
        2: [[2, 1, 0], [5, 4, 3]],
        3: [[5, 4, 3], [2, 1, 0]],
        4: [[3, 4, 5], [0, 1, 2]],
        5: [[0, 3], [1, 4], [2, 5]],
        6: [[3, 0], [4, 1], [5, 2]],
        7: [[5, 2], [4, 1], [3, 0]],
        8: [[2, 5], [1, 4], [0, 3]],
    }


@pytest.mark.parametrize("side", [460, 512, 590, 640, 768, 800, 1040, 1366])
def test_means_of_samples_are_nearly_those_of_areas(side):
    pixels = smooth_noise(side * 4 // 3, side)
    width, height = round(pixels.shape[1] * 256 / side), 256
    area = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    away = np.abs(average_to(pixels, width, height).astype(int) - area)
    assert away.mean() < 0.5
    assert away.max() <= 8
