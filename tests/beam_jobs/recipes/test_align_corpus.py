"""ALIGN's rules before the download: a corpus built so that each has known victims, through the stages themselves."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_jobs.cli import main
from beam_jobs.recipes import recipe_text
from beam_jobs.storage.parquet import read_table

WORDS = [f"w{number}" for number in range(10)]
# Each of the ten words and of their hundred pairs stands in these thousand texts more than ten times.
TRIPLES = [" ".join(triple) for triple in itertools.product(WORDS, repeat=3)]
IN_TURN = [*WORDS, *WORDS, *WORDS]

PAIRS: list[tuple[str, str, str | None]] = [
    # url, text, the reason that it goes for
    *(("https://a.org/1001", text, "image_of_too_many_texts") for text in [*TRIPLES, "w0 w1 w2 w3"]),
    *(("https://a.org/1000", text, None) for text in TRIPLES),
    *((f"https://a.org/eleven/{number}", "shared by eleven", "text_of_too_many_images") for number in range(11)),
    *((f"https://a.org/ten/{number}", "borne by ten", None) for number in range(10)),
    ("https://a.org/2words", "w0 w1", "too_few_words"),
    ("https://a.org/20words", " ".join(IN_TURN[:20]), None),
    ("https://a.org/21words", " ".join(IN_TURN[:21]), "too_many_words"),
    ("https://a.org/word", "w0 w1 zyzzyva", "rare_words"),
    ("https://a.org/pair", "eleven shared by", "rare_words"),
]
# More than ten times: 10 words, 100 pairs of them, and the 3 words and 2 pairs of "shared by eleven". Ten times, of
# rank 116 all: 2 words and 2 pairs of "borne by ten". All others come behind rank 119.
RANK = 119


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    text, _ = recipe_text("align")
    assert text.count("100000000") == 1
    path = tmp_path / "align.yaml"
    path.write_text(text.replace("100000000", str(RANK)))
    return path


def test_each_rule_before_the_download_has_its_victims(recipe: Path, tmp_path: Path) -> None:
    urls, texts, _ = zip(*PAIRS, strict=True)
    pq.write_table(pa.table({"url": urls, "text": texts}), tmp_path / "pairs.parquet")
    source, work = f"--source=table:{tmp_path / 'pairs.parquet'}", tmp_path / "work"
    assert main(["run", f"--recipe={recipe}", source, f"--work={work}", "--stages=:preselect"]) == 0
    pairs = pa.concat_tables([read_table(str(path)) for path in sorted((work / "pairs").glob("*.parquet"))])
    judged = pa.concat_tables([read_table(str(path)) for path in sorted((work / "preselected").glob("*.parquet"))])
    columns = [pairs["url"], pairs["text"], judged["reason"]]
    found = {(url, text): reason for url, text, reason in zip(*(each.to_pylist() for each in columns), strict=True)}
    assert found == {(url, text): reason for url, text, reason in PAIRS}
    assert Counter(reason for _, _, reason in PAIRS) == {
        None: 1_011,
        "image_of_too_many_texts": 1_001,
        "text_of_too_many_images": 11,
        "too_few_words": 1,
        "too_many_words": 1,
        "rare_words": 2,
    }
