"""Train a network straight on y4m clip pairs (or picture folders) into runs/NAME.

In: folders of Youku_NNNNN_l.y4m + Youku_NNNNN_h_GT.y4m, or of pictures. Out: config.toml, log.jsonl, last.pt and
last.safetensors (at every save and every stop), best.safetensors. Settings: defaults, then --recipe (a name or a TOML
file), then flags. --resume RUN goes on; RUN may be the URL of a --backup, which is copied into runs/.

    python -m youku train --list
    python -m youku train --recipe edsr-baseline --data data/clips/train --name edsr --amp
    python -m youku train --resume runs/edsr
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shlex
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from youku import cli, files, stops, urls
from youku.engines import half
from youku.text_table import plural
from youku.training import config as configs
from youku.training import fields
from youku.training.config import TrainConfig

if TYPE_CHECKING:
    from youku.training.ranks import Ranks

# first in the help
COMMON = ("data", "name", "model", "scale", "init_from", "steps", "batch", "dtype", "device", "seed")
MAY_CHANGE = ("resume", "vgg_weights", "devices", "list", "words")  # where a file lies is no setting of the run


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--recipe", help="name in youku/training/recipes, or a TOML file")
    add("--list", action="store_true", help="print the recipes, a line each, and end")
    add("--resume", metavar="RUN", help="go on with this run folder; beside it only --vgg-weights and --devices")
    fields.add_flags(parser, TrainConfig, first=COMMON)
    add("--devices", type=int, metavar="N", help="processes, each a GPU or some cores, that share a batch")
    half.add_older_names(parser)


def read_settings(args: argparse.Namespace) -> TrainConfig:
    """The settings of a fresh run, or those of the run to resume."""
    if not args.resume:
        if args.fold and args.val_clips is not None:
            raise cli.UsageError(f"--fold {args.fold} and --val-clips both say what is held out; drop one")
        return configs.from_flags(args, configs.read_recipe(args.recipe) if args.recipe else {})
    from youku.training import run

    config = run.resumed_config(Path(args.resume))
    same = {key for key, value in fields.given(args, TrainConfig).items() if getattr(config, key) == value}
    others = [key for key, value in vars(args).items() if key not in {*MAY_CHANGE, *same} and value is not None]
    if others:
        flags = f"--{', --'.join(others)}".replace("_", "-").replace("--dtype", "--dtype (--amp)")
        raise ValueError(
            f"--resume {args.resume}: goes on with the settings of that run; drop {flags}, or begin another run by --name "
            "(make train NAME=...)"
        )
    return config if args.vgg_weights is None else dataclasses.replace(config, vgg_weights=args.vgg_weights)


def _run(args: argparse.Namespace) -> int:
    if args.list:
        print(configs.recipe_table())
        return 0
    if _is_spoken_for():
        stops.hush()
    from youku.engines import weights  # with torch, which --help does without
    from youku.training import run, saving
    from youku.training.progress import silent
    from youku.training.ranks import is_restart, is_worker

    url, words = args.resume, args.words
    if url:
        args.resume = str(run.restored(url)) if urls.is_url(url) else urls.plain(url)
        words = [args.resume if word == url else word for word in words]
    config, resume = read_settings(args), bool(args.resume)
    if is_restart() and (config.folder / "last.pt").exists():
        config, resume = run.resumed_config(config.folder), True
    files.protect(args.recipe, config.init_from, config.vgg_weights, config.teacher)
    written = ("config.toml", "last.pt", "last.safetensors", "best.safetensors")
    files.refuse_input(*(config.folder / name for name in written))
    stops.keeps(lambda: saving.kept(config.folder))
    if args.devices is not None and not is_worker():
        from youku.training import distributed

        distributed.check(config, args.devices)
        distributed.check_machine(config, args.devices)
        run.load_pairs(config)  # what is wrong with them is said once
        return distributed.launch(words, args.devices, ["--resume", str(config.folder)], cli.say)
    command = shlex.join(["python", "-m", "youku", "train", *words])
    with _joined(config) as ranks:
        say = cli.say if ranks.is_writer else silent
        tell_stop = silent if stops.is_hushed() else say
        try:
            ending = run.start(config, resume, command, say=say, ranks=ranks)
        except KeyboardInterrupt:
            tell_stop(f"stopped at once; {saving.kept(config.folder)}")
            return 130
    if not ending.finished:
        tell_stop(f"stopped at step {ending.step}; {saving.kept(config.folder)}")
        return 128 + ending.stopped_by
    if ending.stopped_early:
        say(f"stopped at step {ending.step}: no better for {plural(config.early_stop, 'validation')}")
    if ranks.is_writer:
        print(weights.find(config.folder))
    return 0


def _is_spoken_for() -> bool:
    """Whether another process tells of a stop: the launcher of --devices, or of those that torchrun started the first."""
    rank, launcher = os.environ.get("RANK", "0"), os.environ.get("TORCHELASTIC_RUN_ID")
    return "WORLD_SIZE" in os.environ and (rank != "0" or launcher == f"youku-{os.getppid()}")


def _joined(config: TrainConfig) -> AbstractContextManager[Ranks]:
    """This process's place among those that train the run."""
    from youku.training import ranks

    if not ranks.is_worker():
        return nullcontext(ranks.ONE_PROCESS)
    from youku.training import distributed

    return distributed.joined(config)


main = cli.Verb("train", __doc__, _add_flags, _run)

if __name__ == "__main__":
    raise SystemExit(main())
