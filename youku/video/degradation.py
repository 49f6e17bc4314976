"""Degrade high-resolution frames into low-resolution ones: sharpening, blur, scaling, tone, noise, video codecs.

Frames -> frames (8-bit or deeper planes; codecs want 8-bit 4:2:0), streaming, so a clip of any length fits. Scaling is
plane by plane at the chroma's own siting. Same frames, settings and seed, same bytes.
Sources: the old-film report's list of degradations (sections 4.8.1, 4.9); the contest's clips for "youku".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from youku import contest, text_table
from youku.cli import option
from youku.text_table import plural
from youku.video import interpolate, resize, y4m
from youku.video.coding import RATES, Coding, round_trip
from youku.video.y4m import Header, Planes

KERNELS = ("bicubic", "bilinear", "lanczos", "box")
ORDERS = ("scale-first", "code-first")


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """How a low-resolution frame is made from a high-resolution one."""

    scale: int = option(contest.SCALE, "factor between the sizes (default 4)", type=int, choices=(2, 3, 4))
    kernel: str = option("bicubic", "mixed draws one for each clip", choices=(*KERNELS, "mixed"))
    blur: float = option(0.0, "Gaussian before scaling, in large pixels", type=float, metavar="SIGMA")
    unsharp: float = option(0.0, "share of clips sharpened first, both sizes", type=float, metavar="CHANCE")
    darken: float = option(0.0, "luma above black taken away, 0.2 = 20 %%", type=float, metavar="SHARE")
    tone: float = option(0.0, "largest random change of contrast, 0.1 = 10 %%", type=float, metavar="SHARE")
    """Each clip draws one, and a brightness shift of up to 64 times it."""
    noise: float = option(0.0, "Gaussian noise after scaling, in code values", type=float, metavar="SIGMA")
    """Chroma gets half."""
    codings: tuple[Coding, ...] = ()
    """Video codecs passed in turn."""
    crfs: tuple[int, ...] = ()
    """One is drawn for each clip, in place of the codecs' own."""
    order: str = option("scale-first", "scale then code, or code then scale", choices=ORDERS)

    def __post_init__(self) -> None:
        if self.scale not in (2, 3, 4):
            raise ValueError(f"scale {self.scale}: expected 2, 3 or 4")
        if self.kernel not in (*KERNELS, "mixed"):
            raise ValueError(f"kernel {self.kernel!r}: expected one of {', '.join(KERNELS)}, mixed")
        if self.order not in ORDERS:
            raise ValueError(f"order {self.order!r}: expected one of {', '.join(ORDERS)}")
        for name, most in {"blur": 20, "noise": 100, "tone": 0.9, "unsharp": 1, "darken": 0.9}.items():
            if not 0 <= (value := vars(self)[name]) <= most:
                raise ValueError(f"{name} {value}: expected 0 to {most}")


