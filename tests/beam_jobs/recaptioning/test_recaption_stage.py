"""Recaption on the small world against a real server: each caption is there with its provenance, and asked for once."""

from __future__ import annotations

import hashlib
import html
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from aiohttp import web

from beam_jobs.cli import main
from beam_jobs.storage.ledger import Ledger

Recaption = Callable[..., int]
Digests = Callable[[Path], dict[str, str]]


def tables(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(file) for file in sorted(folder.glob("*.parquet"))])


def sidecars(work: Path, digests: Digests) -> dict[str, str]:
    return {**digests(work / "captions"), **digests(work / "shards")}


def reasons(work: Path, label: str) -> Counter[str]:
    markers = Ledger(str(work / "ledger" / "recaption" / f"recap.{label}")).markers().values()
    return sum((Counter(marker.tally.reasons) for marker in markers), Counter())


def test_captions_stand_beside_their_pictures(recaption: Recaption, server: Any, selected: Path) -> None:
    assert recaption(selected, stages="recaption:report") == 0
    kept = tables(selected / "selected" / "recap")
    short, fused, texts = (tables(selected / "captions" / "recap" / label) for label in ("short", "fused", "texts"))
    assert short["uid"] == kept["uid"] == fused["uid"] == texts["uid"]
    rows = pc.sum(kept["keep"]).as_py()
    assert short["short"].null_count == len(kept) - rows == fused["fused"].null_count
    assert set(short["short_prompt"].drop_null().to_pylist()) == {"caption_short@1"}
    assert set(fused["fused_prompt"].drop_null().to_pylist()) == {"fuse@3"}
    assert set(short["short_model"].drop_null().to_pylist()) == {"served"}
    assert pc.sum(short["short_tokens_in"]).as_py() == 11 * rows
    assert set(server.asked.values()) == {1}
    assert 1 < server.most_at_once <= 4
    seen = [body["messages"][-1]["content"] for body in server.bodies]
    assert sum(isinstance(content, list) for content in seen) == rows
    prompts = {content for content in seen if isinstance(content, str)}
    text = dict(zip(kept["uid"].to_pylist(), tables(selected / "planned")["text"].to_pylist(), strict=True))
    first = next(row for row in short.to_pylist() if row["short"])
    assert f"Merge {text[first['uid']]} with {first['short']}" in prompts
    written = tables(selected / "shards" / "recap")
    assert len(written) == rows
    drawn = [row["recap"] == row["text"] for row in written.to_pylist()]
    assert all(row["recap"] in (row["text"].strip(), row["fused"]) for row in written.to_pylist())
    assert 0 < sum(drawn) < rows
    with tarfile.open(selected / "shards" / "recap" / "00000.tar") as tar:
        names = tar.getnames()
        sample = json.load(tar.extractfile(next(name for name in names if name.endswith(".json"))))  # type: ignore[arg-type]
        caption = tar.extractfile(next(name for name in names if name.endswith(".txt"))).read().decode()  # type: ignore[union-attr]
    assert (sample["recap"], sample["short_model"], sample["short_prompt"]) == (caption, "served", "caption_short@1")
    assert sample["parts"][0] == sample["short"].partition(".")[0]
    assert sample["text"] == text[sample["uid"]]
    assert -1 <= sample["short_similarity"] <= 1 and sample["short_weight"] > 0
    page = (selected / "report" / "recap" / "index.html").read_text()
    assert f"{rows} of {rows} pictures have a caption by served, asked with the prompt caption_short@1." in page
    assert f"requests answered: {rows}, and 0 found in the store" in page
    assert f"tokens in: {11 * rows}, 11 a caption" in page
    assert html.escape(first["short"]) in page and "Cosine with the picture, old and new" in page


