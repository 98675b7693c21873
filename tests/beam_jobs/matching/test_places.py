"""Places of the first rows of each key, whatever the shards and their order."""

from __future__ import annotations

import numpy as np

from beam_jobs.matching.places import by_shard, merge, place_column, rank_rows
from schemas.keys import uid_order

UIDS = [f"{number:032x}" for number in range(400)]


def ranked(shard: int, most: int) -> bytes:
    """A hundred rows of five keys; similarities of which several are equal."""
    rng = np.random.default_rng(shard)
    keys, similar = rng.integers(0, 5, 100), rng.integers(0, 20, 100) / 20
    uids = UIDS[100 * shard : 100 * shard + 100]
    return rank_rows(keys, similar, uids, shard=shard, rows=np.arange(100), most=most).tobytes()


def expected(most: int) -> dict[tuple[int, int], int]:
    """(shard, row) to place, by sorting all rows of a key."""
    rows = []
    for shard in range(4):
        rng = np.random.default_rng(shard)
        keys, similar = rng.integers(0, 5, 100), rng.integers(0, 20, 100) / 20
        rows += [(int(keys[row]), -similar[row], uid_order(UIDS[100 * shard + row]), shard, row) for row in range(100)]
    found, seen = {}, dict.fromkeys(range(5), 0)
    for key, _, _, shard, row in sorted(rows):
        if seen[key] < most:
            found[shard, row] = seen[key]
        seen[key] += 1
    return found


def test_places_are_those_of_all_rows_of_a_key() -> None:
    for most in (1, 7, 1000):
        blobs = [ranked(shard, most) for shard in range(4)]
        told = dict(by_shard(merge(blobs, most)))
        assert dict(by_shard(merge(blobs[::-1], most))) == told
        found = {}
        for shard, blob in told.items():
            column = place_column([blob], 100)
            found |= {(shard, row): int(column[row]) for row in range(100) if column[row] >= 0}
        assert found == expected(most)


def test_a_shard_sends_no_more_of_a_key_than_are_asked() -> None:
    assert len(np.frombuffer(ranked(0, 3), dtype=merge([], 3).dtype)) == 15
    assert len(merge([], 3)) == 0
    assert place_column([], 2).tolist() == [-1, -1]
