"""Scoring a shard against the bare forward pass of the same model, in turns.

Writes a shard of drawn JPEGs with captions as long as alt-texts are, then alternates: `score_shard` with the scorer
`clip` (reading, decoding, preprocessing, both towers, sidecar and embeddings), and open_clip's own `encode_image` and
`encode_text` over the same pairs, preprocessed and tokenised beforehand, in the same batches, threads and precision:
fp32 on a CPU, fp16 autocast on a GPU. The weights are random: time does not depend on them. Prints each round and the
median of the ratios, by the clock and by processor time (which other work on the machine disturbs less); then how far
the embeddings are from the bare pass's, and what bf16 gains and costs. A process of its own tells how long a start is.

    python bench/bench_score.py [--model ViT-L-14] [--device cuda --pairs 20000]
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
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
from beam_jobs.storage.parquet import read_table, write_table
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


def bare_pass(towers: Any, pictures: list[bytes], texts: list[str], rows_per_batch: int) -> Callable[[], Any]:
    """open_clip's own calls over batches that lie in memory: a function that gives both embeddings."""
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
    tokens = [each.to(images[0].device) for each in tokens]

    def run() -> Any:
        made = []
        with towers.running():
            for image, token in zip(images, tokens, strict=True):
                made.append((model.encode_image(image, normalize=True), model.encode_text(token, normalize=True)))
        return [torch.cat(side).float().cpu().numpy() for side in zip(*made, strict=True)]

    return run


def timed(run: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    clock, processor = time.monotonic(), time.process_time()
    run()
    return time.monotonic() - clock, time.process_time() - processor


def compare(
    names: tuple[str, str], turns: tuple[Callable[[], Any], Callable[[], Any]], *, pairs: int, rounds: int
) -> None:
    """Both in turns: the rates of each round, and how much faster the second is."""
    by_clock, by_processor = [], []
    print(f"{'round':>5} {names[1] + ' pairs/s':>16} {names[0] + ' pairs/s':>16} {'ratio':>6} {'ratio (CPU)':>12}")
    for number in range(rounds):
        (first_clock, first_cpu), (second_clock, second_cpu) = (timed(turn) for turn in turns)
        by_clock.append(first_clock / second_clock)
        by_processor.append(first_cpu / second_cpu)
        rates = f"{pairs / second_clock:>16.1f} {pairs / first_clock:>16.1f}"
        print(f"{number:>5} {rates} {by_clock[-1]:>6.2f} {by_processor[-1]:>12.2f}", flush=True)
    clock, processor = statistics.median(by_clock), statistics.median(by_processor)
    print(f"{names[1]} against {names[0]}, median ratio: {clock:.2f} by the clock, {processor:.2f} CPU")


def stored(folder: RunFolder) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both embeddings as stored, and the similarities."""
    sides = [np.load(at("clip", 0)) for at in (folder.image_embeddings, folder.text_embeddings)]
    return sides[0], sides[1], read_table(folder.scores("clip", 0))["clip_similarity"].to_numpy()


def start_up(entry: dict[str, Any], device: str) -> float:
    """Seconds from the start of a process to its model's first embedding."""
    code = (
        "from filters.loading import load_model; from filters.registry import make_scorer; "
        f"load_model(make_scorer({entry!r}), {device!r}).model.encode_texts(['a'])"
    )
    return timed(lambda: subprocess.run([sys.executable, "-c", code], check=True))[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ViT-B-32", help="an architecture that open_clip knows")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--pairs", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    clip = {"model": options.model, "pretrained": "random"}
    scorer = make_scorer({"clip": clip})
    seconds = min(start_up({"clip": clip}, options.device) for _ in range(2))
    print(f"{options.model}: a new process has its first embedding after {seconds:.1f} s")
    loaded = load_model(scorer, options.device)
    towers, rows = loaded.model, scorer.rows_for(loaded.model)
    print(f"{rows} rows a batch; {towers.facts()}")
    with tempfile.TemporaryDirectory(prefix="pairmill-bench-") as work:
        folder = RunFolder(work)
        pictures, texts = write_shard(folder, options.pairs)
        bare = bare_pass(towers, pictures, texts, rows)
        tasks = {
            precision: ScoreTask(work, 0, ({"clip": {**clip, "precision": precision}},), device=options.device)
            for precision in ("auto", "bf16")
        }
        score_shard(tasks["auto"])
        score = (lambda: score_shard(tasks["auto"]), lambda: score_shard(tasks["bf16"]))
        compare(("bare", "score"), (bare, score[0]), pairs=options.pairs, rounds=options.rounds)
        image, text, similarity = stored(folder)
        made = bare()
        # Stored as float16, whose steps are up to 5e-4 at 1: the towers' own numbers are compared.
        again = towers.encode_texts(texts)
        exact = (made[0] * made[1]).sum(axis=1)
        print(f"largest difference of text embeddings: {np.abs(again - made[1]).max():.1e}, ", end="")
        print(f"of similarities: {np.abs(similarity - exact).max():.1e}, ", end="")
        print(f"of stored (float16) embeddings: {max(np.abs(image - made[0]).max(), np.abs(text - made[1]).max()):.1e}")
        score[1]()
        *_, brief = stored(folder)
        error = np.abs(brief - exact)
        print(f"bf16: similarities differ by {error.mean():.1e} in the mean, {error.max():.1e} at most")
        compare((towers.precision, "bf16"), score, pairs=options.pairs, rounds=options.rounds)


if __name__ == "__main__":
    main()
