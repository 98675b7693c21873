"""What made what: the configuration and the fingerprint of every ledger of a run, from recipe and sources alone.

In: a recipe, the sources, the scorers. Out: products in the order of the flow. A product's fingerprint covers its
own section and those of all before it, so equal fingerprints mean equal outputs; `permanent` products (pairs,
images, scores, captions) are never made anew over another configuration's, the others bear the recipe's name and are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beam_jobs.corpus.counters import configuration
from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.storage.ledger import Ledger, Manifest
from beam_jobs.storage.run_folder import RunFolder
from filters.rules import columns_read
from filters.scorer import Scorer
from filters.text_columns import text_scorers
from schemas.keys import fingerprint
from schemas.recaption import TEXTS
from schemas.recipe import Recipe
from schemas.refusal import Refusal
from schemas.sources import Source
from schemas.tables import PLANNED

# A captioner's configuration, and the labels of those whose captions it reads.
Captioned = tuple[Mapping[str, Any], Sequence[str]]

# Raised when a stage would make other bytes of the same inputs and configuration.
VERSIONS = {
    "extract": 2,
    "corpus": 1,
    "preselect": 1,
    "download": 3,
    "score": 1,
    "group": 2,
    "select": 1,
    "recaption": 1,
    "write": 1,
    "report": 2,
}


@dataclass(frozen=True)
class Product:
    """What one ledger stands for."""

    stage: str
    ledger: str
    configuration: Any
    fingerprint: str
    permanent: bool


class Lineage:
    """The products of a run, by ledger, in the order of the flow."""

    def __init__(self) -> None:
        self._products: dict[str, Product] = {}

    def add(self, stage: str, ledger: str, section: Any, *, after: Sequence[str], permanent: bool) -> None:
        configuration = {"version": VERSIONS[stage], "section": section}
        origin = [self._products[name].fingerprint for name in after]
        made = fingerprint({"ledger": ledger, **configuration, "after": origin})
        self._products[ledger] = Product(stage, ledger, configuration, made, permanent)

    def __getitem__(self, ledger: str) -> Product:
        return self._products[ledger]

    def __iter__(self) -> Iterator[Product]:
        return iter(self._products.values())

    def of_stage(self, stage: str) -> list[Product]:
        return [product for product in self if product.stage == stage]


def lineage_of(
    recipe: Recipe,
    sources: Sequence[Source],
    scorers: Sequence[Scorer],
    indexes: Mapping[str, Sequence[Mapping[str, str]]] | None = None,
    blocklist: Mapping[str, Any] | None = None,
    captioners: Mapping[str, Captioned] | None = None,
) -> Lineage:
    """The products of a recipe over sources, scored by these scorers of the recipe's list.

    indexes: what stands for the indexes that a grouper holds images against, by its label. blocklist: what stands for
    the lists of hashes that are not stored. captioners: by label, what decides captions and whose captions they need.
    """
    lineage = Lineage()
    options = ExtractOptions.of(recipe.extract).to_json()
    given = {"sources": [source.to_json() for source in sources], "options": options}
    lineage.add("extract", "extract", given, after=[], permanent=True)
    counted = [f"corpus/{counter.label}" for counter in recipe.corpus.counters]
    for ledger, counter in zip(counted, recipe.corpus.counters, strict=True):
        counting = {**configuration(counter), "text_facts": _text_facts(counter.reads)}
        lineage.add("corpus", ledger, counting, after=["extract"], permanent=True)
    planning = {**recipe.section("preselect"), "text_facts": _text_facts(columns_read(recipe.preselect))}
    lineage.add("preselect", "preselect", planning, after=["extract", *counted], permanent=True)
    lineage.add("preselect", "planned", planning, after=["preselect"], permanent=True)
    download = (
        recipe.section("download") if blocklist is None else {**recipe.section("download"), "blocklist": blocklist}
    )
    lineage.add("download", "download", download, after=["planned"], permanent=True)
    scored = [f"score/{scorer.label}" for scorer in scorers]
    for ledger, scorer in zip(scored, scorers, strict=True):
        read = list(dict.fromkeys(f"score/{need.label}" for need in scorer.needs))
        lineage.add("score", ledger, scorer.configuration(), after=["download", *read], permanent=True)
    grouped = [f"group/{grouper.label}" for grouper in recipe.group.groupers]
    for ledger, grouper in zip(grouped, recipe.group.to_json(), strict=True):
        known = (indexes or {}).get(ledger.removeprefix("group/"))
        grouper = grouper if known is None else {**grouper, "indexes": list(known)}
        lineage.add("group", ledger, grouper, after=["download", *scored], permanent=False)
    selected, written = f"select/{recipe.name}", f"write/{recipe.name}"
    after = ["download", *scored, *grouped]
    lineage.add("select", selected, recipe.section("select"), after=after, permanent=False)
    said = [_add_captioner(lineage, recipe, label, each) for label, each in (captioners or {}).items()]
    if recipe.recaption.makes_texts:
        made = {name: recipe.section("recaption")[name] for name in ("texts", "seed", "columns")}
        said.append(f"recaption/{recipe.name}.{TEXTS}")
        lineage.add("recaption", said[-1], made, after=[selected, *said[:-1]], permanent=False)
    writing = recipe.section("write")
    if recipe.recaption and recipe.recaption.texts_at == "read":
        writing = {**writing, "reading": {name: recipe.section("recaption")[name] for name in ("texts", "seed")}}
    lineage.add("write", written, writing, after=[selected, *said], permanent=False)
    lineage.add("report", f"report/{recipe.name}", recipe.to_json(), after=[written], permanent=False)
    return lineage


def _add_captioner(lineage: Lineage, recipe: Recipe, label: str, captioned: Captioned) -> str:
    """The ledger of a captioner, once it is added."""
    section, needs = captioned
    ledger = f"recaption/{recipe.name}.{label}"
    after = [f"select/{recipe.name}", *(f"recaption/{recipe.name}.{need}" for need in needs)]
    similarity = recipe.recaption.similarity
    after += [f"score/{similarity}"] if similarity is not None else []
    lineage.add("recaption", ledger, {**section, "similarity": similarity}, after=after, permanent=False)
    return ledger


def _text_facts(names: Iterable[str]) -> list[dict[str, Any]]:
    """What makes those columns that are made of texts where they are read."""
    return [scorer.configuration() for scorer in text_scorers(names, PLANNED.names)]


def difference(before: Any, now: Any, path: str = "") -> str:
    """The first place where two JSON-like values differ, for people: `section.image_size: 256, now 512`."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted({*before, *now}):
            if before.get(key) != now.get(key):
                return difference(before.get(key), now.get(key), f"{path}.{key}" if path else str(key))
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, (old, new) in enumerate(zip(before, now, strict=True)):
            if old != new:
                return difference(old, new, f"{path}[{number}]")
    return f"{path or 'configuration'}: {before!r}, now {now!r}"


