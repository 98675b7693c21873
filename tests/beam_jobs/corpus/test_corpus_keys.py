"""What counters make of rows: n-grams, hosts, different pairs."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from beam_jobs.corpus.hashing import joined, split_words, text_key
from beam_jobs.corpus.hosts import HostKeys, hosts_of
from beam_jobs.corpus.keying import Keying, add_totals, count_rows
from beam_jobs.corpus.ngrams import NgramKeys, ngrams
from beam_jobs.corpus.repeats import RepeatKeys, counts_of, different_pairs, distinct, pairs_by_bucket
from beam_jobs.corpus.tallies import Counted, Spectrum, join_counted
from schemas.corpus import HostsOptions, NgramsOptions, RepeatsOptions


def over_one_part(keying: Keying, table: pa.Table) -> dict[str, list[object]]:
    """The columns where the table is the whole corpus."""
    counted = count_rows([table.slice(0, 2), table.slice(2)], keying)
    spectrum = Spectrum.of(counted.counts[counted.counts > 0])
    return {name: made.to_pylist() for name, made in add_totals(table, keying, counted, spectrum).items()}


def test_words_are_divided_by_white_space_in_lower_case() -> None:
    words = split_words(pa.chunked_array([["  Hot\tdog ", ""], [None, "dog\u00a0HOT\n"]]))
    hot, dog = text_key("hot"), text_key("dog")
    assert words.keys.tolist() == [hot, dog, dog, hot]
    assert words.starts.tolist() == [0, 2, 2, 2, 4]


def test_a_text_has_its_words_and_its_adjacent_pairs() -> None:
    a, b, c = map(text_key, "abc")
    mark = text_key("", salt=b"bigram")

    def pair(first: np.uint64, second: np.uint64) -> int:
        return int(joined(joined(first, second), mark))

    keys, starts = ngrams(pa.array(["a b c", "", "c", "b a"]))
    assert keys.tolist() == [a, b, c, pair(a, b), pair(b, c), c, b, a, pair(b, a)]
    assert starts.tolist() == [0, 5, 5, 6, 9]


def test_the_rarest_ngram_is_counted_and_ranked() -> None:
    texts = ["a b", "a b c", "A", None, "a b"]
    found = over_one_part(NgramKeys(NgramsOptions()), pa.table({"text": texts}))
    # a: 4, b: 3, "a b": 3, c: 1, "b c": 1
    assert found == {"rarest_ngram_count": [3, 1, 4, None, 3], "rarest_ngram_rank": [2, 4, 1, None, 2]}


def test_hosts_of_urls() -> None:
    told = {
        "http://Img.Example.COM/a.jpg": "img.example.com",
        "https://user:p@ss@cdn.example.org:8080/x?y@z": "cdn.example.org",
        "https://example.de./x": "example.de",
        "http://192.0.2.7/x": "192.0.2.7",
        "http://[2001:db8::1]:80/x": "[2001:db8::1]",
        "http://localhost/x": "localhost",
        "https://bücher.example?x": "bücher.example",
        "data:image/png;base64,AA": None,
        "no url": None,
    }
    assert hosts_of(pa.array(list(told))).to_pylist() == list(told.values())


def test_hosts_and_their_last_labels_are_counted() -> None:
    urls = ["http://a.test/1", "http://A.test/2", "http://b.test/1", "http://192.0.2.7/1", "nothing", "http://lone/1"]
    assert over_one_part(HostKeys(HostsOptions()), pa.table({"url": urls})) == {
        "host": ["a.test", "a.test", "b.test", "192.0.2.7", None, "lone"],
        "host_pairs": [2, 2, 1, 1, None, 1],
        "tld": ["test", "test", "test", None, None, None],
        "tld_pairs": [3, 3, 3, None, None, None],
    }


@pytest.mark.parametrize("buckets", [1, 5])
def test_different_pairs_are_counted_once_over_parts(buckets: int) -> None:
    keying = RepeatKeys(RepeatsOptions())
    parts = [
        pa.table({"url": ["u1", "u1", "u2", "u9"], "text": ["one", "one", "one", None]}),
        pa.table({"url": ["u1", "u3", "u1"], "text": ["one", "one", "two"]}),
    ]
    held: dict[int, list[bytes]] = {}
    for part in parts:
        for bucket, blob in pairs_by_bucket(different_pairs([part], keying), buckets):
            held.setdefault(bucket, []).append(blob)
    totals: Counted = join_counted([distinct(blobs) for blobs in held.values()])
    found = [add_totals(part, keying, totals, Spectrum.joined([])) for part in parts]
    assert [{name: made.to_pylist() for name, made in each.items()} for each in found] == [
        {"images_per_text": [3, 3, 3, None], "texts_per_image": [2, 2, 1, None]},
        {"images_per_text": [3, 3, 1], "texts_per_image": [2, 1, 2]},
    ]
    assert counts_of(different_pairs([], keying)).keys.tolist() == []
