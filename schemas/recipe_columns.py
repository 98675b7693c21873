"""The section `columns`: what is made of the rows that a recipe keeps, for training and captioning to read.

In: its plain values. Out: frozen entries, in order. Each makes columns beside `keep` in selected/, null where a row is
not kept, and in the training shards; nothing is dropped by them.

    - bins: 8                       # how many
      of: clip_similarity           # the column that is cut into them
      as: alignment_bin             # the bin's number from 0; alignment_bin_low and _high are its edges
      cut: equal_width              # the default: edges evenly from the lowest value to the highest, of kept rows;
                                    # or equal_count: a bin begins at the value of place floor(n i / bins)
    - bins: 2
      of: clip_similarity
      as: grade
      edges: [0.0, 0.3, 1.0]        # or the edges themselves: values beyond them count to the outer bins
    - weight: least(1.0, exp(2.0 * (text_similarity - mean_text)))
      as: weight
      means: {mean_text: text_similarity}       # names for the means of columns over the kept rows; optional
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from schemas.recipe_text import Place, expect_keys, expect_list, expect_mapping, expect_text

BIN_CUTS = ("equal_width", "equal_count")
MOST_BINS = 1024
_COLUMN = re.compile(r"[a-z][a-z0-9_]{0,63}")
_READ = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Bins:
    """The bin that a value falls in: from its lower edge on and below the next bin's."""

    count: int
    of: str
    name: str
    cut: str
    edges: tuple[float, ...]
    place: Place

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, f"{self.name}_low", f"{self.name}_high")

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.of,)

    def to_json(self) -> dict[str, Any]:
        how = {"edges": list(self.edges)} if self.edges else {"cut": self.cut}
        return {"bins": self.count, "of": self.of, "as": self.name, **how}


@dataclass(frozen=True)
class Weight:
    """A number of each row, by an expression over its columns and over means of the kept rows."""

    expression: str
    name: str
    means: Mapping[str, str] = field(hash=False)
    place: Place

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    def to_json(self) -> dict[str, Any]:
        return {"weight": self.expression, "as": self.name, "means": dict(self.means)}


Made = Bins | Weight


def parse_columns(value: Any, place: Place) -> tuple[Made, ...]:
    """The entries of the section; two that make one column are refused."""
    made: list[Made] = []
    for number, item in enumerate(expect_list(value, place)):
        here = place.at(number)
        mapping = expect_mapping(item, here)
        if ("bins" in mapping) == ("weight" in mapping):
            raise here.refusal(f"expected one of bins, weight; given keys: {', '.join(mapping) or 'none'}")
        entry = _bins(mapping, here) if "bins" in mapping else _weight(mapping, here)
        for name in entry.names:
            if any(name in other.names for other in made):
                raise here.refusal(f"the column {name!r} is made twice")
        made.append(entry)
    return tuple(made)


def _bins(mapping: dict[str, Any], here: Place) -> Bins:
    expect_keys(mapping, ("bins", "of", "as", "cut", "edges"), here)
    count = mapping["bins"]
    if isinstance(count, bool) or not isinstance(count, int) or not 2 <= count <= MOST_BINS:
        raise here.at("bins").refusal(f"expected a whole number from 2 to {MOST_BINS}; given {count!r}")
    cut = mapping.get("cut", BIN_CUTS[0])
    if cut not in BIN_CUTS:
        raise here.at("cut").refusal(f"expected one of {', '.join(BIN_CUTS)}; given {cut!r}")
    if "cut" in mapping and "edges" in mapping:
        raise here.refusal("expected `cut` or `edges`, not both: edges are the cut")
    edges = _edges(mapping["edges"], count, here.at("edges")) if "edges" in mapping else ()
    of = _named(mapping, "of", here, _READ)
    return Bins(count, of, _named(mapping, "as", here, _COLUMN), str(cut), edges, here)


def _edges(value: Any, count: int, place: Place) -> tuple[float, ...]:
    edges = expect_list(value, place)
    for number, edge in enumerate(edges):
        if isinstance(edge, bool) or not isinstance(edge, (int, float)) or not math.isfinite(edge):
            raise place.at(number).refusal(f"expected a number; given {edge!r}")
    if len(edges) != count + 1 or any(low >= high for low, high in pairwise(edges)):
        raise place.refusal(f"expected {count + 1} rising numbers, the edges of {count} bins; given {edges}")
    return tuple(map(float, edges))


def _weight(mapping: dict[str, Any], here: Place) -> Weight:
    expect_keys(mapping, ("weight", "as", "means"), here)
    means = expect_mapping(mapping.get("means", {}), here.at("means"))
    for name in means:
        if not _COLUMN.fullmatch(name):
            raise here.at("means").refusal(f"expected a name of lower-case letters, digits and _; given {name!r}")
        _named(means, name, here.at("means"), _READ)
    expression = expect_text(mapping["weight"], here.at("weight"))
    return Weight(expression, _named(mapping, "as", here, _COLUMN), means, here)


def _named(mapping: Mapping[str, Any], key: str, here: Place, form: re.Pattern[str]) -> str:
    if key not in mapping:
        raise here.refusal(f"expected `{key}`: the name of a column")
    name = expect_text(mapping[key], here.at(key))
    if not form.fullmatch(name):
        raise here.at(key).refusal(f"expected the name of a column; given {name!r}")
    return name
