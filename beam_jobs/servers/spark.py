"""Spark's job server, as a jar on this machine.

In: what is installed. Out: the path of a jar that `java -jar` starts: Beam's own, of its jar cache or fetched from
Maven Central; or, where Central has none, one assembled by Maven from the libraries that Beam's is made of.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from zipfile import ZipFile

from beam_jobs.servers.cache import cache_folder, making
from beam_jobs.servers.missing import ProgramMissing

_GRADLE_TARGET = ":runners:spark:3:job-server:shadowJar"
_ASSEMBLED = "spark-job-server-2.62.0"  # as in pom.xml beside this file
_JAR = "job-server.jar"
_MAIN_CLASS = "org.apache.beam.runners.spark.SparkJobServerDriver"
_MANIFEST_LINE = 70


def spark_jar_path() -> Path:
    """Where the assembled one is kept."""
    return cache_folder() / _ASSEMBLED / _JAR


def find_spark_jar(tell: Callable[[str], None]) -> str:
    """The path of a job server jar: fetched or assembled before, fetched now, or assembled now."""
    from apache_beam.utils.subprocess_server import JavaJarServer

    url = JavaJarServer.path_to_beam_jar(_GRADLE_TARGET)
    fetched = Path(JavaJarServer.JAR_CACHE) / url.rpartition("/")[2]
    for path in (fetched, spark_jar_path()):
        if path.exists():
            return str(path)
    tell("fetching Spark's job server from Maven Central (some 300 MB); this is done once")
    try:
        return str(JavaJarServer.local_jar(url))
    except (RuntimeError, OSError) as error:
        if shutil.which("mvn") is None:
            raise ProgramMissing(
                f"Spark's job server is missing: {url.rpartition('/')[2]} could not be fetched, and without Maven "
                "(`mvn`) it cannot be assembled; give one as --spark_job_server_jar"
            ) from error
    tell("Maven Central has no job server of this version; assembling it from its libraries with Maven")
    return _assemble()


def _assemble() -> str:
    target = spark_jar_path().parent
    with making(target) as workshop, as_file(files("beam_jobs.servers") / "pom.xml") as pom:
        shutil.copy(pom, workshop / "pom.xml")
        folder = workshop / target.name
        done = subprocess.run(
            ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={folder}"],
            cwd=workshop,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            why = next((line for line in done.stdout.split("\n") if "ERROR" in line), done.stdout[:300])
            raise ProgramMissing(f"Spark's job server could not be assembled with Maven: {why.strip()}")
        write_launcher(folder / _JAR, sorted(path.name for path in folder.glob("*.jar")))
    return str(spark_jar_path())


def write_launcher(jar: Path, libraries: Sequence[str]) -> None:
    """Writes a jar of a manifest alone: the main class, and the libraries that lie beside it."""
    lines = ["Manifest-Version: 1.0", f"Main-Class: {_MAIN_CLASS}", f"Class-Path: {' '.join(libraries)}"]
    with ZipFile(jar, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "".join(_folded(line) for line in lines) + "\r\n")


def _folded(line: str) -> str:
    """A manifest line holds 72 bytes at most; what follows stands on lines that begin with a space."""
    parts = [line[start : start + _MANIFEST_LINE] for start in range(0, len(line), _MANIFEST_LINE)]
    return "\r\n ".join(parts) + "\r\n"
