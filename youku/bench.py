"""How fast this machine is: frames a second of networks, whole predictions, training steps, the disk; and what limits.

Takes about two minutes; a size that is too slow for its share is left out. Untrained weights, stand-in clips in a
temporary folder; nothing is kept. The project's own figures, and their machine, are in benchmarks/RESULTS.md.

    python -m youku bench
    python -m youku bench --device cpu --json > laptop.json
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Sequence

from youku import cli, text_table
from youku.text_table import plural

NUM_SHARES = 24  # things that are timed, about


def make_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("bench", __doc__)
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, mps")
    parser.add_argument("--seconds", type=float, default=60, help="for what is timed, in all (default 60)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    return parser


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
    if args.json:
        figures = [{"what": what, "rate": rate, "unit": unit, "of_bare": share} for what, rate, unit, share in rows]
        print(json.dumps({"machine": machine, "figures": figures, "limits": speed.limits(rows)}, indent=2))
        return 0
    cells = [[what, f"{rate:.3g}", unit, "-" if share is None else f"{share:.0%}"] for what, rate, unit, share in rows]
    print(text_table.lay_out(speed.HEADS, cells))
    print("\n" + "\n".join(speed.limits(rows)))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(make_parser(), _run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
