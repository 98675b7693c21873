"""The rarest n-gram of a text: its words and pairs of adjacent words counted over the corpus.

In: texts, and uids where only a share is counted. Out: rarest_ngram_count and rarest_ngram_rank.

Counts are exact but for keys that meet (see hashing). With a share below 1 a pair is counted where the draw of its uid
is below the share. An n-gram that c texts hold is then found in a binomial number of drawn ones, so by Chernoff's
bound the estimate found / share is off by more than e x c with a chance of at most 2 exp(-e^2 x share x c / 3):
`relative_error` gives the e that is kept with a chance of 0.999, 4.8 / sqrt(share x c).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from beam_jobs.corpus.hashing import Keys, Places, draws, joined, split_words, starts_of, text_key, text_keys
from beam_jobs.corpus.keying import Keyed, lowest
from beam_jobs.corpus.tallies import Counts, Spectrum
from schemas.corpus import NgramsOptions

CONFIDENCE = 0.999
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
        return 8 * self.options.share

    def key(self, table: pa.Table) -> Keyed:
        keys, starts = ngrams(table[self.options.text])
        if self.options.share == 1:
            return Keyed(keys, starts)
        salt = joined(text_key("share"), np.uint64(self.options.seed))
        drawn = draws(joined(text_keys(table["uid"]), salt)) < self.options.share
        return Keyed(keys, starts, weights=np.repeat(drawn, np.diff(starts)).astype(np.int64))

    def columns(self, table: pa.Table, keyed: Keyed, totals: Counts, spectrum: Spectrum) -> Mapping[str, pa.Array]:
        wordless = np.diff(keyed.starts) == 0
        rarest = np.where(wordless, 0, lowest(totals, keyed.starts))
        counts = rarest if self.options.share == 1 else np.rint(rarest / self.options.share).astype(np.int64)
        return {
            "rarest_ngram_count": pa.array(counts, pa.int64(), mask=wordless),
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


def relative_error(count: float, share: float) -> float:
    """How far, as a part of itself, a count may be off with a chance of at most 1 - CONFIDENCE."""
    return 0.0 if share == 1 else math.sqrt(3 * math.log(2 / (1 - CONFIDENCE)) / (share * count))
