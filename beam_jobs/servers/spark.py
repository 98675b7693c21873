"""Spark's job server, as a jar on this machine.

In: what is installed. Out: the path of a jar that `java -jar` starts: Beam's own, of its jar cache or fetched from
Maven Central; or, where Central has none, one assembled by Maven from the libraries that Beam's is made of. And the
jar that brings Beam to a cluster's Spark.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from beam_jobs.servers.assembling import run_maven
from beam_jobs.servers.cache import cache_folder, making
from beam_jobs.servers.jars import merge_jars, write_launcher
from beam_jobs.servers.missing import ProgramMissing

_GRADLE_TARGET = ":runners:spark:3:job-server:shadowJar"
_ASSEMBLED = "spark-job-server-2.62.0"  # as in pom.xml beside this file
_JAR = "job-server.jar"
_APPLICATION_JAR = "application.jar"
_SERVER_CLASS = "org.apache.beam.runners.spark.SparkJobServerDriver"
_RUNNER_CLASS = "org.apache.beam.runners.spark.SparkPipelineRunner"
# What executors lack that have a Spark of their own. Beam's client of Google's stores wants another guava than Spark's,
# and files are read by Python.
APPLICATION = ("args4j-", "beam-", "byte-buddy-", "classgraph-")
NOT_OF_THE_APPLICATION = "beam-sdks-java-extensions-google-cloud-platform-core-"


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


def application_jar(server: str) -> str:
    """The jar that brings Beam to a Spark: made once of the assembled server's libraries, or the whole server's jar."""
    if Path(server) != spark_jar_path():
        return server
    folder = spark_jar_path().parent
    target = folder / _APPLICATION_JAR
    if not target.exists():
        jars = [path for path in sorted(folder.glob("*.jar")) if is_of_the_application(path.name)]
        with making(target) as workshop:
            merge_jars(workshop / target.name, jars, main_class=_RUNNER_CLASS)
    return str(target)


def is_of_the_application(library: str) -> bool:
    return library.startswith(APPLICATION) and not library.startswith(NOT_OF_THE_APPLICATION)


def _assemble() -> str:
    target = spark_jar_path().parent
    with making(target) as workshop:
        folder = workshop / target.name
        arguments = ["dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
        run_maven(workshop, "pom.xml", arguments, what="Spark's job server")
        write_launcher(folder / _JAR, sorted(path.name for path in folder.glob("*.jar")), main_class=_SERVER_CLASS)
    return str(spark_jar_path())
