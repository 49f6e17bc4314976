"""What is cut out of a training pair: a place and moments of it -> the frames of low and of high resolution there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from youku.video.y4m import Planes

DEFAULT_RESIZER = "matlab-bicubic"


class Place(NamedTuple):  # made for every patch that is drawn, in half of a dataclass's time
    """A square of a pair in low-resolution luma pixels, and what of its time a network wants."""

    frame: int
    """The middle one, or of an even number the one after the middle."""
    top: int
    left: int
    side_px: int
    num_frames: int = 1
    """Frames that the network sees at once, odd."""
    num_moments: int = 1
    """Consecutive frames that it is run on, for one with memory."""
    aligned: bool = True
    """Whether the neighbours come motion-compensated."""
    resizer: str = DEFAULT_RESIZER
    """How a picture is shrunk (video.resize)."""
    camera: int = 0
    """Seed of the path on which the moments of a still picture are seen."""

    @property
    def num_lows(self) -> int:
        """Frames of low resolution: those of every moment's window."""
        return self.num_moments + self.num_frames - 1


@dataclass(frozen=True)
class Cut:
    """The planes there, oldest first."""

    low: list[Planes]
    """`num_lows` of them."""
    high: list[Planes]
    """`num_moments`, of the middle of each window."""
    taught: list[Planes] | None = None
    """What a teacher makes of the same, where there is one."""
