"""Folds: every clip is held out once, one scene in one fold; the experiment's mean is over all clips."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from youku import contest
from youku.training import experiment, folds, run
from youku.training.config import TrainConfig
from youku.training.pairs import find_pairs
from youku.video import interpolate, y4m


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven clips 64x48 of four scenes: 0 and 1 are one pan cut in two, 4, 5 and 6 another; 2 and 3 stand alone."""
    folder = tmp_path_factory.mktemp("clips")
    high = y4m.make_header(128, 96)
    for clip_id, (scene, begin) in enumerate([(0, 0), (0, 3), (1, 0), (2, 0), (3, 0), (3, 3), (3, 6)]):
        wall = np.random.default_rng(scene).integers(16, 236, (24, 64), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
        chroma = (np.full((48, 64), 128, np.uint8),) * 2
        frames = [(np.ascontiguousarray(wall[:, 4 * at : 4 * at + 128]), *chroma) for at in range(begin, begin + 3)]
        low = [interpolate.downscale(planes, high, 2) for planes in frames]
        for name, header, made in (
            (contest.high_name(clip_id), high, frames),
            (contest.low_name(clip_id), high.resized(64, 48), low),
        ):
            with y4m.create(folder / name, header) as writer:
                for planes in made:
                    writer.write(planes)
    return folder


def test_scenes_stay_together_and_every_clip_is_held_out_once(clips: Path) -> None:
    """Groups by scene; folds of about as many clips; training and held-out clips share none."""
    pairs = find_pairs([str(clips)], 2)
    sizes = [len(group) for group in folds.groups(pairs)]
    assert sizes == [2, 1, 1, 3]
    seen = []
    for number in (1, 2, 3):
        train, held = folds.split(pairs, f"{number}/3")
        assert len(train) + len(held) == 7 and not {pair.name for pair in train} & {pair.name for pair in held}
        seen.append([contest.parse_name(pair.name)[0] for pair in held])  # type: ignore[index]
    assert seen == [[4, 5, 6], [0, 1], [2, 3]]


def test_held_out_clips_are_named_and_their_neighbours_told(clips: Path) -> None:
    """Parts of a scene in both halves are said, scenes that are held out whole are not."""
    by_id = dict(enumerate(find_pairs([str(clips)], 2)))
    assert folds.told([by_id[1], by_id[3]]) == ": Youku_00001_l.y4m, Youku_00003_l.y4m"
    scene = "the scene of Youku_00000_l.y4m and Youku_00001_l.y4m"
    assert folds.shared_film([by_id[0], by_id[2], by_id[4]], [by_id[1], by_id[3]]) == scene
    assert folds.shared_film([by_id[0], by_id[1], by_id[2]], [by_id[3]]) == ""


def test_a_film_on_both_sides_is_told(clips: Path, tmp_path: Path) -> None:
    """Whether cut into one folder or two, from wherever it lay; other films, and clips of which nothing is known, are not."""
    others = tmp_path / "others"
    shutil.copytree(clips, others)

    def shared(source: str, total_bytes: int) -> str:
        for folder, name, size in ((clips, "raw/film.mp4", 9), (others, source, total_bytes)):
            listed = {f"{number:05d}": {"source": name, "source_bytes": size, "frames": 3} for number in range(5)}
            (folder / "pairs.json").write_text(json.dumps({"pairs": listed}))
        return folds.shared_film(pairs, find_pairs([str(others)], 2))

    pairs = find_pairs([str(clips)], 2)
    assert folds.shared_film(pairs[:2], pairs[2:]) == ""
    try:
        assert shared("../film.mp4", 9) == "film.mp4 (9 bytes)" == folds.shared_film(pairs[:2], pairs[2:])
        assert folds.shared_film(pairs[:4], pairs[5:]) == shared("film.mp4", 8) == ""
        assert shared("a.mp4", 9) == "film.mp4 (9 bytes), the same as a.mp4 (9 bytes),"
        assert folds.shared_film(pairs[:2], find_pairs([str(others)], 2)[2:]) == ""  # the size alone tells nothing
    finally:
        (clips / "pairs.json").unlink()


def test_a_run_warns_of_a_film_on_both_sides(clips: Path, tmp_path: Path) -> None:
    """In one sentence, of a fresh run that is not refused: of its own validation, or of what a rehearsal is to hold out."""
    train, val = str(tmp_path / "train"), str(tmp_path / "val")
    for folder, film in ((train, "film.mp4"), (val, "copy.mp4")):
        shutil.copytree(clips, folder)
        listed = {f"{number:05d}": {"source": film, "source_bytes": 9, "frames": 3} for number in range(7)}
        Path(folder, "pairs.json").write_text(json.dumps({"pairs": listed}))
    asked = {"model": "fsrcnn", "scale": 2, "steps": 1, "batch": 1, "val_frames": 1, "val_metric": "psnr"}
    asked |= {"device": "cpu", "samples": False, "runs": str(tmp_path / "runs")}

    def said(name: str, resume: bool = False, **others: Any) -> str:
        told = list[str]()
        config = TrainConfig(**{**asked, "name": name, "data": (train,), "patch_px": 16, **others})
        try:
            run.start(config, resume, progress=False, say=told.append)
        except ValueError as error:
            told.append(f"refused: {error}")
        return "|".join(line for line in told if " say little " in line or " says little " in line or "refused" in line)

    both = "film.mp4 (9 bytes), the same as copy.mp4 (9 bytes), is in"
    assert said("beside") == (
        f"{both} {train} and in {val}, so the score of a rehearsal there says little about other films; keep its pairs in "
        "one of the two folders"
    )
    assert said("beside", resume=True) == ""  # nothing is left to do
    assert said("large", patch_px=64).startswith("refused: ")
    own = "is in training and in validation, so the figures of validation say little about other films; hold other films out"
    assert said("given", val_data=(val,)) == f"{both[:-6]} {own}: --val-data FOLDER"
    for name in ("pairs.json", contest.high_name(0)):  # of other films, and damaged
        Path(val, name).write_text("")
    assert said("split") == f'film.mp4 (9 bytes) {own}: --val-data {val} (make train ARGS="--val-data {val}")'


def test_what_no_fold_can_be_is_one_sentence(clips: Path, tmp_path: Path) -> None:
    """More folds than scenes, a fold beyond N, both ways of validation, and a text that is none."""
    pairs = find_pairs([str(clips)], 2)
    with pytest.raises(
        ValueError, match=r"--fold 1/5: found 4 groups .* expected 5 or more; .*folds\.toml with 4 variants"
    ):
        folds.split(pairs, "1/5")
    for fold in ("4/3", "0/3", "1/1"):
        with pytest.raises(ValueError, match=f"--fold {fold}: expected K/N with N from 2 on"):
            folds.split(pairs, fold)
    both = TrainConfig(data=(str(clips),), val_data=(str(clips),), fold="1/2", scale=2, runs=str(tmp_path))
    with pytest.raises(ValueError, match="--fold 1/2 and --val-data both say what is held out"):
        run.load_pairs(both)
    with pytest.raises(ValueError, match="fold = 'half'|fold = half: expected K/N"):
        TrainConfig(fold="half")


def test_an_experiment_is_refused_before_it_trains(clips: Path, tmp_path: Path) -> None:
    """Too few scenes for the last fold, tests that clips do not allow, a run of other settings: no variant is begun."""
    kit = experiment.read("folds")
    base = {**kit.base, "steps": 1, "data": (str(clips),), "scale": 2, "patch_px": 16, "batch": 1, "device": "cpu"}
    base |= {"val_clips": 1, "val_frames": 1}
    cases = {
        "found 4 groups of clips": {"a": {"fold": "1/4"}, "b": {"fold": "5/5"}},
        "--resizers has no effect on Youku_00000": {"a": {"lr": 1e-4}, "b": {"resizers": ("box",)}},
        "tests = box: clips bring their own": {"a": {"lr": 1e-4}, "b": {"lr": 2e-4}},
        "b: holds a run with other settings": {"a": {"lr": 1e-4}, "b": {"lr": 2e-4}},
    }
    for said, variants in cases.items():
        tests = ("box",) if said.startswith("tests") else ()
        if said.startswith("b:"):
            run.start(TrainConfig(**{**base, "runs": str(tmp_path / "e"), "name": "b"}), progress=False)
        one = experiment.Experiment(name="e", question="q", source="", base=base, variants=variants, tests=tests)
        with pytest.raises(ValueError, match=said):
            experiment.run_all(one, experiment.configs(one, str(tmp_path), {}), progress=False)
        assert not (tmp_path / "e" / "a").exists()


def test_the_experiment_gathers_out_of_fold_scores(clips: Path, tmp_path: Path) -> None:
    """The mean is over the clips, not over the folds, which have four and three."""
    kit = experiment.read("folds")
    assert [changes["fold"] for changes in kit.variants.values()] == [f"{number}/5" for number in range(1, 6)]
    two = {f"{number}": {"fold": f"{number}/2"} for number in (1, 2)}
    short = experiment.Experiment(name="short", question="q", source="", base={**kit.base, "steps": 1}, variants=two)
    given = {"data": (str(clips),), "scale": 2, "device": "cpu", "batch": 1, "patch_px": 16, "val_frames": 1}
    found = experiment.run_all(short, experiment.configs(short, str(tmp_path), given), progress=False)
    assert [one.num_pairs for one in found] == [4, 3]
    mean = sum(one.psnr[0] * one.num_pairs for one in found) / 7
    assert f"out of fold, 7 clips or pictures: {mean:.2f} dB, bicubic" in experiment.text(short, found, given)
