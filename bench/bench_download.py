"""Images per second of `download_shard` beside img2dataset's: same server, same images, same cores, same run.

In: nothing; photographs-like JPEGs of 0.3 to 3 megapixels (mean 1.2, about 250 KB) are drawn from a seed. Out: lines
for people and one of JSON. The floor is the scaled decoding, resizing and encoding alone, one process a core. Each
round runs all of them in turn; by processor time a round's ratio is what cores give that do nothing else.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
from drawn_photographs import draw, mean_pixels
from image_likeness import likeness

HOST = "images.test"
THEIRS = """
import os, sys, time, img2dataset, img2dataset.downloader
downloader = img2dataset.downloader.Downloader
one_shard = downloader.download_shard
def timed(self, row):
    before = time.process_time()
    one_shard(self, row)
    with open(f"processor-{row[0]}", "w") as file:
        file.write(str(time.process_time() - before))
downloader.download_shard = timed
if __name__ == "__main__":
    img2dataset.download(url_list=sys.argv[1], input_format="csv", url_col="url", caption_col="text",
        output_folder=sys.argv[2], output_format="webdataset", image_size=256, resize_mode="keep_ratio",
        processes_count=int(sys.argv[3]), thread_count=64, number_sample_per_shard=int(sys.argv[4]), timeout=30)
"""


@dataclass
class Best:
    """Best wall clock, and processor time an image round by round, start-up not counted."""

    rate: float = 0.0
    busy: float = 0.0
    milliseconds: list[float] = field(default_factory=list)

    def add(self, images: int, seconds: float, processor: float, busy: float = 0.0) -> None:
        self.rate = max(self.rate, images / seconds)
        self.busy = max(self.busy, busy)
        self.milliseconds.append(1000 * processor / images)


def serve(paths: list[Path], port: Any) -> None:
    """Answers /N/anything with image N, from memory, many connections at once."""
    bodies = [path.read_bytes() for path in paths]
    answers = [
        b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(b) + b for b in bodies
    ]
    missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    port.value = listener.getsockname()[1]

    def answer(connection: socket.socket) -> None:
        with connection:
            received = b""
            while True:
                while b"\r\n\r\n" not in received:
                    part = connection.recv(65536)
                    if not part:
                        return
                    received += part
                request, _, received = received.partition(b"\r\n\r\n")
                number = request.split(b" ", 2)[1].split(b"/")[1]
                connection.sendall(answers[int(number)] if number.isdigit() else missing)
                if b"connection: close" in request.lower():
                    return

    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


def run_ours(urls: list[str], port: int, folder: Path) -> tuple[float, float, float]:
    """Seconds by the clock and of processor for one shard, the decoders warm; the share of the cores' time in use."""
    import pyarrow as pa

    from beam_jobs.fetching.addresses import ResolveRule
    from beam_jobs.stages.download import DownloadOptions, DownloadTask, download_shard
    from beam_jobs.storage.parquet import write_table
    from beam_jobs.storage.run_folder import RunFolder
    from schemas.tables import PLANNED, conform

    rules = [ResolveRule(HOST, "127.0.0.1", port)]
    options = DownloadOptions.build({"resize": "keep_ratio"}, resolve=rules, per_host=64, concurrency=64)
    for shard, some in enumerate([urls[:64], urls]):
        names = [f"{index:032x}" for index in range(len(some))]
        table = conform(pa.table({"uid": names, "url": some, "text": ["a photograph"] * len(some)}), PLANNED)
        write_table(RunFolder(str(folder)).planned(shard), table)
        idle, started, before = idle_time(), time.perf_counter(), time.process_time() + decoders_processor()
        tally = download_shard(DownloadTask(str(folder), shard, options))
        seconds, after = time.perf_counter() - started, time.process_time() + decoders_processor()
        idle = (idle_time() - idle) / (seconds * len(os.sched_getaffinity(0)))
        assert tally.kept == len(some), tally
    return seconds, after - before, 1 - idle


def idle_time() -> float:
    """Seconds that the cores which this process may use have been idle."""
    mine = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    return sum(int(line[4]) + int(line[5]) for line in lines if line[0] in mine) / os.sysconf("SC_CLK_TCK")


def decoders_processor() -> float:
    """Seconds of processor that the decoding processes of this one have used."""
    used = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            command = (stat.parent / "cmdline").read_text()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and "decoder_worker" in command:
            used += int(fields[11]) + int(fields[12])
    return used / os.sysconf("SC_CLK_TCK")


