"""What servers need: kept things are whole, a jar that names its libraries, programs that end with their parent."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from zipfile import ZipFile

import pytest

from beam_jobs.quiet import quiet_beam
from beam_jobs.servers.cache import cache_folder, making
from beam_jobs.servers.jars import merge_jars, write_launcher
from beam_jobs.servers.tied import tied


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    monkeypatch.delenv("PAIRMILL_CACHE", raising=False)
    assert cache_folder() == Path("/somewhere/pairmill")
    monkeypatch.setenv("PAIRMILL_CACHE", "/elsewhere")
    assert cache_folder() == Path("/elsewhere")


def test_what_is_kept_appears_whole_and_leaves_nothing_beside(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "thing"
    with making(target) as workshop:
        (workshop / "thing").write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert [path.name for path in target.parent.iterdir()] == ["thing"]


def test_the_first_of_two_makers_wins(tmp_path: Path) -> None:
    target = tmp_path / "thing"
    with making(target) as workshop:
        (workshop / "thing").write_text("second")
        target.write_text("first")
    assert target.read_text() == "first"


def test_a_maker_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(LookupError), making(tmp_path / "thing"):
        raise LookupError
    with pytest.raises(FileNotFoundError, match="thing was not made"), making(tmp_path / "thing"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_launcher_jar_names_its_libraries_on_lines_of_72_bytes_at_most(tmp_path: Path) -> None:
    libraries = [f"library-{number:03}.jar" for number in range(30)]
    write_launcher(tmp_path / "job-server.jar", libraries, main_class="org.example.Server")
    manifest = ZipFile(tmp_path / "job-server.jar").read("META-INF/MANIFEST.MF").decode()
    assert max(len(line) for line in manifest.split("\r\n")) <= 72
    assert manifest.replace("\r\n ", "").split("\r\n") == [
        "Manifest-Version: 1.0",
        "Main-Class: org.example.Server",
        f"Class-Path: {' '.join(libraries)}",
        "",
        "",
    ]


def test_many_jars_become_one_that_keeps_all_services_and_no_signatures(tmp_path: Path) -> None:
    service = "META-INF/services/org.example.Opener"
    contents = {
        "a": {"org/A.class": "first", service: "org.A\n", "META-INF/A.SF": "signed", "META-INF/MANIFEST.MF": "a"},
        "b": {"org/A.class": "second", "org/B.class": "b", service: "org.B\norg.A", "module-info.class": "b"},
    }
    for name, files in contents.items():
        with ZipFile(tmp_path / f"{name}.jar", "w") as jar:
            for path, text in files.items():
                jar.writestr(path, text)
    merge_jars(tmp_path / "all.jar", [tmp_path / "a.jar", tmp_path / "b.jar"], main_class="org.A")
    with ZipFile(tmp_path / "all.jar") as merged:
        assert {name: merged.read(name).decode() for name in merged.namelist()} == {
            "META-INF/MANIFEST.MF": "Manifest-Version: 1.0\r\nMain-Class: org.A\r\n\r\n",
            "org/A.class": "first",
            "org/B.class": "b",
            service: "org.A\norg.B\n",
        }


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ties a process to its parent")
def test_a_tied_program_gets_its_arguments_and_ends_with_its_killed_parent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PAIRMILL_CACHE", str(tmp_path / "cache"))
    program = tmp_path / "a program"
    program.write_text('#!/bin/sh\necho "$1" > "$2"\nexec sleep 60\n')
    program.chmod(0o755)
    script = tied(str(program))
    assert script != str(program)
    assert os.stat(script).st_mode & stat.S_IXUSR
    said = tmp_path / "said"
    start = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); input()"
    parent = subprocess.Popen(
        [sys.executable, "-c", start, script, "it's me", str(said)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    child = Path("/proc", parent.stdout.readline().decode().strip())
    wait_for(lambda: said.exists() and said.read_text() == "it's me\n")
    parent.kill()
    parent.wait()
    wait_for(lambda: not child.exists() or "Z (zombie)" in (child / "status").read_text())
    parent.stdout.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_worker_program_ends_with_its_killed_runner() -> None:
    """It waits for a runner that does not answer."""
    worker = [sys.executable, "-m", "beam_jobs.servers.worker", "--id=1", "--provision_endpoint=127.0.0.1:9"]
    start = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); input()"
    runner = subprocess.Popen(
        [sys.executable, "-c", start, *worker],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert runner.stdout is not None
    child = Path("/proc", runner.stdout.readline().decode().strip())
    wait_for(lambda: (child / "task").exists() and len(list((child / "task").iterdir())) > 1, seconds=60)
    runner.kill()
    runner.wait()
    wait_for(lambda: not child.exists() or "Z (zombie)" in (child / "status").read_text())
    runner.stdout.close()


def wait_for(condition: object, seconds: float = 10) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_beams_chatter_is_silent_and_its_warnings_are_not(caplog: pytest.LogCaptureFixture) -> None:
    quiet_beam()
    quiet_beam()
    servers = logging.getLogger("apache_beam.utils.subprocess_server")
    servers.warning("Really starting service at %s with cmd: %s", "localhost:1", ["prism"])
    servers.warning("the service did not start")
    logging.getLogger().warning("apitools not found, and bigquery client libraries are not available")
    logging.getLogger("apache_beam.runners.portability.portable_runner").error("a bundle failed four times")
    assert caplog.messages == ["the service did not start", "a bundle failed four times"]
