"""What a training run is told: all settings as one, checked between the fields too, and all that is wrong said at once.

Defaults < recipe < flags; the result is saved beside the run and never changed.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from youku import cli, text_table
from youku.models import MODELS, spec_of
from youku.training import fields
from youku.training.settings import (
    DataSettings,
    LossSettings,
    MachineSettings,
    NetworkSettings,
    OptimiserSettings,
    PatchSettings,
)

CPU_MACS = 50e9  # a second on the two cores of recipe 1h's figure, whose 61 minutes they make 67; a GPU: not measured
RECIPES = Path(__file__).parent / "recipes"
WHOM = ("contest", "pictures", "old film", "papers")  # the word that a recipe's file begins with


@dataclass(frozen=True, kw_only=True)
class TrainConfig(MachineSettings, OptimiserSettings, PatchSettings, LossSettings, NetworkSettings, DataSettings):
    """Settings of one run; units are in the names or the help texts. A function that needs one part takes that."""

    def __post_init__(self) -> None:
        problems = [*fields.problems(self), *_network_problems(self), *_loss_problems(self), *_teacher_problems(self)]
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def log_steps(self) -> int:
        """Steps between lines of the log."""
        return self.log_every or max(1, min(100, self.steps // 50))


def from_flags(args: argparse.Namespace, recipe: Mapping[str, Any]) -> TrainConfig:
    """Defaults, then the recipe's values, then the flags that were given; a run is called by its recipe or network.

    With other --steps a recipe's first stage keeps its share of them.
    """
    called = Path(args.recipe or args.model or NetworkSettings.model).stem
    given, kept = fields.given(args, TrainConfig), dict(recipe)
    if "steps" in given and kept.get("pretrain_steps") and "pretrain_steps" not in given:
        kept["pretrain_steps"] = kept["pretrain_steps"] * given["steps"] // kept.get("steps", PatchSettings.steps)
    if not {**kept, **given}.get("pretrain_steps"):  # no steps, or too few, for a stage of its own
        kept.pop("pretrain_loss", None)
    return TrainConfig(**{"name": called, **kept, **given})


def recipe_table() -> str:
    """Name, whom it is for, network, steps x batch of each recipe, how long it takes, and what its first line says.

    The time is that which the first line says was measured, else that of the multiply-adds, once forward and twice back.
    """
    from youku.models import figures

    rows, costs = list[list[str]](), {(entry["name"], entry["scale"]): entry["macs"] for entry in figures.read()}
    for path in sorted(RECIPES.glob("*.toml")):
        given = read_recipe(path.stem)
        recipe = TrainConfig(**given)
        patches = recipe.steps * recipe.batch * recipe.accumulate * given.get("sequence", 1)
        px = patches * recipe.patch_px**2 / math.prod(figures.INPUT)
        first = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        measured = re.search(r"(\d+ (minute|hour)s?) on two cores", first)
        reckoned = "~" + cli.as_time(3 * px * costs[recipe.model, recipe.scale] / CPU_MACS)
        time = measured[1] if measured else reckoned
        whom, _, what = first.partition(": ")
        rows.append([path.stem, whom, recipe.model, f"{recipe.steps:,} x {recipe.batch}", time, what])
    head = ["recipe", "for", "network", "steps x batch", "two cores (~: reckoned)", "what it is; its file says more"]
    return text_table.lay_out(head, sorted(rows, key=lambda row: WHOM.index(row[1])))


def read_recipe(recipe: str) -> dict[str, Any]:
    """Fields of a recipe, by name (youku/training/recipes) or path; unknown keys and wrong types are all listed."""
    return fields.read(fields.find(recipe, RECIPES, "recipe"), TrainConfig)


def _is_set(config: TrainConfig, name: str) -> bool:
    """Whether a field is not as it is by default."""
    return bool(getattr(config, name) != type(config).__dataclass_fields__[name].default)


def _network_problems(config: TrainConfig) -> Iterator[str]:
    """A phrase for everything between fields that does not fit; each field is good by itself."""
    try:
        scales = config.all_scales
    except ValueError:  # its bounds have told
        return
    if config.scales and config.scale not in (4, *scales):
        yield f"scale = {config.scale}: is not among scales = {config.scales}; leave one of them out"
    for scale in scales:
        try:
            spec = spec_of(config.model, scale)
        except ValueError as error:
            near = "" if config.model in MODELS else text_table.near(config.model, MODELS)
            yield f"model {config.model!r}: did you mean {near}?" if near else str(error)
            return
        if not spec.trainable:
            yield f"model {config.model}: has nothing to train"
        if _is_set(config, "sequence") and not spec.memory:
            yield f"sequence = {config.sequence}: has no effect on {config.model}, which has no memory; leave it out"
            return
        if config.cutblur and spec.needs_neighbours:
            yield f"cutblur = {config.cutblur}: is for networks of one frame, not {config.model}; leave it out"
        if len(scales) > 1 and not spec.any_scale:
            able = ", ".join(name for name, other in MODELS.items() if other.any_scale and other.trainable)
            yield f"scales = {config.scales}: {config.model} has weights for one scale only; use {able}"
            return


def _loss_problems(config: TrainConfig) -> Iterator[str]:
    if config.lr_min > config.lr and config.schedule in ("step", "cosine"):
        yield f"lr_min = {config.lr_min}: expected at most lr = {config.lr}"
    wrong = []
    for parse in (lambda: config.terms, lambda: config.pretrain_terms):
        try:
            parse()
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        yield from wrong
        return
    adversarial, none = config.terms.adversarial, f"has no effect on loss {config.loss}"
    if config.vgg_weights and not (config.terms.features or config.pretrain_terms.features):
        yield f"vgg_weights = {config.vgg_weights}: {none}; leave it out"
    for name in ("discriminator", "d_lr"):
        if _is_set(config, name) and not adversarial:
            yield f"{name}: {none}, which has no adversary; leave it out"
    if config.amp_backend == "apex" and adversarial:
        yield "amp_backend = apex: trains one network, not a GAN; use --amp-backend torch"
    if adversarial and adversarial.computes.penalty_weight and config.discriminator == "srgan":
        yield f"loss {adversarial.text}: needs a discriminator without batch norm; add --discriminator enhancenet"
    if adversarial and "," in config.scales:
        yield "loss with an adversary: its patches have one size, so it takes one scale; drop --scales"
    if _is_set(config, "pretrain_loss") and not config.pretrain_steps:
        yield f"pretrain_loss = {config.pretrain_loss}: has no effect without pretrain_steps; give both"
    if config.d_steps > 1 and not adversarial:
        yield f"d_steps = {config.d_steps}: {none}, which has no adversary"
    if config.pretrain_terms.adversarial:
        yield f"pretrain_loss = {config.pretrain_loss}: the first stage has no adversary; put it into --loss"
    if config.pretrain_steps >= config.steps:
        yield f"pretrain_steps = {config.pretrain_steps}: expected less than steps = {config.steps}"


def _teacher_problems(config: TrainConfig) -> Iterator[str]:
    for name in ("teacher_share", "unlabelled"):
        if not config.teacher and _is_set(config, name):
            yield f"{name}: has no effect without a teacher; give --teacher too, or leave it out"
    if config.teacher and "," in config.scales:
        yield "teacher: enlarges by one factor; drop --scales"
