"""The report page: what it says, and how it behaves in headless Chromium."""

from __future__ import annotations

import html
import io
import json
import re
import shutil
import struct
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import skimage.io

from youku import contest, report
from youku.exchange import leaderboard
from youku.pages import crops, plots, report_frames, report_page, score_tables
from youku.video import color, interpolate, y4m

HEADER = y4m.make_header(416, 288)
SMALL = HEADER.resized(104, 72)
NAME = "<b>&Name"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-quic", "--no-first-run")
FLAGS += ("--disable-component-update", "--disable-sync")


def psnr(first: y4m.Planes, second: y4m.Planes, num_planes: int = 3) -> float:
    pairs = list(zip(first[:num_planes], second[:num_planes], strict=True))
    total = sum(float(((a.astype(float) - b) ** 2).sum()) for a, b in pairs)
    return 10 * float(np.log10(255**2 * sum(a.size for a, _ in pairs) / total))


def make_clip(root: Path, clip_id: int, photo: np.ndarray, frames: list[int], amount: float) -> dict[str, Any]:
    """Write LR, GT (all frames) and the shipped clip (`frames`) of a camera moving over a photo; its score entry."""
    whole = len(frames) != 4
    entry = {"id": clip_id, "file": contest.result_name(clip_id, whole), "low": contest.low_name(clip_id)}
    entry |= {"high": contest.high_name(clip_id), "whole": whole, "frames": frames, "width": 416, "height": 288}
    ours: dict[str, list[float]] = {"psnr_yuv": [], "psnr_y": [], "ssim": [], "vmaf": [], "vmaf_neg": []}
    theirs: dict[str, list[float]] = {key: [] for key in ours}
    with (
        y4m.create(root / "low" / entry["low"], SMALL) as low,
        y4m.create(root / "high" / entry["high"], HEADER) as high,
        y4m.create(root / "shipped" / entry["file"], HEADER) as shipped,
    ):
        for index in range(frames[-1] + 1):
            shift = (index * 5) % (photo.shape[1] - 415)
            planes = color.rgb_to_planes(photo[:288, shift : shift + 416], HEADER.layout)
            planes[0][:32] = 16  # a letterbox bar
            small = interpolate.downscale(planes, HEADER, 4)
            high.write(planes)
            low.write(small)
            if index not in frames:
                continue
            bicubic = interpolate.upscale(small, SMALL, 4)
            sharp = [plane.astype(float) for plane in interpolate.upscale(small, SMALL, 4, "lanczos")]
            sharp[0] += amount * (sharp[0] - (np.roll(sharp[0], 2, 0) + np.roll(sharp[0], -2, 1)) / 2)
            mine = tuple(np.clip(plane + 0.5, 0, 255).astype(np.uint8) for plane in sharp)
            shipped.write(mine)
            for curves, pred in ((ours, mine), (theirs, bicubic)):
                curves["psnr_yuv"].append(psnr(pred, planes))
                curves["psnr_y"].append(psnr(pred, planes, 1))
                curves["ssim"].append(curves["psnr_y"][-1] / 40)
                curves["vmaf"].append(curves["psnr_y"][-1] * 2.1)
                curves["vmaf_neg"].append(curves["psnr_y"][-1] * 2)
    for side, curves in (("submission", ours), ("bicubic", theirs)):
        means = {key: float(np.mean(values)) for key, values in curves.items()}
        entry[side] = {**means, "psnr_rgb": means["psnr_yuv"] - 1, "per_frame": curves}
    return entry


def total_of(clips: list[dict[str, Any]], side: str) -> dict[str, Any]:
    mean = {key: float(np.mean([clip[side][key] for clip in clips])) for key in clips[0][side] if key != "per_frame"}
    total: dict[str, Any] = {
        f"psnr_{planes}_{pool}": mean[f"psnr_{planes}"] for planes in score_tables.PLANES for pool in ("clip", "frame")
    }
    total |= {"psnr": mean["psnr_yuv"], "vmaf": mean["vmaf"], "ssim": mean["ssim"], "vmaf_full": mean["vmaf"]}
    total |= {"vmaf_all": None, "vmaf_neg_full": mean["vmaf_neg"], "vmaf_neg_all": None}
    return total | {"score": 0.8 * total["psnr"] + 0.2 * total["vmaf"]}


