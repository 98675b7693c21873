"""Zero-shot tags: which of a list of prompts a picture is closest to, from embeddings that a CLIP scorer stored.

In: the image embeddings of an earlier scorer of the recipe, categories with their prompts. Out: the two closest
categories, how close they are, and how many of the two are flagged. No picture is read, no image tower is run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from filters.clip import check_text_tower, encode_beside, logit_scale_beside
from filters.scorer import Batch, Column, Need, Scorer, Scores, option
from schemas.refusal import Refusal, unknown

if TYPE_CHECKING:
    import numpy as np

# How many of the two closest categories are flagged, in LAION's words.
VERDICTS = ("UNLIKELY", "UNSURE", "NSFW")

# A short list of our own: LAION-400M's publication gives none. A recipe may give any other.
CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "photograph": ("a photograph of everyday life", "a snapshot"),
    "person": ("a portrait of a clothed person", "people in the street"),
    "product": ("a product for sale", "an advertisement", "a company's logo"),
    "place": ("a landscape", "a building", "an interior of a room"),
    "animal": ("an animal", "a pet"),
    "food": ("food on a plate",),
    "drawing": ("a drawing", "an illustration", "a cartoon"),
    "text": ("a page of text", "a screenshot", "a diagram"),
    "nudity": ("a naked person", "nudity"),
    "pornography": ("pornography", "people having sex", "an explicit sexual image"),
    "drawn_pornography": ("an explicit sexual cartoon", "hentai"),
}
FLAGGED = ("nudity", "pornography", "drawn_pornography")


@dataclass(frozen=True)
class Prompts:
    """Embeddings of the categories, a row each, and what the model multiplies cosines by before a softmax."""

    rows: np.ndarray
    scale: float


@dataclass(frozen=True, kw_only=True)
class ClipTags(Scorer):
    """The closest two of a list of categories by CLIP, and whether they are flagged: LAION-400M's NSFW tag.

    A category's embedding is the mean of its prompts'. LAION's rule: both of the two closest flagged gives NSFW, one
    UNSURE, none UNLIKELY. `probability` is the softmax over all categories, with the model's own scale.
    """

    name: ClassVar[str] = "clip_tags"
    version: ClassVar[int] = 1
    source: ClassVar[str] = (
        "Schuhmann et al., 'LAION-400M: Open Dataset of CLIP-Filtered 400 Million Image-Text Pairs', 2021; "
        "zero-shot: Radford et al., 2021. the default categories are ours"
    )

    embedding: str = option("clip", "the CLIP scorer, before this one in the recipe, whose embeddings are read")
    categories: Mapping[str, tuple[str, ...] | str] = option(CATEGORIES, "category to its prompt, or to several")
    flagged: tuple[str, ...] = option(FLAGGED, "the categories that count as flags")
    template: str = option("{}", "what a prompt is put into, in the place of {}")

    def check(self) -> None:
        if len(self.categories) < 2:
            raise Refusal(f"scorer 'clip_tags': at least two categories are needed; given {list(self.categories)}")
        for name, prompts in self.categories.items():
            if not prompts or not all(_several(prompts)):
                raise Refusal(f"scorer 'clip_tags': the category {name!r} has no prompt, or an empty one")
        for name in self.flagged:
            if name not in self.categories:
                raise unknown("category", name, self.categories, where="scorer 'clip_tags': flagged")
        if "{}" not in self.template:
            raise Refusal(f"scorer 'clip_tags': template must have {{}} in it; given {self.template!r}")

    def check_files(self, needed: Mapping[str, Scorer]) -> None:
        check_text_tower(self, needed[self.embedding])

    @property
    def inputs(self) -> tuple[str, ...]:
        return ()

    @property
    def needs(self) -> tuple[Need, ...]:
        return (Need(self.embedding, "image"),)

    @property
    def columns(self) -> tuple[Column, ...]:
        described = (
            ("first", pa.string(), "the closest category"),
            ("second", pa.string(), "the next one"),
            ("first_similarity", pa.float32(), "cosine of picture and closest category, -1 to 1"),
            ("second_similarity", pa.float32(), "cosine of picture and the next one, -1 to 1"),
            ("probability", pa.float32(), "of the closest category among all: softmax of scaled cosines, 0 to 1"),
            ("flags", pa.int32(), "how many of the two closest categories are flagged, 0 to 2"),
            ("verdict", pa.string(), "the same in LAION's words: UNLIKELY (0), UNSURE (1), NSFW (2)"),
        )
        return tuple(Column(f"{self.label}_{name}", type_, meaning) for name, type_, meaning in described)

    @property
    def rows_per_batch(self) -> int:
        return 4096

    def load_beside(self, needed: Mapping[str, Scorer], device: str = "auto") -> Prompts:
        import numpy as np

        prompts = {name: _several(given) for name, given in self.categories.items()}
        texts = [self.template.replace("{}", prompt) for several in prompts.values() for prompt in several]
        encoded = iter(encode_beside(needed[self.embedding], device, texts))
        means = np.stack([np.mean([next(encoded) for _ in several], axis=0) for several in prompts.values()])
        rows = means / np.linalg.norm(means, axis=1, keepdims=True)
        return Prompts(rows.astype(np.float32), logit_scale_beside(needed[self.embedding], device))

    def score(self, batch: Batch, model: Prompts) -> Scores:
        import numpy as np

        similarity = batch.embeddings[self.needs[0]] @ model.rows.T
        order = np.argsort(-similarity, axis=1, kind="stable")[:, :2]
        closest = np.take_along_axis(similarity, order, axis=1)
        weights = np.exp(model.scale * (similarity - closest[:, :1]))
        names = np.array(list(self.categories), dtype=object)
        flags = np.isin(names, list(self.flagged))[order].sum(axis=1)
        values = (
            names[order[:, 0]],
            names[order[:, 1]],
            closest[:, 0],
            closest[:, 1],
            1 / weights.sum(axis=1),
            flags,
            np.array(VERDICTS, dtype=object)[flags],
        )
        arrays = [pa.array(each, column.type) for each, column in zip(values, self.columns, strict=True)]
        return Scores(pa.table(arrays, schema=self.schema))


def _several(prompts: Sequence[str] | str) -> tuple[str, ...]:
    return (prompts,) if isinstance(prompts, str) else tuple(prompts)
