"""The parts of what a training run is told: frozen settings, of which every field is a flag and a recipe key.

A field stands with its default, its help and its bounds. What none of them can say alone is `config`'s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from youku import urls
from youku.engines.half import DTYPES
from youku.training.fields import POSITIVE, at_least, each, expect, one_of, option, to_number

if TYPE_CHECKING:
    from youku.training.losses import Terms

METRICS = ("auto", "psnr", "score")
# what the rooms that compute offer, by name: --help shows it without loading them and torch (a test compares)
INITS = ("paper", "gaussian", "xavier", "kaiming")  # transfer.INITS
DISCRIMINATORS = ("srgan", "enhancenet")  # discriminators.DISCRIMINATORS
SHRINKERS = (  # resize.SHRINKERS
    *("matlab-bicubic", "matlab-bilinear", "matlab-lanczos", "python-bicubic", "python-bilinear"),
    *("nearest", "box"),
)
TERMS = (  # losses.all_terms()
    *("l1", "l2", "smooth-l1", "charbonnier", "ssim", "ms-ssim", "tv", "fft", "log-mse"),
    *("vgg16", "vgg19", "texture", "gan", "lsgan", "wgan-gp", "hinge", "ragan"),
)


def _parse_loss(text: str) -> Terms:
    from youku.training import losses  # and torch, which --help does without

    return losses.parse(text)


def _is_folder_name(name: str) -> bool:
    """Whether it is one plain folder, under every system that a run may be moved to."""
    is_plain = (
        re.fullmatch(r'[^\x00-\x1f\x7f/\\:*?"<>|]+', name) is not None and len(name.encode("utf-8", "replace")) <= 200
    )
    return is_plain and name.strip(" ") == name and not name.endswith(".")


def _names(value: str | tuple[str, ...]) -> list[str]:
    return [entry.partition("=")[0].strip() for entry in (value.split(",") if isinstance(value, str) else value)]


FOLDER_NAME = expect(_is_folder_name, "a plain folder name of at most 200 bytes, without / \\\\ : or a dot at its end")
EVEN = expect(lambda px: px % 2 == 0, "an even number (chroma has half the samples)")
COUNT = expect(lambda number: not number > 2**16, "at most 65536")  # of what a single step needs
SHARE = expect(lambda share: 0 <= share <= 1, "a share from 0 to 1")
URL = expect(lambda url: not url or url.startswith("file://") or urls.is_url(url), "a URL, such as s3://bucket/runs/a")
MEAN = expect(lambda mean: 0 <= mean <= 1, "0 to 1, the range of the input")
DECAY = expect(lambda decay: 0 <= decay < 1, "0 <= ema < 1")
SEED = expect(lambda seed: seed < 2**63, "less than 2^63")
FOLD = expect(re.compile(r"(\d{1,3}/\d{1,3})?").fullmatch, "K/N, the K-th of N folds, such as 1/5")
FACTORS = expect(re.compile(r"( *\d{1,2} *(, *\d{1,2} *)*)?").fullmatch, "factors such as 2,3,4")
ZOOMS = expect(
    lambda text: all(0.1 <= to_number(part) <= 1 for part in text.split(",")), "numbers from 0.1 to 1, such as 1,0.9"
)
RESIZERS = each(SHRINKERS.__contains__, f"one of {', '.join(SHRINKERS)}")
ONCE = expect(lambda value: len(_names(value)) == len(set(_names(value))), "each of them once")
LAYER_FACTORS = each(lambda entry: to_number(entry.partition("=")[2]) >= 0, "LAYER=FACTOR, such as last=0.1")


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Where the run lies, the clips or pictures to train and to validate on."""

    name: str = option("fsrcnn", "name of the run: its folder is RUNS/NAME; else as recipe or network", FOLDER_NAME)
    runs: str = option("runs", "folder of all runs", metavar="FOLDER")
    data: tuple[str, ...] = option(
        ("data/clips/train",), "folders of contest clip pairs, or of pictures", expect(bool, "at least one folder")
    )
    lr_type: str = option("bicubic", "low-resolution folder beside DIV2K-style pictures: bicubic, unknown, ...")
    every: int = option(1, "train on every N-th frame of a clip", at_least(1))
    num_pairs: int = option(0, "train on so many clips or pictures only, spread evenly; 0 takes all", at_least(0))
    unlabelled: tuple[str, ...] = option((), "folders of low-resolution pictures whose truth is what --teacher makes")
    val_data: tuple[str, ...] = option((), "folders for validation; without them clips are held out of --data")
    val_clips: int = option(4, "clips (or pictures) held out for validation, spread evenly over the ids", at_least(1))
    val_frames: int = option(4, "frames of each validation clip, spread evenly; whole frames are scored", at_least(1))
    val_every: int = option(1000, "steps between validations", at_least(1))
    val_metric: str = option(
        "auto", "what is best: psnr, score (0.8 PSNR + 0.2 VMAF), auto: by the data", one_of(METRICS)
    )
    fold: str = option("", "K/N: hold the K-th of N folds out, a scene in one fold, instead of --val-clips", FOLD)
    early_stop: int = option(0, "stop after so many validations without a new best; 0 never stops early", at_least(0))

    @property
    def folder(self) -> Path:
        return Path(self.runs) / self.name


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """The network, what it starts from and which of its layers learn."""

    model: str = option("fsrcnn", "network; `python -m youku models` lists them")
    scale: int = option(4, "factor: 2, 3 or 4")
    scales: str = option(
        "", "factors mixed in a step, such as 2,3,4 (interpolating networks)", FACTORS, ONCE, metavar="LIST"
    )
    init: str = option("paper", "fresh weights: " + ", ".join(INITS), one_of(INITS))
    init_from: str = option("", "weights to start from; shipped, shipped-clean: the kit's own", metavar="WEIGHTS")
    train_only: tuple[str, ...] = option(
        (), "train only these layers (first part of their names), keep the others", metavar="LAYER"
    )
    lr_factors: tuple[str, ...] = option(
        (),
        "learning rate of some layers, such as last=0.1, as a factor of --lr",
        LAYER_FACTORS,
        ONCE,
        metavar="LAYER=F",
    )
    input_mean: float = option(0.0, "subtracted from the input and added to the output, 0 to 1 (zero-mean input)", MEAN)
    input_std: float = option(1.0, "divides the input and multiplies the output (unit variance)", POSITIVE)

    @cached_property
    def all_scales(self) -> tuple[int, ...]:
        """Factors that are trained together; the first is the one that weights are saved for."""
        return tuple(map(int, self.scales.split(","))) if self.scales else (self.scale,)

    @cached_property
    def layer_factors(self) -> dict[str, float]:
        """Factor of the learning rate for each layer named in `lr_factors`."""
        return {name: float(factor) for name, _, factor in (entry.partition("=") for entry in self.lr_factors)}


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """What is made small, in one stage or two."""

    loss: str = option("l1", "loss or sum such as l1+0.2*ssim of " + ", ".join(TERMS), metavar="SUM")
    teacher: str = option("", "weights, or a folder of pictures made by a network, to learn from beside the truth")
    teacher_share: float = option(1.0, "weight of the L1 distance from the teacher's output", at_least(0))
    vgg_weights: str = option("", "file with VGG weights, for the losses that look through one", metavar="FILE")
    pretrain_steps: int = option(0, "steps of a first stage on --pretrain-loss, before --loss", at_least(0))
    pretrain_loss: str = option("l2", "loss of the first stage", metavar="SUM")
    discriminator: str = option("srgan", "adversary of a GAN loss: srgan, enhancenet", one_of(DISCRIMINATORS))
    d_lr: float = option(1e-4, "learning rate of the discriminator", POSITIVE)
    d_steps: int = option(1, "steps of the discriminator for one of the network", at_least(1), COUNT)

    @cached_property
    def terms(self) -> Terms:
        """The main stage's loss."""
        return _parse_loss(self.loss)

    @cached_property
    def pretrain_terms(self) -> Terms:
        return _parse_loss(self.pretrain_loss)

    def loss_at(self, step: int) -> str:
        """The loss of a step as text: the first stage's, then the main one."""
        return self.pretrain_loss if step < self.pretrain_steps else self.loss


