"""How concrete a text's words are, by a lexicon of values per word: ratings that the user has, or a list of our own.

In: a column of texts. Out: the mean and the highest value of the words that the lexicon knows, and what share of all
words they are. Case and Unicode form do not count, and a plural is looked up as its singular. Entries of several words
are left out.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import fsspec
import pyarrow as pa

from filters.scorer import Batch, Column, Scorer, Scores, option
from schemas.refusal import Refusal

if TYPE_CHECKING:
    import polars as pl

_SHIPPED = Path(__file__).parent / "models" / "visible_words" / "words.csv"
_WORD = r"[\p{L}\p{M}]+"


def read_lexicon(file: str, *, word_column: str, value_column: str) -> pl.DataFrame:
    """Columns word and value of a lexicon, with plurals; a Refusal where the file has none such."""
    import polars as pl

    where = f"scorer 'concreteness': {file}"
    try:
        with fsspec.open(file, "rb", compression="infer") as opened:
            content = opened.read()
        separator = "\t" if ".tsv" in file.lower() or b"\t" in content[: content.find(b"\n")] else ","
        read = pl.read_csv(io.BytesIO(content), separator=separator, infer_schema=False, truncate_ragged_lines=True)
    except (OSError, ValueError, ImportError, pl.exceptions.PolarsError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
        raise Refusal(f"{where} cannot be read as a lexicon: {reason}") from error
    for column in (word_column, value_column):
        if column not in read.columns:
            raise Refusal(f"{where} has no column {column!r}; it has {', '.join(read.columns)[:200]}")
    lexicon = read.select(
        pl.col(word_column).str.normalize("NFKC").str.strip_chars().str.to_lowercase().alias("word"),
        pl.col(value_column).str.strip_chars().cast(pl.Float32, strict=False).alias("value"),
    )
    wrong = lexicon.filter(pl.col("value").is_null() | ~pl.col("value").is_finite())
    if len(wrong):
        raise Refusal(f"{where} has no number in {value_column!r} for the word {wrong['word'][0]!r}")
    single = lexicon.filter(pl.col("word").str.contains(f"^{_WORD}$"))
    if not len(single):
        raise Refusal(f"{where} lists no single word in {word_column!r}")
    plurals = [single.with_columns(_plural(ending, plural)) for ending, plural in _PLURALS]
    # A word of the lexicon's own goes before a plural that looks the same.
    return pl.concat([single, *plurals]).drop_nulls("word").unique("word", keep="first", maintain_order=True)


_PLURALS = (("y", "ies"), ("f", "ves"), ("fe", "ves"), ("", "es"), ("", "s"))


def _plural(ending: str, plural: str) -> pl.Expr:
    import polars as pl

    word = pl.col("word")
    return (
        pl.when(word.str.ends_with(ending)).then(word.str.strip_suffix(ending) + plural).otherwise(None).alias("word")
    )


@dataclass(frozen=True, kw_only=True)
class Concreteness(Scorer):
    """How concrete the words of the text are, by a lexicon of values per word: a stand-in for visualness.

    The shipped lexicon is a small one of our own, in English: 1 for what can be seen, 0 for what cannot. For ratings
    such as those of Brysbaert et al., which may not be shipped, give their file with `file`, `word_column: Word` and
    `value_column: Conc.M`. That a text is visual as a whole no lexicon tells; a model does, as that of `source`.
    """

    name: ClassVar[str] = "concreteness"
    version: ClassVar[int] = 1
    source: ClassVar[str] = (
        "ratings: Brysbaert, Warriner and Kuperman, 'Concreteness ratings for 40 thousand generally known English word "
        "lemmas', 2014, as in GeneCIS; visualness: Verma et al., 'Learning the Visualness of Text', 2023"
    )

    text: str = option("text", "the column of texts")
    file: str | None = option(None, "path or URL of a lexicon, CSV or TSV with a header; default: our own list")
    word_column: str = option("word", "its column of words")
    value_column: str = option("value", "its column of numbers")

    def check(self) -> None:
        if not self.text:
            raise Refusal("scorer 'concreteness': `text` must name a column of texts; given ''")

    def check_files(self, needed: Mapping[str, Scorer]) -> None:
        self.load()

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.text,)

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column(
                self.column("concreteness"), pa.float32(), "mean value of the words in the lexicon; null without any"
            ),
            Column(self.column("concreteness_max"), pa.float32(), "the highest value among them; null without any"),
            Column(self.column("concreteness_known"), pa.float32(), "share of the words that the lexicon has, 0 to 1"),
        )

    @property
    def rows_per_batch(self) -> int:
        return 4096

    def configuration(self) -> dict[str, Any]:
        """The lexicon's content stands in it, not its path."""
        whole = super().configuration()
        with fsspec.open(self.file or str(_SHIPPED), "rb") as opened:
            digest = hashlib.sha256(opened.read()).hexdigest()
        whole["options"] = {**whole["options"], "file": f"sha256:{digest}"}
        return whole

    def load(self, device: str = "auto") -> pl.DataFrame:
        if self.file is None:
            return read_lexicon(str(_SHIPPED), word_column="word", value_column="value")
        return read_lexicon(self.file, word_column=self.word_column, value_column=self.value_column)

    def score(self, batch: Batch, model: pl.DataFrame) -> Scores:
        import polars as pl

        texts = pl.Series("word", batch.table[self.text].cast(pa.large_string())).fill_null("")
        words = (
            texts.str.normalize("NFKC")
            .str.to_lowercase()
            .str.extract_all(_WORD)
            .to_frame()
            .with_row_index("row")
            .explode("word")
        )
        found = (
            words.drop_nulls()
            .join(model, on="word", how="left")
            .group_by("row", maintain_order=True)
            .agg(
                pl.col("value").mean().alias("mean"),
                pl.col("value").max().alias("max"),
                (pl.col("value").count() / pl.len()).alias("known"),
            )
        )
        rows = pl.DataFrame({"row": range(len(texts))}, schema={"row": words["row"].dtype})
        made = rows.join(found, on="row", how="left", maintain_order="left").with_columns(
            pl.col("known").fill_null(0.0)
        )
        columns = [made[name].to_arrow() for name in ("mean", "max", "known")]
        return Scores(pa.table([column.cast(pa.float32()) for column in columns], schema=self.schema))
