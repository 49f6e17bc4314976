"""Check predictions against every rule of the contest, then pack them: a folder of y4m -> <name>.zip + manifest.json.

All faults are reported at once and nothing is written while there is one. The zip is flat, deflated and deterministic
(sorted names, fixed times and modes): the same clips and the same zlib give the same bytes. `--check` validates any
zip, also one made by others, without unpacking it to disk. Rules and names: `contest`, `submission`.

    python -m youku submit runs/fsrcnn/predictions --name fsrcnn --low data/clips/test --test-set round1-test
    python -m youku submit --check someone.zip --low data/clips/test --test-set round1-test
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import youku
from youku import cli, contest, files
from youku.contest import TestSet
from youku.exchange.submission import ClipCheck, Submission, check_clip, guess_test_set, name_faults, open_submission
from youku.video import y4m

DEFAULT_LEVEL = 6
BLOCK_BYTES = 1 << 20


class FaultsError(ValueError):
    """A submission that breaks rules; `faults` holds one sentence for each."""

    def __init__(self, path: str | Path, faults: Sequence[str]) -> None:
        super().__init__(f"{path}: {_count(len(faults), 'fault')}, nothing was written\n" + _listed(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True)
class Check:
    """The verdict on a folder or zip."""

    test_set: TestSet
    faults: tuple[str, ...]
    skipped: tuple[str, ...]  # checks that could not be made, and why
    clips: dict[str, ClipCheck]
    num_bytes: int


def check_submission(
    path: str | Path,
    test_set: TestSet | None = None,
    low: str | Path | None = None,
    progress: bool = False,
) -> Check:
    """Apply every rule to a folder or zip; without `low` (folder of LR clips) or `test_set` fewer checks are made."""
    submission, skipped = open_submission(path), []
    names = list(submission.members)
    if test_set is None:
        test_set = guess_test_set(names)
        if test_set is None:
            raise ValueError(f"{path}: its names fit no published test set; say which with --test-set (e.g. 200-249)")
        skipped.append(f"the test set: not given, taken as {test_set.first}-{test_set.last} from the names")
    if low is None:
        skipped.append("sizes x4, header tokens, plane order and frame order: need --low; frames taken as 100 or 4")
    elif not Path(low).is_dir():
        raise ValueError(f"{low}: expected the folder of the low-resolution clips; check --low")
    faults = [*submission.faults, *name_faults(names, test_set)]
    clips = _check_clips(submission, test_set, Path(low) if low else None, progress)
    for clip in clips.values():
        faults += clip.faults
    return Check(test_set, tuple(faults), tuple(skipped), clips, sum(submission.members.values()))


def _check_clips(submission: Submission, test_set: TestSet, low: Path | None, progress: bool) -> dict[str, ClipCheck]:
    from tqdm import tqdm

    wanted = {test_set.name(clip_id): clip_id for clip_id in test_set.ids}
    names = [name for name in wanted if name in submission.members and name not in submission.unreadable]
    clips = {}
    with tqdm(unit="frame", desc="check", disable=not progress, leave=False) as bar:
        for done, name in enumerate(names, 1):
            bar.set_postfix_str(f"{done}/{len(names)} {name}")
            try:
                low_clip = y4m.Clip(low / contest.low_name(wanted[name])) if low else None
            except FileNotFoundError:
                fault = f"{name}: cannot be compared, {contest.low_name(wanted[name])} is missing in {low}"
                clips[name] = ClipCheck((fault,), 0, 0, 0)
                continue
            except y4m.Y4MError as error:
                clips[name] = ClipCheck((f"{name}: cannot be compared, its input is damaged: {error}",), 0, 0, 0)
                continue
            clips[name] = check_clip(submission, name, test_set, low_clip, bar.update)
    return clips


def make_submission(
    predictions: str | Path,
    name: str,
    low: str | Path,
    test_set: TestSet,
    out: str | Path = "submissions",
    level: int = DEFAULT_LEVEL,
    progress: bool = False,
) -> dict[str, Any]:
    """Check, then pack OUT/NAME/NAME.zip and manifest.json; FaultsError on any fault.

    Returns the manifest plus "path" (of the zip) and "up_to_date" (True when nothing had to be written).
    """
    if not re.fullmatch(r"[^\W_][\w.-]*", name):
        raise ValueError(f"--name {name!r}: expected letters, digits, '_', '-' and '.', no space (it names the zip)")
    if not 0 <= level <= 9:
        raise ValueError(f"--level {level}: expected 0 (stored) to 9 (smallest)")
    predictions = Path(predictions)
    if not predictions.is_dir():
        raise ValueError(f"{predictions}: expected a folder of predicted y4m clips; to validate a zip use --check")
    check = check_submission(predictions, test_set, low, progress)
    if check.faults:
        raise FaultsError(predictions, check.faults)
    folder = files.make_folder(Path(out) / name)
    zip_path, manifest_path = folder / f"{name}.zip", folder / "manifest.json"
    settings = {"level": level}
    if _is_current(zip_path, manifest_path, predictions, check, settings):
        return {**files.read_json(manifest_path), "path": str(zip_path), "up_to_date": True}
    files.require_free(folder, check.num_bytes, "the zip, uncompressed at worst,")
    digests = write_zip(predictions, sorted(check.clips), zip_path, level, progress)
    manifest = _manifest(name, zip_path, predictions, check, settings, digests)
    files.write_json(manifest_path, manifest)
    return {**manifest, "path": str(zip_path), "up_to_date": False}


def write_zip(
    folder: Path, names: Sequence[str], zip_path: Path, level: int = DEFAULT_LEVEL, progress: bool = False
) -> dict[str, str]:
    """Stream files into a flat deterministic zip that appears whole; returns name -> sha256 of the bytes packed."""
    from tqdm import tqdm

    total = sum((folder / name).stat().st_size for name in names)
    method = zipfile.ZIP_DEFLATED if level else zipfile.ZIP_STORED
    digests = {}
    with files.atomic_path(zip_path) as temporary:
        with (
            tqdm(total=total, unit="B", unit_scale=True, desc="zip", disable=not progress, leave=False) as bar,
            zipfile.ZipFile(temporary, "w", method, compresslevel=level) as archive,
        ):
            for name in names:
                digests[name] = _add(archive, folder / name, bar.update)
        with zipfile.ZipFile(temporary) as archive:
            if damaged := archive.testzip():
                raise ValueError(f"{zip_path}: {damaged} does not read back as written; check the disk and run again")
    return digests


def _add(archive: zipfile.ZipFile, path: Path, on_bytes: Callable[[int], object]) -> str:
    """Pack one file and return its sha256; opened by bare name the entry gets 1980-01-01, whatever the file's time."""
    digest = hashlib.sha256()
    with path.open("rb") as source, archive.open(path.name, "w", force_zip64=path.stat().st_size > 1 << 30) as target:
        while block := source.read(BLOCK_BYTES):
            target.write(block)
            digest.update(block)
            on_bytes(len(block))
    entry = archive.infolist()[-1]  # modes and system are written with the directory, at the end
    entry.create_system, entry.external_attr = 3, 0o100644 << 16
    return digest.hexdigest()


