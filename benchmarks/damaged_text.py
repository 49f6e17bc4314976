"""Kinds of `fuzz`: settings in TOML, scores, logs and the kit's own JSON."""

from __future__ import annotations

import hashlib
import json
import shutil
import tomllib
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from benchmarks.damage import Kind, collected, damage_tree, named, put, scramble
from benchmarks.damaged_weights import CONFIG
from youku import contest, files, report
from youku.exchange import archive, fetch, leaderboard
from youku.exchange.objects import Revision
from youku.inference import records
from youku.pages import run_logs
from youku.training import config, experiment, fields, progress, run
from youku.video import file_names, manifest, pair_folder, pictures, segments, y4m

TOML = (
    "1e999", "nan", "inf", "-1", "9" * 5000, "0x1p3", "1979-05-27", "true", '""', '"\\u0000"', '"\\ud800"', "[" * 9999,
    '"' + "x" * 9999 + '"', "{a = " * 9999, "[1, 'a']", "[['a']]", "{a = 1}", '"a', "'''", "9223372036854775808", '"1,2,3"',
    "[]", "a.b", "",
)  # fmt: skip
NO_TREE = ("[" * 200_000, '{"a": ' * 200_000, "9" * 5000, "1e999", '"a": ', "-", '"\\ud800"')  # put into JSON
HEADER = y4m.make_header(8, 6)
FRAMES = [tuple(np.full(shape, 9 * index, np.uint8) for shape in HEADER.plane_shapes) for index in range(2)]
CODED = [b"FRAME\n" + b"".join(plane.tobytes() for plane in frame) for frame in FRAMES]
PART = HEADER.encode() + CODED[0]
DIGEST = hashlib.sha256(hashlib.sha256(PART).digest()).hexdigest()
WANTED = archive.Wanted(contest.archives()[0], (0,), Path("data"))


def _tomls() -> list[bytes]:
    folders = (config.RECIPES, experiment.EXPERIMENTS)
    own = fields.to_toml(CONFIG, {"command": "train"}).encode()
    return [own, *(path.read_bytes() for folder in folders for path in sorted(folder.glob("*.toml")))]


def _damage_toml(data: bytes, rng: Random) -> bytes:
    if rng.random() < 0.25:
        return scramble(data, rng)
    lines = data.decode().split("\n")
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(lines))
        line, key, sign = lines[at], lines[at].partition("=")[0].strip(), rng.choice("\x00\r\x7f\u2028\ufeff#]\"'")
        lines[at] = rng.choice(
            (f"{key} = {rng.choice(TOML)}", f"{line}\n{line}", "", f"{key}x = 1", f"[{key}]", "[[base]]", f"{key}.a = 1",
             line + sign)
        )  # fmt: skip
    return rng.choice((b"", b"", b"\xef\xbb\xbf")) + "\n".join(lines).encode()


def _read_toml(path: Path) -> bool:
    """As a recipe, as a run's own settings, as an experiment: values are those of the file, and are written back."""
    told, errors, is_right = dict[str, Any](), list[ValueError](), True
    with suppress(ValueError, RecursionError):
        told = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    with collected(errors, path):
        recipe = config.read_recipe(str(path))
        is_right &= all(
            (list(value) if isinstance(value, tuple) else value) == told[key] for key, value in recipe.items()
        )
        made = _settings(path, recipe)
        again = put(path.with_name("again.toml"), fields.to_toml(made, {}).encode())
        is_right &= config.TrainConfig(**fields.read(again, config.TrainConfig)) == made
    with collected(errors, path):
        run.resumed_config(path.parent)
    with collected(errors, path):
        read = experiment.read(str(path))
        for changes in read.variants.values():
            _settings(path, {**read.base, **changes})
    if len(errors) == 3:
        raise errors[0]
    return is_right


def _settings(path: Path, values: dict[str, Any]) -> config.TrainConfig:
    """Bounds name the value; the file is the one that the command names."""
    try:
        return config.TrainConfig(**{"data": ("x",), **values})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _scores() -> list[bytes]:
    protocol = {"psnr_planes": "yuv", "psnr_pool": "clip", "vmaf_clips": "full", "vmaf_model": "v", "vmaf_pool": "mean"}
    figures = {"score": 35.5, "psnr": "inf", "vmaf": None, "ssim": 0.9, "vmaf_neg_full": 50.0}
    curves = {"psnr_yuv": 30.5, "per_frame": {"psnr_yuv": [30.5, 31.0], "vmaf": [40.0, None]}}
    clips = [
        {
            "id": number, "file": contest.result_name(number, True), "low": contest.low_name(number),
            "high": contest.high_name(number), "whole": True, "frames": [0, 1], "width": 8, "height": 6,
            "submission": curves, "bicubic": curves,
        }
        for number in (150, 151)
    ]  # fmt: skip
    about = {"name": "a", "test_set": "150-199", "created": "2026-01-02T03:04:05+00:00", "tools": {"vmaf": "3"}}
    rest = {"paths": {"low": "low", "high": None}, "totals": {"submission": figures, "bicubic": figures}}
    return [json.dumps({**about, "protocol": protocol, **rest, "clips": clips}).encode()]


def _damage_json(data: bytes, rng: Random) -> bytes:
    if rng.random() < 0.2:
        return scramble(data, rng)
    text = json.dumps(damage_tree(json.loads(data), rng), skipkeys=True)
    if rng.random() < 0.2:
        text = text.replace(rng.choice((": ", ", ", "1", "[", '"')), rng.choice(NO_TREE), 1)
    return text.encode()


