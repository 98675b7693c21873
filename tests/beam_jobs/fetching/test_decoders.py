"""The pool of decoding processes: what a crash, a hang and a flood cost."""

from __future__ import annotations

import sys
import time

import cv2
import numpy as np
import pytest

from beam_jobs.fetching.decoders import DecoderPool
from beam_jobs.fetching.pixels import prepare
from schemas.download import DownloadSection
from schemas.reasons import Failed

SECTION = DownloadSection(resize="keep_ratio", image_size=32)

# The true worker, but for three kinds of image that kill it, stall it, or kill it the first time.
FRAGILE = """
import os, pathlib, signal, time
from beam_jobs.fetching import decoder_worker, pixels
true = pixels.prepare
def prepare(data, section, **options):
    if data.startswith(b"CRASH"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if data.startswith(b"HANG"):
        time.sleep(60)
    if data.startswith(b"ONCE"):
        name, _, data = data[4:].partition(b"|")
        if not os.path.exists(name):
            pathlib.Path(name.decode()).touch()
            os._exit(1)
    return true(data, section, **options)
pixels.prepare = prepare
decoder_worker.main()
"""


def picture(size: int = 64, value: int = 0) -> bytes:
    pixels = np.random.default_rng(value).integers(0, 255, (size, size, 3), dtype=np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.fixture
def pool():
    made = DecoderPool(2, timeout=20.0)
    yield made
    made.close()


@pytest.fixture
def fragile():
    made = DecoderPool(2, timeout=3.0, command=(sys.executable, "-c", FRAGILE))
    yield made
    made.close()


def test_images_come_back_as_if_prepared_here(pool):
    images = [picture(value=value) for value in range(40)]
    futures = [pool.submit(image, SECTION) for image in images]
    assert [future.result(20) for future in futures] == [prepare(image, SECTION) for image in images]


def test_failures_keep_their_class_and_message(pool):
    with pytest.raises(Failed) as caught:
        pool.submit(b"<svg/>", SECTION).result(20)
    assert (caught.value.reason, caught.value.message) == (
        "svg",
        "an SVG is a vector image: only rasters are taken",
    )


def test_images_larger_than_a_pipe_do_not_block(pool):
    images = [picture(800, value) for value in range(4)] + [picture()] * 4
    assert min(map(len, images[:4])) > 1 << 20
    whole = DownloadSection(resize="no", encode_format="png")
    futures = [pool.submit(image, whole) for image in images]
    assert [future.result(20).width for future in futures] == [800] * 4 + [64] * 4


def test_a_crash_and_a_hang_cost_their_own_image_only(fragile):
    images = [picture(value=value) for value in range(12)]
    images[3] = images[4] = b"CRASH"
    images[8] = b"HANG"
    started = time.monotonic()
    futures = [fragile.submit(image, SECTION) for image in images]
    ended = []
    for future in futures:
        try:
            ended.append(future.result(30).width)
        except Failed as failed:
            ended.append(failed.reason)
    assert ended == [32, 32, 32, "decoder_crash", "decoder_crash", 32, 32, 32, "decoder_timeout", 32, 32, 32]
    assert time.monotonic() - started < 45


def test_an_image_that_was_only_near_a_crash_is_tried_again(fragile, tmp_path):
    image = b"ONCE" + str(tmp_path / "crashed").encode() + b"|" + picture()
    assert fragile.submit(image, SECTION).result(20) == prepare(picture(), SECTION)
    assert (tmp_path / "crashed").exists()


def test_a_worker_that_cannot_start_is_no_fault_of_the_image():
    broken = DecoderPool(1, timeout=1.0, command=(sys.executable, "-c", "raise SystemExit(3)"))
    with pytest.raises(RuntimeError, match="a decoding process did not start"):
        broken.submit(picture(), SECTION).result(20)
    broken.close()


def test_all_come_back_whatever_the_number_and_the_size_of_those_that_wait(pool):
    images = [picture(900, value) for value in range(3)] + [picture(value=value) for value in range(60)]
    images.insert(30, b"\xff\xd8\xff" + bytes(20_000_000))
    futures = [pool.submit(image, SECTION) for image in images]
    ended = [future.exception(30) for future in futures]
    assert [isinstance(error, Failed) for error in ended] == [place == 30 for place in range(64)]
