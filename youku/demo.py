"""The whole way in under three minutes, with no download: stand-in clips, training, prediction, submission, score, report.

In: photographs that scikit-image ships. Out: DEMO/clips, DEMO/runs/demo, DEMO/submissions/demo with its zip, score.json
and report.html. The same functions that the verbs call, with settings a user could type.

    python -m youku demo [--out demo] [--seed 2021]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from youku import cli, contest, files, report, stops
from youku.exchange import scorefile, submission, totals
from youku.exchange.score_clips import Scoring
from youku.inference.job_list import list_jobs
from youku.text_table import plural
from youku.training.config import TrainConfig, read_recipe
from youku.video import degradation, standin, y4m

TEST_SET = contest.TestSet(tuple(scene.clip_id for scene in standin.VAL_SCENES))
DEGRADATION = degradation.PRESETS["youku"]


def make_clips(folder: Path, scenes: Sequence[standin.Scene]) -> None:
    """Write each scene's pair where it is not there yet."""
    for scene in scenes:
        low_path, high_path = folder / contest.low_name(scene.clip_id), folder / contest.high_name(scene.clip_id)
        if not (_is_whole(low_path) and _is_whole(high_path)):
            frames = standin.scene_frames(scene, standin.NUM_FRAMES)
            degradation.make_pair(frames, scene.header, low_path, high_path, DEGRADATION, scene.clip_id)


def _config(out: Path, steps: int | None, seed: int | None) -> TrainConfig:
    """The recipe "demo" with its folders below `out`, and with other steps or another seed where they are given."""
    values = read_recipe("demo")
    values |= {"name": "demo", "runs": str(out / "runs"), "data": (str(out / "clips" / "train"),)}
    values |= {"steps": steps, "val_every": steps} if steps is not None else {}
    return TrainConfig(**values | ({"seed": seed} if seed is not None else {}))


def _is_whole(path: Path) -> bool:
    try:
        return y4m.Clip(path).num_frames == standin.NUM_FRAMES
    except (FileNotFoundError, ValueError):
        return False


def _say(number: int, what: str) -> None:
    stops.keeps(f"{number - 1} of 6 stages are finished; the same command goes on from there")
    print(f"\n[{number}/6] {what}", file=sys.stderr)


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", default="demo", help="folder for everything the demo makes (default demo)")
    parser.add_argument("--steps", type=int, help="training steps (default: the recipe's)")
    parser.add_argument("--seed", type=int, help="seed of the training (default 2021); the clips stay the same")


def _run(args: argparse.Namespace) -> int:
    """Chain the rooms' functions as the verbs do."""
    from youku.engines import torch_engine, weights  # with torch, which --help does without
    from youku.inference.clip import predict_all
    from youku.inference.pipeline import Options
    from youku.training import run

    began, out = time.perf_counter(), files.make_folder(args.out)
    low = high = out / "clips" / "val"
    _say(1, "stand-in clips: photographs under a moving camera, shrunk x4, noise, x264")
    make_clips(out / "clips" / "train", standin.TRAIN_SCENES)
    make_clips(low, standin.VAL_SCENES)

    config = _config(out, args.steps, args.seed)
    _say(2, f"train {config.model} x{config.scale} for {plural(config.steps, 'step')}")
    resume = (config.folder / "last.pt").exists()
    if resume and (old := run.resumed_config(config.folder)) and (old.steps, old.seed) != (config.steps, config.seed):
        raise ValueError(f"{config.folder}: is a demo of other --steps or --seed; remove it, or give another --out")
    if not run.start(config, resume, say=cli.say).finished:
        raise KeyboardInterrupt

    _say(3, "predict the frames that the contest scores")
    network = weights.load(str(config.folder / "best.safetensors"), None, None, torch_engine.pick_device(config.device))
    predictions, folder = config.folder / "predictions", out / "submissions" / "demo"
    jobs = list_jobs(str(low), str(predictions), "scored", str(TEST_SET), f"x{network.scale}")
    predict_all(network, jobs, Options(), watch=cli.watch, tell=cli.say)

    _say(4, "check every rule and pack the submission")
    manifest = submission.make_submission(predictions, "demo", low, TEST_SET, folder.parent, progress=True)
    for warning in submission.warnings_of(manifest):
        cli.say(f"warning: {warning}")
    cli.say(f"{manifest['path']}: {plural(len(jobs), 'file')}")

    _say(5, "score it beside bicubic")
    result = Scoring(manifest["path"], low, high, TEST_SET, progress=True).score()
    scorefile.write_score(result, folder)
    print(totals.format_table(result))

    _say(6, "write the report")
    page = report.write_report(folder).absolute()
    ours, bicubic = (result["totals"][system] for system in totals.SYSTEMS[:2])
    print(
        f"\n{time.perf_counter() - began:.0f} seconds. The network beats bicubic by "
        f"{ours['psnr'] - bicubic['psnr']:+.2f} dB PSNR and {ours['vmaf'] - bicubic['vmaf']:+.1f} VMAF: "
        f"score {ours['score']:.2f} against {bicubic['score']:.2f}.\nOpen the report: {page.as_uri()}"
    )
    return 0


main = cli.Verb("demo", __doc__, _add_flags, _run)

if __name__ == "__main__":
    raise SystemExit(main())
