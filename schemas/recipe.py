"""A recipe: what a dataset is made of, never where it lies.

In: strict YAML. Out: one frozen `Recipe`, with every default filled in. Each fault is one line: the file, the place,
what was expected, what was given, what exists. Which scorers exist, and which columns rules may read, is checked by
`filters.rules.check_recipe`, since only filters knows them.

    name: mine                      # of the folders that its outputs bear
    summary: one line               # for `pairmill recipes`
    cites: the publication
    evidence: [where each number was read]
    approximate: [what differs from the publication]
    offline_approximation: [what stands in for a part that is not shipped]
    given: {name: what is to be given at launch} # see schemas/recipe_given.py
    extract: {option: value}        # see schemas/extract.py
    corpus: [counter, counter: {option: value}]  # see schemas/corpus.py
    preselect: [steps]              # see schemas/recipe_steps.py
    download: {option: value}       # see schemas/download.py
    score: [scorer, scorer: {option: value}]
    group: [grouper, grouper: {option: value}]   # see schemas/grouping.py
    select: [steps]
    columns: [bins and weights of what is kept]  # see schemas/recipe_columns.py
    recaption: {captioners and texts}            # see schemas/recaption.py
    write: {samples_per_shard: 10000, caption: text}
    limits: {failed_rows: 0.9}
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeVar

from schemas.corpus import CorpusOptions, parse_corpus
from schemas.download import DownloadSection
from schemas.extract import ExtractSection
from schemas.grouping import GroupOptions, parse_group
from schemas.recaption import Recaption, parse_recaption
from schemas.recipe_columns import Made, parse_columns
from schemas.recipe_given import check_given, declared, fill
from schemas.recipe_step_forms import parse_steps
from schemas.recipe_steps import Step
from schemas.recipe_text import (
    Place,
    expect_keys,
    expect_list,
    expect_mapping,
    expect_text,
    kind_of,
    read_yaml,
)
from schemas.refusal import Refusal

STAGES = ("extract", "corpus", "preselect", "download", "score", "group", "select", "recaption", "write", "report")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
Section = TypeVar("Section")


@dataclass(frozen=True)
class Write:
    """Options of `write:`. samples_per_shard: of a training shard. caption: the column that becomes its text."""

    samples_per_shard: int = 10_000
    caption: str = "text"

    def __post_init__(self) -> None:
        rows = self.samples_per_shard
        if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
            raise ValueError(f"samples_per_shard: expected a whole number of at least 1; given {rows!r}")
        if not isinstance(self.caption, str) or not self.caption:
            raise ValueError(f"caption: expected a column; given {self.caption!r}")


@dataclass(frozen=True)
class Limits:
    """Options of `limits:`. failed_rows: the share of the planned rows that may fail to download.

    A row that a rule drops has not failed. Beyond the limit the run ends with status 3, its outputs in place.
    """

    failed_rows: float = 0.9

    def __post_init__(self) -> None:
        share = self.failed_rows
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise ValueError(f"failed_rows: expected a share from 0 to 1; given {share!r}")
        object.__setattr__(self, "failed_rows", float(share))


@dataclass(frozen=True)
class Recipe:
    """A whole recipe. `score` holds the entries as written; `filters.registry` makes scorers of them."""

    name: str
    summary: str = ""
    cites: str = ""
    evidence: tuple[str, ...] = ()
    approximate: tuple[str, ...] = ()
    offline_approximation: tuple[str, ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)
    extract: ExtractSection = field(default_factory=ExtractSection)
    corpus: CorpusOptions = field(default_factory=CorpusOptions)
    preselect: tuple[Step, ...] = ()
    download: DownloadSection = field(default_factory=DownloadSection)
    score: tuple[str | Mapping[str, Any], ...] = ()
    group: GroupOptions = field(default_factory=GroupOptions)
    select: tuple[Step, ...] = ()
    columns: tuple[Made, ...] = ()
    recaption: Recaption = field(default_factory=Recaption)
    write: Write = field(default_factory=Write)
    limits: Limits = field(default_factory=Limits)
    file: str = field(default="", compare=False)

    @property
    def place(self) -> Place:
        """Where refusals about the recipe as a whole stand."""
        return Place(self.file or self.name)

    def to_json(self) -> dict[str, Any]:
        """The whole recipe as plain JSON values, with all defaults."""
        whole = {
            "name": self.name,
            "summary": self.summary,
            "cites": self.cites,
            "evidence": self.evidence,
            "approximate": self.approximate,
            "offline_approximation": self.offline_approximation,
            "given": dict(self.given),
            "extract": asdict(self.extract),
            "corpus": self.corpus.to_json(),
            "preselect": [step.to_json() for step in self.preselect],
            "download": asdict(self.download),
            "score": [{entry: {}} if isinstance(entry, str) else entry for entry in self.score],
            "group": self.group.to_json(),
            "select": [step.to_json() for step in self.select],
            "columns": [entry.to_json() for entry in self.columns],
            "recaption": self.recaption.to_json(),
            "write": asdict(self.write),
            "limits": asdict(self.limits),
        }
        plain: dict[str, Any] = json.loads(json.dumps(whole))
        return plain

    def selecting(self, steps: Sequence[Step]) -> Recipe:
        """The same recipe with other steps of `select`."""
        return replace(self, select=tuple(steps))

    def section(self, stage: str) -> Any:
        """What a stage reads of the recipe, as plain JSON values with all defaults: what a fingerprint is made of.

        That of `score` names the entries as written; their own defaults are in `Scorer.configuration()`.
        """
        if stage not in STAGES:
            raise ValueError(f"unknown stage {stage!r}; known: {', '.join(STAGES)}")
        whole = self.to_json()
        if stage == "preselect":
            return {"rows_per_shard": self.download.rows_per_shard, "steps": whole["preselect"]}
        if stage == "select":
            return {"steps": whole["select"], **({"columns": whole["columns"]} if self.columns else {})}
        return whole.get(stage, {})


_TEXTS = ("summary", "cites")
_LISTS = ("evidence", "approximate", "offline_approximation")
_KEYS = tuple(each.name for each in fields(Recipe) if each.name != "file")


def parse_recipe(text: str, file: str, given: Mapping[str, str] | None = None) -> Recipe:
    """The recipe that a YAML text describes. `file` is what refusals call it.

    given: what is given to it at launch, checked to be just what it asks for; where None, `given:NAME` stays as it is.
    """
    place = Place(file)
    plain = expect_mapping(read_yaml(text, file), place)
    expect_keys(plain, _KEYS, place)
    if "name" not in plain:
        raise place.refusal("a recipe needs a name")
    names = declared(plain.get("given", {}), place.at("given"))
    if given is not None:
        check_given(names, given, place)
    values: dict[str, Any] = {"name": _name(plain["name"], place.at("name")), "file": file, "given": names}
    used: set[str] = set()
    for key in plain.keys() - {"name", "given"}:
        value, found = fill(plain[key], names, given or {}, place.at(key))
        used |= found
        values[key] = _READERS[key](value, place.at(key))
    for name in names:
        if name not in used:
            raise place.at("given").refusal(f"{name!r} is declared and nowhere used; write given:{name} where it goes")
    return Recipe(**values)


def _name(value: Any, place: Place) -> str:
    name = expect_text(value, place)
    if not _NAME.fullmatch(name):
        raise place.refusal(f"expected letters, digits, `_`, `-` or `.`, at most 64; given {name!r}")
    return name


def _texts(value: Any, place: Place) -> tuple[str, ...]:
    items = expect_list(value, place)
    return tuple(expect_text(item, place.at(number)) for number, item in enumerate(items))


def _section(kind: Callable[..., Section], *, lists: Sequence[str] = ()) -> Callable[[Any, Place], Section]:
    """A reader of a section of options; what its dataclass refuses is refused at the section's place."""
    names = tuple(each.name for each in fields(kind))  # type: ignore[arg-type]

    def read(value: Any, place: Place) -> Section:
        mapping = expect_mapping(value, place)
        expect_keys(mapping, names, place)
        for name in mapping.keys() & set(lists):
            expect_list(mapping[name], place.at(name))
        return _made(lambda: kind(**mapping), place)

    return read


