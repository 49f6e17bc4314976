"""Recipes: the settings of a run as TOML, read by name or path, and written beside the run.

Keys are the fields of `config.TrainConfig`; unknown keys and wrong types are all listed.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from youku.training.config import TrainConfig

RECIPES = Path(__file__).parent / "recipes"


def read_recipe(recipe: str) -> dict[str, Any]:
    """Fields of a recipe, by name (youku/training/recipes) or path; unknown keys and wrong types are all listed."""
    path = Path(recipe)
    if not recipe.endswith(".toml"):
        path = RECIPES / f"{recipe}.toml"
        if not path.exists():
            there = ", ".join(sorted(entry.stem for entry in RECIPES.glob("*.toml")))
            raise ValueError(f"recipe {recipe!r}: expected a path ending in .toml or one of {there}")
    try:
        with open(path, "rb") as file:
            table = tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a TOML recipe: {error}") from None
    return typed(table, str(path))


def typed(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Values of a table of settings, checked against the fields of TrainConfig; `where` opens the message."""
    fields = {item.name: item.default for item in dataclasses.fields(TrainConfig)}
    wrong = [f"unknown key {key}" for key in table if key not in fields]
    values = {}
    for key, value in table.items():
        if key not in fields:
            continue
        kind = type(fields[key])
        if kind is float and type(value) is int:
            value = float(value)
        if kind is tuple and isinstance(value, list) and all(isinstance(entry, str) for entry in value):
            value = tuple(value)
        if type(value) is not kind:
            expected = "list of strings" if kind is tuple else kind.__name__
            wrong.append(f"{key} = {value!r}: expected {expected}")
        values[key] = value
    if wrong:
        raise ValueError(f"{where}: {'; '.join(wrong)}; keys are the flags of `python -m youku train --help`")
    return values


def to_toml(config: TrainConfig, comments: Mapping[str, str]) -> str:
    """The config as TOML that reads back to the same values; `comments` come first."""
    lines = [f"# {key}: {value}" for key, value in comments.items()]
    for key, value in dataclasses.asdict(config).items():
        if isinstance(value, bool):
            text = str(value).lower()
        elif isinstance(value, tuple):
            text = "[" + ", ".join(_quoted(entry) for entry in value) + "]"
        else:
            text = _quoted(value) if isinstance(value, str) else repr(value)
        lines.append(f"{key} = {text}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
