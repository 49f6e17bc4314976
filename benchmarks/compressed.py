"""Networks on whole clips that `degrade` made, as the contest judges them: score, PSNR, VMAF and CPU seconds a frame.

python -m youku degrade street.264 clips --preset youku --max-frames 16
python -m youku degrade foliage_GT calendar_GT clips --sequence --preset youku --max-frames 16
python benchmarks/compressed.py clips fsrcnn_x4.safetensors pairs_s_x4_video.safetensors ...

Each row is a mean over the clips; CPU seconds are user and system ones of `predict`, start-up taken off by a run of one frame.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from youku import contest, text_table
from youku.video.y4m import Clip


def cpu_sec(*words: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "youku", *words], check=True, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def scored(folder: Path, clips: str, ids: str) -> dict[str, Any]:
    line = ["score", str(folder), "--low", clips, "--high", clips, "--test-set", ids, "--all", "--json"]
    said = subprocess.run([sys.executable, "-m", "youku", *line], check=True, capture_output=True, text=True)
    return dict(json.loads(said.stdout))


def row(name: str, score: dict[str, Any], system: str, cost: str) -> list[str]:
    totals, clips = score["totals"][system], [clip[system] for clip in score["clips"]]
    values = [totals[key] for key in ("score", "psnr", "psnr_y_clip", "vmaf", "vmaf_neg_full")]
    return [name, *(f"{value:.2f}" for value in values), " / ".join(f"{one['psnr_y']:.2f}" for one in clips), cost]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips")
    parser.add_argument("weights", nargs="+", type=Path)
    args = parser.parse_args()
    lows = sorted(Path(args.clips).glob("*_l.y4m"))
    names = [contest.parse_name(low.name) for low in lows]
    ids = ",".join(str(name[0]) for name in names if name)
    num_frames = sum(Clip(low).num_frames for low in lows)
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as work:
        for path in args.weights:
            out, how = Path(work) / path.stem, ("--weights", str(path), "--device", "cpu")
            start = cpu_sec("predict", str(lows[0]), f"{work}/one.y4m", "--frames", "0", "--force", *how)
            cost = (cpu_sec("predict", args.clips, str(out), *how) - start) / (num_frames - 1)
            score = scored(out, args.clips, ids)
            if not rows:
                rows += [row(name, score, name, "") for name in ("bicubic", "lanczos")]
            rows.append(row(path.stem, score, "submission", f"{cost:.2f}"))
            print(" ".join(rows[-1]), file=sys.stderr)
    print(text_table.lay_out(["", "score", "PSNR yuv", "y", "VMAF", "NEG", "y by clip", "CPU s a frame"], rows))


if __name__ == "__main__":
    main()
