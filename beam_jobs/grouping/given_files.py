"""Files that groupers are given, read once at launch and known by their content from then on.

In: the groupers of a recipe. Out: the same with the SHA-256 of each file, or a Refusal where one cannot be read.
"""

from __future__ import annotations

from dataclasses import replace

from beam_jobs.corpus.vocabulary import read_vocabulary
from beam_jobs.matching.annotations import pin_annotations
from beam_jobs.matching.retrieve_steps import pin_queries
from schemas.grouping import Grouper, GroupOptions
from schemas.grouping_clusters import ClustersOptions, RetrievedOptions
from schemas.grouping_counts import StoredConcepts
from schemas.recipe_text import Place


def pinned_groupers(options: GroupOptions, place: Place) -> GroupOptions:
    """place: of the recipe's section."""
    pinned = (_pin(grouper, place.at(number)) for number, grouper in enumerate(options.groupers))
    return GroupOptions(tuple(pinned))


def _pin(grouper: Grouper, place: Place) -> Grouper:
    name, file = "", ""
    if isinstance(grouper, StoredConcepts):
        return replace(grouper, sha256=read_vocabulary(grouper.vocabulary, fold_case=grouper.fold_case).sha256)
    try:
        if isinstance(grouper, ClustersOptions) and grouper.annotated:
            name, file = "annotated", grouper.annotated
            return replace(grouper, sha256=pin_annotations(file))
        if isinstance(grouper, RetrievedOptions):
            name, file = "queries", grouper.queries
            return replace(grouper, sha256=pin_queries(file))
    except (OSError, ValueError) as error:
        raise place.at(name).refusal(f"{file} cannot be read: {error}") from error
    return grouper
