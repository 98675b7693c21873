"""Jars written without Java: one of many, and one that only names others.

In: jars. Out: a jar. A class or file that several hold is the first one's; lists of services are joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

_MANIFEST = "META-INF/MANIFEST.MF"
_MANIFEST_LINE = 70
_SERVICES = "META-INF/services/"
# Signatures hold for one jar's files, module descriptions for one jar's packages; classes of newer Javas are spare.
_LEFT_OUT_ENDS = (".SF", ".RSA", ".DSA", "module-info.class")
_LEFT_OUT_STARTS = ("META-INF/versions/", "META-INF/maven/", "META-INF/INDEX.LIST")


def merge_jars(target: Path, jars: Sequence[Path], *, main_class: str) -> None:
    """Writes one jar of all."""
    services: dict[str, list[str]] = {}
    seen = {_MANIFEST}
    with ZipFile(target, "w", ZIP_DEFLATED, compresslevel=1) as merged:
        merged.writestr(_MANIFEST, manifest({"Main-Class": main_class}))
        for jar in jars:
            with ZipFile(jar) as part:
                for name in part.namelist():
                    if name.startswith(_SERVICES) and not name.endswith("/"):
                        services.setdefault(name, []).append(part.read(name).decode())
                    elif name not in seen and not name.endswith("/") and not _is_left_out(name):
                        seen.add(name)
                        merged.writestr(name, part.read(name))
        for name, texts in sorted(services.items()):
            lines = dict.fromkeys(line for text in texts for line in text.splitlines() if line.strip())
            merged.writestr(name, "\n".join(lines) + "\n")


def write_launcher(jar: Path, libraries: Sequence[str], *, main_class: str) -> None:
    """Writes a jar of a manifest alone: the main class, and the libraries, as they lie from it."""
    with ZipFile(jar, "w") as archive:
        archive.writestr(_MANIFEST, manifest({"Main-Class": main_class, "Class-Path": " ".join(libraries)}))


def manifest(fields: dict[str, str]) -> str:
    lines = ["Manifest-Version: 1.0", *(f"{name}: {value}" for name, value in fields.items())]
    return "".join(_folded(line) for line in lines) + "\r\n"


def _folded(line: str) -> str:
    """A manifest line holds 72 bytes at most; what follows stands on lines that begin with a space."""
    parts = [line[start : start + _MANIFEST_LINE] for start in range(0, len(line), _MANIFEST_LINE)]
    return "\r\n ".join(parts) + "\r\n"


def _is_left_out(name: str) -> bool:
    return name.startswith(_LEFT_OUT_STARTS) or name.endswith(_LEFT_OUT_ENDS)
