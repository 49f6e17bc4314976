"""What a training run is told: one frozen dataclass whose every field is a flag and a recipe key.

Defaults < recipe (training/recipe.py) < flags; the result is saved beside the run and never changed afterwards.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from youku.models import MODELS, spec_of
from youku.training import losses
from youku.video.resize import SHRINKERS

INITS = ("paper", "gaussian", "xavier", "kaiming")
CHOICES = {
    "optimizer": ("adam", "adamw", "sgd", "adadelta"),
    "schedule": ("constant", "step", "cosine", "batch"),
    "amp_backend": ("torch", "apex"),
    "val_metric": ("psnr", "score"),
    "init": INITS,
    "discriminator": ("srgan", "enhancenet"),
}
AT_LEAST = {
    "val_clips": 1, "val_frames": 1, "val_every": 1, "patch_px": 8, "batch": 1, "accumulate": 1, "steps": 1,
    "lr_step": 1, "warmup": 0, "workers": 1, "log_every": 1, "save_every": 1, "seed": 0, "every": 1, "num_pairs": 0,
    "early_stop": 0, "pretrain_steps": 0, "d_steps": 1, "keep_every": 0, "clip_norm": 0, "clip_element": 0, "full_range": 0,
    "weight_decay": 0, "lr_min": 0, "noise": 0, "momentum": 0,
}  # fmt: skip
POSITIVE = ("lr", "lr_gamma", "d_lr", "input_std")


def option(default: Any, text: str, metavar: str = "FOLDER") -> Any:
    """A field with its help text; `metavar` names the entries of a list."""
    return field(default=default, metadata={"help": text, "metavar": metavar})


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one run; units are in the names or the help texts."""

    name: str = option("run", "name of the run: its folder is RUNS/NAME")
    runs: str = option("runs", "folder of all runs")
    data: tuple[str, ...] = option(("data/clips/train",), "folders of contest clip pairs, or of pictures")
    lr_type: str = option("bicubic", "low-resolution folder beside DIV2K-style pictures: bicubic, unknown, ...")
    every: int = option(1, "train on every N-th frame of a clip")
    num_pairs: int = option(0, "train on so many clips or pictures only, spread evenly; 0 takes all")
    val_data: tuple[str, ...] = option((), "folders for validation; without them clips are held out of --data")
    val_clips: int = option(4, "clips (or pictures) held out for validation, spread evenly over the ids")
    val_frames: int = option(4, "frames of each validation clip, spread evenly; whole frames are scored")
    val_every: int = option(1000, "steps between validations")
    val_metric: str = option("score", "what 'best' means: psnr, or score = 0.8 PSNR + 0.2 VMAF (clips only)")
    early_stop: int = option(0, "stop after so many validations without a new best; 0 never stops early")
    model: str = option("fsrcnn", "network: " + ", ".join(name for name, spec in MODELS.items() if spec.trainable))
    scale: int = option(4, "factor: 2, 3 or 4")
    scales: str = option("", "factors mixed in every step, such as 2,3,4 (networks on the interpolated picture)")
    init: str = option("paper", "fresh weights: " + ", ".join(INITS))
    init_from: str = option("", "start from this weights file, also of another scale: layers that fit are taken")
    train_only: tuple[str, ...] = option(
        (), "train only these layers (first part of their names), keep the others", "LAYER"
    )
    lr_factors: tuple[str, ...] = option(
        (), "learning rate of some layers, such as last=0.1, as a factor of --lr", "LAYER=F"
    )
    input_mean: float = option(0.0, "subtracted from the input and added to the output, 0 to 1 (zero-mean input)")
    input_std: float = option(1.0, "divides the input and multiplies the output (unit variance)")
    loss: str = option("l1", "loss or weighted sum such as l1+0.2*ssim; terms: " + ", ".join(losses.TERMS))
    vgg_weights: str = option("", "file with VGG weights, for the losses that look through one")
    pretrain_steps: int = option(0, "steps of a first stage on --pretrain-loss, before --loss")
    pretrain_loss: str = option("l2", "loss of the first stage")
    discriminator: str = option("srgan", "adversary of a GAN loss: srgan, enhancenet")
    d_lr: float = option(1e-4, "learning rate of the discriminator")
    d_steps: int = option(1, "steps of the discriminator for one of the network")
    patch_px: int = option(48, "side of a low-resolution patch, even; smaller needs less memory")
    batch: int = option(16, "patches a step")
    accumulate: int = option(1, "batches whose gradients are summed before the optimiser steps")
    steps: int = option(20000, "optimiser steps")
    augment: bool = option(True, "flip and rotate patches at random")
    rescale: str = option("1", "sizes at which pictures are used, such as 1,0.9,0.8,0.7,0.6 (FSRCNN)")
    resizers: tuple[str, ...] = option(
        ("matlab-bicubic",), "how pictures are shrunk, drawn at random for each patch: " + ", ".join(SHRINKERS), "NAME"
    )
    full_range: float = option(0.0, "share of luma patches stretched from 16-235 to 0-255, as full-range video has it")
    noise: float = option(0.0, "sigma of Gaussian noise added to the input, in code values")
    optimizer: str = option("adam", "adam, adamw, sgd or adadelta")
    momentum: float = option(0.9, "momentum of sgd")
    lr: float = option(1e-3, "learning rate")
    weight_decay: float = option(0.0, "weight decay of the optimiser")
    schedule: str = option("cosine", "constant, step, cosine; batch doubles the batch where step would cut the rate")
    lr_min: float = option(1e-6, "where cosine ends, and the floor of the step schedule")
    lr_step: int = option(200000, "steps between cuts of the step schedule, or doublings of batch")
    lr_gamma: float = option(0.5, "factor of each cut of the step schedule")
    warmup: int = option(0, "steps of linear warm-up")
    ema: float = option(0.999, "decay of the weight average that is validated and saved; 0 turns it off")
    clip_norm: float = option(0.0, "clip the gradient norm to this; 0 turns it off")
    clip_element: float = option(0.0, "clip each gradient element to this divided by the learning rate (VDSR); 0: off")
    amp: bool = option(False, "mixed precision: bf16 where the device has it, else fp16 with a loss scaler")
    amp_backend: str = option("torch", "torch, or apex (needs a version of NVIDIA apex that still has apex.amp)")
    device: str = option("auto", "auto, cpu, cuda, cuda:1, mps")
    seed: int = option(2021, "seed of weights, patches and order")
    workers: int = option(2, "threads that cut patches ahead of the network")
    log_every: int = option(100, "steps between lines of log.jsonl")
    save_every: int = option(1000, "steps between checkpoints")
    keep_every: int = option(0, "steps between weights that are kept beside the best; 0 keeps only the best")
    tensorboard: bool = option(True, "log for TensorBoard too, where it is installed (pip install tensorboard)")
    samples: bool = option(True, "save a picture of input, output and target at every validation")

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def folder(self) -> Path:
        return Path(self.runs) / self.name

    @property
    def all_scales(self) -> tuple[int, ...]:
        """Factors that are trained together; the first is the one that weights are saved for."""
        return _numbers(self.scales, int) if self.scales else (self.scale,)

    @property
    def zooms(self) -> tuple[float, ...]:
        """Sizes at which pictures are used."""
        return _numbers(self.rescale, float)

    @property
    def layer_factors(self) -> dict[str, float]:
        """Factor of the learning rate for each layer named in `lr_factors`."""
        return {name: float(factor) for name, _, factor in (entry.partition("=") for entry in self.lr_factors)}

    def accumulate_at(self, step: int) -> int:
        """Batches (of each scale) that one step sums."""
        return self.accumulate * (2 ** (step // self.lr_step) if self.schedule == "batch" else 1)

    def batches_before(self, step: int) -> int:
        """Batches that the steps before `step` used up, over all scales; the discriminator's own ones come first."""
        doublings = step // self.lr_step if self.schedule == "batch" else 0
        rest = step - doublings * self.lr_step
        used = self.lr_step * (2**doublings - 1) + rest * 2**doublings
        extra = (self.d_steps - 1) * max(0, step - self.pretrain_steps)
        return self.accumulate * used * len(self.all_scales) + extra

    def loss_at(self, step: int) -> str:
        """The loss of a step: the first stage's, then the main one."""
        return self.pretrain_loss if step < self.pretrain_steps else self.loss


def _numbers(text: str, kind: type) -> tuple:
    return tuple(kind(part) for part in text.split(","))


def _problems(config: TrainConfig) -> list[str]:
    """Everything wrong with the values, one phrase each."""
    values = dataclasses.asdict(config)
    wrong = [f"{key} = {values[key]}: expected {low} or more" for key, low in AT_LEAST.items() if values[key] < low]
    wrong += [f"{key} = {values[key]}: expected a positive number" for key in POSITIVE if not values[key] > 0]
    for key, choices in CHOICES.items():
        if values[key] not in choices:
            wrong.append(f"{key} = {values[key]!r}: expected one of {', '.join(choices)}")
    if config.patch_px % 2:
        wrong.append(f"patch_px = {config.patch_px}: expected an even number (chroma has half the samples)")
    if not 0 <= config.ema < 1:
        wrong.append(f"ema = {config.ema}: expected 0 <= ema < 1")
    if not 0 <= config.input_mean <= 1:
        wrong.append(f"input_mean = {config.input_mean}: expected 0 to 1, the range of the input")
    wrong += [f"{key} = {value}: expected a number" for key, value in values.items() if _is_endless(value)]
    if config.lr_min > config.lr and config.schedule in ("step", "cosine"):
        wrong.append(f"lr_min = {config.lr_min}: expected at most lr = {config.lr}")
    if config.seed >= 2**63:
        wrong.append(f"seed = {config.seed}: expected less than 2^63")
    if not config.name or Path(config.name).name != config.name or config.name == "..":
        wrong.append(f"name = {config.name!r}: expected a plain folder name")
    if not config.data:
        wrong.append("data: expected at least one folder")
    return wrong + _data_problems(config) + _model_problems(config) + _loss_problems(config)


def _is_endless(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _data_problems(config: TrainConfig) -> list[str]:
    wrong = [
        f"resizers: {name!r} is not one of {', '.join(SHRINKERS)}" for name in config.resizers if name not in SHRINKERS
    ]
    if not config.resizers:
        wrong.append("resizers: expected at least one")
    if config.full_range > 1:
        wrong.append(f"full_range = {config.full_range}: expected a share from 0 to 1")
    try:
        good = all(0.1 <= zoom <= 1 for zoom in config.zooms)
    except ValueError:
        good = False
    if not good:
        wrong.append(f"rescale = {config.rescale!r}: expected numbers from 0.1 to 1, such as 1,0.9,0.8")
    return wrong


def _model_problems(config: TrainConfig) -> list[str]:
    wrong = []
    try:
        scales = config.all_scales
    except ValueError:
        return [f"scales = {config.scales!r}: expected factors such as 2,3,4"]
    if config.scales and config.scale not in (4, *scales):
        wrong.append(f"scale = {config.scale}: is not among scales = {config.scales}; leave one of them out")
    for scale in scales:
        try:
            spec = spec_of(config.model, scale)
        except ValueError as error:
            wrong.append(str(error))
            break
        if not spec.trainable:
            wrong.append(f"model {config.model}: has nothing to train")
        if len(scales) > 1 and not spec.any_scale:
            able = ", ".join(name for name, other in MODELS.items() if other.any_scale and other.trainable)
            wrong.append(f"scales = {config.scales}: {config.model} has weights for one scale only; use {able}")
            break
    for entry in config.lr_factors:
        _, equals, factor = entry.partition("=")
        try:
            good = bool(equals) and math.isfinite(float(factor)) and float(factor) >= 0
        except ValueError:
            good = False
        if not good:
            wrong.append(f"lr_factors: {entry!r} is not LAYER=FACTOR, such as last=0.1")
    return wrong


def _loss_problems(config: TrainConfig) -> list[str]:
    wrong = []
    for text in (config.loss, config.pretrain_loss):
        try:
            losses.parse(text)
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        return wrong
    adversarial = losses.adversarial_term(config.loss)
    if config.vgg_weights and not any(losses.needs_vgg(text) for text in (config.loss, config.pretrain_loss)):
        wrong.append(f"vgg_weights = {config.vgg_weights}: has no effect on loss {config.loss}; leave it out")
    given = [item.name for item in dataclasses.fields(config) if vars(config)[item.name] != item.default]
    for key in [key for key in ("discriminator", "d_lr") if key in given and not adversarial]:
        wrong.append(f"{key}: has no effect on loss {config.loss}, which has no adversary; leave it out")
    if config.amp_backend == "apex" and adversarial:
        wrong.append("amp_backend = apex: trains one network, not a GAN; use --amp-backend torch")
    if adversarial and adversarial.name == "wgan-gp" and config.discriminator == "srgan":
        wrong.append("loss wgan-gp: needs a discriminator without batch norm; add --discriminator enhancenet")
    if adversarial and config.scales and len(config.all_scales) > 1:
        wrong.append("loss with an adversary: its patches have one size, so it takes one scale; drop --scales")
    if config.pretrain_loss != "l2" and not config.pretrain_steps:
        wrong.append(f"pretrain_loss = {config.pretrain_loss}: has no effect without pretrain_steps; give both")
    if config.d_steps > 1 and not adversarial:
        wrong.append(f"d_steps = {config.d_steps}: has no effect on loss {config.loss}, which has no adversary")
    if losses.adversarial_term(config.pretrain_loss):
        wrong.append(f"pretrain_loss = {config.pretrain_loss}: the first stage has no adversary; put it into --loss")
    if config.pretrain_steps >= config.steps:
        wrong.append(f"pretrain_steps = {config.pretrain_steps}: expected less than steps = {config.steps}")
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
            parser.add_argument(flag, nargs="+", metavar=item.metadata["metavar"], help=text)
        else:
            parser.add_argument(flag, type=type(default), metavar=type(default).__name__.upper(), help=text)


def from_flags(args: argparse.Namespace, recipe: Mapping[str, Any]) -> TrainConfig:
    """Defaults, then the recipe's values, then the flags that were given."""
    values = dict(recipe)
    given = vars(args)
    for item in dataclasses.fields(TrainConfig):
        if given[item.name] is not None:
            values[item.name] = tuple(given[item.name]) if isinstance(given[item.name], list) else given[item.name]
    return TrainConfig(**values)
