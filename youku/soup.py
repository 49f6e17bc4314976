"""Average the weights of several runs of one network, and keep the mean only where the validation rises (a model soup).

Two or more RUNs (their best weights; weights files too), or one RUN trained with --keep-every (all that it kept) ->
OUT, weights like any other, where the mean beats the best of them on the validation data of the first RUN; else nothing.
Runs that began from the same weights mix well, such as one recipe with several seeds; others mostly do not.

    python -m youku soup runs/a runs/b runs/c --out runs/soup.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

from youku import cli, files


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folders of train, or weights files")
    parser.add_argument("--val-run", metavar="RUN", help="run whose validation counts (default: the first)")
    parser.add_argument("--out", metavar="FILE", help="default: soup.safetensors in the run that validates")


def _run(args: argparse.Namespace) -> int:
    from youku.training import run, soup  # with torch, which --help does without

    runs = [Path(name) for name in args.runs]
    judge = args.val_run or next((place for place in runs if place.is_dir()), None)
    if judge is None:
        raise cli.UsageError("expected a run whose validation counts: name a run's folder, or give --val-run RUN")
    found = soup.checkpoints(runs)
    out = Path(args.out or Path(judge, "soup.safetensors"))
    files.protect(*found)
    files.refuse_target(out)
    best, mixed = soup.cook(found, run.resumed_config(Path(judge)), cli.say)
    if len(mixed.taken) < 2:
        print(f"no mean rises above {best.taken[0]} ({best.validation}); nothing is written")
        return 0
    soup.write(mixed, out)
    cli.show(f"{out}: mean of {len(mixed.taken)}, {mixed.validation}; the best alone had {best.validation}")
    return 0


main = cli.Verb("soup", __doc__, _add_flags, _run)

if __name__ == "__main__":
    raise SystemExit(main())
