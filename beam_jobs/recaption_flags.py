"""The flags of a launch that concern captioners: where they run, and where their answers are kept.

In: a parser of `run` or `plan`. Out: the parser with `--captioner` and `--answers`. A recipe says what is asked; which
engine and model answer here is said with these.
"""

from __future__ import annotations

import argparse


def add_captioner_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--captioner",
        action="append",
        default=[],
        metavar="LABEL={...}",
        help="engine, model and options of a captioner of the recipe, * for all: '*={engine: vllm, model: DIR}'",
    )
    parser.add_argument("--answers", metavar="URL", help="the store of captioners' answers (default: WORK/answers)")
