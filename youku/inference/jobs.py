"""What is to be enlarged: one Job a clip, from the names that a user gives; refused before any work where it cannot be.

IN is a clip, a video, a folder of contest clips or "-"; OUT a y4m file, a video, a folder or "-".
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from youku import contest
from youku.cli import UsageError, option
from youku.engines import shipped
from youku.inference import records
from youku.video import clips, encoding, fit, pictures, y4m
from youku.video.clips import ClipKind
from youku.video.ffmpeg import DEINTERLACE, Filter
from youku.video.fit import Size


@dataclass(frozen=True)
class Job:
    """One clip to enlarge; `frames` are the wanted source frames, None for all."""

    source: str
    target: str
    frames: range | None
    deinterlace: str | None = None
    """One of ffmpeg.DEINTERLACE; None refuses interlaced clips."""
    size: Size | None = None
    """What the output shall measure, where that is not the network's own factor."""

    is_part: bool = False
    """Frames of a video output on their way: not turned as the source's tag says, which goes into the video."""

    @property
    def deinterlacer(self) -> Filter | None:
        return DEINTERLACE.get(self.deinterlace or "")

    @property
    def to_video(self) -> bool:
        return encoding.is_video(self.target)

    @property
    def work_bytes(self) -> float:
        """How much there is to read: of a y4m clip the wanted frames' share, of anything else all of it."""
        size = Path(self.source).stat().st_size
        if not self.frames or clips.kind_of_source(self.source) is not ClipKind.Y4M:
            return size
        return size * len(self.frames) / y4m.Clip(self.source).num_frames


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """How an output that is not y4m is coded and what goes along."""

    codec: str | None = option(None, "of a video output (default x264; vp9 for .webm)", choices=encoding.CODECS)
    crf: int | None = option(
        None,
        "quality of a video output, smaller is better and larger (default x264 18, x265 20, vp9 24)",
        type=int,
    )
    audio: bool = True
    subtitles: bool = True


def video_options(
    source: str, target: str, codec: str | None, crf: int | None, no_audio: bool, no_subtitles: bool
) -> VideoOptions:
    """What the flags of a video output say; UsageError for one that has no effect."""
    coding = [flag for flag, given in (("--codec", codec), ("--crf", crf)) if given is not None]
    dropping = [flag for flag, given in (("--no-audio", no_audio), ("--no-subtitles", no_subtitles)) if given]
    if not encoding.is_video(target) and (coding or dropping):
        raise UsageError(f"{(coding + dropping)[0]} has no effect on y4m output; name OUT{encoding.SUFFIXES[0]}")
    if dropping and clips.kind_of_source(source) in (ClipKind.Y4M, ClipKind.STREAM):
        raise UsageError(f"{dropping[0]} has no effect on y4m input, which holds pictures only")
    options = VideoOptions(codec=codec, crf=crf, audio=not no_audio, subtitles=not no_subtitles)
    if encoding.is_video(target):
        encoding.default_encoding(target, options.codec, options.crf)
    return options


def filters_of(job: Job, tell: Callable[[str], object]) -> tuple[Filter, ...]:
    """What FFmpeg does to the frames first; a line says where they are not marked as what it is meant for."""
    if job.deinterlacer is None:
        return ()
    with clips.open_clip(job.source) as opened:
        if not opened.header.is_interlaced:
            does = "changes it all the same; leave that out where no frame shows combs"
            if job.deinterlace == "frame":
                does = "leaves such frames as they are; where they show combs, add --deinterlace all"
            tell(
                f"{job.source}: its first frame is not marked as interlaced, and --deinterlace {job.deinterlace} {does}"
            )
    return (job.deinterlacer,)


def parse_sharpen(text: str) -> tuple[float, float]:
    """Parse "SIGMA,AMOUNT"."""
    try:
        sigma_px, amount = (float(part) for part in text.split(","))
    except ValueError:
        raise ArgumentTypeError(f"expected SIGMA,AMOUNT such as 1.5,0.5, got {text!r}") from None
    if not (0 < sigma_px <= 20 and -5 <= amount <= 5):
        raise ArgumentTypeError(f"sigma must be in (0, 20] and amount in [-5, 5], got {text!r}")
    return sigma_px, amount


def choose_weights(
    source: str | None, has_weights: bool, model: str | None, scale: int | None, quality: str | None, kind: str | None
) -> tuple[Path | None, str]:
    """The kit's own weights for IN (None: test pictures), which and why; nothing where others are given or it has none.

    `quality` is of shipped.QUALITIES, `kind` of shipped.INPUTS or "auto"; UsageError where they have no effect.
    """
    named = (model,) if model else shipped.QUALITIES[quality or shipped.DEFAULT]
    taken = None if has_weights else shipped.find(named, scale or 4)
    for flag, given in (("--quality", quality), ("--input", kind)):
        if given and (has_weights or taken is None or (model and flag == "--quality")):
            raise UsageError(
                f"{flag} chooses among the kit's own networks; drop it or --{'weights' if has_weights else 'model'}"
            )
    if taken is None:
        return None, ""
    wanted, reason = kind_of_input(source) if kind in (None, "auto") else (kind, "--input")
    taken = shipped.find((taken.model,), taken.scale, wanted) or taken
    return taken.path, f"; {shipped.why(taken, None if model else quality or shipped.DEFAULT, wanted, reason)}"


