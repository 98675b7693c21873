"""How pages and images are fetched, as flags of a launch: checked before anything is written, and in no fingerprint."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_jobs.cli import _parser, main
from beam_jobs.cli_command import REFUSED
from beam_jobs.fetch_flags import fetch_limits
from beam_jobs.launch import prepare
from schemas.refusal import Refusal

FLAGS = ["--concurrency=32", "--per_host=2", "--host_delay=0.5", "--timeout=3", "--deadline=30", "--retries=0"]


def arguments(work: Path, *flags: str):
    (work / "pairs.csv").write_text("url,text\nhttp://a.test/1.jpg,one\n")
    given = ["run", "--recipe", "base", "--work", str(work / "run"), "--source", f"table:{work / 'pairs.csv'}", *flags]
    return _parser().parse_args(given)


def test_flags_become_limits_of_the_run(tmp_path):
    run = prepare(arguments(tmp_path, *FLAGS), []).run
    assert run.limits == {
        "concurrency": 32,
        "per_host": 2,
        "host_delay": 0.5,
        "timeout": 3.0,
        "deadline": 30.0,
        "retries": 0,
    }
    assert prepare(arguments(tmp_path), []).run.limits == {}


def test_they_change_no_fingerprint(tmp_path):
    with_flags, without = (prepare(arguments(tmp_path, *flags), []).run.lineage for flags in (FLAGS, []))
    assert with_flags["download"].fingerprint == without["download"].fingerprint
    assert with_flags["extract"].fingerprint == without["extract"].fingerprint


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--concurrency=0", "--concurrency: expected a whole number from 1 to 10000; given '0'"),
        ("--concurrency=2.5", "--concurrency: expected a whole number from 1 to 10000; given '2.5'"),
        ("--per_host=many", "--per_host: expected a whole number from 1 to 10000; given 'many'"),
        ("--host_delay=-1", "--host_delay: expected seconds from 0 to 86400; given '-1'"),
        ("--timeout=0", "--timeout: expected seconds above 0 to 86400; given '0'"),
        ("--timeout=nan", "--timeout: expected seconds above 0 to 86400; given 'nan'"),
        ("--deadline=inf", "--deadline: expected seconds above 0 to 86400; given 'inf'"),
        ("--deadline=5", "--deadline: expected at least the timeout, 10 s; given 5"),
        ("--retries=-1", "--retries: expected a whole number from 0 to 100; given '-1'"),
        ("--contact=a\nb", "fetching: contact must be printable ASCII, got 'a\\nb'"),
    ],
)
def test_nonsense_is_refused(tmp_path, flag, expected):
    with pytest.raises(Refusal) as caught:
        fetch_limits(arguments(tmp_path, flag))
    assert str(caught.value) == expected


def test_a_refused_launch_writes_nothing(tmp_path, capsys):
    work = tmp_path / "run"
    status = main(["run", "--recipe", "base", "--work", str(work), "--source", "html:x.txt", "--per_host", "0"])
    assert (status, work.exists()) == (REFUSED, False)
    assert capsys.readouterr().err.startswith("pairmill: refused: --per_host: expected a whole number")


def test_help_says_what_is_usual(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "--per_host N requests to one host at once, from one machine (default: 16)" in said
    assert "--deadline SECONDS for a URL with all its redirects and retries (default: 60)" in said
    assert "--contact URL|MAIL" in said
