"""CLIP similarity of a picture whose text was painted over: T-MARS's measure of what remains beside the writing.

In: the stored picture and a column of texts. Out: their cosine, after each line of text that the reader of
`text_in_image` finds was filled with the mean colour around it. A pair whose similarity rests on writing alone falls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from filters.clip import Clip
from filters.ocr import Line, TextReader, check_reader, covered, load_reader, reader_facts
from filters.rgb import in_rgb
from filters.scorer import Scorer, option

if TYPE_CHECKING:
    from PIL import Image

    from filters.clip_towers import ClipTowers

_WANTED_BY = "scorer 'clip_without_text'"
# Pixels around a line whose colour it is filled with, and by which the line itself is widened before.
_AROUND, _MARGIN = 5, 2


@dataclass(frozen=True)
class MaskingTowers:
    """A CLIP model that is shown pictures without their text; otherwise as the model is."""

    towers: ClipTowers
    reader: TextReader
    letters: int

    @property
    def dimension(self) -> int:
        return self.towers.dimension

    @property
    def rows_per_batch(self) -> int:
        return self.towers.rows_per_batch

    @property
    def logit_scale(self) -> float:
        return self.towers.logit_scale

    def pixels(self, image: Image.Image) -> np.ndarray:
        return self.towers.pixels(without_text(image, self.reader.read(image, letters=self.letters)))

    def encode_images(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        return self.towers.encode_images(pixels)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return self.towers.encode_texts(texts)

    def facts(self) -> dict[str, Any]:
        return {**self.towers.facts(), "reader": reader_facts()}


@dataclass(frozen=True, kw_only=True)
class ClipWithoutText(Clip):
    """Cosine of picture and text by CLIP once the writing in the picture is painted over, as T-MARS takes it.

    Options and precision are those of `clip`. Lines are found by the reader of `text_in_image`; each is filled with the
    mean colour of the pixels around it. T-MARS keeps the upper half by this similarity.
    """

    name: ClassVar[str] = "clip_without_text"
    version: ClassVar[int] = 1
    source: ClassVar[str] = (
        "Maini et al., 'T-MARS: Improving Visual Representations by Circumventing Text Feature Learning', 2023; text "
        "is found by PP-OCR instead of FAST"
    )

    embeddings: bool = option(False, "whether to store the embeddings")
    max_side: int = option(736, "pixels of the longer side that the finder of text sees at most")
    confidence: float = option(0.5, "the least confidence of a line that is painted over, 0 to 1")

    letters: int = option(2, "how many different letters and digits a line has at least that is painted over")

    def check_files(self, needed: Mapping[str, Scorer]) -> None:
        check_reader(_WANTED_BY)

    def load(self, device: str = "auto") -> Any:
        reader = load_reader(max_side=self.max_side, confidence=float(self.confidence), wanted_by=_WANTED_BY)
        return MaskingTowers(super().load(device), reader, self.letters)


def without_text(image: Image.Image, lines: Sequence[Line]) -> Image.Image:
    """The picture with each line filled with the mean colour around it; itself where there is none."""
    if not lines:
        return image
    from PIL import Image as Pictures

    rgb = in_rgb(image)
    pixels = np.asarray(rgb).copy()
    every = _widened(covered(list(lines), rgb.size), _MARGIN)
    for line in lines:
        one = _widened(covered([line], rgb.size), _MARGIN)
        around = _widened(one, _AROUND) & ~every
        shown = pixels[around] if around.any() else pixels.reshape(-1, 3)
        pixels[one] = np.rint(shown.mean(axis=0)).astype(np.uint8)
    return Pictures.fromarray(pixels)


def _widened(mask: np.ndarray, by: int) -> np.ndarray:
    import cv2

    side = 2 * by + 1
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)), dtype=bool)
