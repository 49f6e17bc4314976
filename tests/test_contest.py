"""The contest's facts as the organiser's list has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from youku import contest


def test_archives_are_the_organisers_list() -> None:
    """19 inputs and 16 labels, named and placed as published; validation lies under round1/train."""
    found = contest.archives()
    assert len([a for a in found if a.kind == "input"]) == 19
    assert len([a for a in found if a.kind == "label"]) == 16
    remotes = {archive.remote for archive in found}
    assert {
        "round1/train/input/youku_00000_00049_l.zip",
        "round1/train/label/youku_00150_00199_h_GT.zip",
        "round1/test/input/youku_00200_00249_l.zip",
        "round2/train/label/youku_00800_00849_h_GT.zip",
        "round2/test/input/youku_00900_00949_l.zip",
    } <= remotes


def test_every_clip_is_in_exactly_one_split() -> None:
    """Ids 0-949 without gap or overlap."""
    ids = [clip_id for split in contest.SPLITS.values() for clip_id in range(split.first, split.last + 1)]
    assert ids == list(range(950))


def test_names_round_trip_and_near_misses_do_not_parse() -> None:
    """Capital Y, five digits, no space."""
    assert contest.parse_name(contest.low_name(7)) == (7, "l")
    assert contest.parse_name(contest.high_name(7)) == (7, "h_GT")
    assert contest.parse_name("Youku_00205_h_Sub25_Res.y4m") == (205, "h_Sub25_Res")
    for name in ("youku_00007_l.y4m", "Youku_0007_l.y4m", "Youku_00007 _l.y4m", "Youku_00007_l.y4m.zip"):
        assert contest.parse_name(name) is None


def test_whole_and_sampled_by_id() -> None:
    """Five whole clips, 45 sampled at 0, 25, 50, 75; the last id is inside."""
    test_set = contest.test_set("round1-test")
    names = [test_set.name(clip_id) for clip_id in test_set.ids]
    assert names[4:6] == ["Youku_00204_h_Res.y4m", "Youku_00205_h_Sub25_Res.y4m"]
    assert names[-1] == "Youku_00249_h_Sub25_Res.y4m" and len(names) == 50
    assert sum(len(test_set.frames(clip_id)) for clip_id in test_set.ids) == 680
    assert list(test_set.frames(249)) == [0, 25, 50, 75]


def test_val_is_the_local_rehearsal() -> None:
    """val and an id range name the same set; nonsense is answered with the choices."""
    assert contest.test_set("val") == contest.test_set("150-199") == contest.TestSet(tuple(range(150, 200)))
    for text in ("val2", "9-1", "200_249", "3,2", "1-2,2-3", "1,,2", ""):
        with pytest.raises(ValueError, match="expected"):
            contest.test_set(text)


@pytest.mark.parametrize(
    ("there", "named", "whole"),
    [
        ([], "150-199", 150),  # nothing: all of them are wanted
        ([150, 151], "150-151", 150),
        ([3, 150, 152, 153, 160], "150,152-153,160", 160),
        ([0, 1, 7], "0-1,7", 7),
        ([0], "0-0", 0),
    ],
)
def test_the_rehearsal_is_on_the_clips_that_are_there(tmp_path: Path, there: list[int], named: str, whole: int) -> None:
    """val of a folder: its clips of 150-199, else its own; the first five are whole; what it is called names it again."""
    for clip_id in there:
        (tmp_path / contest.low_name(clip_id)).touch()
        (tmp_path / contest.high_name(clip_id + 1)).touch()
    found = contest.test_set("val", tmp_path)
    assert str(found) == named and contest.test_set(named) == found and found.is_whole(whole)
    assert contest.test_set("round1-val", tmp_path) == contest.TestSet(tuple(range(150, 200)))
    sampled = contest.test_set("1-3,5,7-9")
    assert [sampled.is_whole(clip_id) for clip_id in sampled.ids] == [True] * 5 + [False] * 2


def test_one_decibel_is_four_vmaf_points() -> None:
    """score = 0.8 PSNR + 0.2 VMAF."""
    assert contest.score(1, 0) == pytest.approx(contest.score(0, 4))
    assert contest.score(30, 50) == pytest.approx(34.0)
