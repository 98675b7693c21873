"""Rows taken out of written shards: only what they stood in changes, nothing brings them back, a kill costs nothing."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest

from beam_jobs.cli import main
from beam_jobs.storage.tombstones import add_requests, read_tombstones

Digests = Callable[[Path], dict[str, str]]
RunArguments = Callable[[Path], list[str]]
SHARDS = Path("shards/small")


@pytest.fixture
def work(undisturbed: Path, tmp_path: Path) -> Path:
    shutil.copytree(undisturbed, tmp_path / "work")
    return tmp_path / "work"


def written(work: Path) -> list[dict[str, object]]:
    """The rows of all training shards, each with its shard."""
    tables = [(int(path.stem), pq.read_table(path)) for path in sorted((work / SHARDS).glob("*.parquet"))]
    return [{**row, "shard": shard} for shard, table in tables for row in table.to_pylist()]


def keys_in_tars(work: Path) -> list[str]:
    keys: list[str] = []
    for path in sorted((work / SHARDS).glob("*.tar")):
        with tarfile.open(path) as tar:
            keys += [name.partition(".")[0] for name in tar.getnames() if name.endswith(".json")]
    return keys


def take_down(work: Path, recipe: Path, values: list[object], by: str) -> int:
    file = work.parent / f"{by}.list"
    file.write_text("# asked for\n" + "\n".join(map(str, values)) + "\n")
    return main(["takedown", f"--work={work}", f"--recipe={recipe}", f"--list={file}", f"--by={by}"])


def files_of(shard: object) -> set[str]:
    return {f"{shard:05d}{end}" for end in (".tar", ".parquet", "_stats.json")}


def test_only_the_shards_that_held_the_rows_change_and_no_run_brings_them_back(
    work: Path, small_shards: Path, run_arguments: RunArguments, digests: Digests, capfd: pytest.CaptureFixture[str]
) -> None:
    before, rows = digests(work / SHARDS), written(work)
    assert {row["shard"] for row in rows} >= {0, 1, 2}
    gone = [row for row in rows if row["shard"] == 1][2:5]
    assert take_down(work, small_shards, [row["uid"] for row in gone], "uid") == 0
    assert capfd.readouterr().out.split() == [str(len(rows) - 3), "kept", "3", "taken_down"]
    after = digests(work / SHARDS)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == files_of(1) | {"dataset/manifest.json", "dataset/README.md"}
    assert set(after) == set(before)
    stay = [row for row in rows if row not in gone]
    assert written(work) == stay
    assert keys_in_tars(work) == [row["key"] for row in stay]
    assert json.loads((work / SHARDS / "00001_stats.json").read_text()) == {"successes": 9}
    manifest = json.loads((work / SHARDS / "dataset/manifest.json").read_text())
    assert (manifest["samples"], manifest["taken_down"]) == (len(stay), 3)
    assert manifest["shards"][1]["tar_sha256"] == after["00001.tar"]
    assert manifest["shards"][1]["parquet_sha256"] == after["00001.parquet"]
    assert "3 further pairs were taken down" in (work / SHARDS / "dataset/README.md").read_text()
    tombstones = read_tombstones(str(work), "small").to_pylist()
    expected = [{"uid": row["uid"], "by": "uid", "what": row["uid"], "shard": 1} for row in gone]
    assert tombstones == sorted(expected, key=lambda row: str(row["uid"]))
    assert take_down(work, small_shards, [row["uid"] for row in gone], "uid") == 0
    assert digests(work / SHARDS) == after
    capfd.readouterr()
    assert main(run_arguments(work)) == 0
    told = capfd.readouterr()
    assert f"write       done before: {len(stay)} of {len(rows)}  (taken_down 3)" in told.err
    assert "        3  taken_down" in told.out
    page = (work / "report/small/index.html").read_text()
    assert not [row["url"] for row in gone if str(row["url"]) in page]
    assert digests(work / SHARDS) == after
    shutil.rmtree(work / SHARDS)
    shutil.rmtree(work / "ledger/write")
    assert main([*run_arguments(work), "--stages=write"]) == 0
    assert digests(work / SHARDS) == after
    assert read_tombstones(str(work), "small").to_pylist() == tombstones


@pytest.mark.parametrize("by", ["url", "domain", "sha256"])
def test_rows_are_named_by_url_domain_or_hash(by: str, work: Path, small_shards: Path) -> None:
    rows = written(work)
    host = urlsplit(str(rows[0]["url"])).hostname
    value = {"url": f"{rows[0]['url']}#part", "domain": str(host).upper(), "sha256": rows[0]["sha256"]}[by]
    gone = {
        "url": [row for row in rows if row["url"] == rows[0]["url"]],
        "domain": [row for row in rows if urlsplit(str(row["url"])).hostname == host],
        "sha256": [row for row in rows if row["sha256"] == rows[0]["sha256"]],
    }[by]
    assert take_down(work, small_shards, [value], by) == 0
    assert written(work) == [row for row in rows if row not in gone]
    told = read_tombstones(str(work), "small").to_pylist()
    what = {"url": rows[0]["url"], "domain": host, "sha256": rows[0]["sha256"]}[by]
    assert sorted((row["uid"], row["by"], row["what"]) for row in told) == sorted(
        (row["uid"], by, what) for row in gone
    )


def test_what_a_kill_leaves_is_finished_by_the_same_command(
    work: Path, small_shards: Path, digests: Digests, tmp_path: Path, undisturbed: Path
) -> None:
    uids = [row["uid"] for row in written(work) if row["shard"] in (0, 2)][::3]
    for name in ("requests", "tar", "table"):
        shutil.copytree(undisturbed, tmp_path / name / "work")
    assert take_down(work, small_shards, uids, "uid") == 0
    ended = digests(work)
    made = {"requests": [], "tar": ["00000.tar"], "table": ["00000.tar", "00000_stats.json", "00000.parquet"]}
    for name, files in made.items():
        cut = tmp_path / name / "work"
        add_requests(str(cut), "uid", map(str, uids))
        if files:
            shutil.copytree(work / "takedown", cut / "takedown", dirs_exist_ok=True)
        for file in files:
            shutil.copy(work / SHARDS / file, cut / SHARDS / file)
        assert take_down(cut, small_shards, uids, "uid") == 0
        found = digests(cut)
        assert {path: found[path] for path in found if not path.startswith("ledger/")} == {
            path: ended[path] for path in ended if not path.startswith("ledger/")
        }
        ledgers = [json.loads((each / "ledger/write/small/manifest.json").read_text()) for each in (cut, work)]
        told = [[(marker["ticket"], marker["tally"]) for marker in ledger["markers"]] for ledger in ledgers]
        assert told[0] == told[1]
        assert [ledger["state"] for ledger in ledgers] == ["done", "done"]


def test_what_makes_no_sense_is_refused_and_nothing_changes(
    work: Path, small_shards: Path, digests: Digests, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = digests(work)
    empty = tmp_path / "empty.list"
    empty.write_text("# nothing\n")
    common = ["takedown", f"--recipe={small_shards}"]
    for arguments, expected in (
        ([f"--work={work}", f"--list={empty}"], "lists nothing"),
        ([f"--work={work}", "--list=absent"], "absent cannot be read as a list"),
        (
            [f"--work={work}", f"--list={empty}", "--by=face"],
            "--by: unknown kind of list 'face'; known: domain, sha256, uid",
        ),
        ([f"--work={tmp_path / 'other'}", f"--list={empty}"], "holds no written shards of recipe 'small'"),
        ([f"--work={work}", f"--list={small_shards}", "--by=sha256"], "is no list of values of 'sha256'"),
    ):
        assert main([*common, *arguments]) == 2
        told = capfd.readouterr().err
        assert expected in told
        assert len(told.splitlines()) == 1
    assert digests(work) == before
