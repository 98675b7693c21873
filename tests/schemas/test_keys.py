"""Identities are those that other tools wrote, and never change."""

from __future__ import annotations

import pytest

from schemas.keys import fingerprint, sample_key, uid, uid_order


def test_uid_is_cc2datasets() -> None:
    assert uid("A red square", "http://shapes.test/a.jpg") == "dda3486a6e116e8a51cddc05cab1fb03"


def test_uid_of_text_that_utf8_cannot_hold() -> None:
    assert uid("\ud800", "http://shapes.test/") == "9134b66074eba2f681c67cf908c08846"


def test_order_is_a_fixed_64_bit_place() -> None:
    assert uid_order("0" * 32) == 9_574_864_923_249_957_428


@pytest.mark.parametrize(
    ("shard", "index", "rows_per_shard", "key"),
    [(12, 34, 10_000, "000120034"), (0, 0, 10_000, "000000000"), (7, 99, 100, "0000799"), (3, 0, 1, "000030")],
)
def test_key_is_img2datasets(shard: int, index: int, rows_per_shard: int, key: str) -> None:
    assert sample_key(shard, index, rows_per_shard=rows_per_shard) == key


def test_fingerprint_is_of_the_value_not_of_its_spelling() -> None:
    assert fingerprint({"a": 1, "b": [True, None, "é"]}) == fingerprint({"b": [True, None, "é"], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert fingerprint({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
