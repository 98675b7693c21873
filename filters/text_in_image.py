"""Text in a picture: how much of it is text, what is written there, and how much of the caption it repeats.

In: the stored picture and a column of captions. Out: lines, their share of the picture, the text read, the overlap.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from filters.ocr import TextReader, check_reader, covered, load_reader, reader_facts
from filters.scorer import IMAGE, Batch, Column, Scorer, Scores, option
from schemas.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL import Image

    from filters.ocr import Line

_WORD = re.compile(r"\w+")
# Shorter words count only where the picture has them as whole words.
_LONG_WORD = 4


@dataclass(frozen=True)
class Found:
    """What one picture holds. `area`: the share of its pixels within a line."""

    lines: list[Line]
    area: float


@dataclass(frozen=True, kw_only=True)
class TextInImage(Scorer):
    """Lines of text in the picture, their area, what they say, and how much of the caption is written there.

    PP-OCR (detector and recogniser for Chinese, English, Japanese and other scripts; upright text) from the package
    rapidocr. `text_overlap` is the share of the caption's letters and digits in words that are read in the picture,
    whatever their case; words of four characters and more count within others too, since spaces are often not seen.
    CAT drops pairs whose text in the picture substantially overlaps with the caption. Drawn shapes read as signs (a
    ring as O, a star as a star): `letters` says how many different letters and digits make a line.
    """

    name: ClassVar[str] = "text_in_image"
    version: ClassVar[int] = 1
    source: ClassVar[str] = (
        "PP-OCR (PaddleOCR, Apache-2.0) through rapidocr; the overlap rule: Radenovic et al., 'Filtering, "
        "Distillation, and Hard Negatives for Vision-Language Pre-Training' (CAT), 2023"
    )

    text: str = option("text", "the column of captions")
    max_side: int = option(736, "pixels of the longer side that the detector sees at most")
    confidence: float = option(0.5, "the least confidence of a line that counts, 0 to 1")
    letters: int = option(2, "how many different letters and digits a line that counts has at least")

    def check(self) -> None:
        if not self.text:
            raise Refusal("scorer 'text_in_image': `text` must name a column of captions; given ''")
        if self.max_side < 32:
            raise Refusal(f"scorer 'text_in_image': max_side must be at least 32; given {self.max_side}")
        if self.letters < 0:
            raise Refusal(f"scorer 'text_in_image': letters must be at least 0; given {self.letters}")
        if not 0 <= self.confidence <= 1:
            raise Refusal(f"scorer 'text_in_image': confidence must be from 0 to 1; given {self.confidence}")

    def check_files(self, needed: Mapping[str, Scorer]) -> None:
        check_reader("scorer 'text_in_image'")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (IMAGE, self.text)

    @property
    def columns(self) -> tuple[Column, ...]:
        described = (
            ("text_boxes", pa.int32(), "lines of text found"),
            ("text_area", pa.float32(), "share of the picture within them, 0 to 1"),
            ("text_read", pa.string(), "what they say, a line each, from top to bottom"),
            ("text_confidence", pa.float32(), "mean confidence of the lines, 0 to 1; null where there are none"),
            ("text_overlap", pa.float32(), "share of the caption that is written in the picture, 0 to 1"),
        )
        return tuple(Column(self.column(name), type_, meaning) for name, type_, meaning in described)

    def load(self, device: str = "auto") -> TextReader:
        return load_reader(
            max_side=self.max_side, confidence=float(self.confidence), wanted_by="scorer 'text_in_image'"
        )

    def prepare(self, image: Image.Image, model: TextReader) -> Found:
        lines = model.read(image, letters=self.letters)
        return Found(lines, float(covered(lines, image.size).mean()) if lines else 0.0)

    def score(self, batch: Batch, model: TextReader) -> Scores:
        found: list[Found] = list(batch.images)
        read = ["\n".join(line.text for line in each.lines) for each in found]
        confidences = [[line.confidence for line in each.lines] for each in found]
        values: tuple[list[Any], ...] = (
            [len(each.lines) for each in found],
            [each.area for each in found],
            read,
            [sum(each) / len(each) if each else None for each in confidences],
            [written_share(caption, text) for caption, text in zip(batch.texts(self.text), read, strict=True)],
        )
        arrays = [pa.array(each, column.type) for each, column in zip(values, self.columns, strict=True)]
        return Scores(pa.table(arrays, schema=self.schema))

    def provenance(self, model: TextReader) -> dict[str, Any]:
        return {**self.configuration(), "computed_by": reader_facts()}


def written_share(caption: str, read: str) -> float:
    """The share of a caption's word characters in words that the text read holds; 0 where the caption has none."""
    wanted = _WORD.findall(caption.casefold())
    written = _WORD.findall(read.casefold())
    whole, joined = set(written), "".join(written)
    total = sum(map(len, wanted))
    held = sum(len(word) for word in wanted if word in whole or (len(word) >= _LONG_WORD and word in joined))
    return held / total if total else 0.0
