"""The recipe's section `extract`: a run does as it says, and a wrong one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_jobs.cli import main
from beam_jobs.cli_command import REFUSED
from beam_jobs.overview import counts

PAGE = """<html><head><meta name="robots" content="{directive}"></head><body>
<img src="http://a.test/1.jpg" alt="a red bus" srcset="http://a.test/2.jpg 2x">
</body></html>"""


def extracted(tmp_path: Path, section: str, *, directive: str = "noai") -> dict[str, int]:
    """Reasons of the references of one page."""
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"name: r\nextract: {section}\n")
    (tmp_path / "pages" / "a.test").mkdir(parents=True)
    (tmp_path / "pages" / "a.test" / "index.html").write_text(PAGE.format(directive=directive))
    arguments = [f"--recipe={recipe}", f"--source=html:{tmp_path / 'pages'}", f"--work={tmp_path / 'work'}"]
    assert main(["run", *arguments, "--stages=extract"]) == 0
    (count,) = counts(str(tmp_path / "work"))
    return dict(count["reasons"])


@pytest.mark.parametrize(
    ("section", "directive", "expected"),
    [
        ("{}", "noai", {"opted_out": 2}),
        ("{}", "noindex", {"opted_out": 2}),
        ("{honour_opt_out: false}", "noai", {"kept": 2}),
        ("{disallowed_directives: [noai]}", "noindex", {"kept": 2}),
        ("{references: [src]}", "index", {"kept": 1}),
    ],
)
def test_a_run_does_as_it_says(tmp_path: Path, section: str, directive: str, expected: dict[str, int]) -> None:
    assert extracted(tmp_path, section, directive=directive) == expected


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{honor_opt_out: false}", "unknown key 'honor_opt_out'"),
        ("{honour_opt_out: maybe}", "extract: honour_opt_out is true or false, got 'maybe'"),
        ("{references: [href]}", "extract: unknown references href; known: src, srcset, picture, lazy, noscript, og"),
        ("{disallowed_directives: noai}", "expected a list"),
        ("{max_page_bytes: 0}", "max_page_bytes is a whole number of at least 1, got 0"),
    ],
)
def test_a_wrong_one_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], section: str, said: str
) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"name: r\nextract: {section}\n")
    arguments = [f"--recipe={recipe}", f"--source=html:{tmp_path}", f"--work={tmp_path / 'work'}"]
    assert main(["run", *arguments]) == REFUSED
    (line,) = capsys.readouterr().err.splitlines()
    assert said.removeprefix("extract: ") in line, line
    assert not (tmp_path / "work").exists()