def _manifest(
    name: str, zip_path: Path, folder: Path, check: Check, settings: dict[str, Any], digests: dict[str, str]
) -> dict[str, Any]:
    """Everything that tells what was packed; no time and no path, so that the same input gives the same manifest."""
    entries = []
    for file, clip in sorted(check.clips.items()):
        parsed = contest.parse_name(file)
        assert parsed is not None
        entries.append(
            {
                "file": file,
                "id": parsed[0],
                "whole": check.test_set.is_whole(parsed[0]),
                "frames": clip.num_frames,
                "width": clip.width,
                "height": clip.height,
                "bytes": (folder / file).stat().st_size,
                "sha256": digests[file],
            }
        )
    return {
        "name": name,
        "test_set": f"{check.test_set.first}-{check.test_set.last}",
        "youku": youku.__version__,
        "settings": settings,
        "zip": {"file": zip_path.name, "bytes": zip_path.stat().st_size, "sha256": files.sha256(zip_path)},
        "num_frames": sum(clip.num_frames for clip in check.clips.values()),
        "files": entries,
    }


def _is_current(zip_path: Path, manifest_path: Path, folder: Path, check: Check, settings: dict[str, Any]) -> bool:
    """True when the zip on disk is the one that these predictions would give, by hash."""
    if not (zip_path.is_file() and manifest_path.is_file()):
        return False
    try:
        old = files.read_json(manifest_path)
    except ValueError:  # a damaged manifest is written anew
        return False
    if not isinstance(old, dict) or old.get("zip", {}).get("sha256") != files.sha256(zip_path):
        return False
    digests = {name: files.sha256(folder / name) for name in sorted(check.clips)}
    return bool(old == _manifest(zip_path.name.removesuffix(".zip"), zip_path, folder, check, settings, digests))


