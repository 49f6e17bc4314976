"""What a teacher makes of the training data, made once and kept: the network learns from it beside the truth, or instead.

`--teacher` is weights of any network, or a folder of pictures that one has made. Pairs -> the same with the teacher's
output, as pictures or clips of the high resolution. A network's outputs are kept in the cache under the content of the
weights and of what they were made from, so a second run reads them. A folder holds SET/NAME.* for DATA/SET/NAME.*, or
NAME.*; gray ones are luma (BT.601 studio). Where a folder has none for a picture, the truth stands in.
Source: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network"; of pixels: He et al. 2020, FAKD.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from youku import cli, files
from youku.engines import weights
from youku.engines.network import Network
from youku.engines.torch_engine import pick_device
from youku.inference import pipeline, still
from youku.models import spec_of
from youku.text_table import plural
from youku.training.config import TrainConfig
from youku.training.pairs import ClipPair, Pair, store_of
from youku.training.picture_pair import PicturePair, PictureStore
from youku.training.progress import Say
from youku.video import file_names, interpolate, pictures, resize, y4m
from youku.video.y4m import Clip


def with_taught(config: TrainConfig, pairs: Sequence[Pair], say: Say, progress: bool = False) -> list[Pair]:
    """The training pairs with what `config.teacher` makes of them, and pairs out of pictures without a truth.

    ValueError where the teacher is of another scale, or makes no colours for a network that has some.
    """
    if spec_of(config.model, config.scale).memory and any(isinstance(pair, PicturePair) for pair in pairs):
        raise ValueError(
            f"--teacher: a camera moves over pictures for {config.model}, so that no output can be kept; give clips, or "
            "a network without memory"
        )
    if config.unlabelled and any(isinstance(pair, ClipPair) for pair in pairs):
        raise ValueError(
            f"--unlabelled: is for pictures, and --data has clips ({pairs[0].source}); train on one kind alone"
        )
    given = Path(config.teacher)
    if given.is_dir() and not any(given.glob("*.safetensors")):
        return _from_folder(config, given, pairs, say)
    teacher = _load(config)
    known = files.sha256(teacher.path) if teacher.path else teacher.spec.name
    lows = [path for folder in config.unlabelled for path in file_names.find_pictures(folder)]
    say(
        f"teacher {teacher.spec.name} x{teacher.scale}: outputs of {plural(len(pairs) + len(lows), 'input')}, made where not kept"
    )
    store = store_of(pairs) or PictureStore()
    jobs: list[Callable[[], Pair]] = [partial(_taught, pair, config, teacher, known) for pair in pairs]
    jobs += [partial(_instead_of_truth, path, teacher, known, store) for path in lows]
    return [job() for job in cli.bar(jobs, desc="teacher", unit="input", is_shown=progress)]


def _load(config: TrainConfig) -> Network:
    try:
        teacher = weights.load(config.teacher, None, config.all_scales[0], pick_device(config.device))
    except ValueError as error:
        raise ValueError(f"--teacher {error}") from None
    wanted = spec_of(config.model, config.scale).colours
    if teacher.spec.channels < wanted.channels:
        raise ValueError(
            f"--teacher {config.teacher}: {teacher.spec.name} makes {teacher.spec.colours.name}, {config.model} learns "
            f"{wanted.name}; give a teacher of {wanted.name}"
        )
    return teacher


def _place(source: Path, parts: Sequence[str], suffix: str) -> Path:
    """Where the cache has what was made of a file's content and of those parts."""
    key = hashlib.sha256("\n".join([files.sha256(source), *parts]).encode()).hexdigest()
    return files.cache_folder("teacher") / f"{source.stem[:40]}-{key[:32]}{suffix}"


