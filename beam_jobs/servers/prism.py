"""Prism, Beam's own local runner, as a program on this machine.

In: what is installed. Out: the path of a Prism of exactly the installed Beam's version: built once with Go and
kept, or Beam's own download.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from beam_jobs.servers.cache import cache_folder, making, run_builder
from beam_jobs.servers.missing import ProgramMissing

_PACKAGE = "github.com/apache/beam/sdks/v2/go/cmd/prism"


def beam_version() -> str:
    from apache_beam.version import __version__

    return str(__version__)


def prism_path() -> Path:
    """Where the built one is kept."""
    return cache_folder() / f"prism-{beam_version()}"


def prism_is_here() -> bool:
    """Whether a Prism was built or downloaded before."""
    return prism_path().exists() or _downloaded() is not None


def prism_may_start() -> bool:
    """Whether a Prism is here or could be built here; one may still be downloadable."""
    return prism_is_here() or shutil.which("go") is not None


def find_prism(tell: Callable[[str], None]) -> str:
    """The path of a Prism: kept, downloaded before, built now, or downloaded now. ProgramMissing when all fail."""
    if prism_path().exists():
        return str(prism_path())
    downloaded = _downloaded()
    if downloaded is not None:
        return str(downloaded)
    if shutil.which("go") is not None:
        tell(f"building Prism {beam_version()} with Go; this is done once and takes some minutes")
        return _build()
    return _download()


def _build() -> str:
    target = prism_path()
    with making(target) as workshop:
        command = ["go", "install", f"{_PACKAGE}@v{beam_version()}"]
        done = run_builder(command, folder=workshop, environment={**os.environ, "GOBIN": str(workshop)})
        if done.returncode != 0:
            why = " ".join(done.stdout.split("\n")[-3:]).strip()
            raise ProgramMissing(f"Prism could not be built with `go install`: {why}")
        (workshop / "prism").rename(workshop / target.name)
    return str(target)


def _downloaded() -> Path | None:
    """Beam's own download of this version, unpacked, if it was made before."""
    from apache_beam.runners.portability.prism_runner import PrismJobServer

    found = sorted(Path(PrismJobServer.BIN_CACHE).glob(f"apache_beam-v{beam_version()}-prism-*"))
    programs = [path for path in found if path.suffix not in (".zip", ".tmp")]
    return programs[0] if programs else None


def _download() -> str:
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.prism_runner import PrismJobServer

    try:
        return PrismJobServer.local_bin(PrismJobServer(PipelineOptions([])).path_to_binary())
    except (RuntimeError, OSError) as error:
        raise ProgramMissing(
            "Prism is missing: no Go to build it (`go` is not on the PATH), and its release could not be fetched "
            f"({error}); give a binary as --prism_location"
        ) from error
