"""HDF5 files as the public FSRCNN trainer reads them, and back to gray pictures."""

from __future__ import annotations

import builtins
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from youku import convert, evaluate
from youku.video import color, hdf5, picture_sets, resize
from youku.video.conversion import Content


class PublicTrainSet:
    """What FSRCNN-pytorch's training data set does with a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        with h5py.File(self.path, "r") as file:
            return tuple(np.expand_dims(file[key][index] / 255.0, 0) for key in ("lr", "hr"))

    def __len__(self) -> int:
        with h5py.File(self.path, "r") as file:
            return len(file["lr"])


class PublicEvalSet(PublicTrainSet):
    """The same for its evaluation files: a data set a picture, by number."""

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        with h5py.File(self.path, "r") as file:
            return tuple(np.expand_dims(file[key][str(index)][:, :] / 255.0, 0) for key in ("lr", "hr"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures: 43x50 and 40x32."""
    rng = np.random.default_rng(0)
    (tmp_path / "set").mkdir()
    for name, shape in (("a", (50, 43, 3)), ("b", (32, 40, 3))):
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / "set" / f"{name}.png")
    return tmp_path / "set"


def lumas(folder: Path, scale: int) -> list[tuple[np.ndarray, np.ndarray]]:
    pairs = (picture_sets.load(files, scale) for files in picture_sets.find(folder, scale))
    return [(color.luma_of_picture(low), color.luma_of_picture(high)) for low, high in pairs]


def test_public_trainer_reads_our_patches(folder: Path, tmp_path: Path) -> None:
    """Shapes, order and values at the default patch 6 and stride 4 of x4, luma / 255 in float32."""
    out = tmp_path / "train.h5"
    assert convert.main([str(folder), str(out)]) == 0
    public = PublicTrainSet(out)
    expected = [
        (low[i : i + 6, j : j + 6], high[4 * i : 4 * i + 24, 4 * j : 4 * j + 24])
        for low, high in lumas(folder, 4)
        for i in range(0, low.shape[0] - 5, 4)
        for j in range(0, low.shape[1] - 5, 4)
    ]
    assert len(public) == len(expected) == 2 * 2 + 1 * 2  # low sizes 12x10 and 8x10
    for index, pair in enumerate(expected):
        for got, wanted in zip(public[index], pair, strict=True):
            assert got.dtype == np.float32
            assert np.array_equal(got, wanted[None].astype(np.float32) / np.float32(255))


def test_public_trainer_reads_our_evaluation_file(folder: Path, tmp_path: Path) -> None:
    """Whole pictures in the groups lr and hr."""
    out = tmp_path / "eval.h5"
    assert convert.main([str(folder), str(out), "--hdf5", "eval", "--scale", "3"]) == 0
    public = PublicEvalSet(out)
    assert len(public) == 2
    for index, (low, high) in enumerate(lumas(folder, 3)):
        got_low, got_high = public[index]
        assert np.allclose(got_low[0] * 255, low, atol=1e-4) and np.allclose(got_high[0] * 255, high, atol=1e-4)


def test_the_reports_patches(folder: Path, tmp_path: Path) -> None:
    """64x64 at stride 20 of high resolution does not fit 50 px: refused by name; 8 at stride 5 counts by hand."""
    pairs = picture_sets.find(folder, 4)
    with pytest.raises(ValueError, match="--patch 16: every picture is smaller at low resolution"):
        hdf5.write(pairs, tmp_path / "x.h5", Content(scale=4, patch=16, stride=5))
    assert not (tmp_path / "x.h5").exists()
    # 12x10: 1 x 1 windows of 8 at stride 5; 8x10: 1 x 1
    assert hdf5.write(pairs, tmp_path / "x.h5", Content(scale=4, patch=8, stride=5)) == 2


def test_augment_gives_the_papers_views(folder: Path, tmp_path: Path) -> None:
    """The first four views are the rotations of the picture; sizes 0.9 to 0.6 follow."""
    (folder / "a.png").unlink()
    plan = Content(scale=2, patch=4, stride=4, augment=True)
    total = hdf5.write(picture_sets.find(folder, 2), tmp_path / "x.h5", plan)
    # low sizes 16x20, 14x18, 12x16, 11x14, 9x12 and 4 views of each
    assert total == 4 * (4 * 5 + 3 * 4 + 3 * 4 + 2 * 3 + 2 * 3)
    turned = np.rot90(lumas(folder, 2)[0][1])
    with h5py.File(tmp_path / "x.h5") as file:
        assert np.allclose(file["hr"][20], turned[:8, :8], atol=1e-4)


