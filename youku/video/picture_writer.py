"""Write frames as numbered pictures: bmp and png through RGB, or each plane as a gray png without any loss.

RGB pictures are made by ffmpeg (the organiser's route, byte for byte) or by `color` in float, chroma read at its siting.
They appear under their names only when all of them are written; a `Writer` keeps them until then. A set takes the place
of one that was made there before; pictures that were not are only replaced by name.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np

from youku import files
from youku.text_table import listed, plural
from youku.video import color, ffmpeg, file_names, resize, y4m
from youku.video.segments import Kept, digest_of
from youku.video.y4m import Header, Planes

_log = logging.getLogger(__name__)
NOTE = ".pictures.json"  # of a folder: the digest of every picture that was made there, by its name
MOST_LISTED = 5


def write_by_ffmpeg(pattern: Path, header: Header, frames: Iterable[Planes], force: bool, matrix: str = "601") -> int:
    """Numbered pictures from 1 on, colours by ffmpeg as in `ffmpeg -i x.y4m -vsync 0 x%3d.bmp`; returns how many."""
    # 601 is what ffmpeg takes a y4m for
    names = {"709": "bt709", "2020": "bt2020nc", "240m": "smpte240m", "fcc": "fcc"}
    num_fed = 0

    def feed(stdin: IO[bytes]) -> None:
        nonlocal num_fed
        writer = y4m.Writer(stdin, _plain(header))
        for planes in frames:
            writer.write(planes)
        num_fed = writer.num_frames

    if len(header.plane_shapes) == 1 and not header.is_full_range:  # ffmpeg takes any gray for full range
        frames = ((_full_range(luma, header.depth),) for (luma,) in frames)
    source = {"format": "yuv4mpegpipe"} | ({"colorspace": names[matrix]} if matrix in names else {})
    with _whole_set(pattern, force) as folder:
        escaped = str(folder.absolute()).replace("%", "%%")
        options = {"format": "image2", **ffmpeg.passthrough()}
        line = ffmpeg.build("pipe:0", f"{escaped}/{pattern.name}", source, options)
        with ffmpeg.piped_output(line, str(pattern), feed):
            pass  # to its end
        made = len(list(folder.iterdir()))
        if made != num_fed:
            raise ffmpeg.FFmpegError(
                f"{pattern}: {plural(num_fed, 'frame')} went in, {plural(made, 'picture')} came out"
            )
    return made


def _full_range(luma: np.ndarray, depth: int) -> np.ndarray:
    """Luma (H, W) of 16-235, or that at a greater depth, as codes from 0 to the highest."""
    black, white = 16 << (depth - 8), 235 << (depth - 8)
    return resize.to_integers((luma.astype(np.float32) - black) * (((1 << depth) - 1) / (white - black)), depth)


def _plain(header: Header) -> Header:
    """The tokens that decide how pictures look, which ffmpeg always reads: not mixed fields, nor a line beyond its 128 bytes."""
    tokens = [token for token in header.tokens if token[:1] in "WHFAC" or token.startswith(("XYSCSS=", "XCOLORRANGE="))]
    return Header(header.width, header.height, tuple(tokens))


def write_by_float(pattern: Path, header: Header, frames: Iterable[Planes], force: bool, matrix: str = "601") -> int:
    """Numbered pictures from 1 on, colours by `color.planes_to_rgb` with chroma read at its siting."""
    number = 0
    with _whole_set(pattern, force) as folder:
        for number, planes in enumerate(frames, 1):
            (folder / file_names.name_of(pattern, number)).write_bytes(_coded(planes, header, matrix, pattern.suffix))
    return number


def _coded(planes: Planes, header: Header, matrix: str, suffix: str) -> bytes:
    from PIL import Image

    data = BytesIO()
    rgb = color.planes_to_rgb(planes, header.depth, header.layout, matrix, header.is_full_range)
    Image.fromarray(rgb).save(data, suffix[1:], compress_level=4)  # of PNG: 3 % more than 6, in half of the time
    return data.getvalue()


class Writer:
    """The pictures of `write_by_float`, each kept when it is finished; those of an earlier run are not made again."""

    def __init__(self, pattern: Path, header: Header, matrix: str, kept: Kept) -> None:
        self._kept, self._coded = kept, partial(_coded, header=header, matrix=matrix, suffix=pattern.suffix)
        self.made = kept.resume(kept.batch)
        self.num_kept = len(self.made)

    @property
    def num_frames(self) -> int:
        return len(self.made)

    def write(self, planes: Planes) -> None:
        self.made.append(self._kept.add(self.num_frames, self._coded(planes)))


@contextmanager
def create(pattern: Path, header: Header, matrix: str, kept: Kept | None) -> Iterator[Writer]:
    """Write numbered pictures, which replace those of the same names together when the block ends well."""
    with ExitStack() as stack:
        kept = kept or Kept(stack.enter_context(files.temporary_folder(pattern)), batch=1)
        writer = Writer(pattern, header, matrix, kept)
        yield writer
        folder = stack.enter_context(_whole_set(pattern, force=True))
        for number, path in enumerate(writer.made, 1):
            place = folder / file_names.name_of(pattern, number)
            try:
                os.link(path, place)  # it stays among what is kept until all have their names
            except OSError:  # a file system without links
                shutil.copyfile(path, place)


def write_planes(target: Path, header: Header, frames: Iterable[tuple[Planes, str]], force: bool) -> int:
    """Each plane of each frame as a gray png (16 bit above 8), with the header beside them: nothing is lost."""
    from PIL import Image

    pattern, params = target / "frame%06d.png", []
    with _whole_set(pattern, force) as folder:
        for number, (planes, param) in enumerate(frames, 1):
            for name, plane in zip("yuv", planes, strict=False):
                Image.fromarray(np.ascontiguousarray(plane)).save(folder / f"frame{number:06d}_{name}.png")
            params.append(param)
        files.write_json(folder / file_names.PLANE_INDEX, {"header": list(header.tokens), "frame_params": params})
    return len(params)


@contextmanager
def _whole_set(pattern: Path, force: bool) -> Iterator[Path]:
    """A hidden folder to write into, beside the targets; its files move to their places when the block ends well.

    The old set goes as far as the folder's note knows its pictures; others stay, but where a new one takes their name.
    A hidden mark lies there meanwhile: what a run that was killed then left is a part of a set, and is replaced.
    """
    file_names.check_picture(pattern)
    index, moving = pattern.with_name(file_names.PLANE_INDEX), pattern.with_name(f".{pattern.name[:60]}.moving")
    planes = [*sorted(pattern.parent.glob("frame*_[yuv].png")), index] if index.exists() else []
    old = [*file_names.numbered(pattern).values(), *planes]  # gray planes would be read instead
    if old and not force and not moving.exists():
        raise ValueError(f"{pattern.parent}: already holds {old[0].name}; name another folder, or replace with --force")
    for path in old:
        files.refuse_input(path)
    with files.own_folder(pattern.parent), files.temporary_folder(pattern) as folder:
        yield folder
        made = {path: pattern.parent / path.name for path in sorted(folder.iterdir())}
        if not made:
            raise ValueError(f"{pattern}: nothing to write, the source gave 0 frames")
        files.refuse_input(*made.values())
        note = pattern.with_name(NOTE)
        known = files.recall(note, dict) or {}
        beside = [path for path in old if path not in made.values()]
        foreign = [path for path in beside if path.name not in known or known[path.name] != digest_of(path)]
        moving.touch()
        for path in set(beside) - set(foreign):
            path.unlink()
        known = {name: digest for name, digest in known.items() if note.with_name(name).exists()}
        files.write_json(note, known | {path.name: digest_of(path) for path in made}, durable=False)
        for path, place in made.items():
            path.replace(place)
        moving.unlink()
        if foreign:
            names = listed([path.name for path in foreign], MOST_LISTED)
            _log.warning("%s: %s were not made here and stay; move away what is no part of the set", pattern, names)
