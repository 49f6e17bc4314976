"""What the rest of the kit needs to know about a network: its planes, scales, frames, memory and reach.

Model border: float tensors (N, T * C, H, W) in [0, 1] (code values / 255), T frames of C planes oldest first, in the
colours that the spec names; output (N, C, scale * H, scale * W) of the middle frame, of the same kind, not clipped.
Colours of several tensors (4:2:0) are as many arguments and as many outputs, module(luma, chroma) -> (luma, chroma).
A network with memory is called with what it returned for the frame before: module(x, *memory) -> (y, *memory), where
each part of the memory is (N, any, H, W) or larger by a whole factor; at the start of a shot there is none. One that
remembers both ways takes the consecutive frames of a shot as its N; in training of several, module(x, num_shots) -> y.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from youku.models.colours import Colours


@dataclass(frozen=True)
class Download:
    """Where authors publish trained weights, which `--weights` recognises."""

    place: str
    """Repository on GitHub."""
    licence: str
    trained_on: str = "clean pictures, shrunk by bicubic"


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What a network eats and needs; `build(scale)` makes it with fresh weights."""

    name: str
    """As typed on the command line."""
    build: Callable[[int], nn.Module]
    colours: Colours
    """What its channels are."""
    halo_px: Callable[[int], int]
    """Receptive-field radius in input pixels for a scale: the margin a tile needs to equal the whole frame."""
    source: str
    scales: tuple[int, ...] = (2, 3, 4)
    any_scale: bool = False
    """One set of weights serves every scale: it works on the interpolated picture (SRCNN, VDSR) or has a tail for each."""
    num_frames: int = 1
    """Consecutive frames seen at once, odd."""
    aligned: bool = False
    """Whether the neighbours come motion-compensated to the middle frame."""
    memory: bool = False
    """Whether it hands tensors on from frame to frame of a shot; it then sees every frame, in order."""
    warm_up_frames: int = 0
    """Frames run before one that is picked out of a clip, for its memory to settle; 0: all of the clip before it."""
    at_once_px: int = 0
    """Pixels of the frames of a shot that it takes at once, as its N; a longer shot goes in parts that share twice the
    frames that warm it up. 0: it takes one frame after the other."""
    local: bool = True
    """False where the network looks at the whole picture (pooled attention): it then runs untiled."""
    bf16_safe: bool = True
    """Whether bf16 activations keep the output near float32: under 2/255 of its range on average (tests/test_models.py)."""
    is_planar: bool = False
    """Whether a GPU runs it faster channel by channel (NCHW) than with the channels of a sample side by side."""
    trainable: bool = True
    download: Download | None = None
    train_form: Callable[[nn.Module, bool], nn.Module] = lambda module, is_trained: module
    """Makes a built network, fresh or trained, what is trained in its place; `blocks.plain_state` makes that plain again."""

    def input_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """(T * C, h, w) of each input tensor for a picture of that size."""
        return [(self.num_frames * num, rows, columns) for num, rows, columns in self.colours.shapes(height, width)]

    @property
    def channels(self) -> int:
        """Planes of the first tensor of one frame, the one of the picture's size."""
        return self.colours.channels

    @property
    def needs_neighbours(self) -> bool:
        """Whether a frame's output depends on other frames: it then needs the clip and not a choice of its frames."""
        return self.memory or self.num_frames > 1
