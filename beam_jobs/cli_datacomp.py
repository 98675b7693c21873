"""The command `datacomp`: a scored run as a pool that DataComp's own tools read.

In: a run folder, which CLIP scorer stands for which of DataComp's names. Out: metadata and npz files in a folder.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any

from beam_jobs.cli_command import DONE, AddCommand, refuse_flags
from schemas.refusal import Refusal

_EMBEDDING = re.compile(r"([a-z0-9_]+)=([a-z][a-z0-9_]*)")


def add_datacomp(commands: Any, command: AddCommand) -> None:
    parser = command(
        commands,
        "datacomp",
        "Write a scored run as a DataComp pool: metadata in Parquet, embeddings as npz.",
        "datacomp out/pool --work out/run --embeddings l14=clip_l14,b32=clip",
    )
    parser.add_argument("folder", metavar="DIR", help="where the files go: a path or any fsspec URL")
    parser.add_argument("--work", required=True, metavar="URL", help="a run folder whose scores are done")
    parser.add_argument(
        "--embeddings",
        required=True,
        metavar="NAME=LABEL,...",
        help="DataComp's name (l14, b32) and the label of the CLIP scorer that stands for it",
    )
    parser.add_argument("--faces", metavar="LABEL", help="the label of the scorer `faces`, for face_bboxes")
    parser.set_defaults(do=_datacomp)


def _datacomp(arguments: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    from beam_jobs.datacomp_pool import Pool, write_pool

    refuse_flags(beam_flags)
    found = [_EMBEDDING.fullmatch(part.strip()) for part in arguments.embeddings.split(",")]
    if not all(found):
        raise Refusal(
            f"--embeddings: expected NAME=LABEL parted by commas, as l14=clip; given {arguments.embeddings!r}"
        )
    named = {match[1]: match[2] for match in found if match}
    total = 0
    for name, rows in write_pool(Pool(arguments.work, arguments.folder, named, arguments.faces)):
        print(f"{name}  {rows:>9,}")
        total += rows
    print(f"{total:,} pairs in {arguments.folder}")
    return DONE