def make_submission(root: Path) -> Path:
    """A scored submission of two whole clips and one sampled clip; returns its folder."""
    for name in ("low", "high", "shipped", "made"):
        (root / name).mkdir()
    photos = [skimage.data.coffee(), skimage.data.astronaut(), skimage.data.chelsea()]
    clips = [
        make_clip(root, 150, photos[0], list(range(10)), 0.15),
        make_clip(root, 151, photos[1], list(range(8)), 0.3),
        make_clip(root, 155, photos[2], [0, 3, 6, 9], 0.05),
    ]
    folder = root / "made"
    with zipfile.ZipFile(folder / "made.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for clip in clips:
            archive.write(root / "shipped" / clip["file"], clip["file"])
    totals = {side: total_of(clips, side) for side in ("submission", "bicubic")}
    protocol = {
        "psnr_planes": "yuv",
        "psnr_pool": "clip",
        "vmaf_clips": "full",
        "vmaf_model": "vmaf_v0.6.1",
        "vmaf_pool": "mean",
    }
    score = {"name": NAME, "test_set": "150-199", "created": "2026-01-02T03:04:05+00:00", "protocol": protocol}
    score |= {"tools": {"ffmpeg": "9.0", "libvmaf": "3.0.0", "youku": "0.1.0", "torch": "2.13.0"}}
    paths = {"submission": str(folder / "made.zip"), "low": str(root / "low"), "high": str(root / "high")}
    for side in ("submission", "bicubic"):
        clips[2][side] |= {"vmaf": None, "vmaf_neg": None}
        clips[2][side]["per_frame"] |= {"vmaf": [None] * 4, "vmaf_neg": None}
    clips[0]["submission"]["per_frame"]["psnr_yuv"][4] = None
    clips[0]["submission"]["per_frame"]["psnr_yuv"][7] = "inf"
    (folder / "score.json").write_text(json.dumps(score | {"paths": paths, "totals": totals, "clips": clips}))
    return folder


@pytest.fixture(scope="module", autouse=True)
def quick_pictures() -> Iterator[None]:
    """The same pixels, in a few more bytes and a tenth of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(crops.HOW, "png", {"compress_level": 1})
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_submission(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page_path(folder: Path) -> Path:
    return report.write_report(folder)


@pytest.fixture(scope="module")
def pair_path(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the submission beside another of the same clips."""

    def change(score: dict[str, Any]) -> None:
        score["name"] = "second"
        score["totals"]["submission"]["score"] = 40.0

    return report.write_report(folder, others=[edited(folder, tmp_path_factory.mktemp("pair") / "other", change)])


@pytest.fixture(scope="module")
def text(page_path: Path) -> str:
    return page_path.read_text(encoding="utf-8")


def edited(folder: Path, target: Path, change: Any) -> Path:
    """A copy of the submission's score (not its clips) with `change` applied to it."""
    score = json.loads((folder / "score.json").read_text())
    change(score)
    target.mkdir(exist_ok=True)
    (target / "score.json").write_text(json.dumps(score))
    return target


class Tags(HTMLParser):
    """Collects (tag, attributes) and checks that every element is closed in order."""

    VOID = ("meta", "link", "img", "line", "path", "circle", "rect", "br")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_is_well_formed_and_self_contained(text: str) -> None:
    """Every tag is closed in order, nothing is loaded but data URIs, and links stay in the page."""
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    loaded = [values[key] for _, values in tags.found for key in ("src", "href", "srcset", "data") if values.get(key)]
    assert loaded
    assert all((value or "").startswith(("data:", "#")) for value in loaded)
    ids = [values["id"] for _, values in tags.found if values.get("id")]
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in loaded if value and value[0] == "#"} <= set(ids)
    assert not re.search(r"url\(|@import|https?://", text)


def test_page_names_all_clips_and_escapes_the_name(text: str) -> None:
    """All clip ids are there and a name full of markup stays text."""
    assert all(f"Clip {clip_id}" in text and f">{clip_id}</th>" in text for clip_id in ("00150", "00151", "00155"))
    assert "&lt;b&gt;&amp;Name" in text
    assert NAME not in text


def test_page_is_repeatable_and_small(folder: Path, page_path: Path, tmp_path: Path) -> None:
    """The same inputs give the same bytes, at most a few megabytes."""
    again = report.write_report(folder, out=tmp_path / "again.html")
    assert again.read_bytes() == page_path.read_bytes()
    assert page_path.stat().st_size < 4_000_000


def test_totals_show_values_and_difference(folder: Path, text: str) -> None:
    """The score, the bicubic score and their signed difference are printed."""
    totals = json.loads((folder / "score.json").read_text())["totals"]
    ours, theirs = totals["submission"]["score"], totals["bicubic"]["score"]
    difference = f"{ours - theirs:+.3f}".replace("-", "\u2212")
    assert f"<td>{ours:.3f}</td><td>{theirs:.3f}</td>" in text
    assert difference in text


def test_differences_inside_the_interval_are_called_so(folder: Path, tmp_path: Path) -> None:
    """Six clips by PSNR and VMAF: 1 dB on each is a difference from bicubic, 0.3 up and down is none between two."""

    def change(score: dict[str, Any], steps: tuple[float, ...], name: str) -> None:
        first = score["clips"][0]
        score["clips"] = [
            {**first, "id": index, "submission": {"psnr_yuv": 31 + index + step, "vmaf": 50.0}}
            for index, step in enumerate(steps)
        ]
        for clip in score["clips"]:
            clip["bicubic"] = {"psnr_yuv": 30.0 + clip["id"], "vmaf": 40.0}
            clip |= {"file": contest.result_name(clip["id"], True), "low": contest.low_name(clip["id"])}
            clip["high"] = contest.high_name(clip["id"])
        score["name"] = name

    ours = edited(folder, tmp_path / "ours", lambda score: change(score, (0.0,) * 6, "ours"))
    other = edited(folder, tmp_path / "other", lambda score: change(score, (0.3, -0.3) * 3, "other"))
    page = report.write_report(ours, others=[other], num_clips=0).read_text()
    assert re.search(r"ours: score 3[56]\.\d\d to 3[78]\.\d\d; above bicubic", page)
    assert "above bicubic +2.80 to +2.80, higher, not by chance." in page
    assert re.search(r"other above ours: -0\.\d\d to \+0\.\d\d, no difference that these clips show\.", page)
    leaderboard.write_board(tmp_path, leaderboard.read_entries(tmp_path)[0])
    rows = (tmp_path / "leaderboard.md").read_text()
    assert "| the best |" in rows and re.search(r"\| [-+]0\.\d+: -0\.\d\d to \+0\.\d\d, no difference", rows)


