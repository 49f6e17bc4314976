"""Frames of a clip through a network, in order, with bounded memory: read ahead, forward, round, hand on.

Each stage runs in a thread of its own (`stages.ahead`; but of small frames), so that reading, chroma, rounding and writing
hide behind the network. Integer planes in, integer planes out (y4m.Planes); a luma network's chroma comes from
`interpolate`. On a GPU the planes cross the bus as the integers that they are, both ways, and nothing waits for it but who
hands them on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from youku.engines.network import Network
from youku.inference import stages, tiles, transfer
from youku.inference.stages import Busy, ahead
from youku.inference.tiles import Step
from youku.inference.transfer import Span
from youku.inference.window import Moment, moments, parts_of_shots
from youku.models import colours
from youku.models.colours import NUM_TURNS, Colours, Tensors, Y
from youku.threads import cores, own_threads
from youku.video import interpolate
from youku.video.y4m import Header, Planes

SMALL_PX = 64 * 64  # of input frames: to hand one to another thread takes longer than all work on it beside the network
MOST_SIDE_BY_SIDE = 4  # frames that are enlarged at once where there is no network


@dataclass(frozen=True, kw_only=True)
class Options:
    """How frames are run; the defaults change nothing about the network's own output."""

    ensemble: bool = False
    """Average 8 flips and rotations before rounding: slightly better, 8 times slower."""
    sharpen: tuple[float, float] | None = None
    """(sigma in output pixels, amount): unsharp mask on luma. Raises VMAF, lowers PSNR: metric gaming, off by default."""
    tile_px: int | None = None
    """Tile side in input pixels; None picks it from free memory. Networks that are not local always run whole."""
    batch: int = 1
    """Frames through the network at once; a network with memory takes them one by one."""
    beside: int = 1
    """How many processes like this one share the machine's memory; a GPU's is each one's own."""
    elsewhere: Callable[..., Iterator[Planes]] | None = None
    """(job, opened clip, folder) -> its frames, enlarged by others: `beside.film`; None enlarges them here."""


class NotFiniteError(ValueError):
    """A network's output that is no picture; `index` is the frame, among those that came in."""

    def __init__(self, index: int) -> None:
        super().__init__("the network's output is not finite (nan or inf); its weights are damaged, give others")
        self.index = index


