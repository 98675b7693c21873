"""The Java runtime that job servers start with.

In: what is installed. Out: the path of a `java`, or ProgramMissing.
"""

from __future__ import annotations

import os
import shutil

from beam_jobs.servers.missing import ProgramMissing


def java_program() -> str:
    """`$JAVA_HOME/bin/java`, else the `java` of the PATH; ProgramMissing when there is neither."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which(os.path.join(home, "bin", "java") if home else "java")
    if found is None:
        place = f"JAVA_HOME={home} has no bin/java" if home else "no `java` on the PATH"
        raise ProgramMissing(f"Java is missing ({place}): Spark and Flink need a Java runtime, 11 or 17")
    return found
