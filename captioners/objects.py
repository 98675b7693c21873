"""Things that a caption names and nothing was seen of: hallucination against the objects that a detector found.

In: captions, for each the objects that were detected (a list, or text with commas), and the vocabulary that the
detector knows; what is outside of it cannot be judged. Out: columns, one value a caption. A name counts in the singular
and in its plain plural, as whole words, case ignored; of names within names the longest counts.

    caption_objects            known objects that the caption names
    caption_invented           those of them that were not detected
    caption_invented_share     their share; 0 where it names none, null where nothing was looked for
    caption_missed             detected objects that it does not name
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

COLUMNS: Mapping[str, pa.DataType] = {
    "caption_objects": pa.list_(pa.string()),
    "caption_invented": pa.list_(pa.string()),
    "caption_invented_share": pa.float32(),
    "caption_missed": pa.list_(pa.string()),
}
Detected = Sequence[str] | str | None
_ES = ("s", "x", "z", "ch", "sh")


class Vocabulary:
    """Names of objects, found in texts. Names that differ in case, spaces or number alone are one."""

    def __init__(self, names: Iterable[str]) -> None:
        plain = sorted({plain_name(name) for name in names} - {""})
        self._singular = {form: name for name in plain for form in (name, plural(name))}
        # Where a name is itself the plural of another, it stays what it is.
        self._singular |= {name: self._singular[name] for name in plain}
        forms = sorted(self._singular, key=lambda form: (-len(form), form))
        self._pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, forms)) + r")\b") if forms else None

    def of(self, text: str) -> list[str]:
        """The objects that a text names, each once, in its order."""
        if self._pattern is None:
            return []
        found = self._pattern.findall(" ".join(text.lower().replace("-", " ").split()))
        return list(dict.fromkeys(self._singular[form] for form in found))

    def known(self, names: Iterable[str]) -> list[str]:
        """Those of the names that are in it, as it writes them."""
        plain = (plain_name(name) for name in names)
        return list(dict.fromkeys(self._singular[name] for name in plain if name in self._singular))


def check_objects(captions: Sequence[str], detected: Sequence[Detected], vocabulary: Vocabulary) -> pa.Table:
    """One row of COLUMNS a caption."""
    rows = [_facts(caption, seen, vocabulary) for caption, seen in zip(captions, detected, strict=True)]
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in COLUMNS.items()})


def detected_names(detected: Detected) -> list[str] | None:
    """The names of a value of a column; None where nothing was looked for."""
    if detected is None:
        return None
    return [name for name in (detected.split(",") if isinstance(detected, str) else detected) if name.strip()]


def plain_name(name: str) -> str:
    return " ".join(name.lower().replace("-", " ").replace("_", " ").split())


def plural(name: str) -> str:
    """The plain plural of a name's last word."""
    if name.endswith(_ES):
        return f"{name}es"
    if name.endswith("y") and name[-2:-1] not in tuple("aeiou"):
        return f"{name[:-1]}ies"
    return f"{name}s"


def _facts(caption: str, detected: Detected, vocabulary: Vocabulary) -> dict[str, object]:
    said, names = vocabulary.of(caption), detected_names(detected)
    if names is None:
        return {**dict.fromkeys(COLUMNS), "caption_objects": said}
    seen = vocabulary.known(names)
    invented = [name for name in said if name not in seen]
    return {
        "caption_objects": said,
        "caption_invented": invented,
        "caption_invented_share": len(invented) / len(said) if said else 0.0,
        "caption_missed": [name for name in seen if name not in said],
    }
