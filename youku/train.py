"""Train a network straight on y4m clip pairs (or picture folders) into runs/NAME.

In: folders of Youku_NNNNN_l.y4m + Youku_NNNNN_h_GT.y4m, or of pictures. Out: config.toml, log.jsonl, last.pt and
best.safetensors. Settings: defaults, then --recipe (a name or a TOML file), then flags. --resume RUN goes on.

    python -m youku train --amp
    python -m youku train --recipe edsr-baseline --data data/clips/train --name edsr --amp
    python -m youku train --resume runs/edsr
"""

from __future__ import annotations

import argparse
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

import youku
from youku import cli, files
from youku.metrics import vmaf
from youku.training import config as configs
from youku.training import trainer
from youku.training.config import TrainConfig
from youku.training.dataset import Pair, PicturePair, find_pairs, split_pairs
from youku.training.trainer import Outcome


def train(config: TrainConfig, resume: bool = False, command: str = "", progress: bool = True) -> Outcome:
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
        files.make_folder(folder)
        with files.atomic_write(folder / "config.toml") as file:
            file.write(configs.to_toml(config, provenance(command)).encode())
    print(
        f"{config.model} x{config.scale}: {len(train_pairs)} pairs to train, {len(val_pairs)} held out", file=sys.stderr
    )
    return trainer.train(config, train_pairs, val_pairs, resume, progress)


def load_pairs(config: TrainConfig) -> tuple[list[Pair], list[Pair]]:
    """(training, validation) pairs as the config says, split by whole clips."""
    files.allow_open_files()
    pairs = find_pairs(config.data, config.scale)
    if config.val_data:
        if {Path(folder).resolve() for folder in config.val_data} & {Path(folder).resolve() for folder in config.data}:
            raise ValueError("--val-data names a folder of --data; a network must not be judged on what it learned")
        return pairs, find_pairs(config.val_data, config.scale)
    return split_pairs(pairs, config.val_clips)


def provenance(command: str) -> dict[str, str]:
    """What made the run: command, versions, commit."""
    here = Path(__file__).parent
    git = subprocess.run(
        ["git", "-C", str(here), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    made = {"command": command} if command else {}
    made["versions"] = f"youku {youku.__version__}, torch {torch.__version__}, python {platform.python_version()}"
    return made | ({"commit": git.stdout.strip()} if git.returncode == 0 else {})


def make_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("train", __doc__)
    parser.add_argument("--recipe", help="name in youku/training/recipes, or a TOML file")
    parser.add_argument("--resume", metavar="RUN", help="go on with this run folder; takes no other flag")
    configs.add_flags(parser)
    return parser


def _run(args: argparse.Namespace, command: str) -> int:
    if args.resume:
        others = [key for key, value in vars(args).items() if key != "resume" and value is not None]
        if others:
            raise ValueError(
                f"--resume takes its settings from the run; drop --{', --'.join(others)}".replace("_", "-")
            )
        config = resumed_config(Path(args.resume))
    else:
        config = configs.from_flags(args, args.recipe)
    try:
        outcome = train(config, bool(args.resume), command)
    except KeyboardInterrupt:
        saved = (config.folder / "last.pt").exists()
        way = f"go on from the last checkpoint with --resume {config.folder}" if saved else "nothing was saved yet"
        print(f"stopped at once; {way}", file=sys.stderr)
        return 130
    if not outcome.finished:
        print(
            f"saved at step {outcome.step}; go on with: python -m youku train --resume {config.folder}", file=sys.stderr
        )
        return 130
    print(config.folder / "best.safetensors")
    return 0


def resumed_config(folder: Path) -> TrainConfig:
    """The config that a run folder was started with; the folder may have been moved."""
    if not (folder / "config.toml").is_file():
        raise ValueError(f"{folder}: is no run folder (no config.toml); give the folder that train made")
    values = configs.read_recipe(str(folder / "config.toml"))
    absolute = folder.absolute()
    return TrainConfig(**{**values, "runs": str(absolute.parent), "name": absolute.name})


def main(argv: Sequence[str] | None = None) -> int:
    command = shlex.join(["python", "-m", "youku", "train", *(sys.argv[1:] if argv is None else argv)])
    return cli.run(make_parser(), lambda args: _run(args, command), argv)


if __name__ == "__main__":
    raise SystemExit(main())
