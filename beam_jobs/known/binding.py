"""Which indexes a run holds images against: what the command line gave, checked against what the recipe asks for.

In: the values of `--against` and `--decontaminate`, the recipe, its scorers, the run folder. Out: opened indexes and
what stands for them in fingerprints, by grouper label; or a Refusal. `none` says that there is no index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from beam_jobs.known.index import KnownIndex, open_index
from beam_jobs.storage.ledger import Ledger
from beam_jobs.storage.run_folder import RunFolder
from filters.scorer import Scorer
from schemas.grouping import Grouper
from schemas.grouping_known import AgainstOptions, DecontaminateOptions, KnownOptions, option_of
from schemas.refusal import Refusal

NONE = "none"
INDEXES = "indexes"


@dataclass(frozen=True)
class Bound:
    """indexes: opened, by grouper label. digests: what stands for them, also where only an earlier run knew them."""

    indexes: Mapping[str, tuple[KnownIndex, ...]] = field(default_factory=dict)
    digests: Mapping[str, list[dict[str, str]]] = field(default_factory=dict)


def bind_indexes(
    groupers: Sequence[Grouper],
    scorers: Sequence[Scorer],
    folder: RunFolder,
    *,
    against: Sequence[str],
    decontaminate: Sequence[str],
    needed: bool,
) -> Bound:
    """needed: whether this launch runs the stage that reads them; else they may be left out."""
    holding = [grouper for grouper in groupers if isinstance(grouper, KnownOptions)]
    for kind, given in ((AgainstOptions, against), (DecontaminateOptions, decontaminate)):
        if given and not any(isinstance(grouper, kind) for grouper in holding):
            name = "against" if kind is AgainstOptions else "decontaminate"
            raise Refusal(
                f"{option_of(kind())}: the recipe holds no images against an index; add `- {name}` to its `group`"
            )
    indexes: dict[str, tuple[KnownIndex, ...]] = {}
    digests: dict[str, list[dict[str, str]]] = {}
    for grouper in holding:
        given = against if isinstance(grouper, AgainstOptions) else decontaminate
        if given:
            indexes[grouper.label] = _opened(grouper, given, scorers)
            digests[grouper.label] = [{"name": one.name, "digest": one.digest} for one in indexes[grouper.label]]
            continue
        before = _bound_before(grouper.label, folder)
        if before is not None:
            digests[grouper.label] = before
        elif needed:
            option = option_of(grouper)
            raise Refusal(
                f"{option}: the recipe's grouper {grouper.label!r} holds images against an index; expected {option} "
                f"URL, or {option} {NONE} where there is none"
            )
    return Bound(indexes, digests)


def _opened(grouper: KnownOptions, given: Sequence[str], scorers: Sequence[Scorer]) -> tuple[KnownIndex, ...]:
    option = option_of(grouper)
    if list(given) == [NONE]:
        return ()
    opened = []
    for value in given:
        name, equals, url = value.partition("=")
        named = bool(equals) and name.replace("_", "").replace("-", "").isalnum()
        opened.append(open_index(url if named else value, option=option, name=name if named else None))
    names = [index.name for index in opened]
    for name in names:
        if names.count(name) > 1:
            raise Refusal(f"{option}: two indexes are called {name!r}; give one as NAME=URL")
    for index in opened:
        _check_fits(grouper, index, scorers, option)
    return tuple(opened)


def _check_fits(grouper: KnownOptions, index: KnownIndex, scorers: Sequence[Scorer], option: str) -> None:
    """Raises a Refusal where the index holds nothing of what is compared, or what another model made."""
    shared = [kind for kind in grouper.by if kind in index.holds]
    if not shared:
        raise Refusal(
            f"{option}: index {index.name!r} holds {', '.join(index.holds)}; grouper {grouper.label!r} compares "
            f"{', '.join(grouper.by)}"
        )
    if "near" in shared:
        if grouper.embedding not in index.embeddings:
            held = ", ".join(sorted(index.embeddings))
            raise Refusal(f"{option}: index {index.name!r} holds embeddings {held}, none of {grouper.embedding!r}")
        made = next(scorer for scorer in scorers if scorer.label == grouper.embedding)
        _check_maker(index.embeddings[grouper.embedding], made_by(made), f"embeddings {made.label!r}", index, option)
    if "perceptual" in shared:
        maker = next((scorer for scorer in scorers if grouper.hash in scorer.outputs), None)
        if maker is not None:
            _check_maker(index.hash, made_by(maker), f"hashes {grouper.hash!r}", index, option)


def _check_maker(then: Any, now: Any, what: str, index: KnownIndex, option: str) -> None:
    if then is None or then == now:
        return
    different = [key for key in sorted({*then, *now}) if then.get(key) != now.get(key)]
    told = "; ".join(f"{key}: {then.get(key)!r}, here {now.get(key)!r}" for key in different)
    raise Refusal(f"{option}: the {what} of index {index.name!r} were made otherwise than this recipe's ({told})")


def made_by(scorer: Scorer) -> dict[str, Any]:
    """What decides the values of a scorer, whatever it is called and however many rows it takes at once."""
    configuration = scorer.configuration()
    options = {key: value for key, value in configuration["options"].items() if key not in _NO_MATTER}
    return {"scorer": configuration["scorer"], "version": configuration["version"], **options}


# Options that change no embedding of an image.
_NO_MATTER = ("batch_size", "text", "embeddings", "precision")


def _bound_before(label: str, folder: RunFolder) -> list[dict[str, str]] | None:
    manifest = Ledger(folder.ledger(f"group/{label}")).read_manifest()
    if manifest is None:
        return None
    found = manifest.configuration["section"].get(INDEXES)
    return None if found is None else list(found)
