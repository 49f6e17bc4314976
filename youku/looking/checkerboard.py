"""Find the grid that a network adds to flat areas: even input through it, then lines in the output's spectrum.

A network that enlarges by s repeats its work every s output pixels; where its s x s phases disagree (a deconvolution
whose kernel the stride does not divide, an untrained sub-pixel convolution) even areas show a grid of period s, s / 2
and so on, and strided layers inside one of 2 or 4 px. Source: Odena, Dumoulin, Olah 2016, "Deconvolution and
Checkerboard Artifacts"; the old-film report names the checkerboard and the diagonal grid.

Inputs: gray of three levels, and a diagonal ramp of gray. Of the ramp the mean of the rising and the falling one is
taken: steps that follow the slope (a ramp repeated pixel by pixel is a staircase) change sign and cancel, a pattern
that the levels cause stays. The steps are reported beside the verdict, not part of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import product

import torch
from torch import Tensor

from youku import text_table

LEVELS = (0.0, 1 / 16, 1 / 8, 0.25, 0.5, 0.75)  # dark ones too: networks trained on studio range fail there first
SIDE_PX = 48  # input pixels looked at, without the border; divisible by 12, so that every line falls on a bin
VISIBLE_CODES = 0.5
"""Amplitude in code values (of 255) from which a line counts: it survives rounding."""
STANDS_OUT = 10.0
"""How many times its surroundings in the spectrum a line must reach."""
NEAR_BINS, FAR_BINS = 3, 6  # the surroundings: beyond the window's own width, short of the next line


@dataclass(frozen=True, kw_only=True)
class SpectrumLine:
    """The strongest of the suspected lines in one output."""

    source: str
    """Which input: "gray 0.25" ... or "ramp"."""
    cycles_x: float
    """Cycles a pixel across; 0 for stripes that run across."""
    cycles_y: float
    codes: float
    """Amplitude in code values, with the output scaled so that its mean level is the input's."""
    surrounding_codes: float

    @property
    def fires(self) -> bool:
        return self.codes >= VISIBLE_CODES and self.codes >= STANDS_OUT * self.surrounding_codes

    @property
    def pattern(self) -> str:
        """In words: direction and period."""
        cycles = max(self.cycles_x, self.cycles_y)
        if 0 in (self.cycles_x, self.cycles_y):
            kind = "vertical stripes" if self.cycles_x else "horizontal stripes"
        else:
            kind = "diagonal grid" if self.cycles_x == self.cycles_y else "grid"
        return f"{kind}, period {1 / cycles:g} px"


@dataclass(frozen=True, kw_only=True)
class GridCheck:
    """One line an input, and how uneven the output's steps along a ramp are."""

    lines: tuple[SpectrumLine, ...]
    steps: float
    """Amplitude of the staircase on a ramp as a share of one input pixel's step: 0 smooth, 0.25 to 0.4 pixel repetition."""

    @property
    def fires(self) -> bool:
        return any(line.fires for line in self.lines)

    @property
    def verdict(self) -> str:
        """One sentence."""
        worst = max(self.lines, key=lambda line: (line.fires, line.codes))
        if not self.fires:
            return f"no checkerboard: the strongest line has {worst.codes:.2g} code values on {worst.source}"
        return (
            f"checkerboard: {worst.pattern}, amplitude {worst.codes:.2g} code values on {worst.source}; "
            "resize-convolution, training on, or a kernel that the stride divides avoids it"
        )


def examine(
    network: Callable[[Tensor], Tensor], num_channels: int, scale: int, halo_px: int, device: torch.device | str = "cpu"
) -> GridCheck:
    """Run even inputs (1, num_channels, H, W) through `network`; what lies within the halo of the border is left out."""
    side = SIDE_PX + 2 * halo_px

    def run(picture: Tensor) -> Tensor:
        """(H, W) to the middle of the output, (C, SIDE_PX * scale, SIDE_PX * scale)."""
        x = picture.float().expand(1, num_channels, side, side).contiguous().to(device)
        first, length = halo_px * scale, SIDE_PX * scale
        with torch.inference_mode():
            return network(x)[0, :, first : first + length, first : first + length].double().cpu()

    lines = []
    for level in LEVELS:
        out = run(torch.full((side, side), level))
        lines.append(strongest_line(out * _gain(out, level), scale, f"gray {level:g}"))
    across = torch.linspace(0.0, 1.0, side)
    rising = 0.25 + (across[:, None] + across[None, :]) / 4  # 0.25 in one corner to 0.75 in the other
    up, down = run(rising), run(1 - rising)
    gain = _gain((up + down) / 2, 0.5)
    lines.append(strongest_line((up + down) / 2 * gain, scale, "ramp"))
    odd = strongest_line((up - down) / 2 * gain, scale, "ramp")
    return GridCheck(lines=tuple(lines), steps=odd.codes / (255 * 0.25 / (side - 1)))


