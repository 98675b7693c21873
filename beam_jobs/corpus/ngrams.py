"""The rarest n-gram of a text: its words and pairs of adjacent words counted over the corpus.

In: texts. Out: rarest_ngram_count and rarest_ngram_rank. Both are exact at any size of the corpus, but for keys that
meet (see hashing): among ten billion different n-grams, a given one's count holds another's with a chance of 5e-10.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from beam_jobs.corpus.hashing import Keys, Places, joined, split_words, starts_of, text_key
from beam_jobs.corpus.keying import Keyed, lowest
from beam_jobs.corpus.tallies import Counts, Spectrum
from schemas.corpus import NgramsOptions

_PAIR = text_key("", salt=b"bigram")


@dataclass(frozen=True)
class NgramKeys:
    """The unigrams and bigrams of a text, each as often as it occurs."""

    options: NgramsOptions

    @property
    def reads(self) -> tuple[str, ...]:
        return self.options.reads

    @property
    def entries_per_row(self) -> float:
        return 8.0

    def key(self, table: pa.Table) -> Keyed:
        return Keyed(*ngrams(table[self.options.text]))

    def columns(self, table: pa.Table, keyed: Keyed, totals: Counts, spectrum: Spectrum) -> Mapping[str, pa.Array]:
        wordless = np.diff(keyed.starts) == 0
        rarest = np.where(wordless, 0, lowest(totals, keyed.starts))
        return {
            "rarest_ngram_count": pa.array(rarest, pa.int64(), mask=wordless),
            "rarest_ngram_rank": pa.array(spectrum.rank(rarest), pa.int64(), mask=wordless),
        }


def ngrams(texts: pa.Array | pa.ChunkedArray) -> tuple[Keys, Places]:
    """The keys of each text's words, then of its pairs of adjacent words; and where each text's begin."""
    words = split_words(texts)
    lengths = words.lengths
    within = np.ones(max(len(words.keys) - 1, 0), dtype=bool)
    last = words.starts[1:-1]
    within[last[(last > 0) & (last < len(words.keys))] - 1] = False
    pairs = joined(joined(words.keys[:-1], words.keys[1:]), _PAIR)[within]
    starts = starts_of(lengths + np.maximum(lengths - 1, 0))
    keys = np.empty(int(starts[-1]), dtype=np.uint64)
    first = np.repeat(starts[:-1] - words.starts[:-1], lengths) + np.arange(len(words.keys))
    is_word = np.zeros(len(keys), dtype=bool)
    is_word[first] = True
    keys[is_word], keys[~is_word] = words.keys, pairs
    return keys, starts
