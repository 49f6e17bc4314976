"""`python -m youku VERB ...`: the verbs in the order data flows, and the list of networks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import youku

Main = Callable[[Sequence[str] | None], int]


def _download() -> Main:
    from youku.download import main

    return main


def _degrade() -> Main:
    from youku.degrade import main

    return main


def _convert() -> Main:
    from youku.convert import main

    return main


def _train() -> Main:
    from youku.train import main

    return main


def _experiment() -> Main:
    from youku.experiment import main

    return main


def _predict() -> Main:
    from youku.predict import main

    return main


def _submit() -> Main:
    from youku.submit import main

    return main


def _score() -> Main:
    from youku.score import main

    return main


def _curves() -> Main:
    from youku.curves import main

    return main


def _report() -> Main:
    from youku.report import main

    return main


def _evaluate() -> Main:
    from youku.evaluate import main

    return main


def _models() -> Main:
    from youku.models.__main__ import main

    return main


def _inspect() -> Main:
    from youku.look import main

    return main


def _compare() -> Main:
    from youku.compare import main

    return main


def _demo() -> Main:
    from youku.demo import main

    return main


def _doctor() -> Main:
    from youku.doctor import main

    return main


VERBS: dict[str, tuple[str, Callable[[], Main]]] = {
    "download": ("fetch the contest's clips, resume, unpack, verify", _download),
    "degrade": ("make contest-shaped pairs from your own video or pictures", _degrade),
    "convert": ("y4m <-> yuv, bmp, png; every 25th frame; videos <-> y4m, pictures", _convert),
    "train": ("train a network on clip pairs", _train),
    "experiment": ("change one thing at a time, train, and print the table", _experiment),
    "predict": ("enlarge clips and videos with a network", _predict),
    "submit": ("check every rule, then pack a submission", _submit),
    "score": ("PSNR, SSIM, VMAF and the contest's score, beside bicubic", _score),
    "curves": ("training curves of several runs, in the terminal and as a picture", _curves),
    "report": ("one HTML page: totals, curves, before/after pictures", _report),
    "evaluate": ("PSNR and SSIM of test pictures under each paper's protocol", _evaluate),
    "models": ("the networks: parameters, multiply-adds, reach; one layer by layer", _models),
    "inspect": ("a clip: statistics, cuts, bars, detail; weights: layers, feature maps", _inspect),
    "compare": ("versions of a clip side by side, as a wipe, with error heat maps", _compare),
    "demo": ("the whole way on stand-in clips, in under three minutes", _demo),
    "doctor": ("check this machine and say what to do", _doctor),
}


def usage() -> str:
    """The verbs, a line each."""
    lines = [f"youku {youku.__version__}: low-resolution clips in, scored submission out", ""]
    lines += ["usage: python -m youku VERB [flags]      python -m youku VERB --help", ""]
    return "\n".join(lines + [f"  {verb:<10}{summary}" for verb, (summary, _) in VERBS.items()])


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] in ([], ["-h"], ["--help"], ["help"]):
        print(usage())
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        print(youku.__version__)
        return 0
    verb = arguments[0]
    if verb not in VERBS:
        print(f"error: no verb {verb!r}; expected one of {', '.join(VERBS)}", file=sys.stderr)
        return 2
    return VERBS[verb][1]()(arguments[1:])


if __name__ == "__main__":
    raise SystemExit(main())
