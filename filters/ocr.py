"""Text found and read in a picture, by the PP-OCR models that the package `rapidocr` brings along.

In: a picture. Out: a quadrilateral a line of text, the line, and the reader's confidence. Nothing is fetched: the two
models, detector and recogniser, are files of the package. Safe in several threads; each picture is read by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from filters.rgb import in_rgb
from filters.scorer import refuse_absent, require
from schemas.refusal import Refusal

if TYPE_CHECKING:
    from PIL import Image

EXTRA = "pairmill[vision]"
DETECTOR, RECOGNISER = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"
# A picture of fewer pixels a side can hold no line of text.
_LEAST_SIDE = 8


@dataclass(frozen=True)
class Line:
    """One line of text; `corners` are four points in pixels, clockwise from the top left."""

    corners: np.ndarray
    text: str
    confidence: float


@dataclass(frozen=True)
class TextReader:
    engine: Any

    def read(self, image: Image.Image, *, letters: int = 0) -> list[Line]:
        """The lines of a picture from top to bottom, those of one height from left to right.

        letters: how many different letters and digits a line has at least. Drawn shapes read as signs.
        """
        rgb = in_rgb(image)
        if min(rgb.size) < _LEAST_SIDE:
            return []
        found = self.engine(np.ascontiguousarray(np.asarray(rgb)[:, :, ::-1]))
        if found.boxes is None or found.txts is None:
            return []
        lines = [
            Line(np.asarray(corners, dtype=np.float32), str(text), float(confidence))
            for corners, text, confidence in zip(found.boxes, found.txts, found.scores, strict=True)
        ]
        return [line for line in lines if len(set(filter(str.isalnum, line.text))) >= letters]


def check_reader(wanted_by: str) -> None:
    """Raises Refusal where a library is absent."""
    for module in ("rapidocr", "onnxruntime"):
        refuse_absent(module, install=EXTRA, wanted_by=wanted_by)


def load_reader(*, max_side: int, confidence: float, wanted_by: str) -> TextReader:
    """A reader of pictures whose longer side is first reduced to `max_side` for the detector."""
    check_reader(wanted_by)
    rapidocr = require("rapidocr", install=EXTRA, wanted_by=wanted_by)
    folder = Path(str(rapidocr.__file__)).parent / "models"
    for name in (DETECTOR, RECOGNISER):
        if not (folder / name).is_file():
            raise Refusal(f"{wanted_by}: this version of rapidocr brings no {name}: pip install '{EXTRA}'")
    # One thread a picture: pictures are read side by side, and values do not depend on how many processors there are.
    engine = rapidocr.RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.use_cls": False,
            "Global.text_score": confidence,
            "Det.model_path": str(folder / DETECTOR),
            "Det.limit_type": "max",
            "Det.limit_side_len": max_side,
            "Rec.model_path": str(folder / RECOGNISER),
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
    return TextReader(engine)


def reader_facts() -> dict[str, Any]:
    """What decides the lines beside the options, as JSON."""
    from importlib.metadata import version

    return {
        "rapidocr": version("rapidocr"),
        "onnxruntime": version("onnxruntime"),
        "detector": DETECTOR,
        "recogniser": RECOGNISER,
    }


def covered(lines: list[Line], size: tuple[int, int]) -> np.ndarray:
    """Which pixels of a picture of this size (width, height) lie in a line's quadrilateral: (height, width), bool."""
    import cv2

    mask = np.zeros((size[1], size[0]), dtype=np.uint8)
    for line in lines:
        cv2.fillConvexPoly(mask, np.rint(line.corners).astype(np.int32), 1)
    return np.asarray(mask, dtype=bool)
