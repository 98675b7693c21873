"""A small world, a recipe of many small shards, and runs of it: what tests of the whole flow share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from beam_jobs.cli import main
from beam_jobs.recipes import recipe_text
from beam_jobs.servers.java import java_program
from beam_jobs.servers.missing import ProgramMissing
from beam_jobs.servers.prism import prism_may_start
from beam_jobs.world.server import serve
from beam_jobs.world.write import write_world

PAIRS = 90


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, pairs=PAIRS, seed=7, small=True)
    return folder


@pytest.fixture(scope="session")
def world_port(small_world: Path) -> Iterator[int]:
    with serve(small_world / "web") as port:
        yield port


@pytest.fixture(scope="session")
def small_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recipe `base` with 20 rows an image shard and 12 samples a training shard."""
    text, _ = recipe_text("base")
    text = text.replace("rows_per_shard: 1000", "rows_per_shard: 20")
    text = text.replace("samples_per_shard: 10000", "samples_per_shard: 12").replace("name: base", "name: small")
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    path.write_text(text)
    return path


RunArguments = Callable[[Path], list[str]]


@pytest.fixture(scope="session")
def run_arguments(small_world: Path, world_port: int, small_shards: Path) -> RunArguments:
    """The command line of a run of the small world in a work folder."""

    def arguments(work: Path) -> list[str]:
        return [
            *("run", f"--recipe={small_shards}", f"--source=html:{small_world / 'pages.txt'}"),
            *(f"--resolve=*.test=127.0.0.1:{world_port}", f"--work={work}"),
        ]

    return arguments


@pytest.fixture(scope="session")
def undisturbed(run_arguments: RunArguments, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work folder of a run on DirectRunner that nothing disturbed."""
    work = tmp_path_factory.mktemp("undisturbed")
    assert main(run_arguments(work)) == 0
    return work


@pytest.fixture(scope="session")
def digests() -> Callable[[Path], dict[str, str]]:
    """SHA-256 of every file below a folder, by its path there."""

    def of(folder: Path) -> dict[str, str]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    return of


@pytest.fixture(scope="session")
def runner_flags() -> Callable[[str], list[str]]:
    """Flags of a runner; the test is skipped, naming what is missing, where it cannot start."""

    def flags(name: str) -> list[str]:
        if name == "PrismRunner" and not prism_may_start():
            pytest.skip("Go is missing: PrismRunner needs it to build Prism")
        if name in ("SparkRunner", "FlinkRunner"):
            try:
                java_program()
            except ProgramMissing as missing:
                pytest.skip(str(missing))
        return [f"--runner={name}"]

    return flags
