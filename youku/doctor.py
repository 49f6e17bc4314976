"""Check this machine: python, torch, device, 16-bit ability, ffmpeg and libvmaf, disk, data; say what to do about each problem.

In: nothing but the machine. Out: one line a check on stdout; exit 1 when something needed is broken.

    python -m youku doctor
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from youku import cli, contest

LOW_DISK_BYTES = 20e9  # one label archive, zipped and unpacked


@dataclass(frozen=True)
class Check:
    """One finding; `status` is ok, note (works, could be better) or problem."""

    what: str
    status: str
    found: str
    advice: str = ""


def examine(data: Path) -> list[Check]:
    """All checks in order."""
    return [check_python(), *check_torch(), *check_ffmpeg(), check_disk(data), *check_data(data)]


def check_python() -> Check:
    return Check("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def check_torch() -> list[Check]:
    try:
        import torch

        from youku.training.precision import amp_dtype
    except ImportError as error:
        return [Check("torch", "problem", str(error), "run: pip install -r requirements.txt")]
    checks = [Check("torch", "ok", torch.__version__)]
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 1e9
        advice = "" if memory >= 8 else "use --recipe edsr-small-memory, or smaller --patch-px and --batch"
        checks.append(
            Check("device", "note" if advice else "ok", f"{torch.cuda.get_device_name(0)}, {memory:.0f} GB", advice)
        )
        device = torch.device("cuda")
    elif torch.backends.mps.is_available():
        checks.append(Check("device", "ok", "Apple GPU (mps)"))
        device = torch.device("mps")
    else:
        advice = "fine for fsrcnn; larger networks want a GPU (check the driver with nvidia-smi)"
        checks.append(Check("device", "note", f"cpu, {torch.get_num_threads()} threads", advice))
        device = torch.device("cpu")
    dtype = amp_dtype(device)
    if dtype is None:
        checks.append(Check("16 bit", "note", "none on this device", "--amp trains in float32 here"))
    else:
        checks.append(Check("16 bit", "ok", f"--amp uses {str(dtype).removeprefix('torch.')}"))
    return checks


def check_ffmpeg() -> list[Check]:
    from youku.video import ffmpeg

    try:
        checks = [Check("ffmpeg", "ok", f"{ffmpeg.version()} at {ffmpeg.binary()}")]
    except (ValueError, OSError, ImportError) as error:
        return [Check("ffmpeg", "problem", str(error), "run: pip install imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE")]
    try:
        import av

        checks.append(
            Check(
                "av",
                "ok",
                f"{av.__version__} with FFmpeg's libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}",
            )
        )
    except ImportError as error:
        checks.append(Check("av", "problem", str(error), "run: pip install av; without it only y4m clips are read"))
    if not ffmpeg.has_libvmaf():
        advice = "unset IMAGEIO_FFMPEG_EXE to use the bundled binary; without libvmaf there is no VMAF"
        return [*checks, Check("libvmaf", "problem", "not in this ffmpeg", advice)]
    try:
        checks.append(Check("libvmaf", "ok", _measured_libvmaf()))
    except ValueError as error:
        checks.append(Check("libvmaf", "problem", str(error), "reinstall imageio-ffmpeg"))
    return checks


def _measured_libvmaf() -> str:
    """Run VMAF once on a small clip: the only proof that it works."""
    import numpy as np

    from youku.metrics import vmaf
    from youku.video import y4m

    header = y4m.make_header(64, 64)
    frame = tuple(np.full(shape, 128, np.uint8) for shape in header.plane_shapes)
    result = vmaf.measure([frame], [frame], header)
    return f"{result.version}, model {result.model}"


def check_disk(data: Path) -> Check:
    folder = data.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.0f} GB free for {data}"
    if free < LOW_DISK_BYTES:
        return Check("disk", "note", found, "one label archive needs about 20 GB: choose another --data folder")
    return Check("disk", "ok", found)


def check_data(data: Path) -> list[Check]:
    """Contest clips in data/clips, and whether every one has its other half."""
    checks = []
    for folder in ("train", "val", "test"):
        names = [entry.name for entry in (data / "clips" / folder).glob("*.y4m")]
        parsed = [name for name in map(contest.parse_name, names) if name]
        lows, highs = ({clip_id for clip_id, found in parsed if found == kind} for kind in ("l", "h_GT"))
        low, high = len(lows), len(highs)
        if low == 0 and high == 0:
            checks.append(Check(f"{folder} clips", "note", "none", "run make download, or python -m youku degrade"))
        elif folder != "test" and lows != highs:
            checks.append(
                Check(f"{folder} clips", "note", f"{low} low, {high} ground truth", "run make download again")
            )
        else:
            checks.append(Check(f"{folder} clips", "ok", f"{low} low, {high} ground truth"))
    return checks


def make_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("doctor", __doc__)
    parser.add_argument("--data", default="data", help="data folder to look at (default data)")
    parser.add_argument("--json", action="store_true", help="findings as JSON")
    return parser


def _run(args: argparse.Namespace) -> int:
    checks = examine(Path(args.data))
    if args.json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            print(f"{check.status:<8} {check.what:<12} {check.found}{'  -> ' + check.advice if check.advice else ''}")
    return 1 if any(check.status == "problem" for check in checks) else 0


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(make_parser(), _run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
