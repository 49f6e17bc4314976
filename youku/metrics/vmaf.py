"""VMAF and VMAF-NEG of integer planes through the ffmpeg binary's libvmaf, both models in one run, frames streamed.

Traps, each with a test: libvmaf's first input is the distorted one; ffmpeg pairs frames by time, so both inputs get
settb=1/25,setpts=N; a shorter input would be repeated silently, so frames are counted and a mismatch is refused; a picture
of 16 pixels or less ends ffmpeg without a word, so it is refused in ours.
A number means nothing without its makers: every result names the model, the libvmaf and the ffmpeg version.
Source: Netflix/vmaf; ffmpeg's libvmaf filter.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from youku import files, stops
from youku.text_table import plural
from youku.threads import cores
from youku.video import ffmpeg, y4m
from youku.video.y4m import Header, Planes

# model -> its "no enhancement gain" companion, which does not reward sharpening
MODELS = {
    "vmaf_v0.6.1": "vmaf_v0.6.1neg",
    "vmaf_v0.6.1neg": "vmaf_v0.6.1neg",
    "vmaf_4k_v0.6.1": "vmaf_4k_v0.6.1neg",
    "vmaf_4k_v0.6.1neg": "vmaf_4k_v0.6.1neg",
}
POOLS = ("mean", "harmonic")
# the smallest side that libvmaf 3.0.0 measures, tried; its motion filter and four scales need that much
MIN_SIDE_PX = 17
QUEUE_FRAMES = 4  # frames waiting for each input of ffmpeg: enough for its probing, bounded for memory


@dataclass(frozen=True)
class VmafResult:
    """Per-frame values of one clip, 0 to 100, and what made them."""

    vmaf: tuple[float, ...]
    neg: tuple[float, ...]  # empty where it was not asked for
    model: str
    neg_model: str
    version: str  # libvmaf, as its own log names it
    ffmpeg: str


def measure(
    distorted: Iterable[Planes],
    reference: Iterable[Planes],
    header: Header,
    model: str = "vmaf_v0.6.1",
    threads: int | None = None,
    with_neg: bool = True,
) -> VmafResult:
    """VMAF of `distorted` frames against `reference` frames, both shaped as `header`; a count mismatch is refused."""
    with Meter(header, header, model, threads, with_neg) as meter:
        for planes, other in zip_longest(distorted, reference):
            if planes is None or other is None:
                short, long = ("reference", "distorted clip") if other is None else ("distorted clip", "reference")
                raise ValueError(
                    f"VMAF: the {short} ends after {plural(meter.num_frames, 'frame')}, the {long} goes on; give as many"
                )
            meter.add(planes, other)
        return meter.result()


def pool(values: Sequence[float], how: str = "mean") -> float:
    """One value for a clip: arithmetic mean, or libvmaf's harmonic mean n / sum(1 / (v + 1)) - 1."""
    if how not in POOLS:
        raise ValueError(f"vmaf pool {how!r}: expected one of {', '.join(POOLS)}")
    if not values:
        raise ValueError("vmaf of no frames: expected at least one")
    if how == "harmonic":
        return len(values) / sum(1 / (value + 1) for value in values) - 1
    return sum(values) / len(values)


def require() -> None:
    """FFmpegError with what to do when the binary cannot measure VMAF."""
    if not ffmpeg.has_libvmaf():
        raise ffmpeg.FFmpegError(
            f"{ffmpeg.binary()} (ffmpeg {ffmpeg.version()}) has no libvmaf; unset IMAGEIO_FFMPEG_EXE to use "
            "imageio-ffmpeg's own binary, which has it, or score with --no-vmaf"
        )


def lacks(header: Header) -> str:
    """Why clips of this form cannot be measured, in words; else ""."""
    if min(header.width, header.height) < MIN_SIDE_PX:
        side = f"{MIN_SIDE_PX}x{MIN_SIDE_PX}"
        return f"VMAF: libvmaf measures no picture under {side}, got {header.size}"
    if len(header.plane_shapes) == 1:
        return "VMAF: libvmaf measures no mono clips"
    return ""


