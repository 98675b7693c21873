"""Columns that need nothing but texts, made on the fly where a rule names them before anything is downloaded.

In: the names that rules read, and a table of pairs. Out: the table with those columns that it lacks and that a scorer
of texts makes with its defaults, such as `text_length` of `text_facts`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pyarrow as pa

from filters.blocklist import Profanity
from filters.concreteness import Concreteness
from filters.contacts import Contacts
from filters.language import Language
from filters.loading import load_model
from filters.scorer import Batch, Scorer
from filters.script_facts import ScriptFacts
from filters.text_facts import TextFacts, text_facts

SCORERS: tuple[Scorer, ...] = (TextFacts(), Contacts(), Language(), ScriptFacts(), Profanity(), Concreteness())

_ROWS = 65_536


def _makers() -> dict[str, Scorer]:
    """Each column that can be made so, with its scorer."""
    return {name: scorer for scorer in SCORERS for name in scorer.outputs}


def text_columns() -> pa.Schema:
    """All columns that can be made so."""
    return pa.schema([(name, scorer.outputs[name]) for name, scorer in _makers().items()])


def text_scorers(names: Iterable[str], present: Collection[str]) -> tuple[Scorer, ...]:
    """The scorers that make those of `names` that are not `present`."""
    made = {scorer.label: scorer for name in names if name not in present and (scorer := _makers().get(name))}
    return tuple(made[label] for label in sorted(made))


def columns_to_read(names: Iterable[str], present: Collection[str]) -> tuple[str, ...]:
    """What must be read for `names`: those present, and what the others are made of."""
    wanted: dict[str, None] = {}
    for name in names:
        wanted.update(dict.fromkeys((name,) if name in present else _makers()[name].inputs))
    return tuple(wanted)


def add_text_columns(table: pa.Table, names: Iterable[str]) -> pa.Table:
    """The table with those of `names` that it lacks."""
    missing = [name for name in dict.fromkeys(names) if name not in table.column_names]
    for scorer in text_scorers(missing, ()):
        mine = [name for name in missing if name in scorer.outputs]
        if isinstance(scorer, TextFacts):
            made = text_facts(table[scorer.text], mine)
        else:
            made = _scored(scorer, table)
        for name in mine:
            table = table.append_column(name, made[name])
    return table


def _scored(scorer: Scorer, table: pa.Table) -> pa.Table:
    """What a scorer makes of a table, so many rows at once."""
    model = load_model(scorer, "cpu").model
    inputs = table.select(list(scorer.inputs))
    starts = range(0, table.num_rows, _ROWS)
    made = [scorer.score(Batch(inputs.slice(first, _ROWS)), model).columns for first in starts]
    return pa.concat_tables(made) if made else scorer.schema.empty_table()
