"""Shards are tars that other tools read, with bytes that depend on their members alone."""

from __future__ import annotations

import hashlib
import io
import tarfile

import pytest

from beam_jobs.storage.tar_shard import Sample, TarShardWriter, iter_members, iter_samples


def shard(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    writer = TarShardWriter(file)
    for name, data in members:
        writer.add(name, data)
    writer.close()
    return file.getvalue()


EXPECTED_SHA256 = "09a12255d6e5cdb601af1e49b1ce46c195a030d2c27ef0a7057aa66dda9c7dfd"
TWO = (("k1.jpg", b"x" * 600), ("k1.json", b"{}"), ("k1.txt", b""), ("k2.jpg", b"y"), ("k2.txt", "é".encode()))


def test_tarfile_reads_members_owner_mode_and_time() -> None:
    with tarfile.open(fileobj=io.BytesIO(shard(*TWO))) as tar:
        infos = tar.getmembers()
        assert [(info.name, info.size) for info in infos] == [
            ("k1.jpg", 600),
            ("k1.json", 2),
            ("k1.txt", 0),
            ("k2.jpg", 1),
            ("k2.txt", 2),
        ]
        assert {(info.uname, info.gname, info.mode, info.mtime) for info in infos} == {("bigdata", "bigdata", 0o444, 0)}
        assert tar.pax_headers == {}


def test_bytes_are_those_written_down() -> None:
    archive = shard(*TWO)
    assert len(archive) == 10_240
    assert hashlib.sha256(archive).hexdigest() == EXPECTED_SHA256


def test_samples_come_back_whole_and_in_order() -> None:
    assert list(iter_samples(io.BytesIO(shard(*TWO)))) == [
        Sample("k1", {"jpg": b"x" * 600, "json": b"{}", "txt": b""}),
        Sample("k2", {"jpg": b"y", "txt": "é".encode()}),
    ]


def test_only_wanted_samples_are_read() -> None:
    assert [sample.key for sample in iter_samples(io.BytesIO(shard(*TWO)), lambda key: key == "k2")] == ["k2"]


def test_an_empty_shard_is_a_valid_archive() -> None:
    assert list(iter_samples(io.BytesIO(shard()))) == []
    with tarfile.open(fileobj=io.BytesIO(shard())) as tar:
        assert tar.getmembers() == []


def test_a_damaged_header_is_said_with_its_place() -> None:
    archive = bytearray(shard(*TWO))
    archive[1536 + 10] ^= 0xFF
    with pytest.raises(tarfile.ReadError, match="damaged header at byte 1536"):
        list(iter_members(io.BytesIO(bytes(archive))))


def test_a_name_that_ustar_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        shard(("x" * 300 + ".jpg", b""))
