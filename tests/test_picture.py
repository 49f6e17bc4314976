"""Prediction into pictures: of pictures as RGB, of a clip as a numbered set; what is finished is kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import textured_frame
from tests.test_predict import clip_of, network, run
from youku import convert, evaluate
from youku.__main__ import main
from youku.engines import mean, shipped, weights
from youku.inference import still, tiles
from youku.inference.pipeline import Options
from youku.video import color, picture_writer, y4m
from youku.video.pictures import read_rgb

BICUBIC = ["--model", "bicubic", "--scale", "2"]


def picture(seed: int = 0, width: int = 21, height: int = 17) -> Image.Image:
    header = y4m.make_header(width, height, chroma="444")
    return Image.fromarray(color.planes_to_rgb(textured_frame(header, seed), 8, header.layout))


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


def test_a_folder_of_pictures_becomes_one(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Whatever 8-bit mode they have, each is what `evaluate` makes of it, upright; a second run makes nothing again."""
    photos, rgb = tmp_path / "photos", picture()
    photos.mkdir()
    for mode, name in {"RGB": "a.png", "L": "b.bmp", "P": "c.png", "CMYK": "d.jpg", "1": "f.png"}.items():
        rgb.convert(mode).save(photos / name)
    Image.merge("RGBA", [*rgb.split(), rgb.getchannel(0)]).save(photos / "e.png")
    turned = Image.Exif()
    turned[0x112] = 6
    rgb.save(photos / "g.jpg", exif=turned)
    file = str(shipped.FOLDER / "fsrcnn_x2.safetensors")
    assert run(str(photos), str(tmp_path / "out"), "--weights", file) == 0
    said = capsys.readouterr().err
    assert "e.png: has transparency, which is dropped" in said and "d.jpg: has CMYK colours" in said
    fsrcnn = mean.load([file], None, None, "cpu", "float32", ["torch"], str)
    for path in sorted(photos.iterdir()):
        made = read_rgb(tmp_path / "out" / f"{path.stem}_x2.png")
        expected = still.enlarge(fsrcnn, read_rgb(path), Options()).rgb
        assert expected is not None and np.array_equal(made, expected), path
    assert read_rgb(tmp_path / "out" / "g_x2.png").shape == (42, 34, 3)
    before = bytes_of(tmp_path / "out")
    assert run(str(photos), str(tmp_path / "out"), "--weights", file) == 0
    assert capsys.readouterr().err.count("up to date") == len(before) == 7


def test_what_one_picture_may_become(tmp_path: Path) -> None:
    """PNG or BMP under its name, of any size; in a folder a PNG; still a clip where a clip is named; numbered by a pattern."""
    source = tmp_path / "a.png"
    picture().save(source)
    assert run(str(source), str(tmp_path / "b.bmp"), *BICUBIC) == 0
    assert run(str(source), str(tmp_path / "c.png"), "--size", "50x50") == 0
    assert run(str(source), f"{tmp_path}/new/", *BICUBIC) == 0
    assert run(str(source), str(tmp_path / "d.y4m"), *BICUBIC) == 0
    assert run(str(tmp_path / "new" / "a_x%d.png"), str(tmp_path / "n" / "%03d.png"), *BICUBIC) == 0
    made = read_rgb(tmp_path / "new" / "a_x2.png")
    assert np.array_equal(read_rgb(tmp_path / "b.bmp"), made) and made.shape == (34, 42, 3)
    assert read_rgb(tmp_path / "c.png").shape == (40, 50, 3)
    assert y4m.Clip(tmp_path / "d.y4m").header.plane_shapes == ((34, 42),) * 3
    assert read_rgb(tmp_path / "n" / "001.png").shape == (68, 84, 3)
    Image.new("RGB", (1, 1)).save(source)
    assert run(str(source), str(tmp_path / "e.png"), "--scale", "2") == 0
    assert read_rgb(tmp_path / "e.png").shape == (2, 2, 3)


WITH_DAMAGE = {  # verb -> its words, and how often an undamaged one is there afterwards
    "predict": (["in", "out", *BICUBIC], lambda out, _: len(list(out.glob("[ad]_x2.png")))),
    "degrade": (["in", "out", "--scale", "2"], lambda out, _: len(list(out.glob("*_l.y4m")))),
    "evaluate": (["in", *BICUBIC], lambda _, told: len(re.findall("^[ad] ", told, re.MULTILINE))),
    "evaluate made": (
        ["in", "--truth", "in", "--scale", "2"],
        lambda _, told: len(re.findall("^[ad] .*inf", told, re.M)),
    ),
}