def test_missing_score_is_one_clear_error(tmp_path: Path) -> None:
    """Without score.json the error names the file and the command that makes it."""
    with pytest.raises(ValueError, match=r"score\.json: no such file; score the submission first"):
        report.write_report(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda score: score.pop("clips"), "score: 'clips' is missing"),
        (lambda score: score["protocol"].pop("vmaf_pool"), "score.protocol: 'vmaf_pool' is missing"),
        (lambda score: score["clips"].clear(), "holds no clips"),
        (lambda score: score["clips"][0].pop("frames"), "'frames' is missing"),
        (lambda score: score["clips"][0].update(width=0), "expected sides of 1 to 32768 pixels"),
        (lambda score: score["clips"][1]["frames"].pop(), "clip 00151 has 7 frames and 8 values"),
        (
            lambda score: score["totals"]["submission"].update(psnr="high"),
            "expected a number, null or \"inf\", got 'high'",
        ),
        (lambda score: score["protocol"].update(psnr_planes="hsv"), "psnr_planes 'hsv'"),
    ],
)
def test_damaged_score_is_one_clear_error(folder: Path, tmp_path: Path, change: Any, message: str) -> None:
    """A score.json of another shape is refused with what is wrong, and no page appears."""
    with pytest.raises(ValueError, match=message):
        report.write_report(edited(folder, tmp_path / "damaged", change))
    assert not (tmp_path / "damaged" / "report.html").exists()


def test_names_that_are_not_the_contests_name_the_score(folder: Path, tmp_path: Path) -> None:
    copy = edited(folder, tmp_path / "copy", lambda score: score["clips"][0].update(low="/etc/passwd"))
    with pytest.raises(ValueError, match=rf"^{copy}/score\.json: score of clip 0\d+: low is '/etc/passwd', expected"):
        report.write_report(copy)


def test_a_curve_of_bicubic_alone_makes_a_page(folder: Path, tmp_path: Path) -> None:
    """Nothing to compare, but no error either."""
    copy = edited(
        folder, tmp_path / "copy", lambda score: [clip["submission"].pop("per_frame") for clip in score["clips"]]
    )
    assert "</html>" in report.write_report(copy).read_text()


def test_a_frame_before_the_damage_is_not_shown(folder: Path, tmp_path: Path) -> None:
    """A zip's checksum stands at the end of a member, so that it is read to there."""
    name, stored = contest.result_name(151, True), tmp_path / "stored.zip"
    with zipfile.ZipFile(folder / "made.zip") as old, zipfile.ZipFile(stored, "w") as new:
        new.writestr(name, old.read(name))
        place = new.infolist()[0].file_size // 20
    data = bytearray(stored.read_bytes())
    data[place] ^= 1
    stored.write_bytes(data)
    with pytest.raises(ValueError, match="expected a zip, got a damaged one"):
        report_frames.packed_frames(stored, name, [0])


def test_missing_submission_leaves_pictures_out(folder: Path, tmp_path: Path) -> None:
    """Without the shipped clips the page says so in one sentence and keeps its tables."""
    copy = edited(folder, tmp_path / "copy", lambda score: score["paths"].update(submission="gone.zip"))
    text = report.write_report(copy).read_text()
    assert "Pictures are left out: the submitted clips (gone.zip) were not found." in text
    assert 'class="stage"' not in text
    assert ">00155</th>" in text


def test_missing_low_or_high_compares_what_is_there(folder: Path, tmp_path: Path) -> None:
    """Without LR the ground truth is compared; without both the clip's pictures are left out with a sentence."""
    copy = edited(folder, tmp_path / "copy", lambda score: score["paths"].update(low=None))
    text = report.write_report(copy, num_clips=1, num_frames=0).read_text()
    assert 'data-layer="gt"' in text
    assert 'data-layer="bicubic"' not in text
    copy = edited(folder, tmp_path / "copy", lambda score: score["paths"].update(low=None, high=None))
    text = report.write_report(copy, num_clips=1, num_frames=0).read_text()
    assert "neither Youku_00151_l.y4m nor Youku_00151_h_GT.y4m was found" in text


@pytest.mark.parametrize("num_clips", [0, 3])
def test_other_films_than_were_scored_are_not_shown(folder: Path, tmp_path: Path, num_clips: int) -> None:
    """Their sizes are the same, their PSNR is not: neither a strip nor a large picture of them stands beside old numbers."""
    for kind in ("low", "high"):
        shutil.copytree(folder.parent / kind, tmp_path / kind)
        names = [clip[kind] for clip in json.loads((folder / "score.json").read_text())["clips"]]
        shutil.copy(folder.parent / kind / names[0], tmp_path / kind / names[1])
    copy = edited(folder, tmp_path / "copy", lambda score: None)
    with pytest.raises(ValueError, match=r"clip 00151, frame \d: .* dB against .* says .*: other files were scored"):
        report.write_report(copy, tmp_path / "low", tmp_path / "high", num_clips=num_clips, num_frames=0)
    assert not list(copy.glob("*.html"))
    with y4m.create(tmp_path / "high" / names[2], HEADER.resized(208, 144)) as writer:
        for _ in range(10):
            writer.write(tuple(np.zeros(shape, np.uint8) for shape in writer.header.plane_shapes))
    shutil.copy(folder.parent / kind / names[1], tmp_path / kind / names[1])
    shutil.copy(folder.parent / "low" / contest.low_name(151), tmp_path / "low")
    with pytest.raises(ValueError, match="clip 00155: expected 416x288 .*, as it was scored, .* is 208x144 .*; give"):
        report.write_report(copy, tmp_path / "low", tmp_path / "high", num_clips=num_clips, num_frames=0)


