"""A run in an object store: the same bytes as on a disk, also when it was killed or the store failed."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec

from beam_jobs.overview import counts
from beam_jobs.storage.files import exists, list_files, read_bytes, write_bytes

RunArguments = Callable[[Any], list[str]]
# Everything but the ledger and img2dataset's statistics, which tell the time.
TABLES = ("pairs", "preselected", "planned", "images", "scores", "embeddings", "groups", "selected", "shards")


def stored(work: str) -> dict[str, str]:
    """SHA-256 of what a run made, by its path in the run folder."""
    fs, root = fsspec.core.url_to_fs(work)
    fs.invalidate_cache()
    found = {}
    for folder in TABLES:
        for path in fs.find(f"{root}/{folder}"):
            if not path.endswith("_stats.json"):
                found[path[len(root) :].strip("/")] = hashlib.sha256(fs.cat_file(path)).hexdigest()
    return found


def ledgers(work: str) -> str:
    """All that the run wrote down of itself."""
    fs, root = fsspec.core.url_to_fs(work)
    return b"".join(fs.cat_file(path) for path in fs.find(f"{root}/ledger")).decode()


def reasons(work: str) -> dict[str, dict[str, int]]:
    return {count["stage"]: count["reasons"] for count in counts(work)}


def test_a_killed_run_goes_on_and_ends_with_the_bytes_of_a_disk(
    store: Any,
    faulty_environment: tuple[dict[str, str], Any],
    run_arguments: RunArguments,
    undisturbed: Path,
) -> None:
    """It goes on through a store that answers 503 to some requests, and cuts the connection of others."""
    work = f"{store.root}/killed"
    command = [sys.executable, "-m", "beam_jobs", *run_arguments(work)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    while run.poll() is None and not list_files(f"{work}/ledger/download", ".json"):
        time.sleep(0.02)
    assert run.poll() is None, run.stdout.read() if run.stdout else ""
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    environment, proxy = faulty_environment
    ended = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert min(proxy.faults["busy"], proxy.faults["cut"]) >= 2
    assert stored(work) == stored(str(undisturbed))
    assert reasons(work) == reasons(str(undisturbed))
    said = ended.stdout + ended.stderr + ledgers(work)
    assert store.secret not in said
    assert "opted_out" in said


def test_listing_knows_no_page(store: Any) -> None:
    """Stores list 1,000 objects (S3, Google) or 5,000 (Azure) at a time."""
    fs, root = fsspec.core.url_to_fs(f"{store.root}/many")
    names = [f"{number:05d}.json" for number in range(1203)]
    fs.pipe({f"{root}/{name}": b"{}" for name in names})
    assert list_files(f"{store.root}/many", ".json") == names


def test_a_file_is_there_as_a_whole_or_not_at_all(store: Any) -> None:
    url = f"{store.root}/atomic/file.bin"
    data = bytes(range(256)) * 40_000  # more than one part of an upload
    assert not exists(url)
    assert write_bytes(url, data) == hashlib.sha256(data).hexdigest()
    assert read_bytes(url) == data
    assert write_bytes(url, b"new") == hashlib.sha256(b"new").hexdigest()
    assert read_bytes(url) == b"new"
    assert list_files(f"{store.root}/atomic") == ["file.bin"]
