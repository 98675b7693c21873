"""Who may import whom, read from the sources themselves; imports inside functions count too."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
OURS = ("beam_jobs", "captioners", "filters", "schemas")

# What a package may import of ours; itself is always allowed.
MAY = {
    "schemas": (),
    "filters": ("schemas",),
    "captioners": ("schemas",),
    "beam_jobs": ("captioners", "filters", "schemas"),
}
# `schemas` stands on the standard library, Arrow and YAML alone.
SCHEMAS_MAY = (*sys.stdlib_module_names, "schemas", "pyarrow", "yaml")

# Inside beam_jobs: what stages stand on knows neither Beam, nor stages, nor the flow.
PLAIN = ("corpus", "extraction", "fetching", "known", "matching", "storage", "world")
JOB = ("stages", "flow", "work", "launch", "execution", "cli", "demo", "overview")
LEAVES = ("cores",)  # import nothing of ours
LOW_MAY = {
    "storage": ("storage",),
    "fetching": ("fetching", "storage"),
    "extraction": ("extraction", "fetching", "storage"),
    "matching": ("matching", "storage"),
    "corpus": ("corpus", "matching", "storage"),
    "known": ("known", "fetching", "matching", "storage"),
}


class Import:
    """One imported module, where it stands."""

    def __init__(self, path: Path, line: int, module: str) -> None:
        self.path = path
        self.line = line
        self.module = module
        self.top, _, self.rest = module.partition(".")

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.module}"


def module_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, source: str) -> Iterator[Import]:
    """Every import of a file, wherever in it; `from a import b` counts as a.b where that is a module."""
    package = module_of(path).split(".") if path.name == "__init__.py" else module_of(path).split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{start}.{alias.name}"
                yield Import(path, node.lineno, whole if is_module(whole) else start)


def is_module(name: str) -> bool:
    place = PROJECT.joinpath(*name.split("."))
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def sources(*places: str) -> Iterator[Path]:
    for place in places:
        whole = PROJECT / place
        for path in sorted(whole.rglob("*.py")) if whole.is_dir() else [whole]:
            yield path.relative_to(PROJECT)


def imports(*places: str) -> list[Import]:
    return [found for path in sources(*places) for found in imports_of(path, (PROJECT / path).read_text())]


def listed(wrong: Iterable[Import]) -> str:
    return "\n".join(map(str, wrong))


@pytest.mark.parametrize("package", OURS)
def test_packages_import_only_downwards(package: str) -> None:
    wrong = [found for found in imports(package) if found.top in OURS and found.top not in (package, *MAY[package])]
    assert not wrong, listed(wrong)


@pytest.mark.parametrize("package", OURS)
def test_sources_import_no_tests_and_nothing_of_deploy(package: str) -> None:
    wrong = [found for found in imports(package) if found.top in ("bench", "deploy", "tests", "pytest")]
    assert not wrong, listed(wrong)


@pytest.mark.parametrize("package", ["schemas", "filters", "captioners"])
def test_beam_is_imported_by_beam_jobs_alone(package: str) -> None:
    wrong = [found for found in imports(package) if found.top == "apache_beam"]
    assert not wrong, listed(wrong)


def test_schemas_stand_on_the_standard_library_arrow_and_yaml() -> None:
    wrong = [found for found in imports("schemas") if found.top not in SCHEMAS_MAY]
    assert not wrong, listed(wrong)


@pytest.mark.parametrize("part", PLAIN)
def test_what_stages_stand_on_imports_no_beam(part: str) -> None:
    wrong = [found for found in imports(f"beam_jobs/{part}") if found.top == "apache_beam"]
    assert not wrong, listed(wrong)


@pytest.mark.parametrize("part", LOW_MAY)
def test_what_stages_stand_on_imports_only_downwards(part: str) -> None:
    wrong = [
        found
        for found in imports(f"beam_jobs/{part}")
        if found.top == "beam_jobs" and found.rest.split(".")[0] not in (*LOW_MAY[part], *LEAVES)
    ]
    assert not wrong, listed(wrong)


@pytest.mark.parametrize("leaf", LEAVES)
def test_leaves_import_nothing_of_ours(leaf: str) -> None:
    wrong = [found for found in imports(f"beam_jobs/{leaf}.py") if found.top in OURS]
    assert not wrong, listed(wrong)


def test_no_stage_imports_another() -> None:
    wrong = [
        found
        for found in imports("beam_jobs/stages")
        if found.module.startswith("beam_jobs.stages") and found.module != module_of(found.path)
    ]
    assert not wrong, listed(wrong)


def test_stages_know_neither_flow_nor_command_line() -> None:
    above = tuple(f"beam_jobs.{name}" for name in JOB if name != "stages")
    wrong = [
        found
        for place in (
            "stages",
            "grouping",
            "report",
            "shuffle.py",
            "counting.py",
            "accounting.py",
            "runners.py",
            "servers",
            "quiet.py",
            "progress.py",
        )
        for found in imports(f"beam_jobs/{place}")
        if found.module in above
    ]
    assert not wrong, listed(wrong)


def test_flow_knows_no_command_line() -> None:
    wrong = [found for found in imports("beam_jobs/flow.py") if found.module in ("beam_jobs.cli", "beam_jobs.launch")]
    assert not wrong, listed(wrong)


def declared(name: str) -> set[str]:
    """The distributions that a list of setup.py names."""
    tree = ast.parse((PROJECT / "setup.py").read_text())
    lists = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return {re.split(r"[\[<>=]", text)[0].lower().replace("_", "-") for text in ast.literal_eval(lists[name])}


def undeclared(found: Iterable[Import], allowed: set[str]) -> list[Import]:
    owners = packages_distributions()
    return [
        one
        for one in found
        if one.top not in (*OURS, *sys.stdlib_module_names)
        and not allowed & {owner.lower().replace("_", "-") for owner in owners.get(one.top, ["?"])}
    ]


def test_what_the_product_imports_is_installed_with_it() -> None:
    wrong = undeclared(imports(*OURS), declared("REQUIRES"))
    assert not wrong, listed(wrong)


def test_what_tests_import_is_installed_for_them() -> None:
    allowed = set().union(*map(declared, ("REQUIRES", "PEERS", "TRANSFORMERS", "DEPLOY", "TESTS")))
    wrong = undeclared(imports("tests"), allowed)
    assert not wrong, listed(wrong)


def test_tests_are_no_package() -> None:
    assert not list((PROJECT / "tests").rglob("__init__.py"))


def test_no_file_shadows_the_standard_library_or_bears_a_catch_all_name() -> None:
    banned = {"select", "io", "types", "utils", "helpers", "common", "manager"}
    wrong = [path for path in sources(*OURS) if path.stem in banned]
    assert not wrong, listed(wrong)


def test_the_reader_of_imports_sees_those_inside_functions_and_relative_ones() -> None:
    source = "import torch.nn\ndef f():\n    from . import keys\n    from .tables import PAIRS\n"
    found = [str(one) for one in imports_of(Path("schemas/seen.py"), source)]
    assert found == [
        "schemas/seen.py:1 imports torch.nn",
        "schemas/seen.py:3 imports schemas.keys",
        "schemas/seen.py:4 imports schemas.tables",
    ]
