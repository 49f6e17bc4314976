"""Check predictions against every rule of the contest, then pack them: a folder of y4m -> <name>.zip + manifest.json.

All faults are reported at once and nothing is written while there is one. The zip is flat, deflated and deterministic
(sorted names, fixed times and modes): the same clips and the same zlib give the same bytes. `--check` validates any
zip, also one made by others, without unpacking it to disk. Pictures that look wrong beside their input (too dark, out of
order, planes swapped) are guesses: warned of on stderr, noted in the manifest, and packed all the same.

Rules and guesses: exchange/submission_checks.py.

    python -m youku submit runs/fsrcnn/predictions --name fsrcnn --low data/clips/test --test-set round1-test
    python -m youku submit --check someone.zip --low data/clips/test --test-set round1-test
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from youku import cli, contest, files
from youku.exchange.submission import FaultsError, Verdict, check_submission, make_submission, warnings_of
from youku.exchange.zips import DEFAULT_LEVEL
from youku.inference import records
from youku.text_table import plural


def make_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("submit", __doc__)
    parser.add_argument("predictions", nargs="?", help="folder of predicted clips (Youku_NNNNN_h[_Sub25]_Res.y4m)")
    parser.add_argument("--name", help="name of the submission: its folder and zip")
    parser.add_argument("--low", help="folder of the low-resolution clips of the test set")
    parser.add_argument(
        "--test-set", help="round1-test, round2-testa, round2-testb, val (the clips of --low), ids like 200-249"
    )
    parser.add_argument("--out", default="submissions", help="folder of submissions (default: %(default)s)")
    parser.add_argument(
        "--level", type=int, default=DEFAULT_LEVEL, help="deflate level, 0 stored to 9 smallest (default: %(default)s)"
    )
    parser.add_argument("--check", metavar="ZIP", help="only validate a zip or folder; writes nothing")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(make_parser(), _submit, argv)


def _submit(args: argparse.Namespace) -> int:
    test_set = contest.test_set(args.test_set, args.low) if args.test_set else None
    if args.check:
        if args.predictions or args.name:
            raise cli.UsageError("--check validates only: give --check ZIP without PREDICTIONS and --name")
        return _print_check(args.check, check_submission(args.check, test_set, args.low, progress=True), args.json)
    options = {"PREDICTIONS": args.predictions, "--name": args.name, "--low": args.low, "--test-set": test_set}
    missing = [flag for flag, value in options.items() if value is None]
    if missing:
        raise cli.UsageError(
            f"{', '.join(missing)} not given; to pack: submit PREDICTIONS --name NAME --low FOLDER --test-set SET"
        )
    assert test_set is not None
    files.protect(*(path for name in (args.predictions, args.low) for path in Path(name).glob("*.y4m")))
    model = " and ".join(sorted({records.model_of(path) for path in Path(args.predictions).glob("*.y4m")} - {""}))
    try:
        made = make_submission(args.predictions, args.name, args.low, test_set, args.out, args.level, True, model)
    except FaultsError as error:
        if args.json:
            print(json.dumps({"faults": list(error.faults)}, indent=2))
        raise
    _warn(warnings_of(made))
    if args.json:
        print(json.dumps(made, indent=2))
        return 0
    state = "up to date" if made["up_to_date"] else "written"
    raw_bytes = sum(entry["bytes"] for entry in made["files"])
    cli.show(f"{made['path']}  {state}")
    print(
        f"{plural(len(made['files']), 'file')}, {plural(made['num_frames'], 'frame')}, test set {made['test_set']}, "
        f"{raw_bytes / 1e6:.1f} MB raw, {made['zip']['bytes'] / 1e6:.1f} MB zipped, "
        f"sha256 {made['zip']['sha256'][:16]}..."
    )
    return 0


def _print_check(path: str, verdict: Verdict, as_json: bool) -> int:
    _warn(verdict.warnings)
    if as_json:
        value = {"path": path, "test_set": str(verdict.test_set), "valid": not verdict.faults, "faults": verdict.faults}
        value |= {"warnings": verdict.warnings, "skipped": verdict.skipped}
        value |= {"num_files": len(verdict.clips), "num_frames": verdict.num_frames}
        print(json.dumps(value, indent=2))
        return 1 if verdict.faults else 0
    found = plural(len(verdict.faults), "fault") if verdict.faults else "no fault found"
    cli.show(
        f"{path}: {found}; test set {verdict.test_set}, {plural(len(verdict.clips), 'clip')} read, "
        f"{plural(verdict.num_frames, 'frame')}, {verdict.num_bytes / 1e6:.1f} MB unpacked"
    )
    for fault in verdict.faults:
        cli.show(f"  - {fault}")
    for skipped in verdict.skipped:
        cli.show(f"  not checked: {skipped}")
    if verdict.faults:
        cli.say(f"error: {path} breaks the rules above; mend them and check again")
    return 1 if verdict.faults else 0


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        cli.say(f"warning: {warning}")


if __name__ == "__main__":
    raise SystemExit(main())