class Meter:
    """A running libvmaf: `add` pairs of frames, then `result`; leaving the block early stops it.

    NEG has features of its own, so that without it half the time is saved.
    """

    def __init__(
        self,
        distorted: Header,
        reference: Header,
        model: str = "vmaf_v0.6.1",
        threads: int | None = None,
        with_neg: bool = True,
    ) -> None:
        if model not in MODELS:
            raise ValueError(f"vmaf model {model!r}: expected one of {', '.join(MODELS)}")
        if not distorted.is_like(reference):
            told = f"got {distorted.form} and {reference.form}"
            raise ValueError(f"VMAF: expected two clips of one size and format, {told}")
        if reason := lacks(distorted):
            raise ValueError(reason)
        require()
        self.model, self.neg_model, self.num_frames = model, MODELS[model] if with_neg else "", 0
        self._stack = ExitStack()
        self._folder = self._stack.enter_context(files.temporary_folder(Path(tempfile.gettempdir()) / "youku-vmaf"))
        self._log, self._errors = self._folder / "log.json", self._folder / "errors.txt"
        reads, writes = zip(os.pipe(), os.pipe(), strict=True)
        line = _command(reads, self.model, self.neg_model, threads or cores())
        with self._errors.open("wb") as errors:  # cwd: libvmaf's log_path cannot hold every folder's name
            self._process = stops.popen(
                line,
                pass_fds=reads,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for us: training finishes its validation and saves
            )
        for read in reads:
            os.close(read)
        self._queues: list[queue.Queue[Planes | None]] = [queue.Queue(QUEUE_FRAMES) for _ in writes]
        pool = self._stack.enter_context(ThreadPoolExecutor(len(writes)))
        self._fed = [
            pool.submit(_feed, write, header, iter(waiting.get, None))
            for write, header, waiting in zip(writes, (distorted, reference), self._queues, strict=True)
        ]

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._end_input()
        self._stack.close()

    def add(self, distorted: Planes, reference: Planes) -> None:
        """Hand over one pair of frames; waits while ffmpeg is behind. The arrays must not change afterwards."""
        for waiting, planes in zip(self._queues, (distorted, reference), strict=True):
            waiting.put(planes)
        self.num_frames += 1

    def _end_input(self) -> None:
        for waiting, fed in zip(self._queues, self._fed, strict=True):
            if not fed.done():
                waiting.put(None)

    def result(self) -> VmafResult:
        """Finish and read libvmaf's log; refuses no frames, and a log with another number of frames than were given."""
        if not self.num_frames:
            raise ValueError("VMAF of no frames: expected at least one pair")
        self._end_input()
        if status := self._process.wait():
            raise ffmpeg.failure(f"VMAF ({self.model})", self._errors.read_bytes(), status)
        for fed in self._fed:
            fed.result()
        log = json.loads(self._log.read_text())
        rows = [frame["metrics"] for frame in log["frames"]]
        if len(rows) != self.num_frames:
            raise ffmpeg.FFmpegError(
                f"VMAF: gave {plural(self.num_frames, 'frame')}, libvmaf measured {len(rows)}; ffmpeg dropped some"
            )
        values = tuple(float(row["vmaf"]) for row in rows)
        neg = values if self.neg_model == self.model else tuple(float(row["neg"]) for row in rows if self.neg_model)
        return VmafResult(values, neg, self.model, self.neg_model, str(log["version"]), ffmpeg.version())


def _feed(descriptor: int, header: Header, frames: Iterator[Planes]) -> None:
    """Write y4m frames into a pipe, beside the other's: ffmpeg reads its two inputs in an order of its choosing."""
    try:
        with os.fdopen(descriptor, "wb") as pipe:
            writer = y4m.Writer(pipe, header)
            for planes in frames:
                writer.write(planes)
    except BrokenPipeError:
        pass  # ffmpeg died or was stopped: its own message is raised instead
    finally:
        for _ in frames:  # keep the other side from waiting for ever
            pass


def _command(reads: Sequence[int], model: str, neg_model: str, threads: int) -> list[str]:
    """The ffmpeg command: input 0 distorted, input 1 reference, frames paired by number, JSON log."""
    import ffmpeg as builder

    inputs = [builder.input(f"pipe:{read}", format="yuv4mpegpipe", probesize=32) for read in reads]
    distorted, reference = (node.video.filter("settb", "1/25").filter("setpts", "N") for node in inputs)
    models = [f"version={model}:name=vmaf"]
    if neg_model not in ("", model):
        models.append(f"version={neg_model}:name=neg")
    node = builder.filter(
        [distorted, reference],
        "libvmaf",
        model="|".join(models),
        log_fmt="json",
        log_path="log.json",
        n_threads=threads,
    )
    return ffmpeg.command(builder.output(node, "-", format="null"))
