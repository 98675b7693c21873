"""The groupers that tell where images stand among others: clusters, neighbours, and what is near given queries.

In: the section's plain values. Out: frozen options, and the columns that they make. None of them drops or joins rows.

    group:
      - clusters: {embedding: clip, k: 2000, top: 10}            # balance: 1/clusters_size, or by clusters_id
      - clusters: {k: 2000, annotated: given:annotations}        # labels of a few rows, spread over their clusters
      - neighbours: {embedding: clip, k: 5, below: 0.96}         # the texts of the images nearest to each
      - retrieved: {embedding: clip, queries: given:queries, top: 500}   # keep: retrieved_place is not null
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schemas.grouping_checks import check_label, check_share, check_whole

MOST_NEAREST = 100


def _check_file(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name}: expected a file; given {value!r}")


def _check_nearest(name: str, value: Any) -> None:
    check_whole(name, value, most=MOST_NEAREST)
    if value == 0:
        raise ValueError(f"{name}: expected a whole number of 1 to {MOST_NEAREST}; given 0")


@dataclass(frozen=True)
class _Told:
    """What these groupers share: they compare embeddings, and choose no survivor."""

    @property
    def keep(self) -> tuple[str, ...]:
        """Preferences among copies: none."""
        return ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The score columns that it compares: none, since embeddings are files of their own."""
        return ()


@dataclass(frozen=True)
class ClustersOptions(_Told):
    """Spherical k-means: each image's cluster, its nearest centres, and what is known of its cluster.

    k: how many clusters, fitted in two levels when they are many; 0 takes the square root of the rows. top: how many
    nearest centres are told, nearest first. prototypes: how many rows nearest to its centre each cluster counts out.
    annotated: a table of `uid` or `cluster`, and `label`; a cluster takes the label that most of its annotated rows
    bear. sha256: of that file, known at launch. seed: of the first centres.
    """

    embedding: str = "clip"
    k: int = 0
    top: int = 10
    prototypes: int = 100
    annotated: str = ""
    sha256: str = ""
    seed: int = 0
    label: str = "clusters"

    def __post_init__(self) -> None:
        for name in ("k", "seed"):
            check_whole(name, getattr(self, name))
        check_whole("prototypes", self.prototypes, most=10_000)
        _check_nearest("top", self.top)
        if self.annotated:
            _check_file("annotated", self.annotated)
        check_label(self.label)

    @property
    def columns(self) -> dict[str, str]:
        """What the sidecar holds beside uid: column name to Arrow type name."""
        label = self.label
        told = {f"{label}_label": "string", f"{label}_label_share": "float32"} if self.annotated else {}
        return {
            f"{label}_id": "int32",
            f"{label}_similarity": "float32",
            f"{label}_size": "int64",
            f"{label}_place": "int32",
            f"{label}_top": "list<int32>",
            f"{label}_top_similarities": "list<float32>",
            **told,
        }


@dataclass(frozen=True)
class NeighboursOptions(_Told):
    """The k images nearest to each, with their texts.

    below: a neighbour of this cosine or more is passed over as a copy. recall: of the nearest k, the share that the
    search must find, measured while its cells are fitted. cells: how many; 0 takes the square root of the rows.
    """

    embedding: str = "clip"
    k: int = 5
    below: float = 0.999
    recall: float = 0.95
    cells: int = 0
    seed: int = 0
    label: str = "neighbours"

    def __post_init__(self) -> None:
        _check_nearest("k", self.k)
        check_share("below", self.below, "similarity")
        check_share("recall", self.recall, "share")
        for name in ("cells", "seed"):
            check_whole(name, getattr(self, name))
        check_label(self.label)

    @property
    def columns(self) -> dict[str, str]:
        """What the sidecar holds beside uid: column name to Arrow type name."""
        return {
            f"{self.label}_uids": "list<string>",
            f"{self.label}_similarities": "list<float32>",
            f"{self.label}_texts": "list<string>",
        }


@dataclass(frozen=True)
class RetrievedOptions(_Told):
    """How near each image is to the nearest of given queries.

    queries: embeddings of the same model, a row a query, in .npy. top: the nearest so many images of each query are
    given their place among those that have the same nearest query, from 0; others have none. sha256: of that file,
    known at launch.
    """

    embedding: str = "clip"
    queries: str = ""
    sha256: str = ""
    top: int = 0
    label: str = "retrieved"

    def __post_init__(self) -> None:
        _check_file("queries", self.queries)
        check_whole("top", self.top, most=1_000_000)
        check_label(self.label)

    @property
    def columns(self) -> dict[str, str]:
        """What the sidecar holds beside uid: column name to Arrow type name."""
        placed = {f"{self.label}_place": "int32"} if self.top else {}
        return {f"{self.label}_similarity": "float32", f"{self.label}_query": "int32", **placed}
