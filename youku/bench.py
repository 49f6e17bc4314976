"""How fast this machine is: frames a second of networks, whole predictions, training steps, the disk; and what limits.

Takes about two minutes; a size that is too slow for its share is left out. Untrained weights, stand-in clips in a
temporary folder; nothing is kept. The project's own figures, and their machine, are in benchmarks/RESULTS.md.

    python -m youku bench
    python -m youku bench --device cpu --json > laptop.json
"""

from __future__ import annotations

import argparse
import platform

from youku import cli, text_table
from youku.text_table import plural

NUM_SHARES = 24  # things that are timed, about


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, mps")
    parser.add_argument("--seconds", type=float, default=60, help="for what is timed, in all (default 60)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")


def _run(args: argparse.Namespace) -> int:
    if not 1 <= args.seconds <= 86400:
        raise ValueError(f"--seconds {args.seconds:g}: expected 1 to 86400")
    import torch

    from youku.engines import torch_engine
    from youku.looking import speed

    device = torch_engine.pick_device(args.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else plural(torch.get_num_threads(), "thread")
    machine = f"{platform.system()} {platform.machine()}, {device} ({name}), torch {torch.__version__}"
    cli.say(machine)
    rows = list(cli.watch(speed.measure(device, args.seconds / NUM_SHARES), is_kept=False, unit="figure"))
    figures = [{"what": what, "rate": rate, "unit": unit, "of_bare": share} for what, rate, unit, share in rows]
    cells = [[what, f"{rate:.3g}", unit, "-" if share is None else f"{share:.0%}"] for what, rate, unit, share in rows]
    value = {"machine": machine, "figures": figures, "limits": (limits := speed.limits(rows))}
    cli.answer(args, value, text_table.lay_out(speed.HEADS, cells), "", *limits)
    return 0


main = cli.Verb("bench", __doc__, _add_flags, _run)

if __name__ == "__main__":
    raise SystemExit(main())
