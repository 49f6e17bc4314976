"""Average the weights of several runs of one network, and keep the mean only where the validation rises (a model soup).

Two or more RUNs (their best weights; weights files too), or one RUN trained with --keep-every (all that it kept) ->
OUT, weights like any other, where the mean beats the best of them on the validation data of the first RUN; else nothing.
Runs that began from the same weights mix well, such as one recipe with several seeds; others mostly do not.

    python -m youku soup runs/a runs/b runs/c --out runs/soup.safetensors
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from youku import cli, files


def make_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("soup", __doc__)
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="run folders of train, or weights files")
    parser.add_argument("--val-run", metavar="RUN", type=Path, help="run whose validation counts (default: the first)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: soup.safetensors in the run that validates")
    return parser


def _run(args: argparse.Namespace) -> int:
    from youku.training import run, soup  # with torch, which --help does without

    judge = args.val_run or next((place for place in args.runs if place.is_dir()), None)
    if judge is None:
        raise cli.UsageError("expected a run whose validation counts: name a run's folder, or give --val-run RUN")
    found = soup.checkpoints(args.runs)
    out = args.out or judge / "soup.safetensors"
    files.protect(*found)
    files.refuse_target(out)
    best, mixed = soup.cook(found, run.resumed_config(judge), cli.say)
    if len(mixed.taken) < 2:
        print(f"no mean rises above {best.taken[0]} ({best.validation}); nothing is written")
        return 0
    soup.write(mixed, out)
    cli.show(f"{out}: mean of {len(mixed.taken)}, {mixed.validation}; the best alone had {best.validation}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(make_parser(), _run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
