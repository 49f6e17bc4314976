"""A submission: predicted clips in a folder or a zip, checked against every rule, packed with its manifest.

Folder or zip -> Verdict: faults where a rule of the contest is broken, warnings where a picture looks wrong
(`submission_checks`). Folder without a fault -> OUT/NAME/NAME.zip and manifest.json. Clips are streamed, never unpacked to disk.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import youku
from youku import cli, contest, files
from youku.contest import TestSet
from youku.exchange import zips
from youku.exchange.submission_checks import Likeness, count_faults, guess_test_set, header_faults, name_faults
from youku.text_table import plural
from youku.video import interpolate, y4m


class FaultsError(ValueError):
    """A submission that breaks rules; `faults` holds one sentence for each."""

    def __init__(self, path: str | Path, faults: Sequence[str]) -> None:
        super().__init__("\n  - ".join([f"{path}: {plural(len(faults), 'fault')}, nothing was written", *faults]))
        self.faults = tuple(faults)


@dataclass(frozen=True)
class Submission:
    """What lies in a folder or zip: file name -> bytes, and name -> what is wrong with it before it is opened."""

    path: Path
    members: dict[str, int]
    wrong: dict[str, str]

    @contextmanager
    def open(self, name: str) -> Iterator[y4m.StreamReader]:
        """Stream one member that is not `wrong`; ValueError naming it when the zip is damaged there."""
        if self.path.is_dir():
            with (self.path / name).open("rb", buffering=1 << 20) as file:
                yield y4m.StreamReader(file, str(self.path / name))
            return
        try:
            with zips.open_zip(self.path) as bundle, zips.open_member(bundle, bundle.getinfo(name)) as member:
                yield y4m.StreamReader(member, name)
        except (zips.DamagedZip, zips.ForeignZip) as error:
            raise ValueError(f"{name}: damaged inside {self.path.name} ({error}); make the zip again") from None


def open_submission(path: str | Path) -> Submission:
    """List a folder (hidden files aside) or a zip; ValueError where it is neither."""
    path = Path(path)
    if path.is_dir():
        found = sorted(item for item in path.iterdir() if not item.name.startswith("."))
        nested = {f"{item.name}/": "a folder inside; the files must lie flat" for item in found if item.is_dir()}
        return Submission(path, {item.name: item.stat().st_size for item in found if not item.is_dir()}, nested)
    if not path.exists():
        raise ValueError(f"{path}: no such zip or folder; check the path, or pack it first: python -m youku submit")
    with zips.open_zip(path) as bundle:
        entries, unsafe = bundle.infolist(), zips.unsafe_members(bundle)
    wrong = {name: f"{fault}; make the zip again" for name, fault in unsafe.items()}
    wrong |= {info.filename: fault for info in entries if info.filename not in wrong and (fault := _form_fault(info))}
    return Submission(
        path, {info.filename: info.file_size for info in entries if not info.filename.endswith("/")}, wrong
    )


def _form_fault(info: zipfile.ZipInfo) -> str:
    """What is no danger, yet unlike the flat deflated zip that the contest takes, else ""."""
    if "/" in info.filename:
        what = "a folder entry" if info.filename.endswith("/") else "lies in a folder"
        return f"{what}; the zip must be flat (zip the files, not their folder)"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"compressed by method {info.compress_type}; expected deflate"
    return ""


@dataclass(frozen=True)
class ClipCheck:
    """What streaming one clip showed; `warnings` are guesses about its pictures and refuse nothing."""

    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    num_frames: int = 0
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class Verdict:
    """What was found in a folder or zip."""

    test_set: TestSet
    container_faults: tuple[str, ...]
    skipped: tuple[str, ...]  # checks that could not be made, and why
    clips: dict[str, ClipCheck]
    num_bytes: int

    @property
    def faults(self) -> tuple[str, ...]:
        """A sentence for each broken rule."""
        return self.container_faults + tuple(fault for clip in self.clips.values() for fault in clip.faults)

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(warning for clip in self.clips.values() for warning in clip.warnings)

    @property
    def num_frames(self) -> int:
        return sum(clip.num_frames for clip in self.clips.values())


def check_submission(
    path: str | Path, test_set: TestSet | None = None, low: str | Path | None = None, progress: bool = False
) -> Verdict:
    """Apply every rule to a folder or zip; without `low` (folder of LR clips) or `test_set` fewer checks are made."""
    submission, skipped = open_submission(path), []
    names = list(submission.members)
    if test_set is None:
        test_set = guess_test_set(names)
        if test_set is None:
            raise ValueError(f"{path}: its names fit no published test set; say which with --test-set (e.g. 200-249)")
        skipped.append(f"the test set: not given, taken as {test_set} from the names")
    if low is None:
        skipped.append("sizes x4, header tokens, plane order and frame order: need --low; frames taken as 100 or 4")
    elif not Path(low).is_dir():
        raise ValueError(f"{low}: expected the folder of the low-resolution clips; check --low")
    clips = _check_clips(submission, test_set, Path(low) if low else None, progress)
    wrong = [f"{name if name.isprintable() else repr(name)}: {fault}" for name, fault in submission.wrong.items()]
    return Verdict(
        test_set, (*wrong, *name_faults(names, test_set)), tuple(skipped), clips, sum(submission.members.values())
    )


def _check_clips(submission: Submission, test_set: TestSet, low: Path | None, progress: bool) -> dict[str, ClipCheck]:
    wanted = {test_set.name(clip_id): clip_id for clip_id in test_set.ids}
    names = [name for name in wanted if name in submission.members and name not in submission.wrong]
    num_frames = sum(len(test_set.frames(wanted[name])) for name in names)
    clips = {}
    with cli.bar(total=num_frames, unit="frame", desc="check", is_shown=progress, leave=False) as bar:
        for done, name in enumerate(names, 1):
            bar.set_postfix_str(f"{done}/{len(names)} {name}")
            clips[name] = _check_clip(submission, name, test_set, wanted[name], low, bar.update)
    return clips


def _check_clip(
    submission: Submission, name: str, test_set: TestSet, clip_id: int, folder: Path | None, on_frame: Callable
) -> ClipCheck:
    """Stream one clip and apply every rule that the `folder` of LR clips (None: fewer rules) makes checkable."""
    try:
        if low := y4m.Clip(folder / contest.low_name(clip_id)) if folder else None:
            low.check()
    except FileNotFoundError:
        return ClipCheck((f"{name}: cannot be compared, {contest.low_name(clip_id)} is missing in {folder}",))
    except y4m.Y4MError as error:
        return ClipCheck((f"{name}: cannot be compared, its input is damaged: {error}",))
    indices = test_set.frames(clip_id, low.num_frames if low else contest.CLIP_FRAMES)
    faults, warnings = list[str](), list[str]()
    num_frames, width, height = 0, 0, 0
    try:
        with submission.open(name) as reader:
            width, height = reader.header.width, reader.header.height
            faults += header_faults(reader.header, low)
            is_comparable = low and reader.header.is_like(interpolate.scaled_header(low.header, contest.SCALE))
            # one line of samples tells nothing
            likeness = Likeness(low) if low and is_comparable and min(low.header.plane_shapes[0]) > 1 else None
            for planes in reader:
                if likeness and num_frames < len(indices):
                    likeness.add(planes, indices[num_frames])
                num_frames += 1
                on_frame()
        warnings += likeness.warnings() if likeness else []
        faults += count_faults(num_frames, indices, low)
    except ValueError as error:
        faults.append(str(error).replace(f"{submission.path}/", "").removeprefix(f"{name}: "))
    named, doubts = (tuple(f"{name}: {sentence}" for sentence in found) for found in (faults, warnings))
    return ClipCheck(named, doubts, num_frames, width, height)


def make_submission(
    predictions: str | Path,
    name: str,
    low: str | Path,
    test_set: TestSet,
    out: str | Path = "submissions",
    level: int = zips.DEFAULT_LEVEL,
    progress: bool = False,
    model: str = "",
) -> dict[str, Any]:
    """Check, then pack OUT/NAME/NAME.zip and manifest.json, which names the `model`; FaultsError on any fault.

    Returns the manifest plus "path" (of the zip) and "up_to_date" (True when nothing had to be written).
    """
    if not re.fullmatch(r"[^\W_][\w.-]*", name):
        raise ValueError(f"--name {name!r}: expected letters, digits, '_', '-' and '.', no space (it names the zip)")
    if not 0 <= level <= 9:
        raise ValueError(f"--level {level}: expected 0 (stored) to 9 (smallest)")
    predictions = Path(predictions)
    if not predictions.is_dir():
        raise ValueError(f"{predictions}: expected a folder of predicted y4m clips; to validate a zip use --check")
    verdict = check_submission(predictions, test_set, low, progress)
    if verdict.faults:
        raise FaultsError(predictions, verdict.faults)
    folder = Path(out) / name
    zip_path, manifest_path = folder / f"{name}.zip", folder / "manifest.json"
    paths = [predictions / file for file in sorted(verdict.clips)]
    about = partial(_manifest, zip_path, paths, verdict, level, model)
    old = files.recall(manifest_path, dict)
    if old and zip_path.is_file() and old == about({path.name: files.sha256(path) for path in paths}):
        return {**old, "path": str(zip_path), "up_to_date": True}
    files.require_free(folder, verdict.num_bytes, "the zip, uncompressed at worst,")
    with cli.bar(total=verdict.num_bytes, unit="B", unit_scale=True, desc="zip", is_shown=progress, leave=False) as bar:
        digests = zips.pack(paths, zip_path, level, bar.update)
    manifest = about(digests)
    files.write_json(manifest_path, manifest)
    return {**manifest, "path": str(zip_path), "up_to_date": False}


def warnings_of(manifest: dict[str, Any]) -> list[str]:
    """What looked wrong in the clips that were packed all the same."""
    return [warning for entry in manifest["files"] for warning in entry.get("warnings", ())]


def _manifest(
    zip_path: Path, paths: Sequence[Path], verdict: Verdict, level: int, model: str, digests: dict[str, str]
) -> dict[str, Any]:
    """Everything that tells what was packed; no time and no path, so that the same input gives the same manifest."""
    entries = []
    for path in paths:
        clip, parsed = verdict.clips[path.name], contest.parse_name(path.name)
        assert parsed is not None
        entry = {
            "file": path.name,
            "id": parsed[0],
            "whole": verdict.test_set.is_whole(parsed[0]),
            "frames": clip.num_frames,
            "width": clip.width,
            "height": clip.height,
            "bytes": path.stat().st_size,
            "sha256": digests[path.name],
        }
        entries.append(entry | ({"warnings": list(clip.warnings)} if clip.warnings else {}))
    return {
        "name": zip_path.stem,
        "test_set": str(verdict.test_set),
        **({"model": model} if model else {}),
        "youku": youku.__version__,
        "settings": {"level": level},
        "zip": {"file": zip_path.name, "bytes": zip_path.stat().st_size, "sha256": files.sha256(zip_path)},
        "num_frames": verdict.num_frames,
        "files": entries,
    }