def run_theirs(urls: list[str], port: int, folder: Path, cores: int) -> tuple[float, float]:
    """From the first shard's start to the last one's end, as img2dataset's own statistics have them; processor."""
    with open(folder / "urls.csv", "w", newline="") as file:
        rows = [(url.replace(HOST, f"127.0.0.1:{port}"), "a photograph") for url in urls]
        csv.writer(file).writerows([("url", "text"), *rows])
    (folder / "theirs.py").write_text(THEIRS)
    command = [sys.executable, "theirs.py", "urls.csv", "theirs", str(cores), str(-(-len(urls) // cores))]
    environment = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"}
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=environment)
    stats = [json.loads(path.read_text()) for path in (folder / "theirs").glob("*_stats.json")]
    assert sum(shard["successes"] for shard in stats) == len(urls), stats
    seconds = max(shard["end_time"] for shard in stats) - min(shard["start_time"] for shard in stats)
    return float(seconds), sum(float(path.read_text()) for path in folder.glob("processor-*"))


def _decode_alone(paths: list[Path], turns: int, start: Any, used: Any) -> None:
    """What cannot be left out: decoding at the scale that the size wanted allows, resizing, encoding."""
    from beam_jobs.fetching.encode import encode
    from beam_jobs.fetching.jpeg import open_jpeg
    from beam_jobs.fetching.resize import average_to, plan_resize
    from schemas.download import DownloadSection

    cv2.setNumThreads(1)
    section = DownloadSection(resize="keep_ratio")
    images = [path.read_bytes() for path in paths]
    start.wait()
    before = time.process_time()
    for turn in range(turns):
        source = open_jpeg(images[turn % len(images)], section)
        plan = plan_resize(source.facts.width, source.facts.height, section)
        assert plan is not None
        size = (plan.width, plan.height)
        encode(average_to(source.decode(size).pixels, *size), section)
    with used.get_lock():
        used.value += time.process_time() - before


def run_floor(paths: list[Path], images: int, cores: int) -> tuple[float, float]:
    """Seconds by the clock and of processor for scaled decoding, resizing and encoding, and nothing else."""
    from beam_jobs.fetching.decoder_process import ENVIRONMENT

    context = multiprocessing.get_context("spawn")
    start, used = context.Barrier(cores + 1), context.Value("d", 0.0)
    arguments = (paths, images // cores, start, used)
    workers = [context.Process(target=_decode_alone, args=arguments) for _ in range(cores)]
    os.environ.update(ENVIRONMENT)
    for worker in workers:
        worker.start()
    for name in ENVIRONMENT:
        del os.environ[name]
    start.wait()
    started = time.perf_counter()
    for worker in workers:
        worker.join()
    return time.perf_counter() - started, float(used.value)


def main() -> None:
    """Measures each `--rounds` times in turn and prints the best of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = draw(folder)
        mean_size = sum(path.stat().st_size for path in paths) / len(paths)
        print(f"{arguments.images} images, {mean_pixels() / 1e6:.2f} MP, {mean_size / 1000:.0f} KB each")
        port = multiprocessing.Value("i", 0)
        server = multiprocessing.Process(target=serve, args=(paths, port), daemon=True)
        server.start()
        while not port.value:
            time.sleep(0.01)
        made: dict[str, Path] = {}

        def work(kind: str) -> Path:
            made[kind] = Path(tempfile.mkdtemp(dir=folder))
            return made[kind]

        urls = [f"http://{HOST}/{index % len(paths)}/{index}.jpg" for index in range(arguments.images)]
        runs = {
            "floor": lambda: run_floor(paths, len(urls), arguments.cores),
            "ours": lambda: run_ours(urls, port.value, work("ours")),
            "theirs": lambda: run_theirs(urls, port.value, work("theirs"), arguments.cores),
        }
        best = {kind: Best() for kind in runs}
        for turn in range(arguments.rounds):
            for kind, run in runs.items():
                best[kind].add(len(urls), *run())
                print(
                    f"round {turn + 1}, best so far: {kind:6} {best[kind].rate:7.1f} images/s, "
                    f"{min(best[kind].milliseconds):6.2f} ms of processor an image",
                    flush=True,
                )
        server.terminate()
        alike = likeness(made["ours"].rglob("00001.tar"), made["theirs"].rglob("*.tar"), len(paths))
    report(best, alike)


def by_processor(one: Best, other: Best) -> float:
    """How many times the processor time of one the other takes: the median of the rounds."""
    pairs = zip(one.milliseconds, other.milliseconds, strict=True)
    return statistics.median(theirs / ours for ours, theirs in pairs)


def report(best: Mapping[str, Best], alike: tuple[float, float]) -> None:
    """The figures, for people and for programs."""
    versions = {name: importlib.metadata.version(name) for name in ("pairmill", "img2dataset")}
    ours, theirs, floor = (best[name] for name in ("ours", "theirs", "floor"))
    figures = {
        "ratio": round(ours.rate / theirs.rate, 2),
        "ratio_by_processor": round(by_processor(ours, theirs), 2),
        "share_of_floor": round(ours.rate / floor.rate, 3),
        "share_of_floor_by_processor": round(by_processor(ours, floor), 3),
        "cores_in_use": round(ours.busy, 3),
        "ssim_least": round(alike[0], 4),
        "ssim_mean": round(alike[1], 4),
    }
    print(
        f"pairmill {versions['pairmill']} / img2dataset {versions['img2dataset']}: {figures['ratio']} by the clock, "
        f"{figures['ratio_by_processor']} by processor time"
    )
    print(
        f"share of the floor reached: {figures['share_of_floor']:.0%} by the clock, "
        f"{figures['share_of_floor_by_processor']:.0%} by processor time; cores in use: {ours.busy:.0%}; "
        f"SSIM with img2dataset's images: {alike[1]:.4f}, at least {alike[0]:.4f}"
    )
    rates = {kind: round(measured.rate, 1) for kind, measured in best.items()}
    print(json.dumps({"bench": "download", "images_per_second": rates, **figures, **versions}))


if __name__ == "__main__":
    main()
