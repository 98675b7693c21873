"""What a launch is refused for before anything is written: one line that says what is expected and what was given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from beam_jobs.cli import main
from beam_jobs.recipes import recipe_text

HEAD = """
name: mine
given: {head: weights}
score:
  - clip: {model: tiny}
  - head: {file: given:head, embedding: clip}
select: [{keep: head_score > 0.5, reason: low}]
"""
CONCEPTS = """
name: mine
given: {vocabulary: entries}
corpus: [concepts: {vocabulary: given:vocabulary}]
preselect: [{keep: concept_draw < 20000, reason: not_drawn}]
"""
LISTED = """
name: mine
given: {blocked: hosts}
preselect: [{drop_listed: {by: domain, file: given:blocked}}]
"""
TASKS = recipe_text("cit")[0].replace("model: ViT-B-32, pretrained: openai", "model: tiny")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "pairs.csv").write_text("url,text\nhttps://a.org/1.jpg,a dog\n")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "urls.txt").write_text("https://a.org/x\n")
    (tmp_path / "twice.txt").write_text("dog\ncat\ndog\n")
    np.savez(tmp_path / "narrow.npz", weight=np.zeros((1, 64), "f4"), bias=np.zeros(1, "f4"))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 and no more")
    return tmp_path


@pytest.fixture
def refused(files: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The line that a run of a recipe ends with; nothing is written."""

    def launch(recipe: str, *given: str) -> str:
        (files / "mine.yaml").write_text(recipe)
        arguments = ["run", f"--recipe={files / 'mine.yaml'}", f"--source=table:{files / 'pairs.csv'}"]
        arguments += [f"--given={each.replace('{files}', str(files))}" for each in given]
        assert main([*arguments, f"--work={files / 'work'}"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert not (files / "work").exists()
        return line.removeprefix("pairmill: refused: ").replace(str(files), "{files}")

    return launch


@pytest.mark.parametrize(
    ("recipe", "given", "expected"),
    [
        (HEAD, [], "{files}/mine.yaml: --given head=VALUE is missing: weights"),
        (HEAD, ["head=a", "heads=b"], "{files}/mine.yaml: --given: unknown name 'heads'; this recipe is given: head"),
        (HEAD, ["head"], "--given: expected NAME=VALUE; given 'head'"),
        (HEAD, ["head={files}/none.npz"], "scorer 'head': there is no file '{files}/none.npz'"),
        (HEAD, ["head={files}/broken.npz"], "scorer 'head': '{files}/broken.npz' cannot be read as weights"),
        (
            HEAD,
            ["head={files}/narrow.npz"],
            "scorer 'head': '{files}/narrow.npz' takes embeddings of length 64; those given have 128",
        ),
        (CONCEPTS, ["vocabulary={files}/none.txt"], "vocabulary {files}/none.txt: expected a file of entries"),
        (CONCEPTS, ["vocabulary={files}/empty.txt"], "vocabulary {files}/empty.txt: expected an entry a line"),
        (CONCEPTS, ["vocabulary={files}/twice.txt"], "vocabulary {files}/twice.txt: expected different entries"),
        (TASKS, ["tasks={files}/none.txt"], "scorer 'task_similarity': the file '{files}/none.txt' cannot be read"),
        (TASKS, ["tasks={files}/empty.txt"], "scorer 'task_similarity': the file '{files}/empty.txt' names no task"),
        (LISTED, ["blocked={files}/none.txt"], "{files}/mine.yaml: preselect[0].drop_listed.file: {files}/none.txt"),
        (LISTED, ["blocked={files}/empty.txt"], "{files}/mine.yaml: preselect[0].drop_listed.file: {files}/empty.txt"),
        (LISTED, ["blocked={files}/urls.txt"], "{files}/mine.yaml: preselect[0].drop_listed.file: {files}/urls.txt is"),
        ("name: mine\nselekt: []", [], "{files}/mine.yaml: unknown key 'selekt'; known: name, "),
        ("name: mine\nscore: [beauty]", [], "score: unknown scorer 'beauty'; known: "),
        ("name: mine\ncorpus: [beauty]", [], "{files}/mine.yaml: corpus: unknown counter 'beauty'; known: "),
        (
            "name: mine\nselect: [{keep: beauty > 1, reason: ugly}]",
            [],
            "{files}/mine.yaml: select[0]: select reads no column 'beauty': nothing makes it; known: ",
        ),
        (
            "name: mine\nselect: [{keep: width >, reason: small}]",
            [],
            "{files}/mine.yaml: select[0].keep: cannot parse 'width >'",
        ),
        (
            "name: mine\nselect: [{balance: url, reason: odd}]",
            [],
            "{files}/mine.yaml: select[0].balance: 'url' must be a number for each row",
        ),
        (
            "name: mine\ncolumns: [{bins: 2, of: url, as: b}]",
            [],
            "{files}/mine.yaml: columns[0]: expected a column of numbers; 'url' is string",
        ),
        (
            "name: mine\ncolumns: [{weight: width - beauty, as: w}]",
            [],
            "{files}/mine.yaml: columns[0]: columns reads no column 'beauty': nothing makes it; known: ",
        ),
        (
            "name: mine\ncolumns: [{bins: 2, of: width, as: height}]",
            [],
            "{files}/mine.yaml: columns[0]: the column 'height' is there already; give this one another name",
        ),
    ],
)
def test_a_launch_is_refused_in_one_line(
    recipe: str, given: list[str], expected: str, refused: Callable[..., str]
) -> None:
    assert refused(recipe, *given).startswith(expected)
