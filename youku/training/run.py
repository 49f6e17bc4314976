"""A run from outside: its data, its folder, its settings on disk; start it fresh or go on.

`start` writes config.toml into the run's folder and trains; the verbs train, experiment and demo all begin here. A
folder has one writer: a second run of it is refused and writes nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

import youku
from youku import files, leftovers, stops, urls
from youku.engines import torch_engine, weights
from youku.metrics import vmaf
from youku.text_table import plural
from youku.training import fields, folds, precision, saving, trainer
from youku.training.config import TrainConfig
from youku.training.pairs import ClipPair, Pair, find_pairs, store_of
from youku.training.progress import Ending, Say, silent
from youku.training.ranks import ONE_PROCESS, Ranks
from youku.video import ffmpeg

MOST_OPEN_FILES = 8192  # macOS refuses "unlimited"


def start(
    config: TrainConfig, resume: bool = False, command: str = "", progress: bool = True, say: Say = silent,
    ranks: Ranks = ONE_PROCESS,
) -> Ending:  # fmt: skip
    """Prepare the run folder and train; returns how it ended. Sentences on the way go to `say`."""
    train_pairs, val_pairs = load_pairs(config)
    found = [(pair.name, pair.num_frames, pair.source.stat().st_size) for pair in (*train_pairs, *val_pairs)]
    ranks.require_same({"clips or pictures": hashlib.sha256(str(found).encode()).hexdigest()})
    lacks = next((f"{pair.source}: {pair.lacks_vmaf}" for pair in val_pairs if pair.lacks_vmaf), "")
    if config.val_metric == "auto":  # what the data allow
        lacks = lacks or ("" if ffmpeg.has_libvmaf() else f"{ffmpeg.binary()} has no libvmaf")
        config = dataclasses.replace(config, val_metric="psnr" if lacks else "score")
        say(f"validated by {'PSNR alone: ' + lacks if lacks else 'the contest score'}")
    elif config.val_metric == "score":
        if lacks:
            raise ValueError(f"{lacks}; use --val-metric psnr, or validate on others")
        vmaf.require()
    folder = config.folder
    if folder.is_dir():  # said before the rehearsal
        with _held(folder, resume, ranks):
            pass
    if config.backup and ranks.is_writer:
        from youku import stores

        stores.require_place(config.backup)
        if not resume and stores.holds(config.backup, "last.pt"):
            raise ValueError(f"--backup {urls.shown(config.backup)}: has a run already; name another place")
    if not resume:
        if config.amp_backend == "apex":
            precision.choose(config.dtype, config.amp_backend, torch_engine.pick_device(config.device))
        trainer.rehearse(config, train_pairs, ranks)
    if config.teacher:
        from youku.training import teacher

        train_pairs = teacher.with_taught(config, train_pairs, say, progress and ranks.is_writer)
    with _held(folder, resume, ranks):
        if not resume and ranks.is_writer:
            with files.atomic_write(folder / "config.toml") as file:
                file.write(fields.to_toml(config, provenance(command)).encode())
        factors = ", ".join(f"x{scale}" for scale in config.all_scales)
        held = folds.told(val_pairs)
        say(
            f"{config.model} {factors}: {plural(len(train_pairs), 'pair')} to train, {len(val_pairs)} to validate on{held}"
        )
        if not resume and (warning := _same_film(config, train_pairs, val_pairs)):
            say(warning)
        ending = trainer.train(config, train_pairs, val_pairs, resume, progress, say, ranks)
    if ending.finished and ranks.is_writer and weights.read(weights.find(folder))[1].get("step") == "0":
        say(
            "no step was better than the weights that it began from: best.safetensors has those; try a lower --lr or more data"
        )
    return ending


def _same_film(config: TrainConfig, train_pairs: Sequence[Pair], val_pairs: Sequence[Pair]) -> str:
    """A sentence where a film is learned and judged, here or in what a rehearsal is to hold out; else ""."""
    beside = Path(config.data[0]).parent / "val"  # where README's first steps put films that are held out
    is_used = config.val_data or beside.resolve() in [Path(name).resolve() for name in config.data]
    kept = [] if is_used else sorted(beside.glob("*_h_GT.y4m"))
    with suppress(OSError, ValueError):  # what is wrong with those is for the rehearsal to say
        if film := folds.same_film(folds.truths([*train_pairs, *val_pairs]), kept):
            return (
                f"{film} is in {config.data[0]} and in {beside}, so the score of a rehearsal there says little about other "
                "films; keep its pairs in one of the two folders"
            )
    if film := folds.shared_film(train_pairs, val_pairs):
        how = f'--val-data {beside} (make train ARGS="--val-data {beside}")' if kept else "--val-data FOLDER"
        return (
            f"{film} is in training and in validation, so the figures of validation say little about other films; hold "
            f"other films out: {how}"
        )
    return ""


@contextmanager
def _held(folder: Path, resume: bool, ranks: Ranks) -> Iterator[None]:
    """The run's folder, held by the process that writes it, with no run in it that would be overwritten."""
    if not ranks.is_writer:
        yield
        return
    with sole_writer(folder):
        _check_new(folder, resume)
        yield


def _check_new(folder: Path, resume: bool) -> None:
    """A fresh run overwrites none: neither one that can go on, nor weights whose last.pt is gone."""
    there = [] if resume else [name for name in RESULTS if os.path.lexists(folder / name)]
    if "last.pt" in there:
        raise ValueError(f"{folder}: has a run already; go on with --resume {folder}, or choose another --name")
    if there:
        raise ValueError(f"{folder}: has {there[0]} of a run already; choose another --name, or move it away")