def _taught(pair: Pair, config: TrainConfig, teacher: Network, known: str) -> Pair:
    if isinstance(pair, ClipPair):
        place = _place(pair.source, [known, str(teacher.scale)], ".y4m")
        if not place.exists():
            header = interpolate.scaled_header(pair.low.header, teacher.scale)
            files.make_folder(place.parent)
            files.require_free(place.parent, pair.num_frames * header.frame_bytes, f"{place.name} of {pair.name}")
            with y4m.create(place, header) as writer:
                for planes in pipeline.upscale_frames(teacher, pair.low.header, pair.low, pipeline.Options()):
                    writer.write(planes)
        return replace(pair, taught=Clip(place))
    made = []
    for resizer in ("",) if pair.low_path else config.resizers:
        own = files.sha256(pair.low_path) if pair.low_path else f"{resizer} {pair.zoom!r}"
        is_luma = spec_of(config.model, teacher.scale).channels == 1
        place = _place(pair.source, [known, str(teacher.scale), own, str(is_luma)], ".png")
        if not place.exists():
            _enlarge(pair.store.pictures(pair, resizer)[0], teacher, place, is_luma)
        made.append((resizer, place))
    return replace(pair, taught=tuple(made))


def _instead_of_truth(path: Path, teacher: Network, known: str, store: PictureStore) -> PicturePair:
    """A pair of a low-resolution picture and the teacher's output."""
    place = _place(path, [known, str(teacher.scale), "low"], ".png")
    if not place.exists():
        _enlarge(pictures.read_rgb(path), teacher, place)
    return PicturePair(place, teacher.scale, path, store=store)


def _enlarge(low: np.ndarray, teacher: Network, place: Path, is_luma: bool = False) -> None:
    """Write the teacher's picture, or its luma as a gray one: RGB clips what of luma has no colour."""
    from PIL import Image

    with torch.inference_mode():
        made = still.enlarge(teacher, low, pipeline.Options())
    codes = resize.to_integers(made.luma) if is_luma else made.rgb
    assert codes is not None  # of a picture that has colours
    files.make_folder(place.parent)
    with files.atomic_path(place) as temporary:
        Image.fromarray(codes).save(temporary, format="PNG")


def _from_folder(config: TrainConfig, folder: Path, pairs: Sequence[Pair], say: Say) -> list[Pair]:
    if config.unlabelled:
        raise ValueError(f"--unlabelled: needs weights as --teacher, {folder} is a folder of pictures")
    pictured = [pair for pair in pairs if isinstance(pair, PicturePair) and pair.zoom == 1]
    if len(pictured) < len(pairs) or config.resizers != type(config).resizers:
        raise ValueError(
            f"--teacher {folder}: its pictures are for pictures at their own size, shrunk by matlab-bicubic; give weights "
            "as the teacher of clips, and with --rescale or --resizers"
        )
    taught: list[Pair] = []
    for pair in pictured:
        found = _picture_of(folder, pair.path)
        if found is None:
            taught.append(pair)
            continue
        height, width = (pair.scale * side for side in pair.size)
        if pictures.read_size(found) != (height, width):
            got = "x".join(map(str, reversed(pictures.read_size(found))))
            raise ValueError(f"--teacher {found}: expected {width}x{height} for {pair.path}, got {got}; check --scale")
        taught.append(replace(pair, taught=(("" if pair.low_path else config.resizers[0], found),)))
    num_found = sum(bool(pair.taught) for pair in taught)
    if not num_found:
        raise ValueError(
            f"--teacher {folder}: holds no picture named as one of the {len(pairs)} to train on, expected such as "
            f"{pairs[0].source.parent.name}/{pairs[0].source.stem}.png; name weights, or the folder of its sets"
        )
    say(f"teacher {folder}: has {num_found} of {plural(len(pairs), 'picture')}, of the others the truth stands in")
    return taught


def _picture_of(folder: Path, path: Path) -> Path | None:
    names = [f"{path.stem}{suffix}" for suffix in file_names.PICTURE_SUFFIXES]
    places = (place / name for place in (folder / path.parent.name, folder) for name in names)
    return next(filter(Path.is_file, places), None)