def test_back_to_gray_pictures(folder: Path, tmp_path: Path) -> None:
    """Rounded Y under the pictures' names; patches under their numbers."""
    convert.main([str(folder), str(tmp_path / "eval.h5"), "--hdf5", "eval"])
    assert convert.main([str(tmp_path / "eval.h5"), str(tmp_path / "back")]) == 0
    for name, pair in zip("ab", lumas(folder, 4), strict=True):
        for group, luma in zip(("lr", "hr"), pair, strict=True):
            with Image.open(tmp_path / f"back/{group}/{name}.png") as picture:
                assert np.array_equal(np.asarray(picture), resize.to_integers(luma))
    convert.main([str(folder), str(tmp_path / "train.h5")])
    assert convert.main([str(tmp_path / "train.h5"), str(tmp_path / "patches")]) == 0
    assert len(list((tmp_path / "patches/hr").glob("00000?.png"))) == 6


def test_pairs_of_no_whole_scale_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """lr 8x8 with hr 17x17 belongs to no network; nothing is written."""
    with h5py.File(tmp_path / "odd.h5", "w") as file:
        file["lr"], file["hr"] = np.zeros((3, 8, 8), "f4"), np.zeros((3, 17, 17), "f4")
    assert convert.main([str(tmp_path / "odd.h5"), str(tmp_path / "out")]) == 1
    assert "lr (8, 8), hr (17, 17); expected hr a whole multiple" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_evaluate_reads_an_evaluation_file(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The file and the folder that it was made from score alike; training patches are refused."""
    convert.main([str(folder), str(tmp_path / "eval.h5"), "--hdf5", "eval", "--scale", "2"])
    convert.main([str(folder), str(tmp_path / "train.h5"), "--scale", "2"])
    capsys.readouterr()
    scores = []
    for source in (folder, tmp_path / "eval.h5"):
        assert evaluate.main([str(source), "--model", "bicubic", "--scale", "2", "--json"]) == 0
        scores.append(json.loads(capsys.readouterr().out)["sets"][0]["protocols"]["y_crop_s"]["bicubic"]["pictures"])
    for one, other in zip(*scores, strict=True):
        assert one["name"] == other["name"] and one["psnr"] == pytest.approx(other["psnr"], abs=1e-3)
    assert evaluate.main([str(tmp_path / "train.h5"), "--model", "bicubic", "--scale", "2"]) == 1
    assert "holds training patches" in capsys.readouterr().err


def both(value: object) -> dict[str, object]:
    return {"lr": value, "hr": value}


# what a file holds, as an array, a link or the arguments of create_dataset, and how it is refused
REFUSED: list[tuple[dict[str, object], str]] = [
    ({}, r"groups of these names with a picture each; found nothing"),
    (
        {"data": np.zeros((3, 4)), "label/x": np.zeros(1)},
        r"found data \(a dataset \(3, 4\)\), label \(a group\)",
    ),
    ({"lr": np.zeros((3, 4, 4)), "hr": np.zeros((2, 8, 8))}, "3 patches in lr, 2 in hr"),
    (
        {"lr/0": np.zeros((4, 4)), "hr/7": np.zeros((8, 8))},
        r"expected pictures 0, 1, \.\.\. in lr and hr, found \['0'\], \['7'\]",
    ),
    (
        {"lr/0": np.zeros((4, 4, 3)), "hr/0": np.zeros((8, 8, 3))},
        r"lr/0: expected a plane \(h, w\), found a dataset \(4, 4, 3\)",
    ),
    ({"lr/0": np.zeros((0, 8)), "hr/0": np.zeros((0, 8))}, "lr/0: expected a plane"),
    (
        {"lr": {"shape": (10**6, 100, 100), "chunks": (1, 100, 100)}, "hr": {"shape": (10**6, 400, 400)}},
        "lr claims 40000000000 bytes, more than a file of",
    ),
    (both({"shape": (2, 8, 8)}), "lr holds no data of its own"),
    (both({"shape": (2, 8, 8), "external": [("/etc/passwd", 0, 512)]}), "holds no data of its own"),
    (both(h5py.ExternalLink("other.h5", "lr")), "lr is a link; expected the data itself"),
    (both(np.full((2, 8, 8), np.nan, np.float32)), "lr 0 has values that are no numbers"),
    (both(np.full((2, 8, 8), 1j)), "lr 0 has values that are no numbers"),
    (both(np.zeros((0, 8, 8))), r"expected datasets lr and hr .*found hr \(a dataset \(0, 8, 8\)\)"),
]


@pytest.mark.parametrize(("held", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_a_file_holds_instead_is_said(tmp_path: Path, held: dict[str, object], message: str) -> None:
    """Other forms, claims beyond the file's size, fill values, other files' data, NaN: one sentence, nothing made."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, value in held.items():
            if isinstance(value, dict):
                file.create_dataset(name, dtype="f4", **value)
            else:
                file[name] = value
    with pytest.raises(ValueError, match=message):
        hdf5.to_pictures(tmp_path / "x.h5", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("text", "found"), [(None, "nothing"), ("no", "something else or a damaged one")])
def test_what_is_no_file_of_hdf5_is_said(tmp_path: Path, text: str | None, found: str) -> None:
    if text:
        (tmp_path / "x.h5").write_text(text)
    with pytest.raises(ValueError, match=f"expected an HDF5 file, (found|got) {found}"):
        hdf5.to_pictures(tmp_path / "x.h5", tmp_path / "out")


@pytest.mark.parametrize(
    ("high", "message"), [(np.full((12, 12), 99), "expected x2; check --scale"), (np.eye(8), "runs from 0 to 1")]
)
def test_an_evaluation_file_of_another_scale_or_range_is_refused(
    tmp_path: Path, high: np.ndarray, message: str
) -> None:
    """The factor is read from the shapes, the range from the values."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["lr/0"], file["hr/0"] = np.zeros((4, 4)), high
    with pytest.raises(ValueError, match=message):
        list(hdf5.read_evaluation(tmp_path / "x.h5", 2))


def test_a_name_in_the_file_cannot_leave_the_folder(tmp_path: Path) -> None:
    """Names come from the file: only a plain file name is used."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for key in ("lr/0", "hr/0"):
            file[key] = np.zeros((4, 4))
            file[key].attrs["name"] = "../../evil"
    hdf5.to_pictures(tmp_path / "x.h5", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out/hr").iterdir()] == ["0.png"]


def test_absent_h5py_is_one_sentence(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install."""
    real = builtins.__import__

    def refuse(name: str, *args, **kwargs):
        if name == "h5py":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ValueError, match="HDF5 needs the package h5py, which is not installed; run pip install h5py"):
        hdf5.write(picture_sets.find(folder, 4), tmp_path / "x.h5", Content())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{set}", "{out}/x.h5", "--size", "4x4"], "--size has no effect on"),
        (["{set}", "{out}/x.h5", "--hdf5", "eval", "--patch", "8"], "no effect on whole pictures"),
        (["{set}", "{out}/x.h5", "--scale", "5"], "FSRCNN names no patch for it; give --patch"),
        (["{set}", "{out}/x.h5", "--stride", "0"], "--stride 0: expected 1 or more"),
        (["{set}/a.png", "{out}/x.h5"], "expected a folder of pictures"),
        (["{set}", "{out}/x.y4m", "--patch", "8"], "--patch has no effect on"),
        (["{out}/y.h5", "{out}/x.y4m"], "HDF5 turns into a folder of gray png"),
        (["{out}/y.h5", "{set}"], "is not empty; name another folder"),
    ],
)
def test_the_verb_refuses(
    folder: Path, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    """Exit 1 with one sentence, nothing written."""
    command = [argument.format(set=folder, out=tmp_path) for argument in arguments]
    assert convert.main(command) == 1
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]


@pytest.mark.parametrize("form", ["train", "eval"])
def test_a_damaged_file_gets_one_sentence(folder: Path, tmp_path: Path, form: str) -> None:
    """Whatever bytes of the structure are overwritten: pictures, or ValueError that names the file."""
    whole, path, out = tmp_path / "whole.h5", tmp_path / "x.h5", tmp_path / "out"
    hdf5.write(picture_sets.find(folder, 4), whole, Content(hdf5=form, stride=30 if form == "train" else None))
    data, rng = whole.read_bytes(), np.random.default_rng(1)
    refused = 0
    for _ in range(50):
        damaged = bytearray(data)
        for place in rng.integers(0, min(len(data), 4000), 8):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            hdf5.to_pictures(path, out)
            shutil.rmtree(out)
        except ValueError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ") and len(str(error)) < 700
    assert refused > 20


@pytest.mark.parametrize("name", ["", "a\nb", "n" * 300, "../x", ".x", "a/b"])
def test_names_that_cannot_be_written_are_numbers(tmp_path: Path, name: str) -> None:
    """A picture whose name is empty, long, hidden or a path is named by its key."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        for key, side in (("lr", 2), ("hr", 8)):
            file[f"{key}/0"] = np.zeros((side, side), np.float32)
            file[f"{key}/0"].attrs["name"] = np.bytes_(name.encode())
    assert hdf5.to_pictures(path, tmp_path / "out") == 1
    assert sorted(found.name for found in (tmp_path / "out").rglob("*.png")) == ["0.png", "0.png"]