def test_nulls_everywhere_still_make_a_page(folder: Path, tmp_path: Path) -> None:
    """A score without VMAF, bicubic or curves gives a page that says n/a."""

    def strip(score: dict[str, Any]) -> None:
        score["totals"] = {side: dict.fromkeys(score["totals"][side]) for side in score["totals"]}
        for clip in score["clips"]:
            clip["bicubic"] = None
            clip["submission"] |= {"vmaf": None, "vmaf_neg": None, "per_frame": {}}

    text = report.write_report(edited(folder, tmp_path / "nulls", strip), num_clips=1, num_frames=0).read_text()
    assert "n/a" in text and "VMAF NEG Submission" not in text  # a column without a figure
    assert "Not computed: it needs both PSNR and VMAF." in text
    assert "Largest PSNR:" in text
    assert not re.search(r">\s*(None|nan)\s*<", text)


def test_infinite_values_show_as_infinity(folder: Path, tmp_path: Path) -> None:
    """An exact match is the infinity sign; the difference of two exact matches is n/a."""

    def exact(score: dict[str, Any]) -> None:
        for side in ("submission", "bicubic"):
            score["clips"][0][side]["psnr_yuv"] = "inf"

    text = report.write_report(edited(folder, tmp_path / "exact", exact), num_clips=0, num_frames=0).read_text()
    assert re.search(
        r'data-value="Infinity"[^>]*>\u221e</td><td data-value="Infinity"[^>]*>\u221e</td><td data-value=""[^>]*>n/a<',
        text,
    )


@pytest.mark.parametrize("key", ["file", "low", "high"])
@pytest.mark.parametrize(
    "name", ["../{}", "{absolute}", "a/{}", "Youku_00151_l.y4m\0", "secret.y4m", "Youku_00152_h_Res.y4m", ""]
)
def test_only_the_contests_names_are_opened(folder: Path, tmp_path: Path, key: str, name: str) -> None:
    """A score.json that names a file by a path, or another clip's, is refused; nothing outside its folders is read."""

    def rename(score: dict[str, Any]) -> None:
        clip = score["clips"][0]
        clip[key] = name.format(clip[key], absolute=tmp_path / clip[key])

    with pytest.raises(ValueError, match=rf"score of clip 00150: {key} is .*, expected Youku_00150_.*; score"):
        report.write_report(edited(folder, tmp_path / "copy", rename))


@pytest.mark.parametrize("layer", ["low", "shipped"])
def test_a_link_counts_as_what_it_leads_to(folder: Path, tmp_path: Path, layer: str) -> None:
    """A contest name that is a link to a file of another name is not opened; to one of the same name it is."""
    source = folder.parent / layer
    linked, secret = tmp_path / layer, tmp_path / "secret.y4m"
    linked.mkdir()
    for path in source.iterdir():
        (linked / path.name).symlink_to(path)
    change = {"low": str(linked)} if layer == "low" else {"submission": str(linked)}
    copy = edited(folder, tmp_path / "copy", lambda score: score["paths"].update(change))
    assert "not found" not in report.write_report(copy, num_clips=3, num_frames=0).read_text()
    for path in source.iterdir():
        shutil.copy(path, secret)
        (linked / path.name).unlink()
        (linked / path.name).symlink_to(secret)
    text = report.write_report(copy, num_clips=3, num_frames=0).read_text()
    assert "was not found" in text if layer == "shipped" else 'data-layer="lr"' not in text


@pytest.mark.parametrize(
    ("offset", "form", "value"), [(42, "<I", 0xFFFFFF00), (8, "<H", 0x20), (8, "<H", 1), (10, "<H", 12), (10, "<H", 99)]
)
def test_damaged_member_is_one_clear_error(folder: Path, tmp_path: Path, offset: int, form: str, value: int) -> None:
    """A bad place, a flag or a packer in the zip's directory is told with the zip's name."""
    copy = edited(folder, tmp_path / "copy", lambda score: score["paths"].update(submission="bad.zip"))
    data = bytearray((folder / "made.zip").read_bytes())
    at = -1
    while (at := data.find(b"PK\x01\x02", at + 1)) >= 0:
        struct.pack_into(form, data, at + offset, value)
    (copy / "bad.zip").write_bytes(data)
    with pytest.raises(ValueError, match=r"bad\.zip: expected a zip, got a damaged one \(.+\)"):
        report.write_report(copy)


