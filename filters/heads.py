"""A head: a small trained network over stored CLIP embeddings, such as aesthetic, watermark or NSFW scores.

In: embeddings that a scorer before it stored, and a file of weights on this machine. Out: a number per output. CLIP
is not run again, and no weights are fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from filters.head_layers import ACTIVATIONS, OUTPUTS, Head, check_head, file_digest, read_head
from filters.scorer import SIDES, Batch, Column, Need, Scorer, Scores, option
from schemas.refusal import Refusal, unknown


@dataclass(frozen=True, kw_only=True)
class EmbeddingHead(Scorer):
    """A linear or multi-layer head on CLIP embeddings, from a file: aesthetic, watermark, NSFW, or the user's own.

    Embeddings are of unit length, as LAION's heads want them. LAION's aesthetic heads have no activation: the linear
    one (sa_0_4_vit_l_14_linear.pth: weight, bias) and the later one (sac+logos+ava1-l14-linearMSE.pth: layers.0 to
    layers.7), both on ViT-L-14 of OpenAI. Its NSFW heads want `activation: relu`: that for ViT-H-14 as it is, that for
    ViT-L-14 (norm, linear_1 to linear_4) with `output: sigmoid`. Layers whose numbers follow each other in a Sequential
    (layers.15, layers.16) have no activation between them; `mean` with `variance` standardises, first of all. A head is
    for the very model whose embeddings it was trained on, and only their length can be checked.
    """

    name: ClassVar[str] = "head"
    version: ClassVar[int] = 1
    source: ClassVar[str] = (
        "Schuhmann et al., 'LAION-5B', 2022, with its aesthetic predictors and its CLIP-based NSFW detector"
    )
    example: ClassVar[Mapping[str, Any]] = {"file": "sac+logos+ava1-l14-linearMSE.pth"}

    file: str = option("", "the weights: .safetensors, .npz, .pth, .pt or .bin")
    embedding: str = option("clip", "the scorer, before this one in the recipe, whose embeddings are read")
    side: str = option("image", "which embeddings: image or text")
    activation: str = option("none", f"between linear layers: {', '.join(ACTIVATIONS)}")
    output: str = option("none", f"what is done to the last layer: {', '.join(OUTPUTS)}")
    names: tuple[str, ...] = option(("score",), "what the numbers of the last layer are called, in order")

    def check(self) -> None:
        where = f"scorer {self.label!r}"
        if not self.file:
            raise Refusal(f"{where}: `file` must name a file of weights; given ''")
        for kind, given, known in (
            ("side", self.side, SIDES),
            ("activation", self.activation, ACTIVATIONS),
            ("output", self.output, OUTPUTS),
        ):
            if given not in known:
                raise unknown(kind, given, known, where=where)
        names = self.names
        if not names or len(set(names)) < len(names) or not all(name.isidentifier() for name in names):
            raise Refusal(f"{where}: `names` must be different, of letters, digits and _; given {list(names)}")

    def check_files(self, needed: Mapping[str, Scorer]) -> None:
        check_head(
            self.load(),
            length=needed[self.embedding].known_dimension,
            outputs=len(self.names),
            path=self.file,
            wanted_by=f"scorer {self.label!r}",
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        return ()

    @property
    def needs(self) -> tuple[Need, ...]:
        return (Need(self.embedding, self.side),)

    @property
    def columns(self) -> tuple[Column, ...]:
        scale = {"none": "as the head gives it", "sigmoid": "0 to 1", "softmax": "share of 1"}[self.output]
        return tuple(
            Column(f"{self.label}_{name}", pa.float32(), f"{name} by the head, {scale}") for name in self.names
        )

    @property
    def rows_per_batch(self) -> int:
        return 4096

    def configuration(self) -> dict[str, Any]:
        """The file's content stands in it, not its path: another head gives other scores."""
        whole = super().configuration()
        digest = file_digest(self.file, wanted_by=f"scorer {self.label!r}")
        whole["options"] = {**whole["options"], "file": f"sha256:{digest}"}
        return whole

    def load(self, device: str = "auto") -> Head:
        wanted_by = f"scorer {self.label!r}"
        return read_head(self.file, activation=self.activation, output=self.output, wanted_by=wanted_by)

    def score(self, batch: Batch, model: Head) -> Scores:
        values = model(batch.embeddings[self.needs[0]])
        return Scores(pa.table([pa.array(column, pa.float32()) for column in values.T], schema=self.schema))
