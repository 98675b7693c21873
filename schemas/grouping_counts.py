"""Groupers that count over what was downloaded, as the counters of `corpus` do over what was found.

In: the section's plain values. Out: frozen options, and the columns that they make. Only rows with an image are counted
and have values, and `where` may ask for more of them. An image is told from another by its content, and its tags may be
counted beside its text.

    group:
      - repeats                                   # content_images_per_text, content_texts_per_image
      - concepts: {vocabulary: concepts.txt}      # the columns of the counter `concepts`, behind `stored_`
      - concepts: {vocabulary: concepts.txt, where: nsfw_score <= 0.8, label: safe}
      - concepts: {vocabulary: concepts.txt, tags: image_tags, label: both}
    select:
      - drop: content_texts_per_image > 1000
      - keep: stored_concept_draw < 20000         # MetaCLIP's balancing, after the download
      - keep: both_aligned                        # text and tags have a concept in common
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.corpus import ConceptsOptions, RepeatsOptions
from schemas.grouping_checks import check_column, check_label


def _check_where(where: object) -> None:
    if where is not None and (not isinstance(where, str) or not where.strip()):
        raise ValueError(f"where: expected an expression; given {where!r}")


@dataclass(frozen=True)
class StoredRepeats:
    """How many different images bear a row's text, and how many different texts its image bears.

    image: the column that tells images apart: the SHA-256 of the bytes as fetched, or another column of texts. where:
    an expression; only rows of which it is true count.
    """

    text: str = "text"
    image: str = "sha256"
    where: str | None = None
    label: str = "content"

    def __post_init__(self) -> None:
        _check_where(self.where)
        check_column("text", self.text)
        check_column("image", self.image)
        check_label(self.label)

    @property
    def counter(self) -> RepeatsOptions:
        """The counter that it is."""
        return RepeatsOptions(label=self.label, text=self.text, image=self.image)

    @property
    def keep(self) -> tuple[str, ...]:
        """Preferences among copies: none."""
        return ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that it counts."""
        return self.counter.reads

    @property
    def columns(self) -> dict[str, str]:
        """What the sidecar holds beside uid: column name to Arrow type name."""
        return {f"{self.label}_images_per_text": "int64", f"{self.label}_texts_per_image": "int64"}


@dataclass(frozen=True)
class StoredConcepts:
    """The entries of a vocabulary that texts hold, counted over what was downloaded; most options are those of
    the counter `concepts`.

    tags: a column of what is seen in the image, a text or a list of texts; a tag counts where it is an entry. With it
    come `tag_concepts` and `tag_counts`, `joint_concepts` and `joint_counts` (of entries that both the text and the
    tags of a pair have), and `aligned`: whether there is one, null where the text or the tags have no entry.
    where: as of StoredRepeats. sha256: of the vocabulary's file, found when a run is launched.
    """

    vocabulary: str = ""
    text: str = "text"
    tags: str | None = None
    boundary: str = "padded"
    fold_case: bool = False
    per: str | None = None
    t: int = 20_000
    seed: int = 0
    where: str | None = None
    label: str = "stored"
    sha256: str = ""

    def __post_init__(self) -> None:
        _check_where(self.where)
        check_label(self.label)
        if self.tags is not None:
            check_column("tags", self.tags)
        self.counter.check()

    @property
    def counter(self) -> ConceptsOptions:
        """The counter that it is."""
        return ConceptsOptions(
            label=self.label,
            vocabulary=self.vocabulary,
            text=self.text,
            boundary=self.boundary,
            fold_case=self.fold_case,
            per=self.per,
            t=self.t,
            seed=self.seed,
        )

    @property
    def keep(self) -> tuple[str, ...]:
        """Preferences among copies: none."""
        return ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that it counts."""
        return (*self.counter.reads, *([self.tags] if self.tags else []))

    @property
    def columns(self) -> dict[str, str]:
        """What the sidecar holds beside uid: column name to Arrow type name."""
        made = {name: str(kind).replace("<item: ", "<") for name, kind in self.counter.MADE.items()}
        if self.tags:
            made |= {"tag_concepts": "list<string>", "tag_counts": "list<int64>"}
            made |= {"joint_concepts": "list<string>", "joint_counts": "list<int64>", "aligned": "bool"}
        return {f"{self.label}_{name}": kind for name, kind in made.items()}


CountsOptions = StoredRepeats | StoredConcepts
