"""The page itself: its numbers, what hostile texts can do to it, and a browser that opens it."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from selectolax.lexbor import LexborHTMLParser

from beam_jobs.report.pictures import thumbnail
from beam_jobs.stages.report import write_report

HOSTILE = (
    "<script>document.title = 'taken'</script>",
    "</script><script>document.title = 'taken'</script>",
    '"><img src=x onerror="document.title=\'taken\'">',
    "' onmouseover='document.title=1' x='",
    "</style></svg></template></textarea><iframe src=https://evil.example/></iframe>",
    "{{ 7 * 7 }}{% raw %} ${7*7} <%= 7*7 %>",
    "\u202e\u2066gnp.exe\u2069 right to left",
    "javascript:document.title='taken'",
    "]]><![CDATA[ --><!-- <!-->",
    "&lt;script&gt;&#x3c;script&#x3e; &amp;amp;",
    "A" * 10_240,
    "nul \x00 escape \x1b[31m bell \x07",
    "Z" + "\u0301" * 4000,
)


def _written(task: Any) -> str:
    write_report(task)
    return Path(task.work, "report", "base", "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(made_run: Any) -> str:
    return _written(made_run.task)


@pytest.fixture(scope="module")
def hostile(run_maker: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Every text, page and message of a small run is one that would like to be more than a text."""
    texts = [f"{text} {number}" for number in range(6) for text in HOSTILE]
    made = run_maker(tmp_path_factory.mktemp("hostile"), rows=len(texts), texts=texts)
    recipe = {**made.task.recipe, "cites": HOSTILE[1], "name": HOSTILE[2]}
    return _written(replace(made.task, recipe=recipe, resolve=(HOSTILE[0],)))


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def test_sums_of_the_page_are_those_of_the_ledgers(page: str, made_run: Any) -> None:
    tree = LexborHTMLParser(page)
    sums = [node.text() for node in tree.css(".stage .sum")]
    assert sums == [
        "240 in = 234 on + 6 out",
        "234 in = 210 on + 24 out",
        "210 in = 163 on + 47 out",
        "163 in = 69 on + 94 out",
        "69 in = 69 on, none lost",
    ]
    listed = {row.css_first("code").text(): _number(row.css_first(".n").text()) for row in tree.css(".losses li")}
    assert {**listed, "kept": 69} == dict(made_run.reasons)
    assert sum(listed.values()) + 69 == 240
    assert tree.css_first(".ended strong").text() == "240"
    assert [figure.text() for figure in tree.css(".headline dd:not(.under)")] == ["240", "163", "69", "28.8%", "2"]


def test_every_section_is_there_and_linked(page: str) -> None:
    tree = LexborHTMLParser(page)
    sections = [section.attributes["id"] for section in tree.css("main > section")]
    assert sections == ["funnel", "scores", "samples", "thresholds", "duplicates", "failures", "images", "making"]
    assert [link.attributes["href"] for link in tree.css(".toc a")] == [f"#{name}" for name in sections]
    assert tree.css_first("#scores .mark-label").text() == "≥ 0.3"
    assert len(tree.css("#samples .thumb img")) >= 24 + 8


def test_a_rerun_writes_the_same_bytes(page: str, made_run: Any) -> None:
    tally = write_report(made_run.task)
    again = Path(made_run.folder.report("base")).read_bytes()
    assert again == page.encode()
    assert tally.digest == hashlib.sha256(again).hexdigest()
    assert tally.reasons == made_run.reasons
    assert tally.rows_in == 240