@dataclass(frozen=True, kw_only=True)
class PatchSettings:
    """What one step sees, and how many there are."""

    patch_px: int = option(48, "side of a low-resolution patch, even; smaller needs less memory", at_least(8), EVEN)
    batch: int = option(16, "patches a step", at_least(1), COUNT)
    accumulate: int = option(1, "batches whose gradients are summed before the optimiser steps", at_least(1), COUNT)
    steps: int = option(20000, "optimiser steps", at_least(1))
    sequence: int = option(10, "frames in a row that one step of a network with memory learns from", at_least(1), COUNT)
    augment: bool = option(True, "flip and rotate patches at random; sequences run backwards too")
    rescale: str = option("1", "sizes of pictures, such as 1,0.9,0.8,0.7,0.6 (FSRCNN)", ZOOMS, metavar="LIST")
    resizers: tuple[str, ...] = option(
        ("matlab-bicubic",),
        "how pictures are shrunk, drawn at random for each patch: " + ", ".join(SHRINKERS),
        expect(bool, "at least one"),
        RESIZERS,
        metavar="NAME",
    )
    full_range: float = option(0.0, "share of luma patches stretched from 16-235 to 0-255 (full-range video)", SHARE)
    noise: float = option(0.0, "sigma of Gaussian noise added to the input, in code values", at_least(0))
    cutblur: float = option(
        0.0, "share of patches with a rectangle, or all around one, that is the truth cleanly shrunk", SHARE
    )

    @cached_property
    def zooms(self) -> tuple[float, ...]:
        """Sizes at which pictures are used."""
        return tuple(map(float, self.rescale.split(",")))


