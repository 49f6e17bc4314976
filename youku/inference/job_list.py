"""What is to be enlarged: one Job a clip or picture, from the names that a user gives; refused before any work.

IN is a clip, a video, a folder of contest clips, of any clips or of pictures, a picture, or "-"; OUT a y4m file, a video,
numbered pictures (out/%06d.png), a picture, a folder or "-".
"""

from __future__ import annotations

from pathlib import Path

from youku import contest
from youku.cli import UsageError
from youku.inference import records
from youku.inference.jobs import Job, pictures_of
from youku.video import file_names, y4m


def list_jobs(source: str, target: str, frames: str, test_set: str, label: str) -> list[Job]:
    """One job a clip; for a folder of the contest, named as it asks ("scored") or all as whole results ("all").
    Of a folder without clips of the contest every clip and video is taken, and where there is none every picture.

    `label` ends the name of an output that is given as a folder. ValueError for an output that is its own input.
    """
    jobs = _picture_jobs(source, target, label)
    if jobs and frames != "all":
        raise UsageError("--frames chooses those of a clip; drop it for pictures")
    if not jobs and Path(source).is_dir():
        jobs = _folder_jobs(source, target, frames, test_set, label)
    elif not jobs:
        jobs = [_file_job(source, target, frames, test_set, label)]
    sources: dict[str, str] = {}
    for job in jobs:
        if (other := sources.setdefault(job.target, job.source)) != job.source:
            raise ValueError(f"{other} and {job.source} would both become {job.target}; rename one of them")
        if job.target != "-":
            records.record_of(job.target)
            if Path(job.target).exists() and job.source != "-" and Path(job.target).samefile(job.source):
                raise ValueError(f"{job.target}: is the input itself; choose another output name")
    return jobs


def _picture_jobs(source: str, target: str, label: str) -> list[Job]:
    """A picture of each picture: in a folder, numbered from 1 on by a pattern, or the one that is named.

    Nothing where IN names none, or one that becomes a clip or video.
    """
    found, path, is_one = pictures_of(source), Path(target), Path(source).is_file()
    if not found or (is_one and path.suffix.lower() not in file_names.PICTURE_SUFFIXES and not _is_folder(target)):
        return []
    if path.suffix.lower() in file_names.PICTURE_SUFFIXES and not path.is_dir():
        file_names.check_picture(path, is_numbered=not is_one or file_names.is_pattern(path))
        names = [path.with_name(file_names.name_of(path, number)) for number in range(1, len(found) + 1)]
    elif _is_file(target):
        raise ValueError(
            f"{target}: pictures become pictures; name a folder or out/%06d.png, or `convert` them to y4m first"
        )
    else:
        names = [path / f"{each.stem}_{label}.png" for each in found]
    if path.resolve() == Path(source).resolve() and not is_one:
        raise ValueError(
            f"{target}: is the folder of the pictures itself, where outputs would be inputs; choose another"
        )
    return [Job(str(each), str(name), None) for each, name in zip(found, names, strict=True)]


def _is_folder(target: str) -> bool:
    return Path(target).is_dir() or target.endswith("/")


def _is_file(target: str) -> bool:
    """Whether OUT cannot be a folder, be it there or not."""
    is_named = Path(target).suffix.lower() in (".y4m", *file_names.WRITABLE_VIDEOS) and not Path(target).is_dir()
    return target == "-" or is_named or Path(target).is_file()


def _file_job(source: str, target: str, frames: str, test_set: str, label: str) -> Job:
    if source != "-" and not Path(source).is_file():
        clips = ", or bring clips there: make pairs FROM=..., or make download" if frames == "scored" else ""
        raise ValueError(f"{source}: no such file or folder; check the path{clips}")
    if _is_folder(target):
        target = str(Path(target) / f"{Path(source).stem}_{label}.y4m")
    suffix = Path(target).suffix.lower()
    if suffix in file_names.PICTURE_SUFFIXES:
        file_names.check_picture(Path(target), is_numbered=True)
    elif target != "-" and suffix != ".y4m" and not file_names.is_video(target):
        names = ", OUT".join((".y4m", *file_names.WRITABLE_VIDEOS, "%06d.png"))
        raise ValueError(f"{target}: expected OUT{names}, a folder ending in /, or - for stdout")
    if frames == "scored" and target != "-" and suffix != ".y4m":
        raise ValueError(f"{target}: --frames scored makes contest clips; name OUT.y4m")
    known = contest.parse_name(Path(source).name)
    return Job(source, target, _wanted(frames, test_set, known[0] if known else None, source))


def _folder_jobs(folder: str, target: str, frames: str, test_set: str, label: str) -> list[Job]:
    if _is_file(target):
        raise ValueError(f"{target}: {folder} is a folder, so the output must be a folder too")
    named = {path: contest.parse_name(path.name) for path in sorted(Path(folder).iterdir())}
    lows = {name[0]: path for path, name in named.items() if name and path.name == contest.low_name(name[0])}
    ids = contest.test_set(test_set, folder)
    if frames == "scored":
        lows = {clip_id: path for clip_id, path in lows.items() if clip_id in ids.ids}
    films = [path for path in named if path.suffix.lower() in file_names.VIDEO_SUFFIXES and path.is_file()]
    if frames == "scored" or any(named.values()):  # a folder of the contest holds its clips alone
        films = []
    if films and Path(target).resolve() == Path(folder).resolve():
        raise ValueError(
            f"{target}: is the folder of the clips itself, whose outputs would be clips too; choose another"
        )
    if not lows and not films:
        raise ValueError(
            f"{folder}: expected clips named {contest.low_name(0)}, videos or pictures, found none to predict"
        )
    jobs = [_file_job(str(path), f"{target}/", frames, test_set, label) for path in films]
    for clip_id, path in lows.items():
        if not path.is_file():  # a pipe would be waited for, maybe forever
            raise ValueError(f"{path}: expected a clip, found none, or no file; check the path")
        result = ids.name(clip_id) if frames == "scored" else contest.result_name(clip_id, True)
        jobs.append(Job(str(path), str(Path(target) / result), _wanted(frames, test_set, clip_id, str(path))))
    return jobs


def _wanted(frames: str, test_set: str, clip_id: int | None, source: str) -> range | None:
    """Frame indices for "all" (None), "scored", "N" or "FIRST-LAST"."""
    if frames == "all":
        return None
    if frames == "scored":
        ids = contest.test_set(test_set, Path(source).parent)
        if clip_id is None or clip_id not in ids.ids:
            raise ValueError(f"{source}: --frames scored needs a contest clip of {test_set}; use --frames all")
        try:
            return ids.frames(clip_id, y4m.Clip(source).num_frames)
        except y4m.Y4MError:  # a damaged clip, which is told when its turn comes
            return None
    first, _, last = frames.partition("-")
    if not first.isdigit() or (last and not last.isdigit()) or int(last or first) < int(first):
        raise ValueError(f"--frames {frames}: expected all, scored, a frame number, or FIRST-LAST")
    return range(int(first), int(last or first) + 1)