@pytest.mark.parametrize("verb", WITH_DAMAGE)
def test_beside_damaged_pictures_the_others_are_done(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """Each that is damaged, or too deep, is named, nothing lies under its output's name, and the status is 1."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name in "ad":
        picture(width=32, height=32).save(f"in/{name}.png")
    Image.fromarray(np.full((32, 32), 4000, np.uint16)).save("in/b.png")
    Path("in/c.png").write_bytes(Path("in/a.png").read_bytes()[:200])
    words, num_done = WITH_DAMAGE[verb]
    assert main([verb.split()[0], *words]) == 1
    told, said = capsys.readouterr()
    assert num_done(Path("out"), told) == 2 and said.endswith("error: 2 of 4 failed\n")
    assert "b.png: expected an 8-bit picture" in said and "c.png: not a picture or a damaged one" in said
    assert not list(Path().glob("out/[bc]*"))
    if verb == "degrade":
        assert main([verb, *words]) == 1 and capsys.readouterr().out == "out: no pair made\n"  # not: up to date


def test_large_pictures_run_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture whose activations do not fit in half of the free memory is cut, to the same picture."""
    seen, run_tiled, fsrcnn = [], tiles.run_tiled, network("fsrcnn", 2)
    low = np.asarray(picture(1, 90, 70))
    whole = still.enlarge(fsrcnn, low, Options()).rgb
    monkeypatch.setattr(tiles, "_free_bytes", lambda *_: 1)
    monkeypatch.setattr(tiles, "run_tiled", lambda *how: (seen.append(how[-1]), run_tiled(*how))[1])
    cut = still.enlarge(fsrcnn, low, Options()).rgb
    assert seen == [tiles.MIN_TILE_PX] and whole is not None and cut is not None
    assert np.abs(whole.astype(int) - cut).max() <= 1


@pytest.mark.parametrize(("chroma", "range_token"), [("420mpeg2", ""), ("444", "FULL"), ("mono", ""), ("420p10", "")])
def test_a_clip_becomes_the_pictures_of_its_y4m(tmp_path: Path, chroma: str, range_token: str) -> None:
    """predict into OUT%3d.png = predict into y4m, then convert --route float; the second run leaves them alone."""
    clip = clip_of(tmp_path / "in.y4m", chroma)
    if range_token:
        head, _, rest = clip.path.read_bytes().partition(b"\n")
        clip.path.write_bytes(head + b" XCOLORRANGE=FULL\n" + rest)
    assert run(str(clip.path), str(tmp_path / "o" / "f%03d.png"), *BICUBIC) == 0
    assert run(str(clip.path), str(tmp_path / "o.y4m"), *BICUBIC) == 0
    assert convert.main([str(tmp_path / "o.y4m"), str(tmp_path / "c" / "f%03d.png"), "--route", "float"]) == 0
    assert bytes_of(tmp_path / "o") == bytes_of(tmp_path / "c") and len(bytes_of(tmp_path / "o")) == 3


def test_a_stopped_set_goes_on_after_its_last_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """No picture has its name before all have; those finished are not made again, unless damaged; nothing hidden is left."""
    clip, target = clip_of(tmp_path / "in.y4m", num_frames=6), tmp_path / "o" / "%d.png"
    assert run(str(clip.path), str(tmp_path / "whole" / "%d.png"), *BICUBIC) == 0
    coded, made = picture_writer._coded, list[y4m.Planes]()

    def counted(planes: y4m.Planes, **how: Any) -> bytes:
        made.append(planes)
        return coded(planes, **how)

    def stopping(planes: y4m.Planes, **how: Any) -> bytes:
        if len(made) == 4:
            raise KeyboardInterrupt
        return counted(planes, **how)

    for damage, num_left in (False, 2), (True, 5):
        made.clear()
        with monkeypatch.context() as patched:
            patched.setattr(picture_writer, "_coded", stopping)
            assert run(str(clip.path), str(target), *BICUBIC, "--force") == 130
        assert "4 frames kept" in capsys.readouterr().err
        assert not damage or bytes_of(tmp_path / "o") == bytes_of(tmp_path / "whole")  # of the run before
        if damage:
            next((tmp_path / "o").glob(".*.part/00000001.*")).write_bytes(b"x")
        made.clear()
        with monkeypatch.context() as patched:
            patched.setattr(picture_writer, "_coded", counted)
            assert run(str(clip.path), str(target), *BICUBIC, "--force") == 0
        assert len(made) == num_left
        assert bytes_of(tmp_path / "o") == bytes_of(tmp_path / "whole")
        hidden = sorted(path.name for path in (tmp_path / "o").glob(".*"))
        assert hidden == [".%d.png.json", picture_writer.NOTE]


def test_a_set_is_made_again_only_where_it_must_be(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Pictures of somebody else are refused; of our own, one that is damaged or gone makes the set anew."""
    clip, target = clip_of(tmp_path / "in.y4m"), tmp_path / "o" / "%d.png"
    target.parent.mkdir()
    (target.parent / "1.png").write_bytes(b"dear")
    assert run(str(clip.path), str(target), *BICUBIC) == 1
    assert "was not made here" in capsys.readouterr().err and bytes_of(target.parent) == {"1.png": b"dear"}
    assert run(str(clip.path), str(target), *BICUBIC, "--force") == 0
    whole = bytes_of(target.parent)
    for spoil in (lambda path: path.write_bytes(b"x"), Path.unlink):
        spoil(target.parent / "2.png")
        assert run(str(clip.path), str(target), *BICUBIC) == 0
        assert bytes_of(target.parent) == whole
    assert "up to date" not in capsys.readouterr().err
    assert run(str(clip.path), str(target), *BICUBIC) == 0
    assert "up to date" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "target", "said", "status"),
    [
        ("in.y4m", "big.png", "expected one frame number in the name, such as big%06d.png", 1),
        ("in.y4m", "big%300d.png", "expected one frame number", 1),
        ("in.y4m", "big%99999999999d.png", "expected one frame number", 1),
        ("in.y4m", f"{'x' * 200}%99d.png", "the name is too long", 1),
        ("in.y4m", "big%d.jpg", "expected pictures ending in .bmp or .png", 1),
        ("in.y4m", "big%d.png --frames scored", "--frames scored makes contest clips", 1),
        ("photos", "big.png", "expected one frame number", 1),
        ("photos", "big.mp4", "pictures become pictures", 1),
        ("photos", "photos", "is the folder of the pictures itself", 1),
        ("photos/a.png", "photos/a.png", "is the input itself", 1),
        ("photos/a.png", "a.jpg", "expected pictures ending in .bmp or .png", 1),
        ("photos", "out --frames 0", "--frames chooses those of a clip", 2),
        ("photos", "out --sharpen 1,1 --deinterlace", "--deinterlace, --sharpen: of no effect on pictures", 2),
        ("photos/%d.png", "out", "no such pictures", 1),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    source: str,
    target: str,
    said: str,
    status: int,
) -> None:
    """One sentence, before anything is made."""
    monkeypatch.chdir(tmp_path)
    clip_of(tmp_path / "in.y4m", num_frames=1)
    (tmp_path / "photos").mkdir()
    picture().save("photos/a.png")
    before = sorted(tmp_path.rglob("*"))
    try:
        got = run(source, *target.split(), *BICUBIC)
    except SystemExit as end:
        got = int(str(end.code))
    assert got == status and said in capsys.readouterr().err
    assert [path for path in sorted(tmp_path.rglob("*")) if path.name != "out"] == before


def test_an_output_that_is_not_finite_names_its_picture(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Of a damaged network neither predict nor evaluate makes anything black."""
    module = network("fsrcnn", 2).module
    module.last.weight.data.fill_(1e38)
    weights.save(tmp_path / "w.safetensors", module.state_dict(), "fsrcnn", 2, {})
    (tmp_path / "p").mkdir()
    picture().save(tmp_path / "p" / "a.png")
    assert run(str(tmp_path / "p"), str(tmp_path / "out"), "--weights", str(tmp_path / "w.safetensors")) == 1
    assert f"{tmp_path / 'p' / 'a.png'}: the network's output is not finite" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []
    assert evaluate.main([str(tmp_path / "p"), "--scale", "2", "--weights", str(tmp_path / "w.safetensors")]) == 1
    assert "error: a: the network's output is not finite" in capsys.readouterr().err