def test_a_server_that_dies_ends_the_job_and_nothing_is_asked_twice(
    recaption: Recaption,
    server: Any,
    selected: Path,
    digests: Digests,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain, answer = tmp_path / "plain", server.answer
    selected.rename(plain)
    shutil.copytree(plain, selected)
    server.dies_after(25)
    assert recaption(selected) == 1
    said = capsys.readouterr().err
    assert "nothing listens at 127.0.0.1" in said and "the answers so far are stored" in said
    asked = Counter(server.asked)
    assert asked.total() >= 25
    server.answer = answer
    server.start()
    assert recaption(selected) == 0
    assert set(server.asked.values()) == {1}
    assert recaption(plain, f"--answers={selected / 'answers'}") == 0
    assert set(server.asked.values()) == {1}
    assert sidecars(plain, digests) == sidecars(selected, digests)


def test_other_shards_find_all_answers(
    recaption: Recaption,
    server: Any,
    run_arguments: Callable[[Path], list[str]],
    recap_recipe: Path,
    selected: Path,
    tmp_path: Path,
) -> None:
    assert recaption(selected, stages="recaption") == 0
    asked = server.asked.total()
    other = tmp_path / "other.yaml"
    other.write_text(recap_recipe.read_text().replace("rows_per_shard: 20", "rows_per_shard: 33"))
    work = tmp_path / "other"
    arguments = [
        *(argument for argument in run_arguments(work) if not argument.startswith("--recipe")),
        *(f"--recipe={other}", server.captioner, f"--answers={selected / 'answers'}", "--stages=extract:recaption"),
    ]
    assert main(arguments) == 0
    assert server.asked.total() == asked
    assert sorted(tables(work / "captions" / "recap" / "short")["short"].drop_null().to_pylist()) == sorted(
        tables(selected / "captions" / "recap" / "short")["short"].drop_null().to_pylist()
    )
    assert len(list((selected / "answers").glob("*.parquet"))) <= 5


SAID = {"caption_empty": "", "refusal": "I'm sorry, I cannot see the image.", "too_few_words": "a ring"}
BAD = ("caption_failed", "caption_refused", *SAID)


def test_each_row_ends_with_a_caption_or_a_reason(recaption: Recaption, server: Any, selected: Path) -> None:
    ways = [*BAD, "kept", "kept"]
    expected: Counter[str] = Counter()
    seen: set[str] = set()

    def answer(body: dict[str, Any], number: int) -> web.StreamResponse:
        picture = isinstance(body["messages"][-1]["content"], list)
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        way = ways[int(digest, 16) % len(ways)] if picture else "kept"
        if picture and digest not in seen:
            seen.add(digest)
            expected[way] += 1
        if way == "caption_refused":
            return web.Response(status=400)
        if way == "caption_failed":
            return web.Response(body=b'{"choices": [')
        return web.json_response(server.completion(SAID.get(way, server.described(body))))

    server.answer = answer
    assert recaption(selected) == 0
    assert len(expected) == len(BAD) + 1
    assert reasons(selected, "short") == expected
    rows = expected.total()
    assert reasons(selected, "fused") == {"kept": expected["kept"], "caption_without_input": rows - expected["kept"]}
    short = tables(selected / "captions" / "recap" / "short").to_pylist()
    assert Counter(row["short_reason"] or "kept" for row in short if row["short_model"]) == expected
    refusing = next(row for row in short if row["short_reason"] == "refusal")
    assert (refusing["short"], refusing["short_said"]) == (None, ["I'm sorry, I cannot see the image."])
    assert (refusing["short_captions"], refusing["short_is_refusal"]) == ([], True)
    failed = next(row for row in short if row["short_reason"] == "caption_failed")
    assert failed["short_message"].endswith("(3 tries)") and failed["short_said"] == []
    for row in tables(selected / "shards" / "recap").to_pylist():
        assert row["recap"] == row["text"].strip() or row["recap"] == row["fused"]
        assert row["short_reason"] is None or row["short"] is None


def test_a_server_that_only_fails_ends_the_job(
    recaption: Recaption,
    server: Any,
    selected: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("beam_jobs.recaptioning.asking.GIVE_UP_AFTER", 6)
    server.answer = lambda body, number: web.Response(status=500)
    assert recaption(selected, stages="recaption") == 1
    assert "6 requests failed without one answer between them" in capsys.readouterr().err


def test_two_workers_write_what_one_does(
    recaption: Recaption, server: Any, selected: Path, digests: Digests, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(selected, tmp_path / "other"))
    two = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")
    assert recaption(selected, stages="recaption") == 0
    assert recaption(other, *two, stages="recaption") == 0
    assert digests(other / "captions") == digests(selected / "captions")


def test_other_texts_and_rules_ask_nobody(
    recaption: Recaption, server: Any, selected: Path, recap_recipe: Path, tmp_path: Path
) -> None:
    assert recaption(selected) == 0
    before = len(server.bodies)
    stamp = {file: file.stat().st_mtime_ns for file in (selected / "captions" / "recap" / "short").glob("*")}
    other = tmp_path / "recap.yaml"
    other.write_text(recap_recipe.read_text().replace("p_original: 0.5", "p_original: 0.0"))
    assert recaption(selected, recipe=other) == 0
    assert stamp == {file: file.stat().st_mtime_ns for file in (selected / "captions" / "recap" / "short").glob("*")}
    assert all(row["recap"] == row["fused"] for row in tables(selected / "shards" / "recap").to_pylist())
    other.write_text(recap_recipe.read_text().replace("caption_words >= 3", "caption_words >= 300"))
    assert recaption(selected, recipe=other) == 0
    assert len(server.bodies) == before
    assert set(reasons(selected, "short")) == {"too_few_words"}
