"""Published recipes, one YAML file each, and how a recipe is found.

In: the name of a packaged recipe, or a file (any fsspec URL). Out: a parsed `Recipe`, or a Refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import resources

from beam_jobs.grouping.given_files import pinned_groupers
from beam_jobs.storage.files import exists, read_bytes
from filters.listed import pinned
from schemas.recipe import Recipe, parse_recipe
from schemas.refusal import Refusal

_SUFFIXES = (".yaml", ".yml")


def list_recipes() -> list[str]:
    """The names of the packaged recipes, sorted."""
    files = resources.files(__name__).iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def recipe_text(name_or_file: str) -> tuple[str, str]:
    """A recipe's YAML as it stands, and what refusals call it."""
    if name_or_file in list_recipes():
        file = f"{name_or_file}.yaml"
        return (resources.files(__name__) / file).read_text(encoding="utf-8"), file
    if not name_or_file.endswith(_SUFFIXES):
        known = ", ".join(list_recipes())
        raise Refusal(f"unknown recipe {name_or_file!r}; known: {known}, or a file that ends in .yaml")
    if not exists(name_or_file):
        raise Refusal(f"no recipe file {name_or_file}")
    try:
        return read_bytes(name_or_file).decode(), name_or_file
    except UnicodeDecodeError as error:
        raise Refusal(f"{name_or_file}: not UTF-8 at byte {error.start}") from error


def load_recipe(name_or_file: str, given: Mapping[str, str] | None = None) -> Recipe:
    """The recipe of that name, or in that file, to look at; or to run, with what is given to it."""
    return parse_recipe(*recipe_text(name_or_file), given)


def launched_recipe(name_or_file: str, given: Mapping[str, str]) -> Recipe:
    """The recipe to run with what is given to it, its lists read once and known by their content."""
    recipe = load_recipe(name_or_file, given)
    group = pinned_groupers(recipe.group, recipe.place.at("group"))
    return replace(recipe, preselect=pinned(recipe.preselect), group=group, select=pinned(recipe.select))
