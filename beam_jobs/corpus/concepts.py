"""Concepts of texts: entries of a vocabulary, counted over the corpus, and what balancing makes of the counts.

In: texts, uids, and the column whose values are counted apart. Out: the columns of `ConceptsOptions`, and the table of
all counts. MetaCLIP keeps a
text with the chance 1 - product(1 - t / max(count, t)) over its entries: it draws once for each of them, and one draw
below t / max(count, t) is enough. A draw u is below t / max(count, t) just where u x count < t, u being below 1; so
the least u x count over a text's entries says for every t whether it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_jobs.corpus.entries import Found, Matcher, make_matcher
from beam_jobs.corpus.hashing import Keys, Places, draws, joined, starts_of, text_key, text_keys
from beam_jobs.corpus.keying import Keyed, lowest
from beam_jobs.corpus.tallies import Counted, Counts, Spectrum
from beam_jobs.corpus.vocabulary import known_vocabulary
from schemas.corpus import ConceptsOptions


@dataclass(frozen=True)
class Concepts:
    """A vocabulary ready to be found in texts: a key for each of its entries."""

    entries: pa.StringArray
    keys: Keys
    matcher: Matcher


@lru_cache(maxsize=4)
def load_concepts(url: str, sha256: str, *, fold_case: bool, boundary: str) -> Concepts:
    """The concepts of a run, once a process."""
    entries = known_vocabulary(url, sha256, fold_case=fold_case).entries
    return Concepts(entries, text_keys(entries, salt=b"concept"), make_matcher(entries, boundary))


@dataclass(frozen=True)
class ConceptKeys:
    """The entries of each text, one of each. sha256: of the vocabulary's file."""

    options: ConceptsOptions
    sha256: str

    @property
    def reads(self) -> tuple[str, ...]:
        return self.options.reads

    @property
    def entries_per_row(self) -> float:
        return 2.0

    def concepts(self) -> Concepts:
        given = self.options
        return load_concepts(given.vocabulary, self.sha256, fold_case=given.fold_case, boundary=given.boundary)

    def key(self, table: pa.Table) -> Keyed:
        texts = pc.fill_null(flat(table[self.options.text]).cast(pa.large_string()), "")
        found = self.concepts().matcher.find(pc.utf8_lower(texts) if self.options.fold_case else texts)
        return self.key_found(table, found, self.concepts().keys)

    def key_found(self, table: pa.Table, found: Found, keys: Keys) -> Keyed:
        """The keys of what was found in the rows of a table, given those of the entries."""
        chosen = keys[found.entries]
        if self.options.per:
            chosen = joined(chosen, group_keys(flat(table[self.options.per]))[found.rows])
        starts = starts_of(np.bincount(found.rows, minlength=table.num_rows).astype(np.int64))
        return Keyed(chosen, starts, values=pa.array(found.entries))

    def tabled(self, groups: Sequence[str | None], keys: Mapping[str, Keys], totals: Counted) -> pa.Table:
        """How often each entry occurs, by kind of occurrence; where values are counted apart, what occurs in each."""
        entries = self.concepts().entries
        if not self.options.per:
            return pa.table({"concept": entries, **{kind: totals.at(of) for kind, of in keys.items()}})
        tables = []
        for group, salt in zip(groups, group_keys(pa.array(groups, pa.string())), strict=True):
            counts = {kind: totals.at(joined(of, salt)) for kind, of in keys.items()}
            named = {self.options.per: pa.array([group] * len(entries), pa.string()), "concept": entries}
            table = pa.table({**named, **counts})
            tables.append(table.filter(pa.array(np.any(list(counts.values()), axis=0))))
        empty = pa.schema([(self.options.per, pa.string()), ("concept", pa.string()), *((k, pa.int64()) for k in keys)])
        return pa.concat_tables([empty.empty_table(), *tables])

    def table(self, groups: Sequence[str | None], totals: Counted) -> pa.Table:
        """concept and text: in how many texts it is; before them the value that they have, where these are apart."""
        return self.tabled(groups, {"text": self.concepts().keys}, totals)

    def columns(self, table: pa.Table, keyed: Keyed, totals: Counts, spectrum: Spectrum) -> Mapping[str, pa.Array]:
        assert keyed.values is not None
        concepts, starts = self.concepts(), keyed.starts
        entries = keyed.values.to_numpy()
        none = np.diff(starts) == 0
        least = lowest(totals, starts)
        rarest = first_where(totals == np.repeat(least, np.diff(starts)), starts)
        offsets = pa.array(starts, pa.int32())
        drawn = least_draws(table["uid"], concepts.keys[entries], totals, starts, seed=self.options.seed)
        rarest_entries = np.where(none, 0, entries[rarest] if len(entries) else 0)
        return {
            "concepts": pa.ListArray.from_arrays(offsets, concepts.entries.take(pa.array(entries))),
            "concept_counts": pa.ListArray.from_arrays(offsets, pa.array(totals, pa.int64())),
            "concept_number": pa.array(np.diff(starts), pa.int32()),
            "rarest_concept": concepts.entries.take(pa.array(rarest_entries, pa.int64(), mask=none)),
            "concept_min_count": pa.array(np.where(none, 0, least), pa.int64(), mask=none),
            "concept_probability": pa.array(keep_probability(totals, starts, t=self.options.t), pa.float64()),
            "concept_draw": pa.array(drawn, pa.float64(), mask=none),
        }


def group_keys(values: pa.StringArray) -> Keys:
    """The keys of values that are counted apart; null is one of them."""
    keys = text_keys(values, salt=b"per")
    keys[np.asarray(pc.is_null(values)).astype(bool)] = text_key("", salt=b"per nothing")
    return keys


def keep_probability(counts: Counts, starts: Places, *, t: int) -> NDArray[np.float64]:
    """MetaCLIP's chance that a text is kept, given the counts of its entries; 0 without entries."""
    missed = np.ones(len(starts) - 1, dtype=np.float64)
    filled = np.diff(starts) > 0
    if filled.any():
        missed[filled] = np.multiply.reduceat(1 - t / np.maximum(counts, t), starts[:-1][filled])
    return 1 - missed


def least_draws(
    uids: pa.ChunkedArray, entries: Keys, counts: Counts, starts: Places, *, seed: int
) -> NDArray[np.float64]:
    """The least of draw x count over the entries of each row; infinite without entries."""
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    salt = joined(text_key("balance"), np.uint64(seed))
    scaled = draws(joined(joined(text_keys(uids), salt)[rows], entries)) * counts
    found = np.full(len(starts) - 1, np.inf)
    filled = np.diff(starts) > 0
    if filled.any():
        found[filled] = np.minimum.reduceat(scaled, starts[:-1][filled])
    return found


def first_where(true: NDArray[np.bool_], starts: Places) -> Places:
    """The first place of each run at which `true` is; 0 for a run of none."""
    places = np.flatnonzero(true)
    if not len(places):
        return np.zeros(len(starts) - 1, dtype=np.int64)
    first = np.minimum(np.searchsorted(places, starts[:-1]), len(places) - 1)
    return np.where(np.diff(starts) > 0, places[first], 0)


def flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