def _read_score(path: Path) -> bool:
    """The leaderboard shows it, and then `report` makes its page, or leaves it out by name."""
    entries, faults = leaderboard.read_entries(path.parents[1])
    if faults:
        raise ValueError(faults[0])
    board = leaderboard.format_board(entries)
    with named(path):
        return report.write_report(path.parent).stat().st_size > 0 and board.count("\n") == 4


def _logs() -> list[bytes]:
    rows = [{"step": 9 * step, "loss": 1 / step, "val_psnr": 30.0 + step, "lr": 1e-3} for step in range(1, 9)]
    return ["".join(json.dumps(row) + "\n" for row in rows).encode()]


def _damage_log(data: bytes, rng: Random) -> bytes:
    """One line or two."""
    lines = data.splitlines()
    for at in rng.sample(range(len(lines)), rng.choice((1, 1, 2))):
        lines[at] = _damage_json(lines[at], rng) + rng.choice((b"", b"", b"\r", b"\x85", b"\n"))
    return b"\n".join(lines) + rng.choice((b"\n", b"\n", b""))


def _read_log(path: Path) -> bool:
    """`curves` draws it; a run that goes on after a step cuts it there."""
    other = put(path.with_name("other.jsonl"), path.read_bytes())
    progress._open_log(other, 20, 20).close()
    runs = run_logs.read_logs([path])
    found = run_logs.plots_of(runs, 100, 35, None)
    json.dumps(run_logs.plots_as_json(runs, found, None))
    return bool(run_logs.text_of(runs, found)) and other.read_bytes().count(b"\n") < 9


def _jsons() -> list[bytes]:
    """A file that serves all readers but one, and the one's own."""
    content = {"digest": DIGEST, "stamp": "1 2 3 4"}
    known = {"made_by": {}, "input": content, "output": content, **asdict(Revision("u", "v", 9))}
    planes = {"header": list(HEADER.tokens), "frame_params": ["", "Ip"]}
    pairs = {"pairs": {"00000": {"source": "a", "frames": 2, "seed": 0}}}
    marks = {contest.low_name(0): {"bytes": len(PART), "crc": 5, "changed_ns": [1, 2]}}
    return [json.dumps(one).encode() for one in ({**known, **planes, **pairs, "frames": 1, **content}, marks)]


def _read_json(path: Path) -> bool:
    """The kit's own files beside outputs, zips, parts, planes and pairs: a damaged one is none, or is named."""
    data, folder, errors, is_right = path.read_bytes(), path.parent / "all", list[ValueError](), True
    shutil.rmtree(folder, ignore_errors=True)
    for read in (_record, _marks, _note, _count):
        is_right &= read(folder / read.__name__, data)
    places = [folder / file_names.PLANE_INDEX, folder / manifest.MANIFEST]
    for place, open_one in zip(places, (_planes, _pairs), strict=True):
        with collected(errors, put(place, data)):
            is_right &= open_one(folder)
    if len(errors) == 2 and b"changed_ns" not in data:
        raise ValueError(f"{path}: {errors[0]}")
    return is_right


def _record(folder: Path, data: bytes) -> bool:
    target = put(folder / "out.y4m", PART)
    known = records.read(put(records.record_of(target), data))
    records.content_of(target, known.get("input"))
    return records.is_up_to_date(target, known, {}) <= (DIGEST.encode() in data)


def _marks(folder: Path, data: bytes) -> bool:
    item = replace(WANTED, data=folder)
    put(item.clip_path(0), PART)
    put(item.record_path, data)
    return set(archive.look_at(item, 1)) == {0}


def _note(folder: Path, data: bytes) -> bool:
    put(folder / "x.part.json", data)
    with open(put(folder / "x.part", PART), "rb+") as part:
        return fetch._read_note(part, "u").url == "u"


def _count(folder: Path, data: bytes) -> bool:
    """A part is gone on with, or made anew: the whole is the same."""
    target = folder / "out.y4m"
    files.make_folder(folder)
    with segments.keep(target, "key", 1) as kept:
        put(kept.folder / "frames.y4m", PART)
        put(kept.folder / segments.COUNT, data)
        kept.num_frames()
        with segments.create_y4m(target, HEADER, kept) as writer:
            for planes in FRAMES[writer.num_kept :]:
                writer.write(planes)
    return target.read_bytes() == PART + CODED[1]


def _planes(folder: Path) -> bool:
    """Pictures that the index does not tell of, or too few of them, are said by the picture's own name."""
    header, frames, params = pictures.read_planes(folder)
    with suppress(FileNotFoundError):
        return len(list(frames)) == len(params) == 0
    return header.frame_bytes > 0


def _pairs(folder: Path) -> bool:
    pairs = manifest.read_manifest(folder)
    is_current = pair_folder._is_current(folder, 0, pairs, {"seed": 0})
    source = pairs.get(0, {}).get("source")
    pair_folder._refuse_taken(folder, 0, pairs, source)
    pair_folder._list(folder, 0, pairs, {"source": source, "frames": None})
    return not is_current


KINDS = {
    "toml": Kind(_tomls, _damage_toml, _read_toml, place="run/config.toml"),
    "score.json": Kind(_scores, _damage_json, _read_score, place="all/one/score.json"),
    "log.jsonl": Kind(_logs, _damage_log, _read_log, place="run/log.jsonl"),
    "other json": Kind(_jsons, _damage_json, _read_json),
}
