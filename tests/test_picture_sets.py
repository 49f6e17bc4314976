"""Folders of pictures: plain, Set5's layout, DIV2K's layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from youku.video import picture_sets, pictures, resize

DATA = Path(__file__).parents[2] / "shared/data"
SET5 = DATA / "bench/Set5"


def save(path: Path, width: int, height: int, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(picture).save(path)


def test_a_plain_folder_has_no_low_files(tmp_path: Path) -> None:
    """Pictures themselves: natural order, low None."""
    for name in ("a10.png", "a2.bmp"):
        save(tmp_path / name, 8, 8)
    found = picture_sets.find(tmp_path, 4)
    assert [(pair.high.name, pair.low) for pair in found] == [("a2.bmp", None), ("a10.png", None)]


@pytest.mark.parametrize("suffix", ["x4", ""])
@pytest.mark.parametrize("named", ["", "HR"])
def test_set5_layout_finds_partners_with_and_without_the_factor(tmp_path: Path, suffix: str, named: str) -> None:
    """HR/ beside LR_bicubic/X4/, whether the root or HR itself is named."""
    save(tmp_path / "HR/baby.png", 16, 8)
    save(tmp_path / f"LR_bicubic/X4/baby{suffix}.png", 4, 2)
    (pair,) = picture_sets.find(tmp_path / named, 4)
    assert pair.low == tmp_path / f"LR_bicubic/X4/baby{suffix}.png"
    assert pair.name == "baby"


@pytest.mark.parametrize("kind", picture_sets.KINDS)
@pytest.mark.parametrize("named", ["", "DIV2K_train_HR"])
def test_div2k_layout_is_found_from_root_and_from_hr(tmp_path: Path, kind: str, named: str) -> None:
    """DIV2K_train_HR/0001.png with DIV2K_train_LR_<kind>/X2/0001x2.png."""
    save(tmp_path / "DIV2K_train_HR/0001.png", 8, 8)
    save(tmp_path / f"DIV2K_train_LR_{kind}/X2/0001x2.png", 4, 4)
    (pair,) = picture_sets.find(tmp_path / named, 2, kind)
    assert pair.low == tmp_path / f"DIV2K_train_LR_{kind}/X2/0001x2.png"


def test_selfexsr_layout_takes_neither_low_resolution_nor_results_for_truth(tmp_path: Path) -> None:
    """img_001_SRF_4_HR.png with _LR.png beside it, from the root or the folder; another factor is refused."""
    for name, side in (("HR", 16), ("LR", 4), ("SRCNN", 16), ("bicubic", 16)):
        for index in (1, 2):
            save(tmp_path / f"image_SRF_4/img_00{index}_SRF_4_{name}.png", side, side)
    for named in ("", "image_SRF_4"):
        found = picture_sets.find(tmp_path / named, 4)
        assert [pair.name for pair in found] == ["img_001", "img_002"]
        low, high = picture_sets.load(found[0], 4)
        assert (low.shape, high.shape) == ((4, 4, 3), (16, 16, 3)) and found[0].low is not None
    with pytest.raises(ValueError, match="holds pictures of x4 .*not of x2; check --scale"):
        picture_sets.find(tmp_path / "image_SRF_4", 2)


@pytest.mark.parametrize(("high", "low"), [("{}_HR", "{}_LR"), ("{}", "{}x4")])
def test_twins_in_one_folder_are_no_truth(tmp_path: Path, high: str, low: str) -> None:
    """Found by name; a picture without a twin among others with one is refused."""
    for name in ("a", "b"):
        save(tmp_path / f"{high.format(name)}.png", 16, 8)
        save(tmp_path / f"{low.format(name)}.png", 4, 2)
    assert [(pair.name, pair.low) for pair in picture_sets.find(tmp_path, 4)] == [
        (name, tmp_path / f"{low.format(name)}.png") for name in ("a", "b")
    ]
    (tmp_path / f"{low.format('b')}.png").unlink()
    with pytest.raises(ValueError, match=rf"found none for {high.format('b')}\.png"):
        picture_sets.find(tmp_path, 4)


def test_low_resolution_from_a_folder_of_its_own(tmp_path: Path) -> None:
    """Whatever the set brings."""
    save(tmp_path / "GT/Frame001.png", 16, 8)
    save(tmp_path / "LRx4_BD/Frame001.png", 4, 2)
    (pair,) = picture_sets.find(tmp_path / "GT", 4, low=tmp_path / "LRx4_BD")
    assert pair.low == tmp_path / "LRx4_BD/Frame001.png"


def test_what_was_made_of_a_truth_is_found_by_its_name(tmp_path: Path) -> None:
    """baby.png, babyx4.png, baby_SRNET.png; img_1 is not img_10; none and two are refused, all at once."""
    for name in ("img_1", "img_10", "img_2", "img_3"):
        save(tmp_path / f"HR/{name}.png", 8, 8)
    truths = picture_sets.find(tmp_path / "HR", 4)
    for name in ("img_1_SR", "img_10x4", "img_2", "img_3.out"):
        save(tmp_path / f"made/{name}.png", 8, 8)
    made = picture_sets.match_made(tmp_path / "made", truths, 4)
    assert [path.stem for path in made] == ["img_1_SR", "img_2", "img_3.out", "img_10x4"]
    save(tmp_path / "made/img_1_b.png", 8, 8)
    (tmp_path / "made/img_2.png").unlink()
    with pytest.raises(
        ValueError, match=r"none for img_2\.png: .*missing.*; several for img_1\.png \(img_1_SR\.png, img_1_b\.png\)"
    ):
        picture_sets.match_made(tmp_path / "made", truths, 4)


def test_two_hr_folders_are_not_guessed_between(tmp_path: Path) -> None:
    """A root with training and validation pictures: the user names one."""
    for part in ("train", "valid"):
        save(tmp_path / f"DIV2K_{part}_HR/0001.png", 8, 8)
    with pytest.raises(ValueError, match="DIV2K_train_HR and DIV2K_valid_HR; name one"):
        picture_sets.find(tmp_path, 2)


def test_missing_partners_are_listed_in_one_sentence(tmp_path: Path) -> None:
    """Every picture without its low-resolution file is named."""
    for name in ("a", "b", "c"):
        save(tmp_path / f"HR/{name}.png", 8, 8)
    save(tmp_path / "LR_bicubic/X2/bx2.png", 4, 4)
    with pytest.raises(ValueError, match=r"none for a\.png, c\.png; unpack"):
        picture_sets.find(tmp_path, 2)


def test_absent_bicubic_is_made_and_absent_unknown_is_refused(tmp_path: Path) -> None:
    """Bicubic can be made on the fly, an unknown degradation cannot."""
    save(tmp_path / "HR/a.png", 9, 8)
    (pair,) = picture_sets.find(tmp_path, 2)
    low, high = picture_sets.load(pair, 2)
    assert pair.low is None and low.shape == (4, 4, 3) and high.shape == (8, 8, 3)
    assert np.array_equal(low, resize.shrink(high, 2, "matlab-bicubic"))
    with pytest.raises(ValueError, match="LR_unknown/X2: no such folder; low resolution of kind unknown cannot be"):
        picture_sets.find(tmp_path, 2, "unknown")


def test_high_is_cropped_to_its_partner_and_other_sizes_are_refused(tmp_path: Path) -> None:
    """Sets cropped to a multiple of 12 are read whole; a partner of another factor is not."""
    save(tmp_path / "HR/a.png", 35, 31)
    save(tmp_path / "LR_bicubic/X4/a.png", 6, 6)
    (pair,) = picture_sets.find(tmp_path, 4)
    low, high = picture_sets.load(pair, 4)
    assert low.shape == (6, 6, 3) and high.shape == (24, 24, 3)
    save(tmp_path / "LR_bicubic/X4/a.png", 5, 6)
    with pytest.raises(ValueError, match=r"a\.png: expected 8x7 \(x4 of a\.png\), got 5x6; check --scale"):
        picture_sets.load(pair, 4)


def test_a_resizer_replaces_the_files_of_the_set(tmp_path: Path) -> None:
    """A named resizer makes the low resolution afresh although the set has its own."""
    save(tmp_path / "HR/a.png", 8, 8)
    save(tmp_path / "LR_bicubic/X2/a.png", 4, 4, seed=1)
    (pair,) = picture_sets.find(tmp_path, 2)
    assert pair.low is not None
    assert np.array_equal(picture_sets.load(pair, 2)[0], pictures.read_rgb(pair.low))
    made, high = picture_sets.load(pair, 2, "box")
    assert np.array_equal(made, resize.shrink(high, 2, "box"))


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_text("x"), Path.mkdir])
def test_nothing_a_file_and_an_empty_folder_are_named(tmp_path: Path, make) -> None:
    """Each is one sentence with the path."""
    make(tmp_path / "set")
    with pytest.raises(ValueError, match=r"set: (expected a folder|no pictures)"):
        picture_sets.find(tmp_path / "set", 4)


def test_too_small_a_picture_is_named(tmp_path: Path) -> None:
    """A picture of 3x3 has no x4 reduction."""
    save(tmp_path / "a.png", 3, 3)
    with pytest.raises(ValueError, match=r"a\.png: 3x3 is smaller than x4"):
        picture_sets.load(picture_sets.find(tmp_path, 4)[0], 4)


@pytest.mark.skipif(not SET5.is_dir(), reason=f"real data absent: {SET5}")
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_set5_low_files_equal_our_own(scale: int) -> None:
    """The set's MATLAB pictures and those made on the fly agree in every pixel."""
    for pair in picture_sets.find(SET5, scale):
        assert pair.low is not None
        assert np.array_equal(picture_sets.load(pair, scale)[0], picture_sets.load(pair, scale, "matlab-bicubic")[0])