@dataclass(frozen=True, kw_only=True)
class OptimiserSettings:
    """How the weights move."""

    optimizer: str = option("adam", "adam, adamw, sgd or adadelta", one_of(("adam", "adamw", "sgd", "adadelta")))
    momentum: float = option(0.9, "momentum of sgd", at_least(0))
    lr: float = option(1e-3, "learning rate", POSITIVE)
    weight_decay: float = option(0.0, "weight decay of the optimiser", at_least(0))
    schedule: str = option(
        "cosine",
        "constant, step, cosine; batch: doubles the batch where step cuts the rate",
        one_of(("constant", "step", "cosine", "batch")),
    )
    lr_min: float = option(1e-6, "where cosine ends, and the floor of the step schedule", at_least(0))
    lr_step: int = option(200000, "steps between cuts of the step schedule, or doublings of batch", at_least(1))
    lr_gamma: float = option(0.5, "factor of each cut of the step schedule", POSITIVE)
    warmup: int = option(0, "steps of linear warm-up", at_least(0))
    ema: float = option(0.999, "decay of the weight average that is validated and saved; 0 turns it off", DECAY)
    clip_norm: float = option(0.0, "clip the gradient norm to this; 0 turns it off", at_least(0))
    clip_element: float = option(
        0.0, "clip each gradient element to this over the learning rate (VDSR); 0: off", at_least(0)
    )


@dataclass(frozen=True, kw_only=True)
class MachineSettings:
    """On what it runs, and what it leaves behind."""

    dtype: str = option(
        "float32", "or mixed: bf16, fp16, auto (what the device is fast in; also --amp)", one_of(DTYPES)
    )
    amp_backend: str = option(
        "torch", "torch, or apex (needs a version of NVIDIA apex that still has apex.amp)", one_of(("torch", "apex"))
    )
    device: str = option("auto", "auto, cpu, cuda, cuda:1, mps")
    seed: int = option(2021, "seed of weights, patches and order", at_least(0), SEED)
    workers: int = option(2, "threads that cut patches ahead of the network", at_least(1), COUNT)
    log_every: int = option(
        0, "steps between lines of log.jsonl; 0: 100, or as many fewer as give 50 lines", at_least(0)
    )
    save_every: int = option(1000, "steps between checkpoints", at_least(1))
    backup: str = option("", "copy the run there at every save, such as s3://bucket/runs/NAME", URL, metavar="URL")
    keep_every: int = option(0, "steps between weights kept beside the best; 0 keeps only the best", at_least(0))
    tensorboard: bool = option(True, "log for TensorBoard too, where it is installed (pip install tensorboard)")
    samples: bool = option(True, "save a picture of input, output and target at every validation")
