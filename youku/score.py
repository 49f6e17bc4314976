"""Score the shipped bytes of a zip or folder against the ground truth, beside bicubic and Lanczos on the same frames.

ZIP_OR_FOLDER, LR clips, GT clips -> a table, score.json and score.csv next to the zip (of a folder: in FOLDER-score).
One pass over each clip, frames streamed: PSNR of planes, SSIM of luma, VMAF of the clips that count; score = 0.8 PSNR +
0.2 VMAF. Weights of a network (.onnx, .safetensors, .pth) are predicted with first, in a folder beside them.
An exact match is inf dB, and so is every mean that contains one. `--all` adds what the score does not need: PSNR over
RGB, VMAF-NEG, VMAF of the sampled clips. `--artefacts` adds flicker between frames, overshoot beside edges and colour
shift, which none of these figures shows. The rows of bicubic and Lanczos are measured once for a test
set and kept in the user's cache.

    python -m youku score submissions/fsrcnn/fsrcnn.zip --low data/clips/val --high data/clips/val --test-set val
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

from youku import cli, contest, files, shards
from youku.exchange import intervals, score_clips
from youku.exchange.pairing import pair_up
from youku.exchange.score_clips import Scoring
from youku.exchange.scorefile import plain, write_score
from youku.exchange.totals import PROTOCOL, Reading, format_artefacts, format_table
from youku.metrics import vmaf
from youku.text_table import plural
from youku.video import file_names

WEIGHTS = (".onnx", ".safetensors", ".pth", ".pt")
SETS = "val (the clips of --low: 150-199 or your own), a split's name, or ids like 150-159"


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("submission", metavar="ZIP_OR_FOLDER", help="what was shipped, a folder of the same files, or weights")
    add("--low", required=True, help="folder of the low-resolution clips")
    add("--high", required=True, help="folder of the ground truth clips")
    add("--test-set", required=True, help=SETS)
    cli.add_flags(parser, Reading)
    add("--no-vmaf", action="store_true", help="PSNR and SSIM only: quicker, and no final score")
    add("--all", action="store_true", help="also PSNR over RGB, VMAF-NEG, and VMAF of sampled clips")
    add("--artefacts", action="store_true", help="measure flicker, overshoot and colour shift as well")
    add("--jobs", type=int, help="clips measured at once (default: from the CPU count)")
    add("--name", help="name of the row (default: the zip's)")
    add("--out", help="folder of score.json and score.csv (default: where the zip lies; FOLDER-score)")
    shards.add_flags(parser, "the clips")
    add("--json", action="store_true", help="print score.json instead of the table")


def _predicted(args: argparse.Namespace) -> str:
    """The folder of results that a network makes of --low, in FILE-TESTSET beside its file (or --out), as predict makes them."""
    from youku.engines import mean
    from youku.inference import clip
    from youku.inference.job_list import list_jobs
    from youku.inference.pipeline import Options
    from youku.threads import take_all

    if args.shard or args.cluster:
        raise cli.UsageError(f"--shard and --cluster take results; predict --weights {args.submission} shares out too")
    if not args.no_vmaf:
        vmaf.require()
    pair_up(None, contest.test_set(args.test_set, args.low), Path(args.low), Path(args.high))
    path = Path(args.submission)
    folder = Path(args.out or path.with_name(f"{path.stem}-{args.test_set}")) / "predictions"
    take_all()
    network = mean.load([path], None, None, "auto", None, ["auto"], cli.say)
    if network.scale != contest.SCALE:
        raise ValueError(f"{path}: enlarges by {network.scale}, the contest by {contest.SCALE}; take evaluate --scale")
    jobs = list_jobs(args.low, str(folder), "scored", args.test_set, "")
    files.protect(path, *(job.source for job in jobs))
    clip.predict_all(network, jobs, Options(), watch=cli.watch, tell=cli.say)
    return str(folder)


def _score(args: argparse.Namespace) -> int:
    if args.jobs is not None and args.jobs < 1:
        raise ValueError(f"--jobs {args.jobs}: expected 1 or more")
    file_names.check_folder(args.out or "")
    reading = Reading(**{name: vars(args)[name] for name in PROTOCOL})
    test_set = contest.test_set(args.test_set, args.low)
    if Path(args.submission).suffix.lower() in WEIGHTS:
        args.submission = _predicted(args)
    folders = (Path(name) for name in (args.submission, args.low, args.high))
    files.protect(args.submission, *(path for folder in folders for path in folder.glob("*.y4m")))
    out = Path(args.out or _place(Path(args.submission).absolute()))
    parts, is_shared = out / ".score-parts", bool(args.shard or args.cluster)
    scoring = Scoring(
        args.submission, args.low, args.high, test_set, reading, not args.no_vmaf, args.artefacts, args.all,
        parts if is_shared or parts.is_dir() else None, args.jobs, progress=True,
    )  # fmt: skip
    if is_shared:
        clips = scoring.clips()
        clips = args.shard.pick(clips, lambda clip: clip.work) if args.shard else clips
        if args.cluster:
            from youku import cluster

            tasks = [cluster.Task(clip.name, clip.work, clip.clip_id) for clip in clips]
            begin = partial(score_clips.begin, replace(scoring, progress=False))
            cluster.run(args.cluster, tasks, begin, cli.say, each=map)  # the first error ends it, as without
        else:
            scoring.measure(clips)
    if args.shard:
        names = [clip.name for clip in clips]
        done = f"shard {args.shard}: {plural(len(names), 'clip')} measured; after all shards, the same command without --shard"
        print(json.dumps({"shard": str(args.shard), "clips": names}) if args.json else f"{done} makes {out}/score.json")
        return 0
    score = scoring.score(args.name)
    written = write_score(score, out)
    shutil.rmtree(parts, ignore_errors=True)
    lines = ["", f"95 % interval over clips, {intervals.sentences([score], [score['name']])[0]}"]
    lines += ["", format_artefacts(score)] if args.artefacts else []
    cli.answer(args, plain(score), format_table(score), *lines, "", *map(str, written))
    return 0


def _place(submission: Path) -> Path:
    """Beside a zip, or a run's `predictions`; of another folder, FOLDER-score, as several may lie side by side."""
    is_one_of_many = submission.is_dir() and submission.name != "predictions"
    return submission.with_name(f"{submission.name}-score") if is_one_of_many else submission.parent


main = cli.Verb("score", __doc__, _add_flags, _score)

if __name__ == "__main__":
    raise SystemExit(main())
