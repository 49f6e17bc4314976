"""The contest's facts: clip ids, splits, archives, file names, the whole/sampled rule and the score's weights.

Source: Alibaba Tianchi competition 231711 (2019), data set "Youku-VESR"; the organiser's data list and
participants' public code. What is disputed among participants is an option with the default first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

BASE_URL = "http://tianchi-media.oss-cn-beijing.aliyuncs.com/231711_youku/"
SCALE = 4
CLIP_FRAMES = 100
SAMPLE_EVERY = 25  # "Sub25": frames 0, 25, 50, 75
NUM_WHOLE = 5  # the first five clips of a test set are sent whole
CLIPS_PER_ARCHIVE = 50

PSNR_WEIGHT = 0.8  # score = 0.8 * PSNR + 0.2 * VMAF, so 1 dB is worth 4 VMAF points
VMAF_WEIGHT = 0.2
PSNR_PLANES = ("yuv", "y", "rgb")  # yuv = (4 MSE_Y + MSE_U + MSE_V) / 6, one MSE over all 4:2:0 samples
PSNR_POOLS = ("clip", "frame")  # clip = mean over frames, then over clips
VMAF_CLIPS = ("full", "all")  # full = the clips sent whole only

# Raw bytes of one 100-frame clip at the usual size, for disk checks and --dry-run.
LOW_CLIP_BYTES = 480 * 270 * 3 // 2 * CLIP_FRAMES
HIGH_CLIP_BYTES = 1920 * 1080 * 3 // 2 * CLIP_FRAMES


@dataclass(frozen=True)
class Split:
    """A run of clip ids; `folder` is where its clips lie under data/clips."""

    name: str
    round: int
    first: int
    last: int
    folder: str
    remote: str
    has_labels: bool


SPLITS = {
    split.name: split
    for split in (
        Split("round1-train", 1, 0, 149, "train", "round1/train", True),
        Split("round1-val", 1, 150, 199, "val", "round1/train", True),  # published under round1/train
        Split("round1-test", 1, 200, 249, "test", "round1/test", False),
        Split("round2-train", 2, 250, 849, "train", "round2/train", True),
        Split("round2-testa", 2, 850, 899, "test", "round2/test", False),
        Split("round2-testb", 2, 900, 949, "test", "round2/test", False),
    )
}


@dataclass(frozen=True)
class Archive:
    """One published zip: fifty clips of one kind ("input" = low resolution, "label" = ground truth)."""

    split: str
    kind: str
    first: int
    last: int

    @property
    def name(self) -> str:
        """File name, lower case as published: youku_00000_00049_l.zip."""
        suffix = "l" if self.kind == "input" else "h_GT"
        return f"youku_{self.first:05d}_{self.last:05d}_{suffix}.zip"

    @property
    def remote(self) -> str:
        """Path below the base URL."""
        return f"{SPLITS[self.split].remote}/{self.kind}/{self.name}"


def archives() -> list[Archive]:
    """Every published zip in clip order, input before label: the table of the organiser's data list."""
    found = []
    for split in SPLITS.values():
        for first in range(split.first, split.last + 1, CLIPS_PER_ARCHIVE):
            for kind in ("input", "label") if split.has_labels else ("input",):
                found.append(Archive(split.name, kind, first, first + CLIPS_PER_ARCHIVE - 1))
    return found


def low_name(clip_id: int) -> str:
    """Low-resolution clip: Youku_00000_l.y4m."""
    return f"Youku_{clip_id:05d}_l.y4m"


def high_name(clip_id: int) -> str:
    """Ground truth: Youku_00000_h_GT.y4m."""
    return f"Youku_{clip_id:05d}_h_GT.y4m"


def result_name(clip_id: int, whole: bool) -> str:
    """Submitted file: Youku_00200_h_Res.y4m when whole, Youku_00205_h_Sub25_Res.y4m when sampled."""
    return f"Youku_{clip_id:05d}_h_{'' if whole else f'Sub{SAMPLE_EVERY}_'}Res.y4m"


_NAME = re.compile(r"Youku_(\d{5})_(l|h_GT|h_Res|h_Sub25_Res)\.y4m")


def parse_name(name: str) -> tuple[int, str] | None:
    """(clip id, "l" | "h_GT" | "h_Res" | "h_Sub25_Res") of an exact contest file name, else None."""
    match = _NAME.fullmatch(name)
    return (int(match[1]), match[2]) if match else None


@dataclass(frozen=True)
class TestSet:
    """Ids judged together, in ascending order: the first five whole, the rest every 25th frame."""

    __test__ = False  # not a pytest class
    ids: tuple[int, ...]

    def __str__(self) -> str:
        """As `test_set` reads it: 200-249, or 150-152,160."""
        starts = [clip_id for clip_id in self.ids if clip_id - 1 not in self.ids]
        ends = [clip_id for clip_id in self.ids if clip_id + 1 not in self.ids]
        runs = list(zip(starts, ends, strict=True))
        return ",".join(str(a) if a == b and len(runs) > 1 else f"{a}-{b}" for a, b in runs)

    def is_whole(self, clip_id: int) -> bool:
        """By the ids of the set, never by the order of a folder that may be partial."""
        return clip_id in self.ids[:NUM_WHOLE]

    def name(self, clip_id: int) -> str:
        return result_name(clip_id, self.is_whole(clip_id))

    def frames(self, clip_id: int, num_frames: int = CLIP_FRAMES) -> range:
        """Indices of the scored frames of a clip with `num_frames` frames."""
        return range(0, num_frames, 1 if self.is_whole(clip_id) else SAMPLE_EVERY)


def test_set(text: str, low: str | Path | None = None) -> TestSet:
    """A test set by a split's name ("round1-test"), ids ("200-249", "150-152,160"), or "val", the local rehearsal.

    That is 150-199, and with the folder of low-resolution clips those of them that are there; or, where none is, all its clips.
    """
    known = {name: tuple(range(split.first, split.last + 1)) for name, split in SPLITS.items()}
    if text == "val":
        val = known["round1-val"]
        names = [parse_name(path.name) for path in Path(low).glob("*.y4m")] if low else []
        found = sorted(name[0] for name in names if name and name[1] == "l")
        return TestSet(tuple(one for one in found if one in val) or tuple(found) or val)
    if text in known:
        return TestSet(known[text])
    parts = [re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", part) for part in text.split(",")]
    ids = [number for part in parts if part for number in range(int(part[1]), int(part[2] or part[1]) + 1)]
    if not all(parts) or not ids or any(after <= before for before, after in pairwise(ids)):
        raise ValueError(f"test set {text!r}: expected one of val, {', '.join(SPLITS)}, or an id range like 200-249")
    return TestSet(tuple(ids))


test_set.__test__ = False  # type: ignore[attr-defined]


def score(psnr_db: float, vmaf: float) -> float:
    """The contest's figure of merit."""
    return PSNR_WEIGHT * psnr_db + VMAF_WEIGHT * vmaf
