"""Train a network straight on y4m clip pairs (or picture folders) into runs/NAME.

In: folders of Youku_NNNNN_l.y4m + Youku_NNNNN_h_GT.y4m, or of pictures. Out: config.toml, log.jsonl, last.pt and
best.safetensors. Settings: defaults, then --recipe (a name or a TOML file), then flags. --resume RUN goes on.

    python -m youku train --amp
    python -m youku train --recipe edsr-baseline --data data/clips/train --name edsr --amp
    python -m youku train --resume runs/edsr
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from youku import cli
from youku.training import config as configs
from youku.training import recipe, run

MAY_CHANGE = ("resume", "vgg_weights")  # where a file lies is no setting of the run


def make_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("train", __doc__)
    parser.add_argument("--recipe", help="name in youku/training/recipes, or a TOML file")
    parser.add_argument("--resume", metavar="RUN", help="go on with this run folder; beside it only --vgg-weights")
    configs.add_flags(parser)
    return parser


def _run(args: argparse.Namespace, command: str) -> int:
    if args.resume:
        others = [key for key, value in vars(args).items() if key not in MAY_CHANGE and value is not None]
        if others:
            raise ValueError(
                f"--resume takes its settings from the run; drop --{', --'.join(others)}".replace("_", "-")
            )
        config = run.resumed_config(Path(args.resume))
        if args.vgg_weights is not None:
            config = dataclasses.replace(config, vgg_weights=args.vgg_weights)
    else:
        config = configs.from_flags(args, recipe.read_recipe(args.recipe) if args.recipe else {})
    try:
        outcome = run.start(config, bool(args.resume), command)
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
    if outcome.stopped_early:
        print(f"stopped at step {outcome.step}: no better for {config.early_stop} validations", file=sys.stderr)
    print(config.folder / "best.safetensors")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    command = shlex.join(["python", "-m", "youku", "train", *(sys.argv[1:] if argv is None else argv)])
    return cli.run(make_parser(), lambda args: _run(args, command), argv)


if __name__ == "__main__":
    raise SystemExit(main())
