"""Controlled experiments: one base setting, variants that change one thing each, a table of what came out.

An experiment is a TOML file: `question`, `source`, [base] with keys of TrainConfig, [variants.NAME] with what changes,
and `tests`, resizers that every trained network is tested on (one column each; empty: the validation data as it is).
The form is the old-film report's (tables 4.6.1 and 4.9): same, different, result, conclusion.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from youku import stops, text_table
from youku.engines import torch_engine, weights
from youku.text_table import plural
from youku.training import fields, run, trainer
from youku.training.config import TrainConfig
from youku.training.cuts import DEFAULT_RESIZER
from youku.training.pairs import ClipPair, Pair
from youku.training.picture_pair import PicturePair
from youku.training.progress import Say, silent
from youku.training.validation import validate
from youku.video.resize import SHRINKERS

EXPERIMENTS = Path(__file__).parent / "experiments"
KEYS = {"question", "source", "base", "variants", "tests"}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What an experiment file says."""

    name: str
    question: str
    source: str
    base: Mapping[str, Any]
    variants: Mapping[str, Mapping[str, Any]]
    tests: tuple[str, ...] = ()


@dataclass(frozen=True)
class Variant:
    """One trained variant; dB for each test, and what bicubic reaches on the same data."""

    variant: str
    changes: str
    psnr: tuple[float, ...]
    bicubic: tuple[float, ...]
    num_pairs: int = 1
    """It was tested on."""

    @property
    def gains(self) -> tuple[float, ...]:
        return tuple(own - base for own, base in zip(self.psnr, self.bicubic, strict=True))


def names() -> list[str]:
    """Experiments that the kit brings."""
    return sorted(path.stem for path in EXPERIMENTS.glob("*.toml"))


def read(name: str) -> Experiment:
    """An experiment by name or path; ValueError for anything that is not one, unknown keys listed."""
    path = fields.find(name, EXPERIMENTS, "experiment")
    content = fields.read_table(path, "experiment")
    if wrong := _faults(content):
        raise ValueError(f"{path}: {'; '.join(wrong)}")
    return Experiment(
        name=path.stem,
        question=content.get("question", path.stem),
        source=content.get("source", ""),
        base=fields.typed(content.get("base", {}), f"{path} [base]", TrainConfig),
        variants={
            variant: fields.typed(changes, f"{path} [variants.{variant}]", TrainConfig)
            for variant, changes in content["variants"].items()
        },
        tests=tuple(content.get("tests", ())),
    )


def _faults(content: Mapping[str, Any]) -> list[str]:
    """Everything wrong with the shape of an experiment file."""
    wrong = [f"unknown key {key!r}, expected {', '.join(sorted(KEYS))}" for key in content if key not in KEYS]
    variants, tests = content.get("variants"), content.get("tests", [])
    if (
        not isinstance(variants, dict)
        or not variants
        or not all(isinstance(entry, dict) for entry in variants.values())
    ):
        wrong.append("expected at least one variant, a table [variants.NAME] each")
    wrong += [f"{key}: expected a text" for key in ("question", "source") if not isinstance(content.get(key, ""), str)]
    if not isinstance(content.get("base", {}), dict):
        wrong.append("base: expected a table [base]")
    if not isinstance(tests, list) or not all(isinstance(test, str) and test in SHRINKERS for test in tests):
        wrong.append(f"tests = {reprlib.repr(tests)}: expected a list of {', '.join(SHRINKERS)}")
    return wrong


def configs(experiment: Experiment, runs: str, given: Mapping[str, Any]) -> dict[str, TrainConfig]:
    """The settings of every variant below RUNS/EXPERIMENT; `given` (flags) override the base, not the variants."""
    idle = [key for key in given if all(key in changes for changes in experiment.variants.values())]
    if idle:
        raise ValueError(f"--{idle[0].replace('_', '-')}: every variant sets it itself; edit the experiment's file")
    folder = str(Path(runs) / experiment.name)
    return {
        variant: TrainConfig(**{**experiment.base, **given, **changes, "runs": folder, "name": variant})
        for variant, changes in experiment.variants.items()
    }


def run_all(
    experiment: Experiment, settings: Mapping[str, TrainConfig], say: Say = silent, progress: bool = True
) -> list[Variant]:
    """Train and test every variant, in order."""
    for config in settings.values():
        _check(config, experiment.tests)
    found = []
    for number, (name, config) in enumerate(settings.items(), 1):
        say(f"[{number}/{len(settings)}] {name}")
        stops.keeps(partial(_kept, config, f"{number - 1} of {plural(len(settings), 'variant')} finished"))
        found.append(_run_variant(config, experiment.variants[name], experiment.tests, say, progress))
    return found


