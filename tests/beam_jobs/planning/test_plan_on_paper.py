"""What `plan --pairs` says: from constants written out, by formulas reckoned by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from beam_jobs.cli import main
from beam_jobs.planning.constants import Constants, load_constants, packaged_constants
from beam_jobs.planning.estimate import Plan, plan_run
from beam_jobs.planning.groups import near_seconds
from beam_jobs.planning.machines import Machines, Prices, Settings, parse_machines, parse_pairs
from beam_jobs.planning.models import model_flops
from beam_jobs.recipes import list_recipes, load_recipe
from filters.registry import SCORERS
from schemas.grouping import GROUPERS
from schemas.recipe import STAGES, parse_recipe
from schemas.refusal import Refusal


def stage(**given: float) -> dict[str, float]:
    usual = {"start": 1.0, "core_seconds": 1000.0, "cores": 1.0, "stored": 100.0, "shuffled": 0.0, "files": 1.0}
    return {**usual, "memory": 1e9, "kept": 1.0, **given}


WRITTEN: dict[str, Any] = {
    "measured": {"date": "2026-01-02", "machine": "two cores", "bench": "by hand"},
    "start": 5.0,
    "stages": {
        "extract": stage(kept=0.9),
        "preselect": stage(shuffled=150.0),
        "download": stage(cores=2.0, kept=0.5, files=3.0),
        "score": stage(start=10.0, stored=50.0, files=2.0),
        "group": stage(cores=0.5, stored=10.0),
        "select": stage(kept=0.2),
        "write": stage(stored=200.0, files=3.0),
        "report": stage(core_seconds=10.0, stored=0.0),
    },
    "pictures": {
        "web": {"fetched": 250_000.0, "stored": 20_000.0, "download": 8000.0, "decode": 500.0},
        "drawn": {"fetched": 6000.0, "stored": 5000.0, "download": 2000.0, "decode": 100.0},
    },
    "scorers": {"image_facts": {"web": 300.0, "drawn": 100.0}, "clip": {"web": 700.0, "drawn": 700.0}},
    "groupers": {"exact": 100.0, "near": 400.0},
    "added": {"score": 1.2, "group": 2.0},
    "flops": 5e10,
    "scaling": 1.9,
}
RECIPE = """
name: r
download: {rows_per_shard: 1000}
score: [image_facts, clip: {model: tiny}]
group: [exact: {by: sha256}]
write: {samples_per_shard: 10000}
"""


@pytest.fixture
def constants() -> Constants:
    return load_constants(yaml.safe_dump(WRITTEN))


def plan_of(
    constants: Constants, text: str = RECIPE, *, pairs: int = 10_000_000, machines: str = "4x10", **settings: Any
) -> Plan:
    recipe, gpus = parse_recipe(text, "r.yaml"), settings.pop("gpus", None)
    given = parse_machines(machines, gpus=gpus)
    return plan_run(recipe, pairs, given, constants=constants, prices=Prices(), settings=Settings(**settings))


def test_rows_go_through_the_funnel(constants: Constants) -> None:
    rows = {each.stage: each.rows for each in plan_of(constants).stages}
    assert rows == {
        "extract": 10_000_000,
        "preselect": 9_000_000,
        "download": 9_000_000,
        "score": 4_500_000,
        "group": 4_500_000,
        "select": 4_500_000,
        "write": 900_000,
        "report": 10_000_000,
    }
    other = {each.stage: each.rows for each in plan_of(constants, kept={"download": 0.8, "select": 0.5}).stages}
    assert (other["score"], other["write"]) == (7_200_000, 3_600_000)


def test_time_of_a_stage_by_hand(constants: Constants) -> None:
    """40 workers on 40 cores, 1.9 / 2 of them to good use."""
    plan = plan_of(constants)
    download = next(each for each in plan.stages if each.stage == "download")
    assert download.core_seconds == 9 * 8000
    assert download.shards == 9000
    alone, last = 72_000 / (40 * 0.95), 72_000 / 9000 / 2
    assert download.seconds == pytest.approx(1 + alone + last)
    assert download.machine_hours == pytest.approx(4 * (1 + alone + last) / 3600)
    assert download.stored == 9e6 * 100 + 4.5e6 * 20_000
    assert download.fetched == 4.5e6 * 250_000
    assert download.files == 27_000
    dollars = download.machine_hours * 10 * 0.05 + 0.027 * 5
    assert download.dollars == pytest.approx(dollars)
    score = next(each for each in plan.stages if each.stage == "score")
    assert score.core_seconds == pytest.approx(4.5 * (500 + 300 + 700) * 1.2)
    assert score.stored == 4.5e6 * (50 + 4 * 128)
    assert plan.seconds == pytest.approx(5 + sum(each.seconds for each in plan.stages))
    preselect = next(each for each in plan.stages if each.stage == "preselect")
    assert preselect.shuffled == 9e6 * 150


def test_one_process_keeps_busy_what_it_can(constants: Constants) -> None:
    """No other process waits for its last shard; groups leave half of a core idle."""
    recipe = parse_recipe(RECIPE, "r.yaml")
    machines = Machines(1, 2, processes=1)
    settings = Settings(pictures="drawn")
    plan = plan_run(recipe, 1_000_000, machines, constants=constants, prices=Prices(), settings=settings)
    seconds = {each.stage: each.seconds for each in plan.stages}
    assert seconds["download"] == pytest.approx(1 + 0.9 * 2000 / 2)
    assert seconds["extract"] == pytest.approx(1 + 1000)
    assert seconds["group"] == pytest.approx(1 + 0.45 * 100 * 2 / 0.5)


def test_a_network_that_is_too_slow_decides(constants: Constants) -> None:
    plan = plan_of(constants, bandwidth=1e8)
    download = next(each for each in plan.stages if each.stage == "download")
    assert download.seconds == pytest.approx(1 + 4.5e6 * 250_000 * 8 / 4e8 + 4)
    assert "bound by network" in download.formula[-1]


def test_fewer_shards_than_workers_keep_fewer_at_work(constants: Constants) -> None:
    few = plan_of(constants, pairs=10_000, machines="100x16")
    score = next(each for each in few.stages if each.stage == "score")
    assert score.shards == 4.5
    assert score.seconds == pytest.approx(10 + score.core_seconds / (4.5 * 0.95))


def test_models_go_to_gpus_where_there_are_any(constants: Constants) -> None:
    text = RECIPE.replace("model: tiny", "model: ViT-L-14, pretrained: openai")
    work = model_flops("ViT-L-14")
    assert work == pytest.approx(175.3e9, rel=0.02)
    on_cores = next(each for each in plan_of(constants, text).stages if each.stage == "score")
    assert on_cores.core_seconds == pytest.approx(4.5e6 * 1.2 * ((500 + 300) / 1e6 + work / 5e10))
    assert on_cores.gpu_hours == 0
    on_gpus = next(each for each in plan_of(constants, text, gpus="2").stages if each.stage == "score")
    assert on_gpus.core_seconds == pytest.approx(4.5 * 800 * 1.2)
    assert on_gpus.gpu_seconds == pytest.approx(4.5e6 * work / 1e14)
    assert on_gpus.seconds == pytest.approx(10 + 4.5e6 * work / 1e14 / 2 + 4.5 * 800 * 1.2 / 4500)
    assert on_gpus.gpu_hours == pytest.approx(2 * on_gpus.seconds / 3600)


def test_known_sizes_of_models() -> None:
    """Operations as open_clip's own profile of its models has them, to some per cent."""
    known = {"ViT-B-32": 14.78e9, "ViT-B-16": 41.09e9, "ViT-H-14": 381.68e9}
    for model, flops in known.items():
        assert model_flops(model) == pytest.approx(flops, rel=0.04), model
    assert model_flops("ViT-B-16-SigLIP") == pytest.approx(46.4e9, rel=0.1)
    assert model_flops("RN50") is None
    assert model_flops("hf-hub:owner/name") is None


