"""Each scorer and each grouper alone over a finished run, and photographs downloaded: their core-seconds a million.

In: a run folder of recipe `base`, the port of a server of photographs, a work folder to write in. Out: JSON on standard
output. One thread a library; models are loaded before a scorer's time is taken. What has no defaults or is not
installed is left out.
Usage: python bench/scale_parts.py RUN WORK PORT
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from bench_download import run_ours
from scale_measured import bytes_below, processor_seconds

# Of these photographs `decode` is what a scorer of pictures finds done.
PHOTOGRAPHS = 480
SHARDS = 2
MODEL, MODEL_PAIRS = "ViT-B-32", 64


def download(port: int, work: str) -> dict[str, float]:
    """Photographs fetched, made smaller and stored."""
    urls = [f"http://images.test/{index % 24}/{index}.jpg" for index in range(PHOTOGRAPHS)]
    _, processor, _ = run_ours(urls, port, Path(work))
    table = read_images(work, 1)
    return {"download": 1e6 * processor / len(urls), **sizes(work, 1, table)}


def read_images(work: str, shard: int) -> Any:
    from beam_jobs.storage.parquet import read_table
    from beam_jobs.storage.run_folder import RunFolder

    return read_table(RunFolder(work).image_table(shard))


def pictures(work: str, shard: int) -> list[bytes]:
    from beam_jobs.storage.files import open_read
    from beam_jobs.storage.run_folder import RunFolder
    from beam_jobs.storage.tar_shard import iter_samples

    with open_read(RunFolder(work).image_tar(shard)) as file:
        return [sample.members["jpg"] for sample in iter_samples(file, lambda key: True)]


def sizes(work: str, shard: int, table: Any) -> dict[str, float]:
    """Bytes fetched and stored, and what reading and decoding a million takes."""
    from io import BytesIO

    from PIL import Image

    before = time.process_time()
    stored = pictures(work, shard)
    for data in stored:
        Image.open(BytesIO(data)).convert("RGB").load()
    decode = 1e6 * (time.process_time() - before) / len(stored)
    fetched = [size for size in table["byte_size"].to_pylist() if size]
    return {
        "fetched": sum(fetched) / len(fetched),
        "stored": sum(map(len, stored)) / len(stored),
        "decode": decode,
    }


def scorers(work: str, shards: list[int], decode: float) -> dict[str, float]:
    """Core-seconds a million pictures by scorer, what decoding takes left out."""
    from beam_jobs.stages.score import ScoreTask, score_shard
    from filters.registry import SCORERS, check_files, make_scorers
    from filters.scorer import IMAGE

    found = {}
    for name in SCORERS:
        entry: Any = {name: {"model": "tiny"}} if name in ("clip", "clip_without_text") else name
        try:
            scorer = make_scorers([entry])[0]
            check_files([scorer])
            score_shard(ScoreTask(work, shards[0], (entry,)))
        except Exception as error:  # noqa: BLE001 - one that wants more than its defaults, or is not installed
            print(f"{name}: left out: {error}", file=sys.stderr)
            continue
        before = time.process_time()
        rows = sum(score_shard(ScoreTask(work, shard, (entry,)))[f"score/{name}"].rows_in for shard in shards)
        seconds = 1e6 * (time.process_time() - before) / rows
        found[name] = max(0.0, seconds - decode) if IMAGE in scorer.inputs else seconds
    return found


def groupers(work: str, shards: list[int]) -> dict[str, float]:
    """Core-seconds a million rows by grouper."""
    import apache_beam as beam

    from beam_jobs.runners import BeamRunner
    from beam_jobs.stages.group import GroupShards
    from schemas.grouping import GROUPERS, parse_group

    rows = sum(read_images(work, shard).num_rows for shard in shards)
    found = {}
    for name in GROUPERS:
        entry = {"near": {"cosine": 0.997}, "perceptual": {"hash": "pdq"}}.get(name, {})
        scores = ("text_facts", "image_facts", "pdq", "clip")
        try:
            options = parse_group([{name: {**entry, "label": f"measured_{name}"}}])
            with BeamRunner("DirectRunner", ()) as runner:
                before = processor_seconds()
                pipeline = beam.Pipeline(options=runner.options(job="group"))
                pipeline | GroupShards(work, shards=shards, options=options, scores=scores)
                runner.wait(pipeline)
        except Exception as error:  # noqa: BLE001 - a grouper that wants more than its defaults
            print(f"{name}: left out: {error}", file=sys.stderr)
            continue
        found[name] = 1e6 * (processor_seconds() - before) / rows
    return found


def model_rate() -> float:
    """Multiplications and additions a second of one core in a model's towers."""
    import open_clip
    import torch

    from beam_jobs.planning.models import model_flops

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = open_clip.create_model(MODEL).eval()
    images, texts = torch.rand(MODEL_PAIRS, 3, 224, 224), torch.randint(1, 1000, (MODEL_PAIRS, 77))
    flops = model_flops(MODEL)
    assert flops is not None
    with torch.inference_mode():
        model(images[:8], texts[:8])
        before = time.process_time()
        model(images, texts)
    return MODEL_PAIRS * flops / (time.process_time() - before)


def main(run: str, work: str, port: str) -> None:
    import torch

    torch.set_num_threads(1)
    web = download(int(port), work)
    drawn = sizes(run, 0, read_images(run, 0))
    first = list(range(SHARDS))
    by_kind = {"drawn": scorers(run, first, drawn["decode"]), "web": scorers_of_photographs(work, web["decode"])}
    shards = sorted(int(path.stem) for path in Path(run, "planned").glob("*.parquet"))
    grouped = groupers(run, shards)
    found = {
        "pictures": {"web": web, "drawn": {**drawn, "download": 0.0}},
        "scorers": {
            name: {kind: by_kind[kind].get(name, seconds) for kind in by_kind}
            for name, seconds in by_kind["drawn"].items()
        },
        "groupers": grouped,
        "flops": model_rate(),
        "image_bytes": bytes_below(Path(run, "images"))[0],
    }
    print(json.dumps(found), file=said)


def scorers_of_photographs(work: str, decode: float) -> dict[str, float]:
    found = scorers(work, [1], decode)
    shutil.rmtree(Path(work) / "scores", ignore_errors=True)
    return found


if __name__ == "__main__":
    said, sys.stdout = sys.stdout, sys.stderr
    main(*sys.argv[1:4])
