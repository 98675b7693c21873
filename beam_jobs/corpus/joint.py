"""Concepts of texts and of what is seen in their images, counted in each and in both.

In: texts, and a column of tags. Out: beside the columns of the texts' concepts, those of the tags and of both. A tag is
a concept where it is an entry of the vocabulary, as it stands or in lower case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.corpus.concepts import ConceptKeys, flat
from beam_jobs.corpus.entries import Found
from beam_jobs.corpus.hashing import Keys, text_keys
from beam_jobs.corpus.keying import Keyed
from beam_jobs.corpus.tallies import Counted, Counts, Spectrum

KINDS = ("text", "tags", "joint")


@dataclass(frozen=True)
class JointKeys:
    """The entries of each text, of its tags, and those of both. tags: the column of tags."""

    texts: ConceptKeys
    tags: str

    @property
    def reads(self) -> tuple[str, ...]:
        return (*self.texts.reads, self.tags)

    @property
    def entries_per_row(self) -> float:
        return 3 * self.texts.entries_per_row

    def key(self, table: pa.Table) -> Keyed:
        parts = self._parts(table)
        # A run of keys a kind; `columns` parts them again, so that no row has keys of its own here.
        return Keyed(np.concatenate([part.keys for part in parts]), np.zeros(1, dtype=np.int64), values=parts)

    def columns(self, table: pa.Table, keyed: Keyed, totals: Counts, spectrum: Spectrum) -> Mapping[str, pa.Array]:
        text, tags, joint = parts = keyed.values
        ends = np.cumsum([len(part.keys) for part in parts])
        of_text, of_tags, of_joint = np.split(totals, ends[:-1])
        entries = self.texts.concepts().entries
        compared = np.minimum(np.diff(text.starts), np.diff(tags.starts)) > 0
        return {
            **self.texts.columns(table, text, of_text, spectrum),
            "tag_concepts": _lists(tags, entries.take(tags.values)),
            "tag_counts": _lists(tags, pa.array(of_tags, pa.int64())),
            "joint_concepts": _lists(joint, entries.take(joint.values)),
            "joint_counts": _lists(joint, pa.array(of_joint, pa.int64())),
            "aligned": pa.array(np.diff(joint.starts) > 0, mask=~compared),
        }

    def table(self, groups: Sequence[str | None], totals: Counted) -> pa.Table:
        """concept, and in how many texts, tags of images, and both it is."""
        return self.texts.tabled(groups, self._keys(), totals)

    def _keys(self) -> dict[str, Keys]:
        concepts = self.texts.concepts()
        salted = {kind: text_keys(concepts.entries, salt=f"concept {kind}".encode()) for kind in KINDS[1:]}
        return {"text": concepts.keys, **salted}

    def _parts(self, table: pa.Table) -> tuple[Keyed, Keyed, Keyed]:
        keys, size = self._keys(), len(self.texts.concepts().entries)
        text = self.texts.key(table)
        tags = self._tags(table)
        rows = np.repeat(np.arange(table.num_rows, dtype=np.int64), np.diff(text.starts))
        assert text.values is not None
        both = np.intersect1d(rows * size + text.values.to_numpy(), tags.rows * size + tags.entries)
        return (
            text,
            self.texts.key_found(table, tags, keys["tags"]),
            self.texts.key_found(table, Found(both // size, both % size), keys["joint"]),
        )

    def _tags(self, table: pa.Table) -> Found:
        column = flat(table[self.tags])
        if pa.types.is_string(column.type):
            column = pa.ListArray.from_arrays(pa.array(range(len(column) + 1), pa.int32()), column)
        entries = self.texts.concepts().entries
        values = pc.list_flatten(column)
        places = pc.index_in(pc.utf8_lower(values) if self.texts.options.fold_case else values, value_set=entries)
        rows = pc.list_parent_indices(column).to_numpy().astype(np.int64)
        there = np.asarray(pc.is_valid(places)).astype(bool)
        found = pc.fill_null(places, 0).to_numpy().astype(np.int64)
        return Found.of(rows[there], found[there], len(entries))


def _lists(keyed: Keyed, values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(keyed.starts, pa.int32()), values)