# name -> (settings, what its source says of it). Sources: old-film report, sections 4.3.2, 4.8.1, 4.9.1 and 4.9.2
# (bitrates as given there; strengths of blur, tone and darkening are ours), waifu2x's published training code for its
# name, contest.md for youku.
_TABLE: dict[str, tuple[Degradation, str]] = {
    "bicubic": (
        Degradation(),
        "down-sampling alone (4.9.1), as in the papers; a network serves the resizer it was trained with (4.8.1)",
    ),
    "bilinear": (Degradation(kernel="bilinear"), "the other resizer of the cross test of 4.8.1"),
    "mixed": (Degradation(kernel="mixed"), "a kernel drawn for each clip, so that no one resizer is learned (4.8.1)"),
    "waifu2x": (
        Degradation(kernel="mixed", unsharp=0.3),
        "mixed kernels, and 3 of 10 clips sharpened first: waifu2x's photo setting",
    ),
    "light-blur": (Degradation(blur=0.8), "slightly out of focus (4.9.1)"),
    "darken": (Degradation(darken=0.2), "a faded print: a fifth of the luma taken away (4.9.1)"),
    "blur+noise": (Degradation(blur=1.6, noise=3.0), "not in the report: soft and grainy"),
    "blur+tone": (
        Degradation(blur=1.0, tone=0.1),
        "batch-processed stills (4.3.2): brightness no longer agrees within a pair, and --check says so",
    ),
    "jpeg": (Degradation(codings=(Coding(codec="mjpeg", qscale=6),)), "compression picture by picture (4.9.1)"),
    "youku": (
        Degradation(noise=1.0, codings=(Coding(codec="x264", crf=23),)),
        "like the contest's clips: a little noise, then a platform's H.264",
    ),
    "aim2024-av1": (
        Degradation(kernel="lanczos", codings=(Coding(codec="svtav1", crf=39),), crfs=(31, 39, 47, 55, 63)),
        "AIM 2024's contest for AV1, judged by VMAF first (arXiv:2409.17256; the qualities are ours)",
    ),
    "oldfilm-mpg": (
        Degradation(codings=(Coding(codec="mpeg1", bitrate="768k"),)),
        "video compression, the report's choice (4.9.1): first generation (4.9.2)",
    ),
    "oldfilm-mp4": (
        Degradation(codings=(Coding(codec="mpeg4", bitrate="768k"),)),
        "video compression, the report's choice (4.9.1): MPEG-4 (4.8.1)",
    ),
    # x264 stands in for RealVideo, which no free encoder writes
    "oldfilm-rm": (
        Degradation(codings=(Coding(codec="mpeg1", bitrate="768k"), Coding(codec="x264", bitrate="354k"))),
        "video compression, the report's choice (4.9.1): an mpg coded again at 354 kbit/s (4.9.2)",
    ),
    "oldfilm-rm-386k": (
        Degradation(codings=(Coding(codec="mpeg1", bitrate="768k"), Coding(codec="x264", bitrate="386k"))),
        "the same at 386 kbit/s (4.8.1)",
    ),
}
PRESETS = {name: settings for name, (settings, _) in _TABLE.items()}
VERDICTS = {name: verdict for name, (_, verdict) in _TABLE.items()}


def preset_table() -> str:
    """A line or two each: name, what differs from plain bicubic, what its source says of it."""
    plain, rows = asdict(PRESETS["bicubic"]), []
    for name, preset in PRESETS.items():
        changed = {
            key: value
            for key, value in asdict(preset).items()
            if value != plain[key] and key not in ("codings", "crfs")
        }
        words = [f"{key} {value}" for key, value in changed.items()]
        for coding in preset.codings:
            known = {**vars(coding), **({"crf": " or ".join(map(str, preset.crfs))} if preset.crfs else {})}
            rates = (f" {rate} {value}" for rate in RATES if (value := known[rate]) is not None)
            words.append(coding.codec + "".join(rates))
        rows += [[name, ", ".join(words) or "bicubic"], ["", VERDICTS[name]]]
    notes = [
        "",
        "Old and restored prints of one film (4.8.1, 4.9.1) are not made here: name them like the contest's and --check.",
        "Fewer, more different frames of one film (4.9.6): --every 20 or --every 1000. One scene (4.8.1): --max-frames.",
    ]
    return "\n".join([text_table.lay_out(["preset", "what it changes"], rows), *notes])