def test_close_pairs_among_a_billion_as_the_documents_have_them() -> None:
    seconds, told = near_seconds(1e9, 512, 0)
    assert seconds / 3600 == pytest.approx(93 + 590, rel=0.02)
    assert "33 sqrt(31,623 cells)" in told
    assert near_seconds(1e6, 512, 0)[0] == pytest.approx(1e9 * 512 / 18e9 + 1e9 * 5.5 * 51 / 4.2e9)


def test_what_was_not_measured_is_named(constants: Constants) -> None:
    text = RECIPE.replace("[image_facts,", "[image_facts, pdq,").replace(
        "group: [", "group: [perceptual: {hash: pdq}, "
    )
    assert plan_of(constants, text).remarks == (
        "score: not counted, since nothing measured it: pdq",
        "group: not counted, since nothing measured it: perceptual",
    )


def test_processes_that_do_not_fit_a_machine_are_told(constants: Constants) -> None:
    remarks = plan_of(constants, machines="4x10:8GB").remarks
    assert remarks[0] == "extract: 10 processes hold 10.0 GB, a machine has 8 GB; give fewer with --processes"
    assert plan_of(constants, machines="4x10:16GB").remarks == ()


def test_more_shards_than_names_have_digits_for_are_told(constants: Constants) -> None:
    said = "download: 900,000 shards are more than 100,000; raise the recipe's download.rows_per_shard"
    assert plan_of(constants, pairs=10**9).remarks == (said,)


def test_the_report_reads_the_shards_of_ten_million_rows_at_most(constants: Constants) -> None:
    """Of 100 million pairs 90 million rows are planned, and a ninth of them are read."""
    rows = {each.stage: each.rows for each in plan_of(constants, pairs=100_000_000).stages}
    assert rows["report"] == pytest.approx(100_000_000 / 9)


def test_the_report_is_made_by_one_machine(constants: Constants) -> None:
    report = next(each for each in plan_of(constants).stages if each.stage == "report")
    assert report.seconds == pytest.approx(1 + 10 * 10)
    assert report.machine_hours == pytest.approx(101 / 3600)


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_has_a_plan(name: str) -> None:
    constants = load_constants(packaged_constants())
    plan = plan_run(
        load_recipe(name), 10**9, Machines(64, 16), constants=constants, prices=Prices(), settings=Settings()
    )
    assert [each.stage for each in plan.stages] == [
        each for each in STAGES if each in {one.stage for one in plan.stages}
    ]
    assert all(each.seconds > 0 for each in plan.stages)


