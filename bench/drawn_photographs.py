"""Photograph-like JPEGs of 0.3 to 3 megapixels, drawn from a seed: mean 1.2 megapixels and about 250 KB.

In: nothing. Out: files.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

SIZES = [
    (640, 480),
    (800, 600),
    (1024, 768),
    (1200, 900),
    (1280, 960),
    (1440, 1080),
    (1600, 1067),
    (2048, 1365),
]
SHARES = [3, 3, 3, 3, 3, 4, 3, 2]


def mean_pixels() -> float:
    """Pixels of an image, on average."""
    pixels = [width * height * share for (width, height), share in zip(SIZES, SHARES, strict=True)]
    return sum(pixels) / sum(SHARES)


def photograph(seed: int, width: int, height: int) -> bytes:
    """A JPEG with detail at all scales, and as many bits a pixel as a photograph from a camera."""
    random = np.random.default_rng(seed)
    light = np.full((height, width), 128.0, np.float32)
    for octave in range(9):
        shape = (2 + (height << octave) // 512, 2 + (width << octave) // 512)
        coarse = random.normal(size=shape).astype(np.float32)
        light += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * (55 / 1.75**octave)
    tint = random.normal(size=(6, 8, 3)).astype(np.float32) * 25
    pixels = light[:, :, None] + cv2.resize(tint, (width, height), interpolation=cv2.INTER_CUBIC)
    pixels += random.normal(size=(height, width, 1)).astype(np.float32) * 4
    return cv2.imencode(".jpg", pixels.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def draw(folder: Path) -> list[Path]:
    """The images, as files."""
    paths = []
    for index, (width, height) in enumerate(
        size for size, share in zip(SIZES, SHARES, strict=True) for _ in range(share)
    ):
        path = folder / f"{index:03d}.jpg"
        path.write_bytes(photograph(index, width, height))
        paths.append(path)
    return paths
