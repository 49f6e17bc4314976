"""What a training run is told: one frozen dataclass whose every field is a flag and a recipe key.

Defaults < recipe (TOML) < flags; the result is saved beside the run and never changed afterwards.
"""

from __future__ import annotations

import argparse
import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from youku.models import MODELS, spec_of
from youku.training import losses

RECIPES = Path(__file__).parent / "recipes"


def option(default: Any, text: str) -> Any:
    """A field with its help text."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one run; units are in the names or the help texts."""

    name: str = option("run", "name of the run: its folder is RUNS/NAME")
    runs: str = option("runs", "folder of all runs")
    data: tuple[str, ...] = option(("data/clips/train",), "folders of contest clip pairs, or of pictures")
    val_data: tuple[str, ...] = option((), "folders for validation; without them clips are held out of --data")
    val_clips: int = option(4, "clips (or pictures) held out for validation, spread evenly over the ids")
    val_frames: int = option(4, "frames of each validation clip, spread evenly; whole frames are scored")
    val_every: int = option(1000, "steps between validations")
    val_metric: str = option("score", "what 'best' means: psnr, or score = 0.8 PSNR + 0.2 VMAF (clips only)")
    model: str = option("fsrcnn", "network: " + ", ".join(name for name, spec in MODELS.items() if spec.trainable))
    scale: int = option(4, "factor: 2, 3 or 4")
    init_from: str = option("", "start from this weights file (same network and scale)")
    loss: str = option("l1", "loss or weighted sum such as l1+0.2*ssim; terms: " + ", ".join(losses.TERMS))
    patch_px: int = option(48, "side of a low-resolution patch, even; smaller needs less memory")
    batch: int = option(16, "patches a step")
    accumulate: int = option(1, "batches whose gradients are summed before the optimiser steps")
    steps: int = option(20000, "optimiser steps")
    augment: bool = option(True, "flip and rotate patches at random")
    optimizer: str = option("adam", "adam or adamw")
    lr: float = option(1e-3, "learning rate")
    weight_decay: float = option(0.0, "weight decay of the optimiser")
    schedule: str = option("cosine", "learning rate over time: constant, step, cosine")
    lr_min: float = option(1e-6, "where cosine ends")
    lr_step: int = option(200000, "steps between cuts of the step schedule")
    lr_gamma: float = option(0.5, "factor of each cut of the step schedule")
    warmup: int = option(0, "steps of linear warm-up")
    ema: float = option(0.999, "decay of the weight average that is validated and saved; 0 turns it off")
    clip_norm: float = option(0.0, "clip the gradient norm to this; 0 turns it off")
    amp: bool = option(False, "mixed precision: bf16 where the device has it, else fp16 with a loss scaler")
    amp_backend: str = option("torch", "torch, or apex (needs a version of NVIDIA apex that still has apex.amp)")
    device: str = option("auto", "auto, cpu, cuda, cuda:1, mps")
    seed: int = option(2021, "seed of weights, patches and order")
    workers: int = option(2, "threads that cut patches ahead of the network")
    log_every: int = option(100, "steps between lines of log.jsonl")
    save_every: int = option(1000, "steps between checkpoints")

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def folder(self) -> Path:
        return Path(self.runs) / self.name


def _problems(config: TrainConfig) -> list[str]:
    """Everything wrong with the values, one phrase each."""
    wrong = []
    at_least = {
        "val_clips": 1, "val_frames": 1, "val_every": 1, "patch_px": 8, "batch": 1, "accumulate": 1, "steps": 1,
        "lr_step": 1, "warmup": 0, "workers": 1, "log_every": 1, "save_every": 1, "seed": 0,
    }  # fmt: skip
    values = dataclasses.asdict(config)
    wrong += [f"{key} = {values[key]}: expected {low} or more" for key, low in at_least.items() if values[key] < low]
    positive = ("lr", "lr_gamma")
    wrong += [f"{key} = {values[key]}: expected a positive number" for key in positive if not values[key] > 0]
    for key, choices in {
        "optimizer": ("adam", "adamw"),
        "schedule": ("constant", "step", "cosine"),
        "amp_backend": ("torch", "apex"),
        "val_metric": ("psnr", "score"),
    }.items():
        if values[key] not in choices:
            wrong.append(f"{key} = {values[key]!r}: expected one of {', '.join(choices)}")
    if config.patch_px % 2:
        wrong.append(f"patch_px = {config.patch_px}: expected an even number (chroma has half the samples)")
    if not 0 <= config.ema < 1:
        wrong.append(f"ema = {config.ema}: expected 0 <= ema < 1")
    if config.clip_norm < 0 or config.weight_decay < 0 or config.lr_min < 0:
        wrong.append("clip_norm, weight_decay and lr_min: expected 0 or more")
    if not config.name or Path(config.name).name != config.name:
        wrong.append(f"name = {config.name!r}: expected a plain folder name")
    if not config.data:
        wrong.append("data: expected at least one folder")
    for check in (lambda: spec_of(config.model, config.scale), lambda: losses.parse(config.loss)):
        try:
            check()
        except ValueError as error:
            wrong.append(str(error))
    if config.model in MODELS and not MODELS[config.model].trainable:
        wrong.append(f"model {config.model}: has nothing to train")
    return wrong


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag a field; an absent flag leaves the recipe's or default value."""
    for item in dataclasses.fields(TrainConfig):
        flag, text, default = "--" + item.name.replace("_", "-"), item.metadata["help"], item.default
        shown = " ".join(default) if isinstance(default, tuple) else default
        text = f"{text} (default {shown})" if shown not in ("", None) else text
        text = text.replace("%", "%%")
        if isinstance(default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
        elif isinstance(default, tuple):
            parser.add_argument(flag, nargs="+", metavar="FOLDER", help=text)
        else:
            parser.add_argument(flag, type=type(default), metavar=type(default).__name__.upper(), help=text)


def from_flags(args: argparse.Namespace, recipe: str | None) -> TrainConfig:
    """Defaults, then the recipe, then the flags that were given."""
    values = read_recipe(recipe) if recipe else {}
    given = vars(args)
    for item in dataclasses.fields(TrainConfig):
        if given[item.name] is not None:
            values[item.name] = tuple(given[item.name]) if isinstance(given[item.name], list) else given[item.name]
    return TrainConfig(**values)


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
    return _typed(table, str(path))


def _typed(table: Mapping[str, Any], where: str) -> dict[str, Any]:
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
