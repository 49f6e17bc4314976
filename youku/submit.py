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
from youku.video import file_names


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("predictions", nargs="?", help="folder of predicted clips (Youku_NNNNN_h[_Sub25]_Res.y4m)")
    add("--name", help="name of the submission: its folder and zip")
    add("--low", help="folder of the low-resolution clips of the test set")
    add("--test-set", help="round1-test, round2-testa, round2-testb, val (the clips of --low), ids like 200-249")
    add("--out", default="submissions", help="folder of submissions (default: %(default)s)")
    add("--level", type=int, default=DEFAULT_LEVEL, help="deflate level, 0 stored to 9 smallest (default: %(default)s)")
    add("--check", metavar="ZIP", help="only validate a zip or folder; writes nothing")
    add("--json", action="store_true", help="print the result as JSON")


def _submit(args: argparse.Namespace) -> int:
    test_set = contest.test_set(args.test_set, args.low) if args.test_set else None
    if args.check:
        if args.predictions or args.name:
            raise cli.UsageError("--check validates only: give --check ZIP without PREDICTIONS and --name")
        return _tell_check(args, check_submission(args.check, test_set, args.low, progress=True))
    options = {"PREDICTIONS": args.predictions, "--name": args.name, "--low": args.low, "--test-set": test_set}
    missing = [flag for flag, value in options.items() if value is None]
    if missing:
        raise cli.UsageError(
            f"{', '.join(missing)} not given; to pack: submit PREDICTIONS --name NAME --low FOLDER --test-set SET"
        )
    assert test_set is not None
    file_names.check_folder(args.out)
    files.protect(*(path for name in (args.predictions, args.low) for path in Path(name).glob("*.y4m")))
    model = " and ".join(sorted({records.model_of(path) for path in Path(args.predictions).glob("*.y4m")} - {""}))
    try:
        made = make_submission(args.predictions, args.name, args.low, test_set, args.out, args.level, True, model)
    except FaultsError as error:
        if args.json:
            print(json.dumps({"faults": list(error.faults)}, indent=2))
        raise
    _warn(warnings_of(made))
    state = "up to date" if made["up_to_date"] else "written"
    raw_bytes = sum(entry["bytes"] for entry in made["files"])
    told = f"{plural(len(made['files']), 'file')}, {plural(made['num_frames'], 'frame')}, test set {made['test_set']}, "
    told += f"{raw_bytes / 1e6:.1f} MB raw, {made['zip']['bytes'] / 1e6:.1f} MB zipped, "
    told += f"sha256 {made['zip']['sha256'][:16]}..."
    cli.answer(args, made, files.printable(f"{made['path']}  {state}", None), told)
    return 0


def _tell_check(args: argparse.Namespace, verdict: Verdict) -> int:
    _warn(verdict.warnings)
    value = {"path": args.check, "test_set": str(verdict.test_set), "valid": not verdict.faults}
    value |= {"faults": verdict.faults, "warnings": verdict.warnings, "skipped": verdict.skipped}
    value |= {"num_files": len(verdict.clips), "num_frames": verdict.num_frames}
    found = plural(len(verdict.faults), "fault") if verdict.faults else "no fault found"
    told = f"{args.check}: {found}; test set {verdict.test_set}, {plural(len(verdict.clips), 'clip')} read, "
    told += f"{plural(verdict.num_frames, 'frame')}, {verdict.num_bytes / 1e6:.1f} MB unpacked"
    lines = [told, *(f"  - {fault}" for fault in verdict.faults)]
    lines += [f"  not checked: {skipped}" for skipped in verdict.skipped]
    cli.answer(args, value, *(files.printable(line, None) for line in lines))
    if verdict.faults and not args.json:
        cli.say(f"error: {args.check} breaks the rules above; mend them and check again")
    return 1 if verdict.faults else 0


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        cli.say(f"warning: {warning}")


main = cli.Verb("submit", __doc__, _add_flags, _submit)

if __name__ == "__main__":
    raise SystemExit(main())