def test_damaged_zip_is_one_clear_error(folder: Path, tmp_path: Path) -> None:
    """A shipped zip that is no zip is named, not skipped."""
    copy = edited(folder, tmp_path / "copy", lambda score: score["paths"].update(submission="bad.zip"))
    (copy / "bad.zip").write_bytes(b"PK not a zip")
    with pytest.raises(ValueError, match=r"bad\.zip: expected a zip"):
        report.write_report(copy)


def test_command_prints_the_path_and_refuses_bad_flags(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command prints where the page lies; a --low that is no folder and a negative count are errors."""
    assert (
        report.main([str(folder), "--out", str(tmp_path / "page.html"), "--num-clips", "0", "--num-frames", "0"]) == 0
    )
    assert capsys.readouterr().out == f"{tmp_path / 'page.html'}\n"
    assert report.main([str(folder), "--low", str(tmp_path / "none")]) == 1
    assert "expected a folder of y4m clips" in capsys.readouterr().err
    assert report.main([str(folder), "--num-clips", "-1"]) == 1
    assert report.main([str(folder), "--out", str(tmp_path)]) == 1
    assert "expected a file name for the page, found a folder" in capsys.readouterr().err


def test_packed_frame_is_the_same_from_zip_and_folder(folder: Path) -> None:
    """A frame read out of the zip equals the frame of the file."""
    name = contest.result_name(151, True)
    packed = report_frames.packed_frames(folder / "made.zip", name, [5, 2])
    plain = report_frames.packed_frames(folder.parent / "shipped", name, [2, 5])
    for position in (2, 5):
        assert all(map(np.array_equal, packed[position][1], plain[position][1]))
    with pytest.raises(ValueError, match="has no frame 8"):
        report_frames.packed_frames(folder / "made.zip", name, [3, 8])


def test_detailed_box_finds_texture_and_avoids_bars() -> None:
    """The box lies on the texture, never on letterbox bars, and its numbers are multiples of the scale."""
    luma = np.full((240, 320), 100, np.uint8)
    luma[:41] = luma[-40:] = 16
    luma[120:180, 200:280] = np.random.default_rng(0).integers(80, 120, (60, 80))
    box = crops.detailed_box(luma, 8, 64, 96, 4)
    assert (box.height, box.width) == (64, 96)
    assert 100 < box.top < 130
    assert 180 < box.left < 210
    full = crops.detailed_box(luma, 8, 9999, 9999, 4)
    assert (full.top, full.height, full.width) == (44, 156, 320)
    dark = crops.detailed_box(np.full((30, 50), 16, np.uint8), 8, 64, 96, 4)
    assert (dark.height, dark.width) == (28, 48)


def test_wrong_box_lies_on_the_largest_error() -> None:
    """The box holds the error, not the texture, and bars are left out."""
    high = np.full((240, 320), 100, np.uint8)
    high[:41] = 16
    high[150:230, :100] = np.random.default_rng(0).integers(80, 120, (80, 100))
    pred = high.copy()
    pred[80:100, 220:240] += 40
    pred[0:20, 0:20] += 90
    box = crops.wrong_box(pred, high, 8, 64, 96)
    assert box.top <= 80
    assert box.top + box.height >= 100
    assert box.left <= 220
    assert box.left + box.width >= 240


def clip_of(clip_id: str, values: list[float | None], frames: list[int] | None = None) -> dict[str, Any]:
    """A normalised clip with a PSNR curve and no VMAF."""
    known = [value for value in values if value is not None]
    side = {"psnr": float(np.mean(known)), "per_frame": {"psnr_yuv": values}}
    return {
        "id": clip_id,
        "whole": True,
        "curve": "psnr_yuv",
        "frames": frames or list(range(len(values))),
        "submission": side,
        "bicubic": {"per_frame": {}},
    }


def test_worst_frames_are_the_smallest_values_far_apart() -> None:
    """The smallest values come first, neighbours of one clip are passed over, null and infinity never count."""
    one = clip_of("00001", [20.0, 19.0, *[30.0] * 18, 21.0])
    two = clip_of("00002", [25.0, None, float("inf"), 24.0], [0, 25, 50, 75])
    found = report_frames.choose_worst([one, two], None, 4)
    assert [(choice.clip["id"], choice.frame) for choice in found] == [
        ("00001", 1),
        ("00001", 20),
        ("00002", 75),
        ("00002", 0),
    ]
    assert report_frames.choose_worst([one, two], "vmaf", 4) == []


def test_gone_clips_leave_numbers_and_say_so(folder: Path, tmp_path: Path) -> None:
    """With every clip gone the filmstrips and worst frames keep their numbers, and the page says what is missing."""
    gone = edited(folder, tmp_path / "gone", lambda score: score.update(paths=dict.fromkeys(score["paths"], "gone")))
    text = report.write_report(gone).read_text()
    assert "The small pictures are left out: neither" in text
    assert 'data-frame="3"' in text
    assert 'class="worst"' in text
    assert "<img" not in text
    assert "Pictures are left out" in text


def test_page_above_the_limit_is_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that grows too large is not written, and the sentence says what to do."""
    monkeypatch.setattr(report_page, "MOST_PAGE_BYTES", 50_000)
    with pytest.raises(ValueError, match="at most 0 MB, got .* picture less with --num-clips and --num-frames"):
        report.write_report(folder, out=tmp_path / "large.html", num_clips=0, num_frames=0)
    assert not (tmp_path / "large.html").exists()


def test_submissions_side_by_side(folder: Path, pair_path: Path, tmp_path: Path) -> None:
    """The page of two submissions names both, prints the signed difference, and has the second one's crops."""
    text = pair_path.read_text()
    assert pair_path.name == "compare-other.html"
    assert "<td>40.000</td>" in text
    assert 'data-layer="sr2"' in text
    assert ">submission<" not in text and 'aria-label="VMAF NEG &lt;b&gt;&amp;Name"' in text
    ours = json.loads((folder / "score.json").read_text())["totals"]["submission"]["score"]
    assert f"{40.0 - ours:+.3f}".replace("-", "\u2212") in text
    foreign = edited(folder, tmp_path / "foreign", lambda score: score["clips"].pop())
    with pytest.raises(
        ValueError, match="foreign beside .*made: clips, frames or sizes are not the same .* score both on"
    ):
        report.write_report(folder, others=[foreign])
    planes = edited(folder, tmp_path / "planes", lambda score: score["protocol"].update(psnr_planes="y"))
    with pytest.raises(ValueError, match="the protocols are not the same"):
        report.write_report(folder, others=[planes])
    film = edited(folder, tmp_path / "film", lambda score: score["clips"][1]["bicubic"].update(psnr_yuv=12.5))
    with pytest.raises(ValueError, match=r"clip 00151 is of two films, .* \(bicubic has 12\.500 and \d+\.\d+ dB\)"):
        report.write_report(folder, others=[film])
    with pytest.raises(ValueError, match="at most 3 submissions, got 4"):
        report.write_report(folder, others=[planes] * 3)


def test_chart_breaks_at_gaps() -> None:
    """A line is broken at missing frames and values, a lone value is a dot, an infinite one sits at the top."""
    made = plots.svg_plot("PSNR", [0, 1, 2, 25, 50], {"submission": [30.0, 31.0, None, 32.0, float("inf")]}, 2)
    assert re.sub(r"[\d. ]+", "", made.paths["submission"]) == "MLM"
    assert [kind for _, _, kind in made.marks["submission"]] == ["dot", "inf"]
    assert made.marks["submission"][1][1] == plots.SvgPlot.top
    assert [label for _, label in made.ticks_x] == ["0", "10", "20", "30", "40", "50"]


@pytest.mark.parametrize(("low", "high"), [(0, 100), (36.8, 36.8), (29.99, 41.2), (-3, 4), (99.9, 100.0)])
def test_round_steps_enclose_the_range(low: float, high: float) -> None:
    """Ticks rise evenly and enclose the values."""
    steps = plots.round_steps(low, high)
    assert steps[0] <= low + 1e-9
    assert steps[-1] >= high - 1e-9
    assert 2 <= len(steps) <= 8
    assert np.allclose(np.diff(steps), steps[1] - steps[0])


# ---- in Chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium (chromium, chromium-browser or google-chrome on PATH)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield running
        running.close()


class Opened:
    """A page with what it logged and asked for."""

    def __init__(self, browser: Any, path: Path, width: int = 1440, **options: Any) -> None:
        self.page = browser.new_context(viewport={"width": width, "height": 900}, **options).new_page()
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def check(self) -> None:
        assert self.problems == []
        assert all(url.startswith(("file:", "data:")) for url in self.requests)


@pytest.fixture(scope="module")
def opened(browser: Any, page_path: Path) -> Opened:
    """The page, loaded once for all tests; each says where it starts from."""
    return Opened(browser, page_path)


@pytest.fixture
def page(opened: Opened) -> Iterator[Any]:
    """On a desk in light colours, nothing unfolded by another test."""
    resize(opened.page, 1440)
    opened.page.emulate_media(color_scheme="light")
    opened.page.evaluate('document.querySelectorAll("details").forEach((item) => { item.open = false; })')
    yield opened.page
    opened.check()


def resize(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})


