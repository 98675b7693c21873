"""Job servers that Maven assembles where Maven Central has none ready-made.

In: a project file beside this one, and the place of the jar. Out: that jar, whole: all libraries in one file that
`java -jar` starts and that a cluster takes, kept from then on.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

from beam_jobs.servers.cache import making, run_builder
from beam_jobs.servers.missing import ProgramMissing


def assemble(pom: str, jar: Path, *, what: str) -> str:
    """Builds the project `pom` of this package into `jar`; its path. ProgramMissing, naming `what`, when it fails."""
    with making(jar) as workshop:
        run_maven(workshop, pom, ["package", f"-DoutputFile={workshop / jar.name}"], what=what)
    return str(jar)


def run_maven(workshop: Path, pom: str, arguments: Sequence[str], *, what: str) -> None:
    """Runs Maven in a folder on the project `pom` of this package. ProgramMissing, naming `what`, when it fails."""
    with as_file(files("beam_jobs.servers") / pom) as project:
        shutil.copy(project, workshop / "pom.xml")
    done = run_builder(["mvn", "-q", "-B", *arguments], folder=workshop)
    if done.returncode != 0:
        why = next((line for line in done.stdout.split("\n") if "ERROR" in line), done.stdout[:300])
        raise ProgramMissing(f"{what} could not be assembled with Maven: {why.strip()}")