def _corpus(value: Any, place: Place) -> CorpusOptions:
    return _made(lambda: parse_corpus(expect_list(value, place)), place)


def _group(value: Any, place: Place) -> GroupOptions:
    return _made(lambda: parse_group(expect_list(value, place)), place)


def _made(make: Callable[[], Section], place: Place) -> Section:
    try:
        return make()
    except Refusal:
        raise
    except ValueError as error:
        raise place.refusal(str(error).removeprefix(f"{place.dotted}: ")) from error


def _score(value: Any, place: Place) -> tuple[str | Mapping[str, Any], ...]:
    for number, entry in enumerate(expect_list(value, place)):
        named = isinstance(entry, dict) and len(entry) == 1 and isinstance(next(iter(entry.values())), dict)
        if not named and not isinstance(entry, str):
            raise place.at(number).refusal(f"expected a scorer, or `scorer: {{options}}`; given {kind_of(entry)}")
    return tuple(value)


_READERS: dict[str, Callable[[Any, Place], Any]] = {
    **dict.fromkeys(_TEXTS, expect_text),
    **dict.fromkeys(_LISTS, _texts),
    "corpus": _corpus,
    "preselect": parse_steps,
    "select": parse_steps,
    "columns": parse_columns,
    "recaption": parse_recaption,
    "extract": _section(ExtractSection, lists=("disallowed_directives", "references")),
    "download": _section(DownloadSection, lists=("disallowed_directives",)),
    "score": _score,
    "group": _group,
    "write": _section(Write),
    "limits": _section(Limits),
}
