"""Draw training curves in the terminal and as a picture: loss, validation, learning rate, speed; runs overlaid.

RUN... (runs/NAME, a log.jsonl, or any text with lines such as `err: 0.0123`) -> plots on stdout, --png FILE. Loss and
speed are means over --stride steps, or as logged where a run logs less often, and of the loss the last --end means are
shown, so that the fall at the start does not flatten the rest (old-film report, appendix B.4). --reference draws a
paper's figure across the PSNR plot.

Run: python -m youku curves runs/fsrcnn runs/edsr --png curves.png
     python -m youku curves runs/vdsr --end 0 --reference 37.53
     python -m youku curves train.txt --pattern 'PSNR (?P<val_psnr>[0-9.]+)'
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from youku import cli, files
from youku.pages import plots, run_logs


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="run folder, log.jsonl or text log")
    add("--stride", type=int, metavar="N", help="least steps in one mean (default: 100, or for 50 means)")
    add("--end", type=int, default=35, metavar="N", help="means of the loss shown; 0 = all (default 35)")
    add("--pattern", help="regular expression for text: a group around the number, named as you like")
    add("--reference", type=float, metavar="DB", help="a line across the PSNR plot, such as 37.53")
    add("--png", metavar="FILE", help="draw the same as a picture (needs matplotlib)")
    add("--json", action="store_true", help="print the averaged points as JSON")


def _run(args: argparse.Namespace) -> int:
    files.protect(*args.runs, *(Path(name) / "log.jsonl" for name in args.runs))
    if args.png:
        plots.check_png(args.png)
    runs = run_logs.read_logs(args.runs, args.pattern)
    found = run_logs.plots_of(runs, args.stride, args.end, args.reference)
    if args.png:
        plots.write_png([run.name for run in runs], found, args.png)
        cli.say(f"wrote {args.png}")
    if args.json:
        print(json.dumps(run_logs.plots_as_json(runs, found, args.reference)))
    else:
        print(run_logs.text_of(runs, found, plain="utf" not in (sys.stdout.encoding or "").lower()))
    return 0


main = cli.Verb("curves", __doc__, _add_flags, _run)

if __name__ == "__main__":
    raise SystemExit(main())