def unfold(page: Any) -> None:
    page.evaluate('document.querySelectorAll("details").forEach((item) => { item.open = true; })')


def now(page: Any) -> int:
    return int(page.get_by_role("slider").first.get_attribute("aria-valuenow"))


def split_of(page: Any) -> float:
    """Where the divider stands, as a share of the stage, measured from the layout."""
    return float(
        page.evaluate(
            """() => { const s = document.querySelector(".stage").getBoundingClientRect(),
            h = document.querySelector(".handle").getBoundingClientRect();
            return (h.left + h.width / 2 - s.left) / s.width; }"""
        )
    )


@pytest.mark.browser
def test_mouse_drags_the_divider(page: Any) -> None:
    """Dragging moves the divider, its value and the clipping of the left picture; hovering alone does not."""
    stage = page.locator(".stage").first
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.2, middle, steps=4)
    assert now(page) == 20
    assert split_of(page) == pytest.approx(0.2, abs=0.01)
    clip = page.evaluate('getComputedStyle(document.querySelector(".layer.left")).clipPath')
    assert "80%" in clip
    page.mouse.up()
    page.mouse.move(box["x"] + box["width"] * 0.7, middle)
    assert now(page) == 20


@pytest.mark.browser
def test_keys_move_the_divider(page: Any) -> None:
    """Arrow keys, Home and End move the divider and its spoken value."""
    slider = page.get_by_role("slider").first
    slider.focus()
    page.keyboard.press("Home")
    for _ in range(5):
        page.keyboard.press("PageUp")
    assert now(page) == 50
    page.keyboard.press("ArrowLeft")
    assert now(page) == 48
    page.keyboard.press("Shift+ArrowRight")
    assert now(page) == 58
    assert slider.get_attribute("aria-valuetext") == "58 % Bicubic, 42 % Submission"
    page.keyboard.press("End")
    assert now(page) == 100
    page.keyboard.press("Home")
    assert (now(page), round(split_of(page), 2)) == (0, 0)