def _kept(config: TrainConfig, finished: str) -> str:
    last = f", {config.folder / 'last.pt'} kept" if (config.folder / "last.pt").exists() else ""
    return f"{finished}{last}; the same command goes on from there"


def _check(config: TrainConfig, tests: tuple[str, ...]) -> None:
    """ValueError where a variant's folder or its data do not allow it, which is said before any variant trains."""
    absolute = replace(config, runs=str(config.folder.parent.absolute()))
    if (config.folder / "last.pt").exists() and run.resumed_config(config.folder) != absolute:
        raise ValueError(f"{config.folder}: holds a run with other settings; remove it, or give another --runs")
    train_pairs, val_pairs = run.load_pairs(config)
    trainer.make_samplers(config, train_pairs, torch_engine.pick_device("cpu"))
    if tests:
        _shrunk_afresh(val_pairs, tests)


def _run_variant(
    config: TrainConfig, changes: Mapping[str, Any], tests: tuple[str, ...], say: Say, progress: bool
) -> Variant:
    """Train one variant (or take up where it stopped) and test its best weights beside bicubic."""
    begun = (config.folder / "last.pt").exists()
    if not run.start(config, resume=begun, progress=progress, say=say).finished:
        raise KeyboardInterrupt
    device = torch_engine.pick_device(config.device)
    trained = weights.load(config.folder, None, None, device)
    bicubic = weights.load(None, "bicubic", trained.scale, device)
    pairs = [pair for pair in run.load_pairs(config)[1] if pair.scale == trained.scale]
    tested = _shrunk_afresh(pairs, tests) if tests else pairs
    psnr, bicubic_psnr = (
        tuple(validate(network, tested, config.val_frames, False, test).psnr for test in tests or (DEFAULT_RESIZER,))
        for network in (trained, bicubic)
    )
    told = ", ".join(f"{key} = {value}" for key, value in changes.items())
    return Variant(config.name, told, psnr, bicubic_psnr, len(pairs))


def _shrunk_afresh(pairs: Sequence[Pair], tests: Sequence[str]) -> list[Pair]:
    """The pictures without a low resolution of their own."""
    if any(isinstance(pair, ClipPair) for pair in pairs):
        wrong = "clips bring their own low resolution; give pictures with --val-data"
        raise ValueError(f"tests = {', '.join(tests)}: {wrong}")
    return [replace(pair, low_path=None) for pair in pairs if isinstance(pair, PicturePair)]


def text(experiment: Experiment, found: list[Variant], given: Mapping[str, Any]) -> str:
    """The report's form: what is the same, what differs, the results in dB and their gain over bicubic."""
    best = max(math.fsum(one.psnr) for one in found)
    header = ["different", *(experiment.tests or ("PSNR",)), *(["gain"] * len(found[0].gains)), "", "changes"]
    lines = [
        [
            one.variant,
            *(f"{value:.2f}" for value in one.psnr),
            *(f"{gain:+.2f}" for gain in one.gains),
            "*" if math.fsum(one.psnr) == best else "",
            one.changes,
        ]
        for one in found
    ]
    same = ", ".join(f"{key} = {value}" for key, value in {**experiment.base, **given}.items())
    source = f"  [{experiment.source}]" if experiment.source else ""
    legend = "PSNR in dB, gain over bicubic on the same data, * the best"
    if all("fold" in changes for changes in experiment.variants.values()):
        legend += "\n" + _out_of_fold(found)
    return "\n".join([f"{experiment.question}{source}", f"same: {same}", text_table.lay_out(header, lines), legend])


def _out_of_fold(found: Sequence[Variant]) -> str:
    """The mean over all clips, each judged by the network that had not seen it."""
    num_pairs = sum(one.num_pairs for one in found)
    own, bicubic = (
        sum(values[0] * one.num_pairs for one, values in zip(found, side, strict=True)) / num_pairs
        for side in ([one.psnr for one in found], [one.bicubic for one in found])
    )
    return f"out of fold, {num_pairs} clips or pictures: {own:.2f} dB, bicubic {bicubic:.2f}, gain {own - bicubic:+.2f}"