def strongest_line(out: Tensor, scale: int, source: str) -> SpectrumLine:
    """The strongest suspected line in (C, H, W), H = W divisible by 4 and by `scale`, values in units of 1 = 255 codes."""
    spectrum = amplitudes(out)  # (C, H, W)
    side = out.shape[-1]
    cycles = sorted({0.0, 1 / 2, 1 / 4} | {phase / scale for phase in range(1, scale // 2 + 1)})
    found = []
    for cycles_y, cycles_x, sign in product(cycles, cycles, (1, -1)):  # the two diagonals
        if cycles_x or cycles_y:
            row, column = round(cycles_y * side), round(sign * cycles_x * side) % side
            peak, channel = spectrum[:, row, column].max(0)
            around = _surroundings(spectrum[int(channel)], row, column)
            found.append((255 * float(peak), 255 * around, cycles_x, cycles_y))
    codes, around, cycles_x, cycles_y = max(found)
    return SpectrumLine(source=source, cycles_x=cycles_x, cycles_y=cycles_y, codes=codes, surrounding_codes=around)


def amplitudes(out: Tensor) -> Tensor:
    """Amplitude of the wave at every bin of the 2-D spectrum of (C, H, W), its plane removed, under a Hann window."""
    size = out.shape[-2:]
    window = torch.outer(*(torch.hann_window(length, dtype=out.dtype) for length in size))
    spectrum = torch.fft.fft2(_without_plane(out) * window).abs() * 2 / window.sum()
    for row in (0, size[0] // 2):
        for column in (0, size[1] // 2):
            spectrum[:, row, column] /= 2  # these bins are their own mirror image
    return spectrum


def _without_plane(out: Tensor) -> Tensor:
    """(C, H, W) less the plane a + b x + c y that fits it best."""
    height, width = out.shape[-2:]
    y = torch.linspace(-1, 1, height, dtype=out.dtype)[:, None].expand(height, width)
    x = torch.linspace(-1, 1, width, dtype=out.dtype)[None, :].expand(height, width)
    basis = torch.stack([torch.ones_like(x), x, y])  # orthogonal on this grid
    share = (out[:, None] * basis).sum((-2, -1)) / basis.square().sum((-2, -1))
    return out - (share[..., None, None] * basis).sum(1)


def _surroundings(spectrum: Tensor, row: int, column: int) -> float:
    """Median of the bins NEAR_BINS to FAR_BINS away."""
    offsets = torch.arange(-FAR_BINS, FAR_BINS + 1)
    rows, columns = (row + offsets) % spectrum.shape[0], (column + offsets) % spectrum.shape[1]
    far = torch.maximum(offsets[:, None].abs(), offsets[None, :].abs()) >= NEAR_BINS
    return float(spectrum[rows][:, columns][far].median())


def _gain(out: Tensor, level: float) -> float:
    """Factor that brings the output's mean size to the input's level: 1 for a trained network, any for a fresh one.

    Black has no size to go by: 1.
    """
    size = float(out.abs().mean())
    return level / size if size and level else 1.0


def grid_text(found: GridCheck) -> str:
    """The strongest line an input, the steps on a ramp, the verdict."""
    rows = [
        [line.source, line.pattern, f"{line.codes:.3f}", f"{line.surrounding_codes:.3f}", "yes" if line.fires else "no"]
        for line in found.lines
    ]
    header = ["input", "strongest line", "code values", "around it", "counts"]
    steps = f"steps on a ramp: {found.steps:.2f} of an input pixel's step (0 smooth, 0.25 to 0.4 repeated pixels)"
    return "\n".join([text_table.lay_out(header, rows), steps, f"verdict: {found.verdict}"])


def grid_as_json(found: GridCheck) -> dict[str, object]:
    """The same for programs."""
    lines = [{**asdict(line), "pattern": line.pattern, "fires": line.fires} for line in found.lines]
    return {"fires": found.fires, "verdict": found.verdict, "steps": found.steps, "lines": lines}