def _check_inert(page: str) -> LexborHTMLParser:
    """No element, attribute or address but those of the template."""
    tree = LexborHTMLParser(page)
    [script], [style] = tree.css("script"), tree.css("style")
    policy = tree.css_first("meta[http-equiv]").attributes["content"]
    for node, name in ((script, "script"), (style, "style")):
        digest = base64.b64encode(hashlib.sha256(node.text().encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert not tree.css("iframe, object, embed, form, base, link:not([rel=icon]), foreignObject, a:not(.toc a)")
    for node in tree.css("*"):
        for name, value in node.attributes.items():
            assert not name.startswith("on"), (node.tag, name)
            assert name not in ("style", "srcset", "srcdoc", "action", "xlink:href"), (node.tag, name)
            if name in ("src", "href"):
                assert value.startswith(("data:image/webp;base64,", "data:image/svg+xml,%3Csvg", "#")), value
    return tree


def test_the_page_holds_nothing_but_its_own_elements(page: str) -> None:
    _check_inert(page)


def test_hostile_texts_stay_texts(hostile: str) -> None:
    tree = _check_inert(hostile)
    assert tree.css_first("h1").text() == "base"
    assert tree.css_first(".cites").text() == f"cites {HOSTILE[1]}"
    shown = {node.text() for node in tree.css(".thumb .alt bdi")} | {node.text() for node in tree.css(".texts q bdi")}
    for text in HOSTILE[:6]:
        assert any(each.startswith(text) for each in shown), text
    assert any(each.startswith("A" * 240 + "… (10,242 characters)") for each in shown)
    messages = " ".join(node.text() for node in tree.css(".example, .failures tbody, .hosts tbody, .bars"))
    assert "<script>document" in messages
    assert 'onerror="' in messages
    assert "49" not in {each.split()[0] for each in shown if each}
    assert any(each.startswith("\ufffd\ufffdgnp.exe\ufffd") for each in shown)
    assert not re.search("[\x00-\x08\x0e-\x1f\u202a-\u202e\u2066-\u2069]", hostile)
    assert max(map(len, shown)) < 300


def test_the_page_does_not_grow_with_the_run(page: str, run_maker: Callable[..., Any], tmp_path: Path) -> None:
    made = run_maker(tmp_path, rows=9_000, rows_per_shard=5_000, pictures=120)
    larger = _written(made.task)
    assert "9,000" in larger
    assert len(larger) < 1.5 * len(page) + 200_000


def test_pictures_are_small_whatever_they_show() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (900, 700, 3), dtype=np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(noise).save(encoded, "PNG")
    picture = thumbnail(encoded.getvalue())
    data = base64.b64decode(picture.removeprefix("data:image/webp;base64,"))
    assert len(data) < 14_000
    assert Image.open(io.BytesIO(data)).size == (149, 192)
    assert thumbnail(b"<svg onload='alert(1)'/>") == ""
    assert thumbnail(encoded.getvalue()[:2000]) == ""


def _open(file: Path, folder: Path) -> tuple[str, str]:
    """(the document after its script ran, what the browser said) of a real browser that has no network."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no browser: neither chromium nor google-chrome is installed")
    log = folder / "net.json"
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--disable-dev-shm-usage", f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--v=0",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--log-net-log={log}", "--virtual-time-budget=2000",
        "--dump-dom", file.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    return done.stdout.decode(), done.stderr.decode(errors="replace") + log.read_text(errors="replace")


@pytest.mark.parametrize("kind", ["page", "hostile"])
def test_a_browser_opens_it_without_errors_or_requests(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    file = tmp_path / "index.html"
    file.write_text(request.getfixturevalue(kind), encoding="utf-8")
    document, said = _open(file, tmp_path)
    assert "CONSOLE" not in said, [line for line in said.splitlines() if "CONSOLE" in line]
    asked = set(re.findall(r'"url":"(?:https?|wss?)://([^/"]+)', said))
    assert {host for host in asked if not host.endswith(("google.com", "googleapis.com"))} == set()
    title = re.search("<title>(.*?)</title>", document)
    assert title is not None
    assert html.unescape(title[1]) == "base · pairmill report"
    assert LexborHTMLParser(document).css_first("#theme").text() in ("Dark", "Light"), "the script did not run"