def kind_of_input(source: str | None) -> tuple[str, str]:
    """(one of shipped.INPUTS, why) of what IN names: clips were nearly always coded before, pictures mostly not."""
    if source is None:
        return shipped.CLEAN, "test pictures were shrunk, not coded"
    name = Path(source).name
    if Path(source).suffix.lower() in pictures.SUFFIXES:
        return shipped.CLEAN, f"{name} is a picture"
    if Path(source).is_dir():
        return shipped.CODED, f"{name or source} holds video, which mostly was coded before"
    if contest.parse_name(name):
        return shipped.CODED, f"{name} is a clip of the contest, which was coded"
    if source == "-" or clips.kind_of_source(source) is ClipKind.Y4M:
        return shipped.CODED, f"{'stdin' if source == '-' else name} is video, which mostly was coded before"
    return shipped.CODED, f"{name} is a coded video"


def size_and_scale(
    source: str, size: str | None, scale: str | None, frames: str, has_weights: bool
) -> tuple[Size | None, int | None]:
    """The size that --size and --scale ask for, where a network's own factor does not give it, and that factor if known."""
    factor = fit.parse_scale(scale) if scale else None
    wanted: Size | None = fit.parse_size(size) if size else None
    if factor is not None and factor.denominator > 1:
        if wanted is not None:
            raise UsageError(f"--scale {scale} and --size {size} both say how large; give one")
        wanted, factor = factor, None
    if wanted is not None and frames == "scored":
        raise UsageError("--frames scored makes contest clips, x4 exactly; drop --size and --scale")
    if wanted is None or factor is not None or has_weights:
        return wanted, None if factor is None else int(factor)
    return wanted, network_scale(source, wanted)


def network_scale(source: str, size: Size) -> int:
    """The smallest factor of the kit's networks that reaches a size, by the size of a clip or video; 4 where it does not tell."""
    factor = size if isinstance(size, Fraction) else Fraction(4)
    if not isinstance(size, Fraction) and clips.kind_of_source(source) in (ClipKind.Y4M, ClipKind.VIDEO):
        with clips.open_clip(source) as opened:
            factor = fit.factor_of(opened.header, size)
    return next((scale for scale in (2, 3) if scale >= factor), 4)


def list_jobs(source: str, target: str, frames: str, test_set: str, label: str) -> list[Job]:
    """One job a clip; for a folder of the contest, named as it asks ("scored") or all as whole results ("all").
    Of a folder without clips of the contest every clip and video is taken.

    `label` ends the name of an output that is given as a folder. ValueError for an output that is its own input.
    """
    is_folder = Path(source).is_dir()
    jobs = (
        _folder_jobs(source, target, frames, test_set, label)
        if is_folder
        else [_file_job(source, target, frames, test_set, label)]
    )
    sources: dict[str, str] = {}
    for job in jobs:
        if (other := sources.setdefault(job.target, job.source)) != job.source:
            raise ValueError(f"{other} and {job.source} would both become {job.target}; rename one of them")
        if job.target != "-":
            records.record_of(job.target)
            if Path(job.target).exists() and job.source != "-" and Path(job.target).samefile(job.source):
                raise ValueError(f"{job.target}: is the input itself; choose another output name")
    return jobs


def _file_job(source: str, target: str, frames: str, test_set: str, label: str) -> Job:
    if source != "-" and not Path(source).is_file():
        raise ValueError(f"{source}: no such clip, video or folder; check the path")
    if Path(target).is_dir() or target.endswith("/"):
        target = str(Path(target) / f"{Path(source).stem}_{label}.y4m")
    if target != "-" and Path(target).suffix.lower() != ".y4m" and not encoding.is_video(target):
        path, picture = Path(target).with_suffix(".y4m"), ""
        if Path(target).suffix.lower() in pictures.SUFFIXES:
            picture = f"; a picture comes of `predict IN {path}`, then `convert {path} {path.with_suffix('')}/`"
        names = ", OUT".join((".y4m", *encoding.SUFFIXES))
        raise ValueError(f"{target}: expected OUT{names}, a folder ending in /, or - for stdout{picture}")
    if frames == "scored" and encoding.is_video(target):
        raise ValueError(f"{target}: --frames scored makes contest clips; name OUT.y4m")
    known = contest.parse_name(Path(source).name)
    return Job(source, target, _wanted(frames, test_set, known[0] if known else None, source))


def _folder_jobs(folder: str, target: str, frames: str, test_set: str, label: str) -> list[Job]:
    is_file = Path(target).suffix.lower() in (".y4m", *encoding.SUFFIXES) and not Path(target).is_dir()
    if target == "-" or is_file or Path(target).is_file():
        raise ValueError(f"{target}: {folder} is a folder, so the output must be a folder too")
    named = {path: contest.parse_name(path.name) for path in sorted(Path(folder).iterdir())}
    lows = {name[0]: path for path, name in named.items() if name and path.name == contest.low_name(name[0])}
    ids = contest.test_set(test_set, folder)
    if frames == "scored":
        lows = {clip_id: path for clip_id, path in lows.items() if clip_id in ids.ids}
    films = [path for path in named if path.suffix.lower() in clips.VIDEO_SUFFIXES and path.is_file()]
    if frames == "scored" or any(named.values()):  # a folder of the contest holds its clips alone
        films = []
    if films and Path(target).resolve() == Path(folder).resolve():
        raise ValueError(
            f"{target}: is the folder of the clips itself, whose outputs would be clips too; choose another"
        )
    if not lows and not films:
        raise ValueError(f"{folder}: expected clips named {contest.low_name(0)}, or videos, found none to predict")
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
        return ids.frames(clip_id, y4m.Clip(source).num_frames)
    first, _, last = frames.partition("-")
    if not first.isdigit() or (last and not last.isdigit()) or int(last or first) < int(first):
        raise ValueError(f"--frames {frames}: expected all, scored, a frame number, or FIRST-LAST")
    return range(int(first), int(last or first) + 1)
