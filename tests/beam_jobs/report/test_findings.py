"""What is gathered from a run folder: sums, samples, cuts, groups."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from beam_jobs.report.gather import Findings, gather
from beam_jobs.report.page import render
from beam_jobs.storage.parquet import read_table, write_table
from schemas.keys import uid_order


@pytest.fixture(scope="module")
def findings(made_run: Any) -> Findings:
    task = made_run.task
    return gather(task.work, task.recipe_name, task.recipe, task.ledgers)


def test_the_funnel_is_that_of_the_ledgers(findings: Findings, made_run: Any) -> None:
    stages = [(stage.name, stage.rows_in, stage.rows_on, stage.lost, stage.follows) for stage in findings.funnel]
    assert stages == [
        ("extract", 240, 234, 6, True),
        ("preselect", 234, 210, 24, True),
        ("download", 210, 163, 47, True),
        ("select", 163, 69, 94, True),
        ("write", 69, 69, 0, True),
    ]
    assert findings.reasons == made_run.reasons
    assert sum(findings.reasons.values()) == 240


def test_of_more_rows_than_it_may_read_it_takes_a_fair_sample(findings: Findings, made_run: Any) -> None:
    task = made_run.task
    some = gather(task.work, task.recipe_name, task.recipe, task.ledgers, most_rows=110)
    assert (findings.sidecars.shards, findings.sidecars.left_out) == ((0, 1, 2), 0)
    assert (some.sidecars.shards, some.sidecars.left_out) == ((0, 2), 1)
    assert some.funnel == findings.funnel
    assert some.reasons == findings.reasons
    read = sum(read_table(some.sidecars.folder.image_table(shard)).num_rows for shard in (0, 2))
    assert some.failures.rows == read < findings.failures.rows == 210
    assert {place.shard for place in some.cards} == {0, 2}
    assert "are of 2 of 3 image shards" in render(some)
    assert "image shards" not in render(findings)


def test_histograms_hold_every_image_and_what_became_of_it(findings: Findings) -> None:
    assert findings.columns.ruled() == ["clip_similarity", "entropy", "sharpness"]
    kept, cut, other = findings.columns["clip_similarity"].counts.sum(axis=1).tolist()
    assert (kept, cut, kept + cut + other) == (69, findings.reasons["clip_below_threshold"], 163)
    assert "text_tokens" in findings.columns.others()


def test_the_cut_of_a_top_fraction_is_the_best_that_it_dropped(findings: Findings) -> None:
    folder = findings.sidecars.folder
    dropped = []
    for shard in findings.sidecars.shards:
        reasons = read_table(folder.selected("base", shard))["reason"].to_pylist()
        sharpness = read_table(folder.scores("image_facts", shard))["sharpness"].to_pylist()
        dropped += [value for value, reason in zip(sharpness, reasons, strict=True) if reason == "blurred"]
    [cut] = [cut for cut in findings.cuts if cut.column == "sharpness"]
    assert findings.columns.value_of(cut) == max(dropped)


def test_samples_are_those_of_the_lowest_order(findings: Findings) -> None:
    folder = findings.sidecars.folder
    uids = []
    for shard in findings.sidecars.shards:
        selected = read_table(folder.selected("base", shard))
        uids += selected.filter(selected["keep"])["uid"].to_pylist()
    expected = sorted(uids, key=uid_order)[:24]
    assert [findings.cards[place].uid for place in findings.samples.places("kept")] == expected
    assert all(findings.cards[place].picture.startswith("data:image/webp;base64,") for place in findings.cards)


def test_rows_at_a_threshold_are_the_closest_on_either_side(findings: Findings) -> None:
    folder = findings.sidecars.folder
    kept, dropped = [], []
    for shard in findings.sidecars.shards:
        reasons = read_table(folder.selected("base", shard))["reason"].to_pylist()
        values = read_table(folder.scores("clip", shard))["clip_similarity"].to_pylist()
        for value, reason in zip(values, reasons, strict=True):
            if reason is None:
                kept.append(value)
            elif reason == "clip_below_threshold":
                dropped.append(value)
    below, above = findings.at_cuts.around(findings.cuts[1])
    assert findings.cuts[1].column == "clip_similarity"
    assert [findings.cards[place].score("clip_similarity") for place in below] == sorted(dropped, reverse=True)[:4]
    assert [findings.cards[place].score("clip_similarity") for place in above] == sorted(kept)[:4]


def test_groups_show_their_survivor_first(findings: Findings) -> None:
    exact, near = findings.duplicates
    assert (exact.label, exact.duplicates, exact.largest_groups()) == ("exact", 0, [])
    assert near.duplicates == sum((size - 1) * count for size, count in near.sizes.items())
    groups = near.largest_groups()
    assert len(groups) == 4
    for group in groups:
        assert [member.survivor for member in group.members] == [True] + [False] * (group.size - 1)
        similar = [member.similarity for member in group.members[1:]]
        assert similar == sorted(similar, reverse=True)
    lowest = [pair.members[1].similarity for pair in near.doubtful_pairs()]
    assert lowest == sorted(lowest)
    assert len(lowest) == 8


def test_failures_have_an_example_and_a_host(findings: Findings) -> None:
    failures = findings.failures
    assert failures.rows == 210
    assert sum(failures.classes.values()) == 47
    assert failures.failed_hosts.total == 47
    example = failures.example("http_404")
    assert example is not None
    assert example.message == "HTTP Error 404: Not Found"
    assert example.url.startswith("https://")
    assert failures.main_class(failures.failed_hosts.top(1)[0][0]) in failures.classes


def test_texts_that_ended_before_the_download(findings: Findings) -> None:
    texts = findings.dropped_texts
    assert sorted(texts) == ["no_image_url", "same_pair", "text_too_short"]
    assert [text.text for text in texts["text_too_short"]] == ["img"]
    assert texts["no_image_url"][0].message == "the element has no src"


def test_sidecars_of_other_rows_are_refused(run_maker: Callable[..., Any], tmp_path: Path) -> None:
    made = run_maker(tmp_path, rows=40, pictures=0)
    url = made.folder.scores("clip", 0)
    table = read_table(url)
    write_table(url, table.take(pa.array(range(table.num_rows - 1, -1, -1))))
    with pytest.raises(ValueError, match="do not have the same rows"):
        gather(made.task.work, "base", made.task.recipe, made.task.ledgers)
