"""The command that writes index files of embeddings.

In: the parsers of `pairmill`. Out: its arguments, and what it does, as an exit status.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any

from beam_jobs.cli_command import DONE, AddCommand
from schemas.refusal import Refusal

_SIZE = re.compile(r"(\d+(?:\.\d+)?)(MB|GB|TB)")
_BYTES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


def add_faiss(commands: Any, command: AddCommand) -> None:
    parser = command(
        commands,
        "faiss",
        "Write image.index and text.index beside a run's embeddings, as faiss reads them; the folder is then one that "
        "`clip-retrieval back` opens.",
        "faiss --work out --embedding clip --memory 4GB",
    )
    parser.add_argument("--work", required=True, metavar="URL", help="the run folder")
    parser.add_argument("--embedding", default="clip", metavar="SCORER", help="which scorer's (default: clip)")
    parser.add_argument("--memory", default="4GB", metavar="SIZE", help="what an index may take at most (default: 4GB)")
    parser.set_defaults(do=_faiss)


def _faiss(arguments: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    from beam_jobs.search_index import write_search_indexes

    if beam_flags:
        raise Refusal(f"unknown option {beam_flags[0]!r}: `faiss` runs in this process")
    size = _SIZE.fullmatch(arguments.memory)
    if size is None:
        raise Refusal(f"--memory: expected a size such as 500MB, 4GB or 1TB; given {arguments.memory!r}")
    most = int(float(size[1]) * _BYTES[size[2]])
    for index in write_search_indexes(arguments.work, arguments.embedding, most_bytes=most):
        probes = f", {index.probes} probes" if index.probes else ""
        print(f"{index.file}: {index.rows:,} x {index.width} as {index.kind}{probes}, recall@10 {index.recall_10:.3f}")
    return DONE