def test_the_constants_that_come_along_are_of_what_exists() -> None:
    constants = load_constants(packaged_constants())
    assert set(constants.stages) == set(STAGES) - {"corpus", "recaption"}
    assert {"text_facts", "image_facts", "pdq", "clip"} <= set(constants.scorers) <= set(SCORERS)
    assert {"exact", "perceptual", "near"} <= set(constants.groupers) <= set(GROUPERS)
    assert {"date", "machine", "bench"} <= set(constants.measured)
    assert 1 <= constants.scaling <= 2


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "constants.yaml").write_text(yaml.safe_dump(WRITTEN))
    (tmp_path / "r.yaml").write_text(RECIPE)
    given = [f"--recipe={tmp_path / 'r.yaml'}", f"--constants={tmp_path / 'constants.yaml'}", "--pairs=1e7"]
    arguments = ["plan", *given, "--machines=4x10", "--kept=select=0.1", "--prices=core_hour=0.1"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "recipe r, 10,000,000 pairs, on 4 machines of 10 cores, 10 processes on each"
    assert lines[4].split()[:3] == ["download", "9,000,000", "9,000"]
    assert "  score      4.5M pictures x (decode 500 + image_facts 300 + clip 700) core-s/M x 1.2 for the stage;" in (
        next(line for line in lines if line.startswith("  score"))
    )
    assert lines[-1] == "measured 2026-01-02 by by hand on two cores"
    assert main([*arguments, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["prices"]["core_hour"] == 0.1
    assert [each["rows"] for each in plan["stages"] if each["stage"] == "write"] == [450_000]
    assert list(tmp_path.iterdir()) != []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--pairs=many"], "--pairs: expected a whole number from 1 to 1e+13, such as 1e9; given 'many'"),
        (["--pairs=0.5"], "--pairs: expected a whole number from 1 to 1e+13, such as 1e9; given '0.5'"),
        (["--pairs=nan"], "--pairs: expected a whole number"),
        (["--pairs=1e9", "--machines=64"], "--machines: expected COUNTxCORES or COUNTxCORES:SIZEGB"),
        (["--pairs=1e9", "--machines=0x4"], "such as 64x16:64GB; given '0x4'"),
        (["--pairs=1e9", "--processes=3"], "--processes: expected a whole number from 1 to 2; given '3'"),
        (["--pairs=1e9", "--gpus=-1"], "--gpus: expected a whole number from 0 to 1000000; given '-1'"),
        (["--pairs=1e9", "--kept=download"], "--kept: expected NAME=NUMBER,...; given 'download'"),
        (["--pairs=1e9", "--kept=fetch=1"], "--kept: unknown name 'fetch'; known: download, extract, group"),
        (["--pairs=1e9", "--kept=download=2"], "--kept: download: expected a share from 0 to 1; given '2'"),
        (["--pairs=1e9", "--prices=disk=2"], "--prices: unknown name 'disk'; known: core_hour, gpu_hour"),
        (["--pairs=1e9", "--prices=core_hour=-2"], "--prices: core_hour: expected a number of at least 0"),
        (["--pairs=1e9", "--bandwidth=0"], "--bandwidth: expected a number above 0; given '0'"),
        (["--pairs=1e9", "--pictures=real"], "--pictures: unknown kind 'real'; known: drawn, web"),
        (["--pairs=1e9", "--constants=none.yaml"], "--constants: none.yaml does not exist"),
        (["--pairs=1e9", "--source=html:x"], "--source: a plan of --pairs looks at no run folder"),
        (["--machines=2x2", "--work=w"], "--machines goes with --pairs"),
        ([], "plan: expected --work URL, or --pairs N; neither given"),
    ],
)
def test_refusals(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--recipe=base", *arguments]) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1


def test_sizes_are_read_as_people_write_them() -> None:
    assert (parse_pairs("1e9"), parse_pairs("2.5e3"), parse_pairs("7")) == (1_000_000_000, 2500, 7)
    assert parse_machines("64x16:64GB", gpus="8") == Machines(64, 16, 64e9, None, 8)


def test_constants_that_lack_something_are_refused() -> None:
    lacking = {**WRITTEN, "stages": {"extract": {"start": 1.0}}}
    with pytest.raises(Refusal, match=r"c\.yaml: stages\.extract: 'core_seconds' is missing"):
        load_constants(yaml.safe_dump(lacking), "c.yaml")
    with pytest.raises(Refusal, match="unknown key 'more'"):
        load_constants(yaml.safe_dump({**WRITTEN, "more": 1}))
    with pytest.raises(Refusal, match="pictures: 'web' is missing"):
        load_constants(yaml.safe_dump({**WRITTEN, "pictures": {"drawn": WRITTEN["pictures"]["drawn"]}}))