def check_folder(folder: RunFolder, products: Sequence[Product]) -> list[Product]:
    """The products whose outputs in the folder are another configuration's and may be made anew.

    Raises Refusal when a permanent one is, unless it is of another version of its scorer: that is set aside.
    """
    remade = []
    for product in products:
        manifest = Ledger(folder.ledger(product.ledger)).read_manifest()
        if manifest is None or manifest.fingerprint == product.fingerprint:
            continue
        if product.permanent and not is_outdated(manifest, product):
            found = difference(manifest.configuration, product.configuration)
            if manifest.configuration == product.configuration:
                found = "an earlier stage differs"
            other = "; give this one another name with `as`, or use another --work" if product.stage == "score" else ""
            raise Refusal(
                f"{folder.work} holds {product.ledger} made with another configuration ({found})"
                f"{other or '; use another --work'}"
            )
        remade.append(product)
    return remade


def is_outdated(manifest: Manifest, product: Product) -> bool:
    """Whether scores are of another version of the scorer that makes this product, or were made of such scores."""
    if product.stage != "score":
        return False
    before, now = manifest.configuration["section"], product.configuration["section"]
    same_scorer = (before["scorer"], before["label"]) == (now["scorer"], now["label"])
    return same_scorer and (before["version"] != now["version"] or before == now)
