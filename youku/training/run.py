"""A run from outside: its data, its folder, its settings on disk; start it fresh or go on.

`start` writes config.toml into the run's folder and trains; the verbs train, experiment and demo all begin here.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import torch

import youku
from youku import files
from youku.engines import weights
from youku.metrics import vmaf
from youku.training import precision, recipe, trainer
from youku.training.config import TrainConfig
from youku.training.pairs import Pair, PicturePair, at_zooms, find_pairs, split_pairs, thin
from youku.training.trainer import Outcome


def start(config: TrainConfig, resume: bool = False, command: str = "", progress: bool = True) -> Outcome:
    """Prepare the run folder and train; returns how it ended."""
    train_pairs, val_pairs = load_pairs(config)
    if config.val_metric == "score":
        if any(isinstance(pair, PicturePair) or pair.layout[0] == 0 for pair in val_pairs):
            raise ValueError("--val-metric score: VMAF needs clips with chroma; use --val-metric psnr")
        vmaf.require()
    folder = config.folder
    if resume:
        print(f"{folder}: going on", file=sys.stderr)
    else:
        if (folder / "last.pt").exists():
            raise ValueError(f"{folder}: has a run already; go on with --resume {folder}, or choose another --name")
        if config.amp_backend == "apex":
            precision.choose(config.amp, config.amp_backend, weights.pick_device(config.device))
        trainer.rehearse(config, train_pairs)
        files.make_folder(folder)
        with files.atomic_write(folder / "config.toml") as file:
            file.write(recipe.to_toml(config, provenance(command)).encode())
    factors = ", ".join(f"x{scale}" for scale in config.all_scales)
    print(f"{config.model} {factors}: {len(train_pairs)} pairs to train, {len(val_pairs)} held out", file=sys.stderr)
    return trainer.train(config, train_pairs, val_pairs, resume, progress)


def load_pairs(config: TrainConfig) -> tuple[list[Pair], list[Pair]]:
    """(training, validation) pairs of every scale as the config says, split by whole clips or pictures."""
    files.allow_open_files()
    train: list[Pair] = []
    val: list[Pair] = []
    for scale in config.all_scales:
        pairs = find_pairs(config.data, scale, config.lr_type)
        if config.val_data:
            held = find_pairs(config.val_data, scale, config.lr_type)
        else:
            pairs, held = split_pairs(pairs, config.val_clips)
        if shared := {pair.source for pair in pairs} & {pair.source for pair in held}:
            raise ValueError(
                f"--val-data: {min(shared)} is in --data too; a network must not be judged on what it learned"
            )
        train += at_zooms(thin(pairs, config.num_pairs), config.zooms)
        val += held
    return train, val


def resumed_config(folder: Path) -> TrainConfig:
    """The config that a run folder was started with; the folder may have been moved."""
    if not (folder / "config.toml").is_file():
        raise ValueError(f"{folder}: is no run folder (no config.toml); give the folder that train made")
    values = recipe.read_recipe(str(folder / "config.toml"))
    absolute = folder.absolute()
    return TrainConfig(**{**values, "runs": str(absolute.parent), "name": absolute.name})


def provenance(command: str) -> dict[str, str]:
    """What made the run: command, versions, commit."""
    here = Path(__file__).parent
    git = subprocess.run(
        ["git", "-C", str(here), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    made = {"command": command} if command else {}
    made["versions"] = f"youku {youku.__version__}, torch {torch.__version__}, python {platform.python_version()}"
    return made | ({"commit": git.stdout.strip()} if git.returncode == 0 else {})