@pytest.mark.browser
def test_two_submissions_fit_a_phone(browser: Any, pair_path: Path, tmp_path: Path) -> None:
    """Their totals side by side, with their difference, need no scrolling, though a name is long."""
    page = tmp_path / "page.html"
    page.write_text(pair_path.read_text().replace("second", "1h-val-ensemble").replace(html.escape(NAME), "1h-val"))
    opened = Opened(browser, page, 400)
    widths = "(e) => [e.scrollWidth, e.clientWidth, e.textContent.includes('1h-val-ensemble')]"
    inside, width, is_named = opened.page.get_by_role("region", name="Totals side by side").evaluate(widths)
    assert inside <= width and is_named
    opened.check()


@pytest.mark.browser
def test_finger_drags_the_divider(browser: Any, page_path: Path) -> None:
    """A sideways touch drag on a phone moves the divider."""
    opened = Opened(browser, page_path, 375, has_touch=True, is_mobile=True, device_scale_factor=2)
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    stage = page.locator(".stage").first
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    touch = page.context.new_cdp_session(page)
    y = box["y"] + box["height"] / 2
    for share in (0.5, 0.6, 0.7, 0.8):
        points = [{"x": box["x"] + box["width"] * share, "y": y}]
        touch.send(
            "Input.dispatchTouchEvent",
            {"type": "touchStart" if share == 0.5 else "touchMove", "touchPoints": points},
        )
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert now(page) == pytest.approx(80, abs=1)
    opened.check()


@pytest.mark.browser
def test_buttons_choose_pictures_and_zoom(page: Any) -> None:
    """The buttons choose the two pictures, swap when both would be the same, and zoom in whole pixels."""
    viewer = page.locator(".viewer").first
    viewer.locator('[data-side="left"] [data-layer="lr"]').click()
    assert viewer.locator(".layer.left").get_attribute("data-layer") == "lr"
    viewer.locator('[data-side="right"] [data-layer="lr"]').click()
    assert viewer.locator(".layer.right").get_attribute("data-layer") == "lr"
    assert viewer.locator(".layer.left").get_attribute("data-layer") == "sr"
    assert viewer.locator('[data-side="left"] [aria-pressed="true"]').inner_text() == "Submission"
    viewer.locator('[data-zoom="4"]').click()
    picture = viewer.locator(".layer.right img")
    size = picture.evaluate("image => [image.naturalWidth * 4 * 4, image.getBoundingClientRect().width]")
    assert size[0] == size[1]
    assert picture.evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"


@pytest.mark.browser
def test_table_sorts_by_mouse_and_keyboard(page: Any) -> None:
    """A heading sorts the clips, a second press turns the order, values not computed stay last."""
    ids = lambda: page.locator(".clips tbody th").all_inner_texts()  # noqa: E731
    assert ids() == ["00150", "00151", "00155"]
    head = page.get_by_role("button", name="PSNR gain")
    head.click()
    gains = [float(cell.get_attribute("data-value")) for cell in page.locator(".clips tbody td:nth-child(5)").all()]
    assert gains == sorted(gains, reverse=True)
    assert page.locator(".clips [aria-sort]").get_attribute("aria-sort") == "descending"
    head.focus()
    page.keyboard.press("Enter")
    assert page.locator(".clips [aria-sort]").get_attribute("aria-sort") == "ascending"
    for _ in range(2):
        page.get_by_role("button", name="VMAF submission").click()
        assert ids()[-1] == "00155"


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 375, 768, 1440])
def test_no_sideways_scroll(page: Any, width: int) -> None:
    """The page never scrolls sideways, all parts unfolded; the wide table scrolls in its own box."""
    resize(page, width)
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width == 375:
        assert page.evaluate(
            '(() => { const b = document.querySelector(".clips"); return b.scrollWidth > b.clientWidth; })()'
        )


@pytest.mark.browser
def test_themes_follow_the_system_and_the_button(page: Any) -> None:
    """Dark and light come from the system; the button turns the theme round."""
    background = "getComputedStyle(document.body).backgroundColor"
    light, dark = "rgb(248, 248, 246)", "rgb(20, 23, 26)"
    for scheme, before, other, after in (("light", light, "Dark theme", dark), ("dark", dark, "Light theme", light)):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(background) == before
        page.get_by_role("button", name=other).click()
        assert page.evaluate(background) == after
        page.evaluate("delete document.documentElement.dataset.theme")  # as before the press


@pytest.mark.browser
def test_curve_tells_the_values_under_the_pointer(page: Any) -> None:
    """Pointing at a curve names the frame and both values."""
    plot = page.locator(".chart svg").first
    plot.hover()
    assert re.fullmatch(r"frame 4: submission n/a, bicubic [\d.]+", page.locator(".chart .readout").first.inner_text())


def focused(page: Any, key: str) -> str | None:
    return page.evaluate(f"document.activeElement.dataset.{key} ?? null")


