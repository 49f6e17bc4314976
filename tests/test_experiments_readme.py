"""The page on experiments: its list is complete, its commands parse to valid settings, its rule of sizes is the code's."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from youku import curves, evaluate, train
from youku import experiment as verb
from youku.models import MODELS
from youku.training import config, experiment
from youku.training.dataset import Sampler
from youku.training.pairs import find_pairs
from youku.training.settings import PatchSettings

PAGE = (experiment.EXPERIMENTS / "README.md").read_text()
COMMANDS = [shlex.split(line)[3:] for line in PAGE.splitlines() if line.startswith("    python -m youku ")]
PARSERS = {
    "experiment": verb.main.parser,
    "train": train.main.parser,
    "curves": curves.main.parser,
    "evaluate": evaluate.main.parser,
}


def test_every_experiment_is_in_the_list() -> None:
    """The table names the files of the folder, no more and no less."""
    assert re.findall(r"^\| `([a-z0-9-]+)`", PAGE, re.MULTILINE) == experiment.names()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:4]))
def test_commands_parse(command: list[str]) -> None:
    """The verb's own parser takes each line; experiments exist, and settings of a training are valid with their recipe."""
    args = PARSERS[command[0]]().parse_args(command[1:])
    if command[0] == "train":
        assert config.from_flags(args, config.read_recipe(args.recipe)).name.startswith("ladder-")
    if command[0] == "experiment" and not args.list:
        assert args.experiment in experiment.names()


def test_the_ladder_climbs() -> None:
    """Small network and data, large network, then all data from the second rung's weights."""
    rungs = [
        config.from_flags(args, config.read_recipe(args.recipe))
        for command in COMMANDS
        if command[0] == "train"
        for args in [train.main.parser().parse_args(command[1:])]
    ]
    assert [(rung.model, rung.num_pairs) for rung in rungs] == [("espcn", 22), ("oldfilm", 22), ("oldfilm", 0)]
    assert rungs[2].init_from == f"{rungs[1].runs}/{rungs[1].name}/best.safetensors"


def test_both_sides_must_hold_a_patch(tmp_path: Path) -> None:
    """Patch 24 at x4: of pictures with sides of 95 and 96 px only those with both at 96 are drawn from."""
    noise = np.random.default_rng(0)
    for name, height, width in (("good", 96, 100), ("low", 95, 200), ("narrow", 200, 95)):
        Image.fromarray(noise.integers(0, 256, (height, width, 3), np.uint8)).save(tmp_path / f"{name}.png")
    sampler = Sampler(
        pairs=find_pairs([str(tmp_path)], 4),
        spec=MODELS["espcn"],
        patches=PatchSettings(patch_px=24, batch=8, augment=False),
        seed=0,
        device=torch.device("cpu"),
    )
    assert {name.split()[0] for name in sampler.draw(0).names} == {"good.png"}
