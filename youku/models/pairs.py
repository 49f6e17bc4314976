"""Residual pairs with PReLU at low resolution, Y'CbCr 4:2:0 in and out: Pairs, and those that remember.

- Pairs T, S, M, L: one pixel shuffle. (N, 1, H, W) and (N, 2, ceil(H / 2), ceil(W / 2)) in [0, 1] -> the same s times
  larger, not clipped. The network adds what bicubic bases lack, chroma's at its left siting. Learnable parameters at x4,
  T / S / M / L: 42,528 / 91,384 / 365,928 / 644,568. x2 and x4 shuffle chroma out of the luma grid; at x3 chroma has no
  whole factor over it, and comes from a convolution of stride 2. The table's networks are plain; in training the 3x3 of
  the blocks and the last one have a collapsed branch (`blocks.CollapsedBranch`), which is worth 0.07 to 0.2 dB in short
  training. Source: this kit's own, after SRVGGNetCompact (models/srvgg.py), ECBSR [Zhang et al. 2021] and EDSR; bases and
  phases as `video.interpolate` makes them.
- Recurrent T, S, M, L: (N, 3, H, W) and (N, 6, ceil(H / 2), ceil(W / 2)) in [0, 1], three frames oldest first -> the middle
  one s times larger, not clipped, and its memory: features (N, C, H, W) and the luma details (N, s^2, H, W) that it added
  to bicubic, at most FED_BACK either way so that no error can feed itself. At the start of a shot both are zero. Motion is
  found by the convolutions alone, so what moves more than some 10 input pixels a frame is not followed. 20,520 / 87,224 /
  227,784 / 469,848. Head, body, mid and upscale are those of `Pairs`, whose weights can begin a training
  (`from_relative`). Source: this kit's own, after RLSP [Fuoli et al. 2019, arXiv:1909.08080] and RRN [Isobe et al. 2020,
  arXiv:2008.05765].
- Bidirectional T, S, M, L: takes the frames of a shot at once, as its N: it goes through them backwards first, and then
  forwards, where a 1x1 joins the features of both ways, as BasicVSR does [Chan et al. 2021, arXiv:2012.02181]. 35,784 /
  164,984 / 442,920 / 924,888, S 1.9 times the work.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from youku.models.blocks import Interpolate, Residual, add_branch, conv, conv_prelu, cut, pixel_shuffle, repeated, start
from youku.models.colours import LEFT, YUV420, Tensors
from youku.models.spec import ModelSpec
from youku.video import color

START_STD = 1e-3  # of the last layer: training starts at the bases
KEPT_SHARE = 0.02  # of the branch's chain where trained kernels are gone on with
FED_BACK = 0.25  # 64 code values: details of bicubic hardly ever are larger
WARM_UP_FRAMES = 10
NUM_SEEN = 3 + 2  # channels: luma of three frames, chroma of the middle one
SHARED_FRAMES = 5  # of two parts of a long shot, on each side of where one goes on for the other
AT_ONCE_PX = 40 * 480 * 270  # whose features and output take some 2 GB at 32 channels and x4
NOW, CHROMA = slice(1, 2), slice(2, 4)  # of the middle frame in luma's and in chroma's channels
IN_PLACE = (1, 3, 4)  # channels of the input that `Pairs` sees: luma and chroma of the frame itself


class Bases(nn.Module):
    """The planes s times larger by interpolation, and chroma on the luma grid; nothing here learns."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.to_luma_grid = Interpolate(2, "bilinear", "replicate", 0.25)  # luma column j reads chroma j / 2
        self.luma_base = Interpolate(scale, "bicubic", "replicate")
        self.chroma_base = Interpolate(scale, "bicubic", "replicate", color.chroma_shift(LEFT, scale)[1])

    def on_grid(self, luma: Tensor, chroma: Tensor) -> Tensor:
        """(N, T, H, W) and (N, 2, ceil(H / 2), ceil(W / 2)) -> (N, T + 2, H, W) around 0."""
        return torch.cat([luma, cut(self.to_luma_grid(chroma), *luma.shape[-2:])], dim=1) - 0.5

    def forward(self, luma: Tensor, chroma: Tensor, detail: Tensor, chroma_detail: Tensor) -> Tensors:
        """What is missing of the bases added to them: luma's as (N, s^2, H, W), chroma's at its own size or beyond."""
        rows, columns = ((self.scale * side + 1) // 2 for side in luma.shape[-2:])  # up to s - 1 fewer than the base
        return (
            self.luma_base(luma) + pixel_shuffle(detail, self.scale),
            cut(self.chroma_base(chroma), rows, columns) + cut(chroma_detail, rows, columns),
        )  # bases in float32, so only the small details may be 16 bit


def last_layers(scale: int, num_channels: int) -> nn.ModuleDict:
    """Features (N, C, H, W) -> details: "planes" of luma and, where it has a whole factor over the grid, of chroma."""
    shuffled = 0 if scale % 2 else 2 * (scale // 2) ** 2  # chroma samples an input pixel
    last = {"planes": conv(num_channels, scale * scale + shuffled)}
    if not shuffled:
        last["chroma"] = nn.Conv2d(num_channels, 2 * scale * scale, 3, stride=2, padding=1)
    made = nn.ModuleDict(last)
    start(made, lambda weight: nn.init.normal_(weight, 0.0, START_STD))
    return made


def details(last: nn.ModuleDict, features: Tensor, scale: int) -> Tensors:
    """(N, s^2, H, W) of luma, not shuffled yet, and (N, 2, s H / 2, s W / 2), or a sample more, of chroma."""
    planes = last["planes"](features)  # (N, s^2 + 2 (s / 2)^2, H, W)
    if scale % 2:
        return planes, pixel_shuffle(last["chroma"](features), scale)
    return planes[:, : scale * scale], pixel_shuffle(planes[:, scale * scale :], scale // 2)


def residual_pairs(num_channels: int, num_blocks: int) -> nn.Sequential:
    """The body: x + PReLU(conv3(PReLU(conv3(x)))) a block."""
    return nn.Sequential(
        *(Residual(*repeated(2, lambda: conv_prelu(num_channels, num_channels))) for _ in range(num_blocks))
    )


class Pairs(nn.Module):
    """Head, residual pairs, one more convolution with a long skip, convolution to the planes' samples, pixel shuffles."""

    def __init__(self, scale: int, num_channels: int, num_blocks: int) -> None:
        super().__init__()
        self.bases = Bases(scale)
        self.head = nn.Sequential(*conv_prelu(3, num_channels))
        self.body = residual_pairs(num_channels, num_blocks)
        self.mid = nn.Sequential(*conv_prelu(num_channels, num_channels))
        self.upscale = last_layers(scale, num_channels)

    def forward(self, luma: Tensor, chroma: Tensor) -> Tensors:
        head = self.head(self.bases.on_grid(luma, chroma))
        features = self.mid(self.body(head)) + head
        return self.bases(luma, chroma, *details(self.upscale, features, self.bases.scale))


def branched(module: nn.Module, is_trained: bool) -> nn.Module:
    """The form that is trained: a collapsed branch beside the kernels of the blocks and of `mid`."""
    for name in ("body", "mid"):
        for layer in module.get_submodule(name).modules():
            if isinstance(layer, nn.Conv2d):
                add_branch(layer, KEPT_SHARE if is_trained else 1.0)
    return module


SIZES = {"t": (24, 3), "s": (32, 4), "m": (48, 8), "l": (64, 8)}


def spec_of(num_channels: int, num_blocks: int) -> ModelSpec:
    """The spec of those sizes, named by the letter that they have in SIZES."""
    letters = [letter for letter, sizes in SIZES.items() if sizes == (num_channels, num_blocks)]
    return ModelSpec(
        name=f"pairs-{letters[0] if letters else f'{num_channels}-{num_blocks}'}",
        build=lambda scale: Pairs(scale, num_channels, num_blocks),
        colours=YUV420,
        halo_px=lambda scale: 1 + 2 * num_blocks + 2 + 2,  # head, two conv3 a block, mid and upscale; chroma's 2
        train_form=branched,
        source="this kit, after arXiv:2107.10833 and 1707.02921",
    )


class Direction(nn.Module):
    """Head over three frames and what is fed back, residual pairs, the features that are remembered."""

    def __init__(self, num_fed: int, num_channels: int, num_blocks: int) -> None:
        super().__init__()
        self.num_fed = num_fed
        self.head = nn.Sequential(*conv_prelu(NUM_SEEN + num_fed, num_channels))
        self.body = residual_pairs(num_channels, num_blocks)
        self.mid = nn.Sequential(*conv_prelu(num_channels, num_channels))

    def features(self, seen: Tensor, fed: Tensors) -> Tensors:
        """(N, C, H, W) to remember, and to enlarge; of (N, NUM_SEEN, H, W) and (N, num_fed, H, W), nothing: zeros."""
        head = self.head(
            torch.cat([seen, *(fed or (seen.new_zeros(len(seen), self.num_fed, *seen.shape[-2:]),))], dim=1)
        )
        features = self.mid(self.body(head))
        return features, features + head  # the skip is not in RLSP: with it a trained `Pairs` is a start


class Recurrent(Direction):
    """A direction, and the planes' details out of its features."""

    def __init__(self, scale: int, num_channels: int, num_blocks: int) -> None:
        super().__init__(scale * scale + num_channels, num_channels, num_blocks)
        self.bases = Bases(scale)
        self.upscale = last_layers(scale, num_channels)

    def forward(self, luma: Tensor, chroma: Tensor, *memory: Tensor) -> Tensors:
        features, full = self.features(self.bases.on_grid(luma, chroma[:, CHROMA]), memory[::-1])
        *planes, detail = self.enlarged(luma, chroma, full)
        return *planes, features, detail

    def enlarged(self, luma: Tensor, chroma: Tensor, features: Tensor) -> Tensors:
        """The planes of features (N, C, H, W), and the details to remember."""
        detail, chroma_detail = details(self.upscale, features, self.bases.scale)
        planes = self.bases(luma[:, NOW], chroma[:, CHROMA], detail, chroma_detail)
        return *planes, detail.clamp(-FED_BACK, FED_BACK)


class Bidirectional(Recurrent):
    """`Recurrent`, and a direction that comes from the end of the shot."""

    def __init__(self, scale: int, num_channels: int, num_blocks: int) -> None:
        super().__init__(scale, num_channels, num_blocks)
        self.back = Direction(num_channels, num_channels, num_blocks)
        self.fuse = conv(2 * num_channels, num_channels, 1)

    def forward(self, luma: Tensor, chroma: Tensor, num_shots: int = 1) -> Tensors:  # type: ignore[override]
        """N is moments x shots: all shots at the first moment, then all at the second."""
        seen = self.bases.on_grid(luma, chroma[:, CHROMA]).split(num_shots)
        coming: list[Tensor] = []  # the first moment's last
        memory: Tensors = ()
        for moment in reversed(seen):
            features, full = self.back.features(moment, memory)
            coming.append(full)
            memory = (features,)
        made, memory = [], ()
        for moment, y, uv in zip(seen, luma.split(num_shots), chroma.split(num_shots), strict=True):
            features, full = self.features(moment, memory)
            *planes, detail = self.enlarged(y, uv, self.fuse(torch.cat([full, coming.pop()], dim=1)))
            made.append(planes)
            memory = detail, features
        return tuple(map(torch.cat, zip(*made, strict=True)))


def from_relative(state: dict[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Weights of a `Pairs` or `Recurrent` under the keys of a `Recurrent` or `Bidirectional` of its width.

    It then begins as that network: a head sees nothing yet of what `Pairs` does not know, and what comes back from the end
    of the shot, along the same layers, is not joined yet.
    """
    own, head = module.state_dict(), state.get("head.0.weight")
    wide = torch.zeros_like(own["head.0.weight"])
    if head is None or head.shape[0] != wide.shape[0]:
        return state
    if head.shape[1] == len(IN_PLACE):
        wide[:, IN_PLACE] = head.to(wide)
    else:  # what is fed back of the details is as wide as the factor says
        places = (
            range(NUM_SEEN),
            range(-len(wide), 0),
            range(NUM_SEEN, wide.shape[1] if head.shape == wide.shape else 0),
        )
        for place in map(list, places):
            wide[:, place] = head[:, place].to(wide)
    state = {**state, "head.0.weight": wide}
    if "fuse.weight" not in own or "fuse.weight" in state:
        return state
    state |= {f"back.{key}": value for key, value in state.items() if not key.startswith("upscale.")}
    num_channels = len(wide)
    state["back.head.0.weight"] = torch.cat([wide[:, :NUM_SEEN], wide[:, -num_channels:]], dim=1)
    joined = torch.eye(num_channels, 2 * num_channels)[..., None, None]
    return state | {"fuse.weight": joined, "fuse.bias": torch.zeros(num_channels)}


REMEMBERING_SIZES = {"t": (16, 2), "s": (32, 3), "m": (48, 4), "l": (64, 5)}


def _remembering(letter: str, num_channels: int, num_blocks: int) -> tuple[ModelSpec, ModelSpec]:
    """The specs of a size, one way and both."""
    one_way = replace(
        spec_of(num_channels, num_blocks),
        name=f"recurrent-{letter}",
        build=lambda scale: Recurrent(scale, num_channels, num_blocks),
        num_frames=3,
        memory=True,
        warm_up_frames=WARM_UP_FRAMES,
        source="this kit, after arXiv:1909.08080 and 2008.05765",
    )
    return one_way, replace(
        one_way,
        name=f"bidirectional-{letter}",
        build=lambda scale: Bidirectional(scale, num_channels, num_blocks),
        halo_px=lambda scale: 0,  # runs untiled: with the frames that it sees at once its reach grows
        local=False,
        at_once_px=AT_ONCE_PX,
        warm_up_frames=SHARED_FRAMES,
        train_form=_branched_both_ways,
        source="this kit, after arXiv:1909.08080 and 2012.02181",
    )


def _branched_both_ways(module: nn.Module, is_trained: bool) -> nn.Module:
    branched(module.get_submodule("back"), is_trained)
    return branched(module, is_trained)


SPECS = (
    *(spec_of(*sizes) for sizes in SIZES.values()),
    *(spec for letter, sizes in REMEMBERING_SIZES.items() for spec in _remembering(letter, *sizes)),
)