@pytest.mark.browser
@pytest.mark.parametrize("width", [375, 1440])
def test_keys_walk_the_filmstrip(page: Any, width: int) -> None:
    """A strip is one tab stop; arrows, Home and End walk it, each frame tells its values, the strip scrolls along."""
    resize(page, width)
    film = page.locator(".film").first
    assert film.locator('.still[tabindex="0"]').count() == 1
    film.locator(".still").first.focus()
    page.keyboard.press("ArrowRight")
    assert focused(page, "frame") == "1"
    assert re.match(r"frame 1: PSNR [\d.]+ dB \(bicubic [\d.]+\), VMAF", film.locator(".readout").inner_text())
    page.keyboard.press("End")
    assert focused(page, "frame") == "9"
    inside = page.evaluate(
        """() => { const a = document.activeElement.getBoundingClientRect(),
        b = document.activeElement.parentElement.getBoundingClientRect(); return a.right <= b.right + 1; }"""
    )
    assert inside
    page.keyboard.press("ArrowRight")
    assert focused(page, "frame") == "9"
    page.keyboard.press("Home")
    assert focused(page, "frame") == "0"
    assert film.locator('.still[tabindex="0"]').get_attribute("data-frame") == "0"


@pytest.mark.browser
def test_filmstrip_leads_to_a_comparison_and_back(page: Any) -> None:
    """Enter or a click on a pictured frame lands on its divider or row; the comparison's link leads back."""
    still = page.locator('.still[data-anchor^="still-"]').first
    still.focus()
    page.keyboard.press("Enter")
    anchor = still.get_attribute("data-anchor")
    assert page.evaluate("document.activeElement.closest('article').id") == anchor
    assert page.evaluate("document.activeElement.getAttribute('role')") == "slider"
    assert page.evaluate("document.activeElement.closest('article').getBoundingClientRect().top") < 200
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert page.locator(f"#{anchor} .handle").get_attribute("aria-valuenow") == "98"
    page.locator(f"#{anchor} .back").click()
    assert focused(page, "frame") == still.get_attribute("data-frame")
    row = page.locator('.film:visible .still[data-anchor^="worst-"]').first
    row.click()
    assert page.evaluate("document.activeElement.id") == row.get_attribute("data-anchor")


@pytest.mark.browser
def test_link_into_a_folded_strip_unfolds_it(page: Any) -> None:
    """The link to a sampled clip's strip opens the part that holds it."""
    assert not page.locator("#film-00155").is_visible()
    page.locator('a[href="#film-00155"]').first.click()
    assert page.locator("#film-00155").is_visible()
    assert page.evaluate("document.activeElement.closest('.film').id") == "film-00155"


@pytest.fixture(scope="module")
def pair(browser: Any, pair_path: Path) -> Opened:
    return Opened(browser, pair_path)


@pytest.mark.browser
@pytest.mark.parametrize("width", [375, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_side_by_side_in_both_themes(pair: Opened, width: int, scheme: str) -> None:
    """Two submissions start on the two sides of the divider; nothing scrolls sideways; links are readable."""
    resize(pair.page, width)
    pair.page.emulate_media(color_scheme=scheme)
    unfold(pair.page)
    assert pair.page.evaluate("document.documentElement.scrollWidth") <= width
    viewer = pair.page.locator(".viewer").first
    assert viewer.locator(".layer.left").get_attribute("data-layer") == "sr2"
    assert viewer.locator(".layer.right figcaption").inner_text() == NAME
    table = pair.page.locator(".beside").first
    shot = skimage.io.imread(io.BytesIO(table.screenshot())).astype(int)[20:, :, :3]
    is_shaded = np.median(abs(shot[:, -3] - shot[:, 9])) > 20
    assert is_shaded == table.evaluate("box => box.scrollWidth > box.clientWidth") == (width == 375)
    link = pair.page.evaluate("getComputedStyle(document.querySelector('.back')).color")
    assert link == {"light": "rgb(10, 106, 140)", "dark": "rgb(95, 185, 220)"}[scheme]
    pair.check()


@pytest.mark.browser
def test_a_printed_table_fits_the_sheet(page: Any) -> None:
    """A4 is 718 px wide inside its margins; heads are text, as buttons are not repeated on the next sheet."""
    resize(page, 718)
    page.emulate_media(media="print")
    table = page.locator(".clips table")
    right = "item => item.getBoundingClientRect().right"
    assert table.evaluate(right) <= page.locator(".clips").evaluate(right) + 1
    heads = (
        "item => [...item.querySelectorAll('tr:nth-child(2) th')].map((th) => getComputedStyle(th, '::before').content)"
    )
    assert table.locator("thead").evaluate(heads)[:3] == ['"Clip"', '"Frames"', '"Submission"']
    assert page.locator("#worst").evaluate("item => getComputedStyle(item).breakAfter") == "avoid"
    page.emulate_media(media="screen")


def test_a_name_that_no_text_can_hold_is_shown_escaped(folder: Path, tmp_path: Path) -> None:
    """Half a surrogate pair, as JSON may hold it, among the tools of a score."""
    odd = edited(folder, tmp_path / "odd", lambda score: score["tools"].update({"\ud800": "1"}))
    assert "\\ud800" in report.write_report(odd).read_text()