def upscale_frames(
    network: Network,
    header: Header,
    frames: Iterable[Planes],
    options: Options,
    wanted: Sequence[int] | None = None,
    matrix: str = "601",
    pin: Callable[[int], int] = int,
    busy: Busy | None = None,
    tell: Callable[[str], object] = str,
) -> Iterator[Planes]:
    """Yield each frame enlarged, or the `wanted` ones (increasing numbers) of all; `header` is the input clip's.

    The frames are coded by `matrix` in the header's range, which matters where the network wants RGB. `pin` is asked
    with the tile side that was given or chosen, and answers the one to begin with; `tell` hears where that does not fit.

    A network that needs neighbours sees each frame among those in `frames`: give it the clip, not a choice of frames.
    NotFiniteError where an output is not finite: it would be rounded to black.
    """
    num_threads, spec, busy = own_threads(), network.spec, busy or Busy()
    depth = stages.AHEAD if header.width * header.height > SMALL_PX else 0
    coded = spec.colours.coded(matrix, header.is_full_range)
    if not spec.trainable and not options.ensemble and not options.sharpen:
        seen = moments(busy.reading(frames), header, spec, wanted)
        yield from ahead(_interpolate_all(network.scale, header, seen, busy), depth)
        return
    seen = moments(ahead(busy.reading(frames), depth), header, spec, wanted)
    if spec.num_frames > 1:
        seen = ahead(seen, depth)  # motion compensation is a stage of its own
    if spec.at_once_px:
        shared = spec.warm_up_frames
        batches = parts_of_shots(seen, max(4 * shared, spec.at_once_px // (header.width * header.height)), shared)
    else:
        batches = stages.batches(seen, 1 if spec.memory else options.batch)
    computed = _forward_all(network, header, coded, batches, options, pin, tell)
    outputs = ahead(computed, depth, num_threads)
    yield from _arrive_all(ahead(_finish_all(network, header, coded, outputs, options), depth), busy)


def run_network(network: Network, x: Tensors, options: Options) -> Tensors:
    """Input (N, T C, H, W) of single pictures to output (N, C, s H, s W), ensembled as asked, in tiles where memory wants it."""
    tile_px = 0
    if network.spec.local:
        tile_px = options.tile_px or tiles.choose_tile_px(network, x, options.beside)
    output = _step(network, x, (), options, tile_px)[0]
    _require_finite(output, range(len(x[0])))
    return output


def ensemble(step: Step, x: Tensors, memory: Tensors, planes: Colours = Y) -> tuple[Tensors, Tensors]:
    """Mean of `step` over the 8 flips and rotations of a picture, undone, before any rounding; each remembers for itself.

    A view counts for what turns exactly in those colours: all 8 for luma and RGB, for 4:2:0 chroma those that keep its
    siting. Source: Timofte et al. 2016, "Seven ways to improve example-based single image super resolution"; "+" in
    EDSR's tables.
    """
    totals: list[Tensor | float] = [0.0 for _ in x]
    numbers = [0 for _ in x]
    kept: Tensors = ()
    share = len(memory) // NUM_TURNS
    for turn in range(NUM_TURNS):
        # (N, C, W, H) at odd quarter turns; memory lies as its view does
        y, after = step(planes.turned(x, turn), memory[turn * share :][:share])
        upright = planes.turned_back(y, turn)
        for at, is_kept in enumerate(planes.kept(turn, *upright[0].shape[-2:])):
            if is_kept:
                totals[at], numbers[at] = totals[at] + upright[at], numbers[at] + 1
        kept += after
    return tuple(torch.as_tensor(total / number) for total, number in zip(totals, numbers, strict=True)), kept


def sharpen(luma: Tensor, sigma_px: float, amount: float) -> Tensor:
    """Unsharp mask of (N, H, W): y + amount * (y - gaussian(y)); edges repeat."""
    radius = max(1, int(3 * sigma_px + 0.5))
    offsets = torch.arange(-radius, radius + 1, device=luma.device, dtype=luma.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(luma[:, None], [radius] * 4, mode="replicate")  # (N, 1, H + 2 r, W + 2 r)
    blurred = F.conv2d(F.conv2d(padded, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))[:, 0]
    return luma + amount * (luma - blurred)


def _require_finite(output: Tensors, numbers: Sequence[int]) -> None:
    """NotFiniteError for the first of the frames that these are whose output is not finite."""
    for number, is_finite in zip(numbers, _are_finite(output).tolist(), strict=True):
        if not is_finite:
            raise NotFiniteError(number)


def _are_finite(output: Tensors) -> Tensor:
    """(N) whether all of a picture's output (N, C, s H, s W) is finite, by its sum."""
    return torch.stack([part.flatten(1).sum(1) for part in output]).isfinite().all(0)


def _interpolate_all(scale: int, header: Header, seen: Iterable[Moment], busy: Busy) -> Iterator[Planes]:
    number = min(MOST_SIDE_BY_SIDE, cores())

    def enlarge(moment: Moment) -> Planes:
        with busy.at("network", number):
            return interpolate.upscale(moment.middle, header, scale)

    return stages.side_by_side(enlarge, seen, number)


@dataclass(frozen=True)
class _Computed:
    """Output (N, C, s H, s W) of a batch of moments, which a GPU may still be working on."""

    batch: list[Moment]
    output: Tensors
    span: Span


def _forward_all(
    network: Network,
    header: Header,
    coded: Colours,
    batches: Iterable[list[Moment]],
    options: Options,
    pin: Callable[[int], int],
    tell: Callable[[str], object],
) -> Iterator[_Computed]:
    """What the network makes of each batch; what it remembers goes from one to the next."""
    spec, tile_px = network.spec, 0
    memory: Tensors = ()
    for batch in batches:
        with torch.inference_mode():
            windows = [moment.frames for moment in batch]
            x = colours.windows_to_input(windows, header.depth, header.layout, coded, network.device)
        if spec.local and not tile_px:
            tile_px = pin(options.tile_px or tiles.choose_tile_px(network, x, options.beside))
        memory = () if batch[0].opens_shot else memory
        with Span(network.device) as span:
            output, memory, fitting_px = _step(network, x, memory, options, tile_px)
        if fitting_px < tile_px:
            tell(f"memory ran out; going on in tiles of {fitting_px} px, which give the same picture")
        tile_px = fitting_px
        if not spec.memory:
            yield _Computed(batch, output, span)
        for at, moment in enumerate(batch if spec.memory else ()):
            if moment.is_wanted:
                yield _Computed([moment], tuple(part[at : at + 1] for part in output), span)
                span = Span(network.device)  # told once


def _step(
    network: Network, x: Tensors, memory: Tensors, options: Options, tile_px: int
) -> tuple[Tensors, Tensors, int]:
    """One step of the network, tiled and ensembled as asked; also the tile that fitted."""
    spec, step = network.spec, network.engine.step

    def within_memory(picture: Tensors, kept: Tensors) -> tuple[Tensors, Tensors]:
        nonlocal tile_px
        if not spec.local:
            return tiles.run_whole(step, picture, kept)
        y, kept, tile_px = tiles.run_within_memory(step, picture, kept, spec.halo_px(network.scale), tile_px)
        return y, kept

    with torch.inference_mode():
        if options.ensemble:
            y, memory = ensemble(within_memory, x, memory, spec.colours)
        else:
            y, memory = within_memory(x, memory)
    return y, memory, tile_px


Arriving = tuple[_Computed, Callable[[], list[np.ndarray]]]
"""What was computed, and what waits for its planes (N, s h, s w); the last array says which frames are finite."""


def _finish_all(
    network: Network, header: Header, coded: Colours, outputs: Iterable[_Computed], options: Options
) -> Iterator[Arriving]:
    """Rounded planes of each batch, on their way to the host; what the network does not make is interpolated there."""
    for computed in outputs:
        with torch.inference_mode():
            planes = coded.to_planes(computed.output, header.layout)  # (N, C, s H, s W) -> planes (N, s h, s w)
            if options.sharpen:
                planes[0] = sharpen(planes[0], *options.sharpen)
            codes = [colours.to_codes(plane, header.depth) for plane in planes]  # [0, 1] -> integers
            if len(codes) < len(header.plane_shapes):
                codes += _chroma([moment.middle for moment in computed.batch], header, network)
            yield computed, transfer.send([*codes, _are_finite(computed.output)])


def _chroma(frames: Sequence[Planes], header: Header, network: Network) -> list[Tensor]:
    """U and V (N, s h, s w) of frames whose luma alone the network makes, interpolated."""
    if network.device.type == "cuda":
        codes = [colours.codes_to(planes, network.device) for planes in list(zip(*frames, strict=True))[1:]]
        enlarged = interpolate.upscale_chroma_on(codes, header, network.scale)
        return [colours.rounded(plane, header.depth) for plane in enlarged]
    made = [interpolate.upscale_chroma(planes, header, network.scale) for planes in frames]
    return [torch.from_numpy(np.stack(planes)) for planes in zip(*made, strict=True)]


def _arrive_all(arriving: Iterable[Arriving], busy: Busy) -> Iterator[Planes]:
    for computed, arrived in arriving:
        *planes, are_finite = arrived()
        busy.seconds["network"] += computed.span.seconds
        for moment, is_finite in zip(computed.batch, are_finite, strict=True):
            if not is_finite:
                raise NotFiniteError(moment.index)
        for index in range(len(computed.batch)):
            yield tuple(plane[index] for plane in planes)
