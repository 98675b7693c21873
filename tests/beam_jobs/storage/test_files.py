"""Files appear whole or not at all, on a local disk and on an object store."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import pytest

from beam_jobs.storage.files import (
    atomic_write,
    exists,
    join,
    list_files,
    read_bytes,
    read_json,
    remove_tree,
    remove_unfinished,
    write_bytes,
    write_json,
)

_memory_folders = (f"memory://storage-{number}" for number in itertools.count())


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "local" else next(_memory_folders)


def test_a_file_appears_when_its_block_ends(folder: str) -> None:
    url = join(folder, "deep", "er", "file.bin")
    with atomic_write(url) as file:
        file.write(b"abc")
        file.write(memoryview(b"def"))
        assert not exists(url)
        assert file.tell() == 6
    assert read_bytes(url) == b"abcdef"
    assert file.hexdigest() == hashlib.sha256(b"abcdef").hexdigest()


def test_a_failed_block_leaves_the_old_file_and_no_trace(folder: str) -> None:
    url = join(folder, "file.bin")
    write_bytes(url, b"old")
    with pytest.raises(RuntimeError, match="half way"), atomic_write(url) as file:
        file.write(b"new")
        raise RuntimeError("half way")
    assert read_bytes(url) == b"old"
    assert list_files(folder) == ["file.bin"]


def test_names_of_an_unfinished_file_are_not_listed(tmp_path: Path) -> None:
    with atomic_write(str(tmp_path / "a.tar")):
        assert len(list(tmp_path.iterdir())) == 1
        assert list_files(str(tmp_path)) == []


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    killed = atomic_write(str(tmp_path / "deep/a.tar"))
    killed.__enter__().write(b"half")
    write_bytes(str(tmp_path / "deep/b.tar"), b"whole")
    (leftover,) = set((tmp_path / "deep").iterdir()) - {tmp_path / "deep/b.tar"}
    remove_unfinished(str(tmp_path))
    assert not leftover.exists()
    assert (tmp_path / "deep/b.tar").read_bytes() == b"whole"


def test_listing_is_sorted_filtered_and_empty_where_nothing_is(folder: str) -> None:
    for name in ("b.json", "a.json", "a.tar"):
        write_bytes(join(folder, name), b"")
    write_bytes(join(folder, "sub", "c.json"), b"")
    assert list_files(folder, ".json") == ["a.json", "b.json"]
    assert list_files(join(folder, "absent")) == []


def test_json_is_sorted_so_that_equal_values_give_equal_bytes(folder: str) -> None:
    url = join(folder, "value.json")
    write_json(url, {"b": 1, "a": [1.5, None]})
    assert read_bytes(url) == b'{\n "a": [\n  1.5,\n  null\n ],\n "b": 1\n}\n'
    assert read_json(url) == {"a": [1.5, None], "b": 1}


def test_a_tree_is_removed_with_all_that_is_in_it(folder: str) -> None:
    write_bytes(join(folder, "tree", "sub", "c.json"), b"")
    remove_tree(join(folder, "tree"))
    remove_tree(join(folder, "tree"))
    assert not exists(join(folder, "tree", "sub", "c.json"))
