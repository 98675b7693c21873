import csv
import hashlib
import io
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import ada_url
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

from beam_jobs.world.truth import TRUTH
from beam_jobs.world.write import write_world
from schemas.reasons import FAILURES

PAIRS = 240


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, pairs=PAIRS, seed=5, small=True)
    return folder


@pytest.fixture(scope="module")
def truth(world: Path) -> list[dict]:
    table = pq.read_table(world / "truth.parquet")
    assert table.schema.equals(TRUTH)
    return table.to_pylist()


class _Images(HTMLParser):
    """What a page says: its base, its robots directives, and (src, alt) of its images."""

    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.robots = ""
        self.images: list[tuple[str | None, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "base":
            self.base = named["href"] or ""
        elif tag == "meta" and named.get("name") == "robots":
            self.robots = named["content"] or ""
        elif tag == "img":
            self.images.append((named.get("src"), named.get("alt")))


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _file(world: Path, url: str) -> Path:
    parts = urlsplit(url)
    path = unquote(parts.path)
    return world / "web" / parts.netloc / (path.lstrip("/") + ("index.html" if path.endswith("/") else ""))


def test_the_same_seed_gives_the_same_bytes(world: Path, tmp_path: Path) -> None:
    write_world(tmp_path / "again", pairs=PAIRS, seed=5, small=True)
    assert _digests(tmp_path / "again") == _digests(world)
    write_world(tmp_path / "other", pairs=PAIRS, seed=6, small=True)
    assert _digests(tmp_path / "other")["truth.parquet"] != _digests(world)["truth.parquet"]


def test_a_world_is_written_in_place_of_another(tmp_path: Path) -> None:
    write_world(tmp_path / "fresh", pairs=20, seed=1, small=True)
    write_world(tmp_path / "reused", pairs=60, seed=2, small=True)
    write_world(tmp_path / "reused", pairs=20, seed=1, small=True)
    assert _digests(tmp_path / "reused") == _digests(tmp_path / "fresh")


def test_every_image_of_every_page_is_in_the_truth_and_nothing_else(world: Path, truth: list[dict]) -> None:
    said = []
    for page_url in (world / "pages.txt").read_text().split():
        reader = _Images()
        reader.feed(_file(world, page_url).read_text())
        base = urljoin(page_url, reader.base)
        for position, (src, alt) in enumerate(reader.images):
            said.append((page_url, position, _meant(base, src), alt or "", reader.robots))
    known = [(row["page_url"], row["position"], row["url"], row["text"], row["opt_out"]) for row in truth]
    assert said == known
    assert len(known) == PAIRS


def _meant(base: str, src: str | None) -> str:
    """The URL that a browser makes of it; what is none stays as it is written."""
    if not src or re.match(r"(data|javascript):|http://\[", src):
        return src or ""
    return str(ada_url.join_url(base, src))


def test_what_should_exist_exists_and_shows_what_it_should(world: Path, truth: list[dict]) -> None:
    for row in truth:
        if row["expected"] not in ("ok", "opted_out"):
            continue
        assert hashlib.sha256(_file(world, row["url"]).read_bytes()).hexdigest() == row["sha256"]
        image = Image.open(_file(world, row["url"]))
        assert image.format == row["format"]
        assert image.getexif().get(0x0112, 1) == row["orientation"]
        assert ImageOps.exif_transpose(image).size == (row["width"], row["height"])


def test_each_trap_is_what_it_is_called(world: Path, truth: list[dict]) -> None:
    found = {row["expected"]: row["url"] for row in truth}
    assert set(found) == {
        "ok", "opted_out", "http_404", "svg", "not_an_image", "truncated", "too_small", "too_many_pixels",
        "unsupported_scheme", "no_image_url", "invalid_url", "empty_body",
    }  # fmt: skip
    assert set(found) - {"ok"} <= set(FAILURES)
    assert not _file(world, found["http_404"]).exists()
    assert _file(world, found["empty_body"]).read_bytes() == b""
    assert _file(world, found["svg"]).read_bytes().startswith(b"<svg ")
    assert b"<html" in _file(world, found["not_an_image"]).read_bytes()
    assert Image.open(_file(world, found["too_small"])).size == (1, 1)
    with pytest.raises(Image.DecompressionBombError, match="400000000 pixels"):
        Image.open(_file(world, found["too_many_pixels"]))
    with pytest.raises(OSError, match="truncated"):
        Image.open(_file(world, found["truncated"])).load()
    assert {urlsplit(row["url"]).scheme for row in truth if row["expected"] == "unsupported_scheme"} == {
        "data", "javascript",
    }  # fmt: skip


def test_the_bomb_is_a_whole_png() -> None:
    from beam_jobs.world.encoding import bomb

    image = Image.open(io.BytesIO(bomb(250)))
    assert (image.size, image.mode, image.getextrema()) == ((250, 250), "1", (255, 255))


def test_duplicates_show_one_picture(world: Path, truth: list[dict]) -> None:
    import numpy as np

    groups: dict[str, list[dict]] = {}
    for row in truth:
        if row["expected"] == "ok":
            groups.setdefault(row["duplicate_group"], []).append(row)
    fates = Counter(row["fate"] for group in groups.values() for row in group if len(group) > 1)
    assert min(fates[fate] for fate in ("copy", "re_encoded", "resized", "again", "repeat")) >= 2
    for rows in groups.values():
        assert len({row["facts"] for row in rows}) == 1
        tiny = []
        for row in rows:
            image = ImageOps.exif_transpose(Image.open(_file(world, row["url"]))).convert("RGB")
            tiny.append(np.asarray(image.resize((16, 16)), dtype=int))
        assert all(np.abs(one - tiny[0]).mean() < 12 for one in tiny)
    copies = [row for row in truth if row["fate"] == "copy"]
    for row in copies:
        alike = [other for other in groups[row["duplicate_group"]] if other["sha256"] == row["sha256"]]
        assert len({other["url"] for other in alike}) >= 2
    for row in (row for row in truth if row["fate"] == "repeat"):
        assert sum((other["url"], other["text"]) == (row["url"], row["text"]) for other in truth) >= 2


def test_an_alt_is_what_its_label_says(truth: list[dict]) -> None:
    labels = Counter(row["label"] for row in truth)
    assert set(labels) == {
        "good", "vague", "wrong", "empty", "missing", "boilerplate", "file_name", "non_english",
    }  # fmt: skip
    assert labels["good"] > PAIRS * 0.45
    for row in truth:
        assert (row["text"] == "") == (row["label"] in ("empty", "missing"))
        assert (row["language"] in ("fr", "de", "es", "it", "ja")) == (row["label"] == "non_english")
        assert bool(row["detail"]) == (row["label"] in ("good", "wrong"))
    assert "other_scene" in {row["detail"] for row in truth if row["label"] == "wrong"}


def test_the_list_of_urls_is_the_fetchable_part_of_the_truth(world: Path, truth: list[dict]) -> None:
    with open(world / "urls.csv", newline="", encoding="utf-8") as file:
        listed = [(row["url"], row["text"]) for row in csv.DictReader(file)]
    left_out = ("opted_out", "unsupported_scheme", "no_image_url", "invalid_url")
    assert listed == [(row["url"], row["text"]) for row in truth if row["expected"] not in left_out]
    assert all(url.startswith("http://") and url.isascii() and " " not in url for url, _ in listed)


def test_references_are_written_in_many_ways(world: Path) -> None:
    written = []
    for page_url in (world / "pages.txt").read_text().split():
        reader = _Images()
        reader.feed(_file(world, page_url).read_text())
        written += [(src, reader.base) for src, _ in reader.images if src]
    assert any(src.startswith("../") for src, _ in written)
    assert any(src.startswith("//") for src, _ in written)
    assert any(src.startswith("/media/") for src, _ in written)
    assert any("?w=" in src for src, _ in written)
    assert any(base == "/static/" and src.startswith("uploads/") for src, base in written)
    assert any(" " in src for src, _ in written)
    assert any("%20" in src for src, _ in written)
    assert any("é" in src for src, _ in written)
