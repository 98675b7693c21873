"""A user's mistake ends in one clear line and status 2, with nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from beam_jobs.cli import main
from beam_jobs.launch import parse_stages
from schemas.refusal import Refusal

RunArguments = Callable[[Path], list[str]]


@pytest.fixture
def pages(tmp_path: Path) -> str:
    path = tmp_path / "pages.txt"
    path.write_text("http://shapes.test/\n")
    return f"--source=html:{path}"


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """What the command line says when it refuses; it must be one line."""
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("pairmill: refused: ")
    assert said.count("\n") == 1
    return said.removeprefix("pairmill: refused: ").rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["frobnicate"], "invalid choice: 'frobnicate' (choose from 'run', 'plan', 'counts'"),
        (["run", "--recipe=base"], "the following arguments are required: --work"),
        (["run", "--recipe=none", "--work=w"], "unknown recipe 'none'; known: align, "),
        (["run", "--recipe=absent.yaml", "--work=w"], "no recipe file absent.yaml"),
        (["run", "--recipe=base", "--work=w"], "--source: expected KIND:URL, none given, and w holds no run"),
        (["run", "--recipe=base", "--work=w", "--source=ftp:x"], "unknown source kind 'ftp'; known: warc, wat, html"),
        (["run", "--recipe=base", "--work=w", "--source=html:absent.txt"], "html:absent.txt does not exist"),
        (["run", "--recipe=base", "--work=w", "--source=table:absent.csv"], "absent.csv"),
        (["run", "--recipe=base", "--work=w", "--stages=downlod"], "--stages: unknown stage 'downlod'; known: "),
        (["run", "--recipe=base", "--work=w", "--stages=write:score"], "--stages: write comes after score"),
        (["run", "--recipe=base", "--work=w", "--resolve=x"], "--resolve expects PATTERN=HOST:PORT"),
        (["run", "--recipe=base", "--work=w", "--runner=Fast"], "--runner: unknown runner 'Fast'; known: "),
        (["run", "--recipe=base", "--work=w", "--bogus=1"], "unknown option '--bogus': it is neither ours"),
        (["counts", "--work=w"], "--work: w holds no run"),
        (["scorers", "beauty"], "unknown scorer 'beauty'; known: "),
        (["recipes", "beauty"], "unknown recipe 'beauty'; known: align, "),
        (["counts", "--work=w", "--runner=DirectRunner"], "unrecognized arguments: --runner=DirectRunner"),
        (["world", "w", "--pairs=0"], "--pairs: expected at least 1, given 0"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert expected in refused(capsys, arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("download:", "downloads:"), "unknown key 'downloads'"),
        (("image_size: 256", "image_sise: 256"), "image_sise"),
        (("- text_facts", "- text_fact"), "unknown scorer 'text_fact'; known: "),
        (("model: tiny", "modell: tiny"), "unknown option 'modell'"),
        (("word_count = 0", "words = 0"), "select reads no column 'words': nothing makes it; known: "),
        (("word_count = 0", "word_count = "), "word_count ="),
        (("embedding: clip", "embedding: dino"), "no scorer stores embeddings as 'dino'; known: clip"),
    ],
)
def test_a_wrong_recipe_is_one_line(
    change: tuple[str, str],
    expected: str,
    pages: str,
    small_shards: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    before, after = change
    text = small_shards.read_text()
    assert before in text
    recipe = tmp_path / "wrong.yaml"
    recipe.write_text(text.replace(before, after))
    said = refused(capsys, ["run", f"--recipe={recipe}", pages, f"--work={tmp_path / 'work'}"])
    assert expected in said
    assert "wrong.yaml" in said or "scorer" in said
    assert not (tmp_path / "work").exists()


def test_another_recipe_over_the_same_images_is_refused(
    undisturbed: Path,
    run_arguments: RunArguments,
    small_shards: Path,
    digests: Callable[[Path], dict[str, str]],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    before = digests(undisturbed)
    recipe = tmp_path / "other.yaml"
    recipe.write_text(small_shards.read_text().replace("image_size: 256", "image_size: 128"))
    arguments = [argument for argument in run_arguments(undisturbed) if not argument.startswith("--recipe")]
    assert refused(capsys, [*arguments, f"--recipe={recipe}"]) == (
        f"{undisturbed} holds download made with another configuration (section.image_size: 256, now 128); "
        "use another --work"
    )
    assert digests(undisturbed) == before


def test_a_stage_before_its_turn_is_refused(pages: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    work = tmp_path / "work"
    said = refused(capsys, ["run", "--recipe=base", pages, f"--work={work}", "--stages=download"])
    assert said == f"--stages download: planned is not done in {work}; run the stages before download first"
    assert not work.exists()


@pytest.mark.parametrize(
    ("given", "stages"),
    [
        ("score", ("score",)),
        ("download:group", ("download", "score", "group")),
        (":preselect", ("extract", "corpus", "preselect")),
        ("write:", ("write", "report")),
    ],
)
def test_spans_of_stages(given: str, stages: tuple[str, ...]) -> None:
    assert parse_stages(given) == stages


def test_all_stages_in_the_order_of_the_flow() -> None:
    flow = ("extract", "corpus", "preselect", "download", "score", "group", "select", "recaption", "write", "report")
    assert parse_stages(None) == flow
    with pytest.raises(Refusal):
        parse_stages("")


def test_plan_says_what_would_run_and_runs_nothing(
    pages: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    work = tmp_path / "work"
    assert main(["plan", "--recipe=base", pages, f"--work={work}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == ["  extract     1 of 1 shards to make", "  preselect   after extract"]
    assert not work.exists()


def test_plan_of_a_finished_run_says_done(
    undisturbed: Path, run_arguments: RunArguments, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", *run_arguments(undisturbed)[1:]]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert len(lines) == 8
    assert all(" done: " in line for line in lines)


@pytest.mark.parametrize("command", ["run", "plan", "counts", "recipes", "scorers", "world", "demo"])
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"example: pairmill {command}" in capsys.readouterr().out
