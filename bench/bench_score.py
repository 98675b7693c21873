"""Scoring a shard against the bare forward pass of the same model, in turns.

Writes a shard of drawn JPEGs with captions as long as alt-texts are, then alternates: `score_shard` with the scorer
`clip` (reading, decoding, preprocessing, both towers, sidecar and embeddings), and open_clip's own `encode_image` and
`encode_text` over the same pairs, preprocessed and tokenised beforehand, in the same batches and threads, in fp32.
The weights are random: time does not depend on them. Prints each round and the median of the ratios, by the clock and
by processor time (which other work on the machine disturbs less). Usage: python bench/bench_score.py [--model NAME]
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw

from beam_jobs.stages.score import ScoreTask, score_shard
from beam_jobs.storage.files import atomic_write
from beam_jobs.storage.parquet import write_table
from beam_jobs.storage.run_folder import RunFolder
from beam_jobs.storage.tar_shard import TarShardWriter
from filters.loading import load_model
from filters.registry import make_scorer
from schemas.keys import sample_key, uid
from schemas.tables import IMAGES, PLANNED, conform

# Words in a text: most alt-texts are short, a few are long.
WORDS_IN_TEXT = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 17, 22, 30, 60)
WORDS = [
    "a",
    "the",
    "red",
    "green",
    "blue",
    "large",
    "small",
    "old",
    "photo",
    "of",
    "on",
    "with",
    "and",
    "circle",
    "square",
    "house",
    "dog",
    "mountain",
    "view",
]


def draw_picture(source: random.Random) -> bytes:
    """A JPEG of about the size and detail of a photograph at 256 pixels."""
    width, height = 256, source.randint(170, 256)
    noise = np.random.default_rng(source.randint(0, 1 << 30))
    coarse = Image.fromarray(noise.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8))
    image = coarse.resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        left, top = source.randint(0, width - 40), source.randint(0, height - 40)
        colour = tuple(source.randint(0, 255) for _ in range(3))
        draw.ellipse((left, top, left + source.randint(10, 90), top + source.randint(10, 90)), fill=colour)
    file = BytesIO()
    image.save(file, "JPEG", quality=95)
    return file.getvalue()


def write_shard(folder: RunFolder, pairs: int) -> tuple[list[bytes], list[str]]:
    """A shard as download leaves it; its pictures and texts."""
    source = random.Random(0)
    pictures = [draw_picture(source) for _ in range(pairs)]
    texts = [" ".join(source.choices(WORDS, k=source.choice(WORDS_IN_TEXT))) for _ in range(pairs)]
    urls = [f"http://pictures.test/{row}.jpg" for row in range(pairs)]
    keys = [sample_key(0, row, rows_per_shard=10_000) for row in range(pairs)]
    uids = [uid(text, url) for text, url in zip(texts, urls, strict=True)]
    columns = {"uid": uids, "url": urls}
    write_table(folder.planned(0), conform(pa.table({**columns, "text": texts}), PLANNED))
    write_table(folder.image_table(0), conform(pa.table({**columns, "caption": texts, "key": keys}), IMAGES))
    with atomic_write(folder.image_tar(0)) as file:
        tar = TarShardWriter(file)
        for key, picture, text in zip(keys, pictures, texts, strict=True):
            tar.add(f"{key}.jpg", picture)
            tar.add(f"{key}.txt", text.encode())
        tar.close()
    return pictures, texts


def bare_pass(towers: Any, pictures: list[bytes], texts: list[str], rows_per_batch: int) -> Callable[[], None]:
    """open_clip's own calls over batches that lie in memory."""
    import torch

    model, tokenizer = towers.model, towers.tokenizer
    starts = range(0, len(texts), rows_per_batch)
    images = [
        towers.floats([towers.pixels(Image.open(BytesIO(each))) for each in pictures[first : first + rows_per_batch]])
        for first in starts
    ]
    tokens = [tokenizer(texts[first : first + rows_per_batch]) for first in starts]
    lengths = torch.cat(tokens).argmax(dim=-1) + 1
    print(f"tokens a text: mean {lengths.float().mean():.1f}, longest {int(lengths.max())} of {tokens[0].shape[1]}")

    def run() -> None:
        with torch.inference_mode():
            for image, token in zip(images, tokens, strict=True):
                model.encode_image(image, normalize=True)
                model.encode_text(token, normalize=True)

    return run


def timed(run: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    clock, processor = time.monotonic(), time.process_time()
    run()
    return time.monotonic() - clock, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ViT-B-32", help="an architecture that open_clip knows")
    parser.add_argument("--pairs", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    entry = {"clip": {"model": options.model, "pretrained": "random"}}
    scorer = make_scorer(entry)
    started = time.monotonic()
    towers = load_model(scorer, "cpu").model
    print(f"{options.model}: loaded in {time.monotonic() - started:.1f} s; {towers.facts()}")
    with tempfile.TemporaryDirectory(prefix="pairmill-bench-") as work:
        pictures, texts = write_shard(RunFolder(work), options.pairs)
        bare = bare_pass(towers, pictures, texts, scorer.rows_per_batch)
        task = ScoreTask(work, 0, (entry,), device="cpu")
        score_shard(task)
        by_clock, by_processor = [], []
        print(f"{'round':>5} {'score pairs/s':>14} {'bare pairs/s':>13} {'ratio':>6} {'ratio (CPU)':>12}")
        for number in range(options.rounds):
            turns = [timed(bare), timed(lambda: score_shard(task))]
            (bare_clock, bare_cpu), (our_clock, our_cpu) = turns
            by_clock.append(bare_clock / our_clock)
            by_processor.append(bare_cpu / our_cpu)
            rates = f"{options.pairs / our_clock:>14.1f} {options.pairs / bare_clock:>13.1f}"
            print(f"{number:>5} {rates} {by_clock[-1]:>6.2f} {by_processor[-1]:>12.2f}", flush=True)
    print(f"median ratio: {statistics.median(by_clock):.2f} by the clock, {statistics.median(by_processor):.2f} CPU")


if __name__ == "__main__":
    main()