def make_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("submit", __doc__)
    parser.add_argument("predictions", nargs="?", help="folder of predicted clips (Youku_NNNNN_h[_Sub25]_Res.y4m)")
    parser.add_argument("--name", help="name of the submission: its folder and zip")
    parser.add_argument("--low", help="folder of the low-resolution clips of the test set")
    parser.add_argument("--test-set", help="round1-test, round2-testa, round2-testb, val, or an id range like 200-249")
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
    test_set = contest.test_set(args.test_set) if args.test_set else None
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
    try:
        made = make_submission(args.predictions, args.name, args.low, test_set, args.out, args.level, progress=True)
    except FaultsError as error:
        if args.json:
            print(json.dumps({"faults": list(error.faults)}, indent=2))
        raise
    if args.json:
        print(json.dumps(made, indent=2))
        return 0
    state = "up to date" if made["up_to_date"] else "written"
    raw_bytes = sum(entry["bytes"] for entry in made["files"])
    print(f"{made['path']}  {state}")
    print(
        f"{_count(len(made['files']), 'file')}, {_count(made['num_frames'], 'frame')}, test set {made['test_set']}, "
        f"{raw_bytes / 1e6:.1f} MB raw, {made['zip']['bytes'] / 1e6:.1f} MB zipped, "
        f"sha256 {made['zip']['sha256'][:16]}..."
    )
    return 0


def _print_check(path: str, check: Check, as_json: bool) -> int:
    num_frames = sum(clip.num_frames for clip in check.clips.values())
    ids = f"{check.test_set.first}-{check.test_set.last}"
    if as_json:
        value = {
            "path": path,
            "test_set": ids,
            "valid": not check.faults,
            "faults": check.faults,
            "skipped": check.skipped,
        }
        print(json.dumps({**value, "num_files": len(check.clips), "num_frames": num_frames}, indent=2))
        return 1 if check.faults else 0
    verdict = _count(len(check.faults), "fault") if check.faults else "no fault found"
    print(
        f"{path}: {verdict}; test set {ids}, {_count(len(check.clips), 'clip')} read, {_count(num_frames, 'frame')}, "
        f"{check.num_bytes / 1e6:.1f} MB unpacked"
    )
    if check.faults:
        print(_listed(check.faults))
    for skipped in check.skipped:
        print(f"  not checked: {skipped}")
    if check.faults:
        print(f"error: {path} breaks the rules above; mend them and check again", file=sys.stderr)
    return 1 if check.faults else 0


def _listed(faults: Sequence[str]) -> str:
    return "\n".join(f"  - {fault}" for fault in faults)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


if __name__ == "__main__":
    raise SystemExit(main())
