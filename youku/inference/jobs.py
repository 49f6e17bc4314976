"""A clip or picture to enlarge, and what a user's flags say of it: video options, weights, size.

Names and flags -> Job, VideoOptions; which jobs IN and OUT make: `job_list`.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from youku import contest
from youku.cli import UsageError, option
from youku.engines import shipped
from youku.video import clips, file_names, interpolate, y4m
from youku.video.ffmpeg import DEINTERLACE, Filter
from youku.video.file_names import ClipKind
from youku.video.interpolate import Size


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
        return file_names.is_video(self.target)

    @property
    def to_pictures(self) -> bool:
        return file_names.is_pattern(self.target)

    @property
    def is_picture(self) -> bool:
        """Whether a picture becomes a picture, as RGB."""
        return Path(self.target).suffix.lower() in file_names.PICTURE_SUFFIXES and not self.to_pictures

    @property
    def work_bytes(self) -> float:
        """How much there is to read: of a y4m clip the wanted frames' share, of anything else all of it."""
        size = Path(self.source).stat().st_size
        with suppress(ValueError):  # a damaged clip, which is told when it is read
            if self.frames and file_names.kind_of_source(self.source) is ClipKind.Y4M:
                return size * len(self.frames) / y4m.Clip(self.source).num_frames
        return size


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """How an output that is not y4m is coded and what goes along."""

    codec: str | None = option(None, "of a video output (default x264; vp9 for .webm)", choices=file_names.CODECS)
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
    if not file_names.is_video(target) and (coding or dropping):
        raise UsageError(
            f"{(coding + dropping)[0]} has no effect on y4m output or pictures; name OUT{file_names.WRITABLE_VIDEOS[0]}"
        )
    if dropping and file_names.kind_of_source(source) in (ClipKind.Y4M, ClipKind.STREAM):
        raise UsageError(f"{dropping[0]} has no effect on y4m input, which holds pictures only")
    options = VideoOptions(codec=codec, crf=crf, audio=not no_audio, subtitles=not no_subtitles)
    if file_names.is_video(target):
        from youku.video import encoding

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
    if Path(source).suffix.lower() in file_names.PICTURE_SUFFIXES:
        return shipped.CLEAN, f"{name} is a picture"
    if pictures_of(source):
        return shipped.CLEAN, f"{name or source} holds pictures"
    if Path(source).is_dir():
        return shipped.CODED, f"{name or source} holds video, which mostly was coded before"
    if contest.parse_name(name):
        return shipped.CODED, f"{name} is a clip of the contest, which was coded"
    if source == "-" or file_names.kind_of_source(source) is ClipKind.Y4M:
        return shipped.CODED, f"{'stdin' if source == '-' else name} is video, which mostly was coded before"
    return shipped.CODED, f"{name} is a coded video"


def pictures_of(source: str) -> list[Path]:
    """The pictures that IN names: one, those of a pattern, or of a folder without clips and videos; nothing otherwise."""
    path = Path(source)
    if not path.is_dir():
        is_picture = path.suffix.lower() in file_names.PICTURE_SUFFIXES and path.is_file()
        return [path] if is_picture else file_names.find_pictures(path) if file_names.is_pattern(path) else []
    suffixes = {each.suffix.lower() for each in path.iterdir()}
    if suffixes.intersection(file_names.VIDEO_SUFFIXES) or (path / file_names.PLANE_INDEX).exists():
        return []
    return file_names.find_pictures(path) if suffixes.intersection(file_names.PICTURE_SUFFIXES) else []


def size_and_scale(
    source: str, size: str | None, scale: str | None, frames: str, has_weights: bool
) -> tuple[Size | None, int | None]:
    """The size that --size and --scale ask for, where a network's own factor does not give it, and that factor if known."""
    factor = interpolate.parse_scale(scale) if scale else None
    wanted: Size | None = interpolate.parse_size(size) if size else None
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
    if Path(source).is_file() and pictures_of(source):
        from youku.video import pictures

        height, width = pictures.read_size(source)
        factor = interpolate.factor_of(y4m.make_header(width, height), size)
    elif not isinstance(size, Fraction) and file_names.kind_of_source(source) in (ClipKind.Y4M, ClipKind.VIDEO):
        with clips.open_clip(source) as opened:
            factor = interpolate.factor_of(opened.header, size)
    return next((scale for scale in (2, 3) if scale >= factor), 4)