def make_pair(
    frames: Iterable[Planes], header: Header, low_path: Path, high_path: Path, degradation: Degradation, seed: int
) -> int:
    """Write one clip and its degraded twin, both or neither; returns the number of frames.

    The large clip is cut at the right and bottom to a multiple of the factor. Same frames and seed, same bytes.
    """
    scale = degradation.scale
    width, height = header.width // scale * scale, header.height // scale * scale
    if not width or not height:
        raise ValueError(f"{high_path}: {header.size} is too small for a factor of {scale}")
    high_header = header.resized(width, height)
    low_header = header.resized(width // scale, height // scale)
    with y4m.create(high_path, high_header) as high, y4m.create(low_path, low_header) as low:
        cropped = (y4m.crop(planes, header.layout, 0, 0, height, width) for planes in frames)
        source = _tee(sharpen_some(cropped, high_header, degradation.unsharp, seed), high)
        for planes in degrade_frames(source, high_header, degradation, seed):
            low.write(planes)
        if low.num_frames != high.num_frames:
            raise ValueError(f"{low_path}: {plural(low.num_frames, 'frame')} for {high.num_frames} of {high_path.name}")
    return low.num_frames


def degrade_frames(frames: Iterable[Planes], header: Header, degradation: Degradation, seed: int) -> Iterator[Planes]:
    """Low-resolution frames of a clip with `header`, whose sides are multiples of the factor, in order and as many.

    `unsharp` is not applied here: it belongs to both clips of a pair.
    """
    rng = np.random.default_rng(seed)
    kernel = str(rng.choice(KERNELS)) if degradation.kernel == "mixed" else degradation.kernel
    gain, shift = 1 + degradation.tone * rng.uniform(-1, 1), 64 * degradation.tone * rng.uniform(-1, 1)
    gain *= 1 - degradation.darken
    if degradation.crfs:
        crf = int(np.random.default_rng([seed, 2]).choice(degradation.crfs))  # its own stream
        degradation = replace(degradation, codings=tuple(replace(one, crf=crf) for one in degradation.codings))
    low_header = header.resized(header.width // degradation.scale, header.height // degradation.scale)
    if degradation.order == "code-first":
        frames = _code(frames, header, degradation)

    def shrink(planes: Planes) -> Planes:
        soft = _blur(planes, header, degradation.blur)  # float32 codes, or the integers as they are
        small = interpolate.downscale(soft, header, degradation.scale, kernel)  # (H, W) -> (H / s, W / s), integers
        if degradation.tone or degradation.darken:
            black = 16 << (header.depth - 8)
            luma = (small[0].astype(np.float64) - black) * gain + black + shift
            small = resize.to_integers(luma, header.depth), *small[1:]
        return _add_noise(small, header, degradation.noise, rng)

    small_frames = map(shrink, frames)
    if degradation.order == "scale-first":
        return _code(small_frames, low_header, degradation)
    return small_frames


def sharpen_some(frames: Iterable[Planes], header: Header, chance: float, seed: int) -> Iterator[Planes]:
    """The clip's frames, their luma passed through one unsharp mask in `chance` of all seeds.

    Sigma 0.5-1.5 px and amount 0.1-0.9 as in waifu2x's random_unsharp_mask; its threshold is left out.
    """
    rng = np.random.default_rng([seed, 1])  # its own stream: clips of other presets keep their noise
    if rng.random() >= chance:
        return iter(frames)
    sigma, amount = rng.uniform(0.5, 1.5), rng.uniform(0.1, 0.9)

    def sharpen(planes: Planes) -> Planes:
        soft = _blur(planes[:1], header, sigma)[0]
        return resize.to_integers(planes[0] + amount * (planes[0] - soft), header.depth), *planes[1:]

    return map(sharpen, frames)


def _code(frames: Iterable[Planes], header: Header, degradation: Degradation) -> Iterator[Planes]:
    for coding in degradation.codings:
        frames = round_trip(frames, header, coding)
    return iter(frames)


def _tee(frames: Iterable[Planes], writer: y4m.Writer) -> Iterator[Planes]:
    for planes in frames:
        writer.write(planes)
        yield planes


def _blur(planes: Planes, header: Header, sigma: float) -> Planes:
    """Gaussian of `sigma` luma pixels on float planes, not rounded; chroma by its own pixel size."""
    if sigma == 0:
        return planes
    out = []
    for index, plane in enumerate(planes):
        sub_x, sub_y = header.layout[:2] if index else (1, 1)
        rows, columns = _gaussian(plane.shape[0], sigma / sub_y), _gaussian(plane.shape[1], sigma / sub_x)
        values = plane.astype(np.float32)
        out.append(resize.apply(resize.apply(values, *rows, axis=-2), *columns, axis=-1))
    return tuple(out)


def _gaussian(size: int, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """(indices, weights) as `resize.apply` takes them; edges repeated, cut at 4 sigma."""
    radius = max(1, int(np.ceil(4 * sigma)))
    offset = np.arange(-radius, radius + 1)
    weight = np.exp(-0.5 * np.square(offset / sigma))
    index = np.clip(np.arange(size)[:, None] + offset, 0, size - 1)
    return index, np.broadcast_to(weight / weight.sum(), index.shape)


def _add_noise(planes: Planes, header: Header, sigma: float, rng: np.random.Generator) -> Planes:
    if sigma == 0:
        return planes
    sigma *= 1 << (header.depth - 8)
    sigmas = (sigma, sigma / 2, sigma / 2)
    return tuple(
        resize.to_integers(plane + rng.normal(0, one, plane.shape), header.depth)
        for plane, one in zip(planes, sigmas, strict=False)
    )
