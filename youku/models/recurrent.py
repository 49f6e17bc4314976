"""Recurrent T, S, M, L: residual pairs that remember, Y'CbCr 4:2:0 in and out, one frame of look-ahead.

(N, 3, H, W) and (N, 6, ceil(H / 2), ceil(W / 2)) in [0, 1], three frames oldest first -> the middle one s times larger,
not clipped, and its memory: features (N, C, H, W) and the luma details (N, s^2, H, W) that it added to bicubic, at most
FED_BACK either way so that no error can feed itself. At the start of a shot both are zero. Motion is found by the
convolutions alone, so what moves more than some 10 input pixels a frame is not followed.
Learnable parameters at x4, T / S / M / L: 20,520 / 87,224 / 227,784 / 469,848. Head, body, mid and upscale are those of
`models.pairs`, whose weights can begin a training (`from_pairs`).
Source: this kit's own, after RLSP [Fuoli et al. 2019, arXiv:1909.08080] and RRN [Isobe et al. 2020, arXiv:2008.05765].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from youku.models.colours import YUV420, Tensors
from youku.models.pairs import Bases, branched, conv_prelu, details, last_layers, residual_pairs
from youku.models.spec import ModelSpec

FED_BACK = 0.25  # 64 code values: details of bicubic hardly ever are larger
WARM_UP_FRAMES = 10
NOW, CHROMA = slice(1, 2), slice(2, 4)  # of the middle frame in luma's and in chroma's channels
IN_PLACE = (1, 3, 4)  # channels of the input that `Pairs` sees: luma and chroma of the frame itself


class Recurrent(nn.Module):
    """Head over three frames and the memory, residual pairs, the features that are remembered, the planes' details."""

    def __init__(self, scale: int, num_channels: int, num_blocks: int) -> None:
        super().__init__()
        self.bases = Bases(scale)
        self.num_fed = scale * scale + num_channels
        self.head = nn.Sequential(*conv_prelu(3 + 2 + self.num_fed, num_channels))
        self.body = residual_pairs(num_channels, num_blocks)
        self.mid = nn.Sequential(*conv_prelu(num_channels, num_channels))
        self.upscale = last_layers(scale, num_channels)

    def forward(
        self, luma: Tensor, chroma: Tensor, features: Tensor | None = None, detail: Tensor | None = None
    ) -> Tensors:
        seen = self.bases.on_grid(luma, chroma[:, CHROMA])  # (N, 3 + 2, H, W)
        if features is None or detail is None:
            fed = [seen.new_zeros(len(seen), self.num_fed, *seen.shape[-2:])]
        else:
            fed = [detail, features]
        head = self.head(torch.cat([seen, *fed], dim=1))
        features = self.mid(self.body(head))
        # the skip is not in RLSP: with it a trained `Pairs` is a start that computes as before
        detail, chroma_detail = details(self.upscale, features + head, self.bases.scale)
        planes = self.bases(luma[:, NOW], chroma[:, CHROMA], detail, chroma_detail)
        return *planes, features, detail.clamp(-FED_BACK, FED_BACK)


def from_pairs(state: dict[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Weights of a `Pairs` under the keys of `module`, a `Recurrent` of its width, which then begins as that network.

    The head sees nothing yet of the other frames and of the memory.
    """
    wide, own = torch.zeros_like(module.state_dict()["head.0.weight"]), state.get("head.0.weight")
    if own is None or own.shape[0] != wide.shape[0]:
        return state
    wide[:, IN_PLACE] = own.to(wide)
    return {**state, "head.0.weight": wide}


SIZES = {"t": (16, 2), "s": (32, 3), "m": (48, 4), "l": (64, 5)}


def _spec_of(letter: str, num_channels: int, num_blocks: int) -> ModelSpec:
    return ModelSpec(
        name=f"recurrent-{letter}",
        build=lambda scale: Recurrent(scale, num_channels, num_blocks),
        colours=YUV420,
        halo_px=lambda scale: 1 + 2 * num_blocks + 2 + 2,  # head, two conv3 a block, mid and upscale; chroma's 2
        num_frames=3,
        memory=True,
        warm_up_frames=WARM_UP_FRAMES,
        train_form=branched,
        source="this kit, after arXiv:1909.08080 and 2008.05765",
    )


SPECS = tuple(_spec_of(letter, *sizes) for letter, sizes in SIZES.items())
