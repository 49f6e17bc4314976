"""`python -m youku VERB ...`: the verbs in the order data flows, and the list of networks."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

import youku

# verb -> the module below youku that holds its `main`, loaded when it is called; what it does
VERBS = {
    "download": ("download", "fetch the contest's clips, resume, unpack, verify"),
    "degrade": ("degrade", "make contest-shaped pairs from your own video or pictures"),
    "convert": ("convert", "y4m <-> yuv, bmp, png; every 25th frame; videos <-> y4m, pictures"),
    "train": ("train", "train a network on clip pairs"),
    "experiment": ("experiment", "change one thing at a time, train, and print the table"),
    "soup": ("soup", "average the weights of several runs, kept only where validation rises"),
    "predict": ("predict", "enlarge clips and videos with a network"),
    "submit": ("submit", "check every rule, then pack a submission"),
    "score": ("score", "PSNR, SSIM, VMAF and the contest's score, beside bicubic"),
    "curves": ("curves", "training curves of several runs, in the terminal and as a picture"),
    "report": ("report", "one HTML page: totals, curves, before/after pictures"),
    "evaluate": ("evaluate", "PSNR and SSIM of test pictures under each paper's protocol"),
    "export": ("export", "one ONNX file of a network for other programs, checked against torch"),
    "models": ("models.__main__", "the networks: parameters, multiply-adds, reach; one layer by layer"),
    "inspect": ("look", "a clip: statistics, cuts, bars, detail; weights: layers, feature maps"),
    "compare": ("compare", "versions of a clip side by side, as a wipe, with error heat maps"),
    "demo": ("demo", "the whole way on stand-in clips, in under three minutes"),
    "doctor": ("doctor", "check this machine and say what to do"),
    "bench": ("bench", "how fast this machine is at all of it, in two minutes"),
}


def usage() -> str:
    """The verbs, a line each."""
    lines = [f"youku {youku.__version__}: low-resolution clips in, scored submission out", ""]
    lines += ["usage: python -m youku VERB [flags]      python -m youku VERB --help", ""]
    return "\n".join(lines + [f"  {verb:<12}{summary}" for verb, (_, summary) in VERBS.items()])


def main(argv: Sequence[str] | None = None) -> int:
    if argv is None:  # until `stops`, which takes longer to load, hears of them
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _end)
    from youku import cli

    arguments = list(sys.argv[1:] if argv is None else argv)
    return cli.guard(lambda: _run(arguments), "".join(arguments[:1]), is_process=argv is None)


def _end(number: int, frame: object) -> None:
    """A stop before anything was begun."""
    with suppress(OSError):
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        os.write(2, f"\nstopped by {name}; nothing was begun\n".encode())
    os._exit(128 + number)


def _run(arguments: list[str]) -> int:
    if arguments[:1] in ([], ["-h"], ["--help"], ["help"]):
        print(usage())
        return 0 if arguments else 2
    verb = arguments[0]
    if verb in ("-V", "--version"):
        print(youku.__version__)
        return 0
    if verb not in VERBS:
        from youku import text_table

        print(f"error: no verb {verb!r}; {text_table.expected(verb, VERBS)}", file=sys.stderr)
        return 2
    return int(import_module(f"youku.{VERBS[verb][0]}").main(arguments[1:]))


if __name__ == "__main__":
    raise SystemExit(main())
