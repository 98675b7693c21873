"""CLIP similarity of picture and text, and the embeddings of both, by any model that open_clip can make.

In: the stored picture and a column of texts. Out: their cosine, and two embeddings per row. Which models there are
is told by `clip_weights`; the model itself, loaded, is `clip_towers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from filters.clip_weights import TINY, embedding_length, find_weights
from filters.loading import load_model
from filters.scorer import IMAGE, Batch, Column, Scorer, Scores, option
from schemas.refusal import Refusal, unknown

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from filters.clip_towers import ClipTowers

PRECISIONS = ("auto", "fp32", "bf16", "fp16")


@dataclass(frozen=True, kw_only=True)
class Clip(Scorer):
    """Cosine of a CLIP model's embeddings of picture and text, with the embeddings.

    Preprocessing is the model's own. Each group of texts is cut to its longest one where the text tower is causal,
    which leaves the embeddings as they are. `precision: auto` is fp32 on a CPU and fp16 autocast on a GPU; what was
    used stands in the metadata of the scores.
    """

    name: ClassVar[str] = "clip"
    version: ClassVar[int] = 1
    on_gpu: ClassVar[bool] = True
    source: ClassVar[str] = (
        "Radford et al., 'Learning Transferable Visual Models From Natural Language Supervision', 2021; "
        "open_clip (Ilharco et al., 2021)"
    )

    model: str = option(
        TINY, "'tiny' (shipped, for drawn pictures), open_clip's name, a folder (local-dir:) or hf-hub:OWNER/NAME"
    )
    pretrained: str | None = option(None, "open_clip's tag of published weights, or a checkpoint's path")
    text: str = option("text", "the column of texts")
    precision: str = option("auto", "auto, fp32, or autocast to bf16 (on a CPU that has it 3 times as fast) or fp16")
    batch_size: int | None = option(None, "rows in one forward pass; none: 64 on a CPU, what fits on a GPU, up to 512")
    embeddings: bool = option(True, "whether to store the embeddings")

    def check(self) -> None:
        if self.precision not in PRECISIONS:
            raise unknown("precision", self.precision, PRECISIONS, where="scorer 'clip'")
        if self.batch_size is not None and self.batch_size < 1:
            raise Refusal(f"scorer 'clip': batch_size must be at least 1; given {self.batch_size}")
        if not self.text:
            raise Refusal("scorer 'clip': `text` must name a column of texts; given ''")
        find_weights(self.model, self.pretrained)

    @property
    def inputs(self) -> tuple[str, ...]:
        return (IMAGE, self.text)

    @property
    def columns(self) -> tuple[Column, ...]:
        return (Column(f"{self.label}_similarity", pa.float32(), "cosine of picture and text, -1 to 1"),)

    @property
    def embeds(self) -> bool:
        return self.embeddings

    def rows_for(self, model: ClipTowers) -> int:
        return self.batch_size or model.rows_per_batch

    @property
    def known_dimension(self) -> int | None:
        return embedding_length(find_weights(self.model, self.pretrained))

    def load(self, device: str = "auto") -> ClipTowers:
        from filters.clip_towers import load_towers

        return load_towers(find_weights(self.model, self.pretrained), device=device, precision=self.precision)

    def dimension(self, model: ClipTowers) -> int:
        return model.dimension

    def prepare(self, image: Image.Image, model: ClipTowers) -> Any:
        return model.pixels(image)

    def score(self, batch: Batch, model: ClipTowers) -> Scores:
        images = model.encode_images(batch.images)
        texts = model.encode_texts(batch.texts(self.text))
        similarity = (images * texts).sum(axis=1)
        columns = pa.table({self.columns[0].name: pa.array(similarity, pa.float32())})
        if not self.embeddings:
            return Scores(columns)
        return Scores(columns, images, texts)

    def provenance(self, model: ClipTowers) -> dict[str, Any]:
        return {**self.configuration(), "computed_by": {**model.facts(), "rows_per_batch": self.rows_for(model)}}


@dataclass(frozen=True)
class TextTower:
    """The text tower of a CLIP scorer, for scorers beside it. `column`: whose texts that scorer has embedded."""

    scorer: Clip
    device: str

    @property
    def column(self) -> str:
        return self.scorer.text

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings of unit length, in the same groups as the scorer makes them."""
        import numpy as np

        loaded = load_model(self.scorer, self.device)
        size = self.scorer.rows_for(loaded.model)
        with loaded.lock:
            parts = [loaded.model.encode_texts(texts[first : first + size]) for first in range(0, len(texts), size)]
        return np.concatenate(parts)


def text_tower_beside(needed: Scorer, device: str) -> TextTower:
    """The text tower of a scorer that another needs."""
    assert isinstance(needed, Clip)  # what check_text_tower refuses at launch
    return TextTower(needed, device)


def encode_beside(needed: Scorer, device: str, texts: Sequence[str]) -> np.ndarray:
    """Embeddings of texts by the text tower of a scorer that another needs."""
    return text_tower_beside(needed, device).encode(texts)


def logit_scale_beside(needed: Scorer, device: str) -> float:
    """What the model multiplies cosines by."""
    return float(load_model(needed, device).model.logit_scale)


def check_text_tower(scorer: Scorer, needed: Scorer) -> None:
    """Raises Refusal where the scorer that another needs has no text tower."""
    if not isinstance(needed, Clip):
        raise Refusal(f"scorer {scorer.label!r}: {needed.label!r} is no CLIP scorer, so it can embed no text")
