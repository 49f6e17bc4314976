"""Run a controlled experiment: a base setting, variants that change one thing each, and a table of results.

In: an experiment of the kit (`--list`) or a TOML file, and pictures or clips. Out: a table on stdout (or --json), the
runs in RUNS/EXPERIMENT/VARIANT. A variant that is finished is not trained again; Ctrl-C and the same command go on.
A flag of `train` overrides the base of all variants; what is not given is as the experiment's file says, or as in `train`.

    python -m youku experiment l1-against-l2 --data photos/train --val-data photos/test
    python -m youku experiment resizers --data photos/train --val-data photos/test --steps 3000
"""

from __future__ import annotations

import argparse
import dataclasses

from youku import cli, files
from youku.training import fields
from youku.training.config import TrainConfig

COMMON = ("runs", "data", "val_data", "steps", "device", "seed")  # first in the help


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", metavar="EXPERIMENT", nargs="?", help="name, or a TOML file")
    parser.add_argument("--list", action="store_true", help="list the experiments of the kit and what they ask")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    fields.add_flags(parser, TrainConfig, COMMON, but=["name"], others=True)


def _run(args: argparse.Namespace) -> int:
    from youku.training import experiment as experiments  # with torch, which --help does without

    if args.list:
        for name in experiments.names():
            print(f"{name:<22}{experiments.read(name).question}")
        return 0
    if not args.experiment:
        raise cli.UsageError("expected an EXPERIMENT, or --list")
    experiment = experiments.read(args.experiment)
    files.protect(args.experiment)
    given = fields.given(args, TrainConfig)
    settings = experiments.configs(experiment, given.pop("runs", TrainConfig.runs), given)
    variants = experiments.run_all(experiment, settings, cli.say)
    rows = [dataclasses.asdict(variant) for variant in variants]
    cli.answer(args, rows, experiments.text(experiment, variants, given))
    return 0


main = cli.Verb("experiment", __doc__, _add_flags, _run)

if __name__ == "__main__":
    raise SystemExit(main())