RESULTS = ("last.pt", "best.safetensors", "last.safetensors", "pretrained.safetensors")


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold a run's folder alone, made where it is absent; ValueError where another process trains into it."""
    told = f"{folder}: another train writes into it now; wait for its end or stop it, or choose another --name"
    with leftovers.locked(files.make_folder(folder) / ".lock", told):
        leftovers.sweep(folder)  # one that is found finished writes nothing
        yield


def allow_open_files() -> None:
    """Raise this process's limit of open files as far as the system lets it: every open clip holds one."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_OPEN_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def load_pairs(config: TrainConfig) -> tuple[list[Pair], list[Pair]]:
    """(training, validation) pairs of every scale as the config says, split by whole clips or pictures."""
    allow_open_files()
    data, val_data = ([_here(name, not config.teacher) for name in names] for names in (config.data, config.val_data))
    train, val = list[Pair](), list[Pair]()
    if config.fold and config.val_data:
        raise ValueError(f"--fold {config.fold} and --val-data both say what is held out; drop one")
    for scale in config.all_scales:
        pairs = find_pairs(data, scale, config.lr_type, store_of(train + val))
        if val_data:
            held = find_pairs(val_data, scale, config.lr_type, store_of(pairs + train + val))
        elif config.fold:
            pairs, held = folds.split(pairs, config.fold)
        else:
            pairs, held = split_pairs(pairs, config.val_clips)
        if shared := {pair.source for pair in pairs} & {pair.source for pair in held}:
            raise ValueError(
                f"--val-data: {min(shared)} is in --data too; a network must not be judged on what it learned"
            )
        train += _zoomed(thin(pairs, config.num_pairs), config.zooms)
        val += held
    return train, val


def _here(name: str, by_range: bool) -> str:
    """The folder that stands for a name."""
    if not urls.is_url(name):
        return urls.plain(name)
    from youku import copies

    return copies.local(name, by_range)


def _zoomed(pairs: list[Pair], zooms: Sequence[float]) -> list[Pair]:
    """The pictures at all sizes, in order; ValueError for what brings its own low resolution."""
    if all(zoom == 1 for zoom in zooms):
        return pairs
    made: list[Pair] = []
    for pair in pairs:
        if isinstance(pair, ClipPair) or pair.has_own_low:
            raise ValueError(
                f"--rescale: {pair.name} brings its own low resolution, which has one size; drop --rescale"
            )
        made += [dataclasses.replace(pair, zoom=zoom) for zoom in zooms]
    return made


def split_pairs(pairs: Sequence[Pair], num_val: int) -> tuple[list[Pair], list[Pair]]:
    """(training, validation): whole clips held out, spread evenly over the sorted names."""
    if len(pairs) < 2:
        raise ValueError(
            f"{pairs[0].source if pairs else 'nothing'} is the only pair; expected 2 or more, one to hold out: cut it "
            "shorter (degrade --split-every 25), add another, or give --val-data"
        )
    num_val = min(num_val, len(pairs) // 2)
    held = {(2 * index + 1) * len(pairs) // (2 * num_val) for index in range(num_val)}
    train = [pair for index, pair in enumerate(pairs) if index not in held]
    return train, [pairs[index] for index in sorted(held)]


def thin(pairs: Sequence[Pair], wanted: int) -> list[Pair]:
    """`wanted` of the pairs, spread evenly; all of them for 0."""
    if not wanted:
        return list(pairs)
    if wanted > len(pairs):
        raise ValueError(
            f"--num-pairs {wanted}: found {plural(len(pairs), 'pair')} to train on; ask for as many or fewer"
        )
    return [pairs[index * len(pairs) // wanted] for index in range(wanted)]


def resumed_config(folder: Path) -> TrainConfig:
    """The config that a run folder was started with; the folder may have been moved."""
    if not (folder / "config.toml").is_file():
        raise ValueError(f"{folder}: is no run folder (no config.toml); give the folder that train made")
    values = fields.read(folder / "config.toml", TrainConfig)
    if fields.is_cut(folder / "config.toml"):
        raise ValueError(
            f"{folder / 'config.toml'}: its end is missing; put the whole file back, or begin a new run from the weights: "
            f"--init-from {folder}"
        )
    absolute = folder.absolute()
    try:
        return TrainConfig(**{**values, "runs": str(absolute.parent), "name": absolute.name})
    except ValueError as error:
        raise ValueError(f"{folder / 'config.toml'}: {error}") from None


def restored(url: str) -> Path:
    """The folder runs/NAME that a backup is copied into; ValueError where that would replace a run, or there is none."""
    folder = Path("runs") / url.rstrip("/").rpartition("/")[2]
    _check_new(folder, resume=False)
    copy = Path(_here(url, by_range=False))
    if not (copy / "last.pt").is_file():
        raise ValueError(f"{urls.shown(url)}: holds no run (no last.pt); give the URL of its --backup")
    for path in (copy / name for name in saving.BACKED_UP):
        if path.is_file():
            with path.open("rb") as source, files.atomic_write(folder / path.name) as file:
                shutil.copyfileobj(source, file)
    return folder


def provenance(command: str) -> dict[str, str]:
    """What made the run: command, versions, commit."""
    here = Path(__file__).parent
    made = {"command": command} if command else {}
    made["versions"] = f"youku {youku.__version__}, torch {torch.__version__}, python {platform.python_version()}"
    ask = ["git", "-C", str(here), "rev-parse", "--short", "HEAD"]
    with suppress(OSError):  # no git
        made |= {"commit": said} if (said := stops.run(ask).stdout.decode().strip()) else {}  # else no clone
    return made
