"""Check this machine: python, compiled kernels, torch, device, 16 bit, ffmpeg and libvmaf, disk, data; say what to do.

In: nothing but the machine. Out: one line a check on stdout; exit 1 when something needed is broken.

    python -m youku doctor
"""

from __future__ import annotations

import argparse
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

from youku import cli, contest, files
from youku.text_table import plural
from youku.video import resize

NOT_COMPILED = "bicubic, chroma and degrade take 3 times as long; a C compiler and pip install . compile them"
CLIPS = {  # folder -> how they come there
    "train": "make pairs FROM=your_video.mp4, or make download (the contest's); to see it all without either: make demo",
    "val": "held out, to score: make pairs FROM=another_video.mp4 INTO=val, or make download",
    "test": "make download: what is sent is made of them, a rehearsal does without",
}
PUBLIC = {  # what the README names -> where people get it, with the licence
    "Set5": "GitHub: zhaohengyuan1/PAN, datasets/Set5 (no licence stated)",
    "t91": "GitHub: tegg89/SRCNN-Tensorflow, Train (repository: MIT)",
    "SMFANet_plus_DF2K_100w_x4SR.pth": "GitHub: Zheng-MJ/SMFANet, pretrain (Apache-2.0)",
}


@dataclass(frozen=True)
class Check:
    """One finding; `status` is ok, note (works, could be better) or problem."""

    what: str
    status: str
    found: str
    advice: str = ""


def examine(data: Path) -> list[Check]:
    """All checks in order."""
    python = f"{platform.python_version()} on {platform.platform()}"
    found = ("ok", python) if resize.compiled else ("note", f"{python}, kernels not compiled", NOT_COMPILED)
    own = Check("python", *found), *check_torch(), *check_ffmpeg()
    return [*own, check_disk(data), *check_data(data), *check_public(data)]


def check_torch() -> list[Check]:
    try:
        import torch

        from youku.engines import half
    except ImportError as error:
        return [Check("torch", "problem", str(error), "run: pip install -r requirements.txt")]
    advice = ""
    if torch.cuda.is_available():
        name, memory = "cuda", torch.cuda.get_device_properties(0).total_memory / 1e9
        found = f"{torch.cuda.get_device_name(0)}, {memory:.0f} GB"
        advice = "use --recipe edsr-small-memory, or smaller --patch-px and --batch" if memory < 8 else ""
    elif torch.backends.mps.is_available():
        name, found = "mps", "Apple GPU (mps)"
    else:
        name, found = "cpu", f"cpu, {plural(torch.get_num_threads(), 'thread')}"
        advice = "fine for fsrcnn and pairs-s; larger networks want a GPU (check the driver with nvidia-smi)"
    kinds = half.fast(torch.device(name))
    amp = ("ok", f"--amp uses {kinds[0]}") if kinds else ("note", "none on this device", "--amp trains in float32 here")
    device = Check("device", "note" if advice else "ok", found, advice)
    return [Check("torch", "ok", torch.__version__), device, Check("16 bit", *amp)]


def check_ffmpeg() -> list[Check]:
    from youku.video import ffmpeg

    try:
        checks = [Check("ffmpeg", "ok", f"{ffmpeg.version()} at {ffmpeg.binary()}")]
    except (ValueError, OSError, ImportError) as error:
        return [Check("ffmpeg", "problem", str(error), "run: pip install imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE")]
    try:
        import av

        checks.append(Check("av", "ok", f"{av.__version__}, libavcodec {av.library_versions['libavcodec'][0]}"))
    except ImportError as error:
        checks.append(Check("av", "problem", str(error), "run: pip install av; without it only y4m clips are read"))
    if not ffmpeg.has_libvmaf():
        advice = "unset IMAGEIO_FFMPEG_EXE to use the bundled binary; without libvmaf there is no VMAF"
        return [*checks, Check("libvmaf", "problem", "not in this ffmpeg", advice)]
    try:
        return [*checks, Check("libvmaf", "ok", _measured_libvmaf())]
    except ValueError as error:
        return [*checks, Check("libvmaf", "problem", str(error), "reinstall imageio-ffmpeg")]


def _measured_libvmaf() -> str:
    """Run VMAF once on a small clip: the only proof that it works."""
    import numpy as np

    from youku.metrics import vmaf
    from youku.video import y4m

    header = y4m.make_header(64, 64)
    frame = tuple(np.full(shape, 128, np.uint8) for shape in header.plane_shapes)
    return "{0.version}, model {0.model}".format(vmaf.measure([frame], [frame], header))


def check_disk(data: Path) -> Check:
    free = files.free_bytes(data)
    advice = "one label archive needs about 20 GB: choose another --data folder" if free < 20e9 else ""
    return Check("disk", "note" if advice else "ok", f"{free / 1e9:.0f} GB free for {data}", advice)


def check_data(data: Path) -> list[Check]:
    """Clips in data/clips, the contest's or own, whether every one has its other half, and runs: the README's next step."""
    checks = []
    for folder, source in CLIPS.items():
        parsed = [contest.parse_name(entry.name) for entry in (data / "clips" / folder).glob("*.y4m")]
        lows, highs = ({name[0] for name in parsed if name and name[1] == kind} for kind in ("l", "h_GT"))
        found = f"{len(lows)} low, {len(highs)} ground truth" if lows or highs else "none"
        uneven = "make them again: make pairs, or make download" if folder != "test" and lows != highs else ""
        advice = uneven if lows or highs else source
        checks.append(Check(f"{folder} clips", "note" if advice else "ok", found, advice))
    runs = ", ".join(path.parent.name for path in sorted(Path("runs").glob("*/best.safetensors")))
    told = (runs, "with val clips: make rehearsal NAME=...") if runs else ("none", "with train clips: make train")
    return [*checks, Check("runs", "ok" if runs else "note", *told)]


def check_public(data: Path) -> list[Check]:
    """What the README names of others, looked for here and in the data folder."""
    found = {name: next((path for path in (Path(name), data / name) if path.exists()), None) for name in PUBLIC}
    return [Check(name, *(("ok", str(at)) if at else ("note", "not here", PUBLIC[name]))) for name, at in found.items()]


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", default="data", help="data folder to look at (default data)")
    parser.add_argument("--json", action="store_true", help="findings as JSON")


def _run(args: argparse.Namespace) -> int:
    checks = examine(Path(args.data))
    width = max(len(one.what) for one in checks)
    told = (f"{one.status:<8} {one.what:<{width}}  {one.found}{one.advice and '  -> ' + one.advice}" for one in checks)
    cli.answer(args, [asdict(one) for one in checks], *told)
    return 1 if any(check.status == "problem" for check in checks) else 0


main = cli.Verb("doctor", __doc__, _add_flags, _run)

if __name__ == "__main__":
    raise SystemExit(main())
