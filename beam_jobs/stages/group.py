"""Group: which images are copies of which, as sidecars; no row is dropped here.

In: images/, embeddings/ and, where a preference names them, planned/ and scores/. Out: groups/<label>/NNNNN.parquet
with the rows and the order of images/NNNNN.parquet, and (ledger, shard, Tally) of each. What is shuffled is keys,
hashes and embeddings, an Arrow stream for each (shard, destination); each destination sorts what it gets, so the
answer does not depend on the order of arrival.

    exact       rows keyed by hash -> groups -> sidecars
    perceptual  rows keyed by bands of their hash -> edges -> components -> groups -> sidecars
    placeholders  rows keyed by content -> URLs, texts and hosts counted -> sidecars
    counts      rows keyed by text, content and concept -> totals -> sidecars: repeats, concepts
    known       rows and those of indexes keyed alike -> matches -> sidecars: against, decontaminate
    clusters    centres fitted once -> nearest centres of rows; counts and first rows by cluster -> sidecars
    neighbours  cells fitted once -> rows to the cells where they live or ask -> the nearest back -> sidecars
    retrieved   nearest queries of rows; first rows by query -> sidecars
    near        cells fitted once -> rows to the cells where they live or visit -> edges -> components -> sidecars
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_jobs.grouping.clusters import FindClusters
from beam_jobs.grouping.counts import FindCounts
from beam_jobs.grouping.exact import FindExact
from beam_jobs.grouping.known import FindKnown
from beam_jobs.grouping.near import FindNear
from beam_jobs.grouping.neighbours import FindNeighbours
from beam_jobs.grouping.perceptual import FindPerceptual
from beam_jobs.grouping.placeholders import FindPlaceholders
from beam_jobs.grouping.retrieved import FindRetrieved
from beam_jobs.known.index import KnownIndex
from schemas.grouping import ExactOptions, Grouper, GroupOptions, NearOptions, PerceptualOptions
from schemas.grouping_clusters import ClustersOptions, NeighboursOptions, RetrievedOptions
from schemas.grouping_counts import StoredConcepts, StoredRepeats
from schemas.grouping_known import KnownOptions, option_of
from schemas.grouping_placeholders import PlaceholdersOptions
from schemas.refusal import Refusal

FINDERS: Mapping[type[Grouper], type[beam.PTransform]] = {
    ExactOptions: FindExact,
    NearOptions: FindNear,
    PerceptualOptions: FindPerceptual,
    ClustersOptions: FindClusters,
    NeighboursOptions: FindNeighbours,
    PlaceholdersOptions: FindPlaceholders,
    StoredConcepts: FindCounts,
    StoredRepeats: FindCounts,
    RetrievedOptions: FindRetrieved,
}


class GroupShards(beam.PTransform):
    """Writes the sidecars of all groupers for all shards: a global step, so all shards or none.

    scores: labels of the score sidecars in which `keep` preferences may name columns. known: the indexes that images
    are held against, by the label of the grouper that does.
    """

    def __init__(
        self,
        work: str,
        *,
        shards: Sequence[int],
        options: GroupOptions,
        scores: Sequence[str] = (),
        known: Mapping[str, Sequence[KnownIndex]] | None = None,
    ) -> None:
        super().__init__()
        self._work = work
        self._shards = sorted(shards)
        self._options = options
        self._scores = tuple(scores)
        self._known = known or {}

    def expand(self, begin: PBegin) -> PCollection:
        made = []
        for grouper in self._options.groupers:
            find: beam.PTransform
            if isinstance(grouper, KnownOptions):
                if grouper.label not in self._known:
                    given = option_of(grouper)
                    raise Refusal(f"group: {grouper.label!r} holds images against an index; give {given} URL again")
                find = FindKnown(self._work, self._shards, grouper, self._scores, self._known[grouper.label])
            else:
                find = FINDERS[type(grouper)](self._work, self._shards, grouper, self._scores)
            made.append(begin | f"Find {grouper.label}" >> find)
        return made | beam.Flatten(pipeline=begin.pipeline)
