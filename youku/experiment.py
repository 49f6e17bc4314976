"""Run a controlled experiment: a base setting, variants that change one thing each, and a table of results.

In: an experiment of the kit (`--list`) or a TOML file, and pictures or clips. Out: a table on stdout (or --json), the
runs in RUNS/EXPERIMENT/VARIANT. A variant that is finished is not trained again; Ctrl-C and the same command go on.
Any flag of `train` overrides the base of all variants.

    python -m youku experiment l1-against-l2 --data photos/train --val-data photos/test
    python -m youku experiment resizers --data photos/train --val-data photos/test --steps 3000
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence

from youku import cli
from youku.training import config as train_config
from youku.training import experiment as experiments
from youku.training.config import TrainConfig
from youku.training.experiment import Experiment, Row

OWN = ("name", "runs")  # set by the experiment


def run_experiment(experiment: Experiment, settings: dict[str, TrainConfig]) -> list[Row]:
    """Train and test every variant, in order."""
    rows = []
    for number, (variant, config) in enumerate(settings.items(), 1):
        print(f"[{number}/{len(settings)}] {variant}", file=sys.stderr)
        rows.append(experiments.run_variant(config, experiment.variants[variant], experiment.tests))
    return rows


def make_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("experiment", __doc__)
    parser.add_argument("experiment", metavar="EXPERIMENT", nargs="?", help="name, or a TOML file")
    parser.add_argument("--list", action="store_true", help="list the experiments of the kit and what they ask")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    train_config.add_flags(parser)
    return parser


def _run(args: argparse.Namespace) -> int:
    if args.list:
        for name in experiments.names():
            print(f"{name:<22}{experiments.read(name).question}")
        return 0
    if not args.experiment:
        raise cli.UsageError("expected an EXPERIMENT, or --list")
    experiment = experiments.read(args.experiment)
    given = {
        item.name: tuple(value) if isinstance(value, list) else value
        for item in dataclasses.fields(TrainConfig)
        if (value := vars(args)[item.name]) is not None and item.name not in OWN
    }
    rows = run_experiment(experiment, experiments.configs(experiment, args.runs or "runs", given))
    if args.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
    else:
        print(experiments.text(experiment, rows, given))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(make_parser(), _run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
