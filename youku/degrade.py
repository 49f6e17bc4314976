"""Make training pairs shaped like the contest's from any video, y4m clip or folder of pictures.

SRC... -> OUT/Youku_NNNNN_h_GT.y4m (cropped to a multiple of the factor) and OUT/Youku_NNNNN_l.y4m (smaller, damaged),
8-bit 4:2:0, listed in OUT/pairs.json. The damage: blur, scaling plane by plane at the chroma's siting, tone, noise, and
real video codecs, before or after the scaling. The presets follow the old-film report's list of degradations and the
contest's own data, which were compressed by a real platform. Same seed and sources, same bytes.

`--check` measures pairs that were made elsewhere (a restored film against the old print) and refuses those whose
frames, pixels (0.25 small pixels) or brightness (gain 5 %, mean 2 code values) disagree, and those of pairs.json that
show frames of a source once more.

Run: python -m youku degrade film.mp4 data/clips/train --preset youku --split-every 100
     python -m youku degrade --list-presets
     python -m youku degrade --check data/clips/train
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import asdict, fields, replace
from functools import partial
from typing import Any

from youku import cli, shards
from youku.text_table import plural
from youku.video import alignment, clips, file_names, pair_folder
from youku.video.coding import CODECS, RATES, Coding
from youku.video.degradation import PRESETS, Degradation, preset_table
from youku.video.pair_folder import Part, Selection


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    what = "SRC... OUT_FOLDER: each source a video, y4m, picture, frame%%3d.png or a folder of them"
    add("paths", nargs="*", metavar="PATH", help=what)
    what = "where the settings start: one of --list-presets (default bicubic)"
    add("--preset", choices=PRESETS, metavar="NAME", default="bicubic", help=what)
    add("--list-presets", action="store_true", help="say what each preset does and where it comes from")
    add("--check", metavar="FOLDER", help="measure the pairs in FOLDER and exit 1 if any is bad")
    amounts = ("scale", "kernel", "blur", "unsharp", "darken", "tone", "noise")
    cli.add_flags(parser, Degradation, *amounts, default=None)
    add("--codec", choices=(*CODECS, "none"), help="video codec, in place of the preset's")
    cli.add_flags(parser, Coding, *RATES)
    cli.add_flags(parser, Degradation, "order", default=None)
    add("--first-id", type=int, help="number of the first pair (default: the first that is free)")
    cli.add_flags(parser, Selection, "split_every", "max_frames", "every")
    add("--size", metavar="WxH", help="cut larger frames to this size around their middle")
    cli.add_flags(parser, Selection, "sequence")
    shards.add_flags(parser, "the sources")
    add("--seed", type=int, default=0, help="same seed, same bytes (default 0)")
    add("--json", action="store_true", help="print the result as JSON")


def choose(args: argparse.Namespace) -> Degradation:
    """The preset with the given flags in place of its values."""
    given = {item.name: vars(args)[item.name] for item in fields(Degradation) if item.metadata}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    rates = {name: vars(args)[name] for name in RATES if vars(args)[name] is not None}
    if args.codec == "none":
        changes |= {"codings": (), "crfs": ()}
    elif args.codec:
        changes |= {"codings": (Coding(codec=args.codec, **rates),), "crfs": ()}
    if rates and args.codec in (None, "none"):
        raise ValueError(f"--{next(iter(rates))} belongs to a codec; add --codec {', '.join(CODECS)}")
    chosen = replace(PRESETS[args.preset], **changes)
    if args.order and not chosen.codings:
        raise ValueError(f"--order {args.order} has no effect without a codec; add --codec")
    return chosen


def select(args: argparse.Namespace) -> Selection:
    size = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", args.size) if args.size else None
    if args.size and not size:
        raise ValueError(f"--size {args.size}: expected WIDTHxHEIGHT such as 1920x1080")
    given = {name: vars(args)[name] for name in ("split_every", "max_frames", "every", "sequence")}
    return Selection(**given, size=(int(size[1]), int(size[2])) if size else None)


def check_pairs(folder: str, as_json: bool = False) -> None:
    """Print how the clips of each pair lie to each other; ValueError naming the pairs that are none."""
    pairs, lonely = alignment.find_pairs(folder)
    twice, watched = pair_folder.shown_twice(folder), cli.watch(pairs, is_kept=False, unit="pair")
    found = [replace(alignment.measure(*pair), twice=twice.get(pair[0])) for pair in watched]
    if as_json:
        rows = [{**asdict(one), "faults": alignment.faults(one)} for one in found]
        print(json.dumps({"folder": folder, "pairs": rows, "alone": lonely}).replace("NaN", "null"))
    else:
        print(alignment.table(found))
    shift = alignment.common_shift(found)
    if shift:
        cli.say(f"all pairs share a shift of {shift[0]:+.2f}, {shift[1]:+.2f} small pixels: {alignment.PHASE}")
    bad = [f"{one.clip_id:05d} ({', '.join(alignment.faults(one))})" for one in found if alignment.faults(one)]
    bad += [f"{name} (its other half is missing)" for name in lonely]
    if bad:
        raise ValueError(f"{folder}: {len(bad)} bad of {len(pairs) + len(lonely)}: {'; '.join(bad)}")


def _make(args: argparse.Namespace, parts: list[Part]) -> list[int]:
    """The ids of the pairs that were made."""
    watch = partial(cli.watch, is_kept=False)
    if not (args.shard or args.cluster):
        return pair_folder.fill(parts, watch, cli.each)
    parts = list(pair_folder.number(parts))
    if args.shard:
        parts = args.shard.pick(parts, lambda part: part.settings["source_bytes"])
    if args.cluster:
        from youku import cluster

        tasks = [cluster.Task(part.source.name, part.settings["source_bytes"], part) for part in parts]
        found = cluster.run(args.cluster, tasks, lambda *_: pair_folder.make, cli.say)
    else:
        found = list(cli.each(partial(pair_folder.make, watch=watch), parts))
    return sorted(clip_id for made, _ in found for clip_id in made)


def _act(args: argparse.Namespace) -> int:
    if args.list_presets or args.check:
        if args.paths or args.shard or args.cluster or (args.list_presets and args.check):
            raise cli.UsageError("--list-presets and --check FOLDER stand alone; leave the rest out")
        print(preset_table()) if args.list_presets else check_pairs(args.check, args.json)
        return 0
    if len(args.paths) < 2:
        raise cli.UsageError("expected SRC... OUT_FOLDER, --check FOLDER or --list-presets")
    *names, folder = args.paths
    file_names.check_folder(folder)
    selection = select(args)
    if args.seed < 0:
        raise ValueError(f"--seed {args.seed}: expected 0 or more")
    sources = clips.find_material(names, selection.sequence)
    first_id = args.first_id or 0 if args.shard else args.first_id  # the folder's own would change meanwhile
    made = _make(args, pair_folder.plan(folder, sources, choose(args), selection, first_id, args.seed))
    ids = [f"{clip_id:05d}" for clip_id in made]
    is_run = len(made) > 3 and made[-1] - made[0] == len(made) - 1
    names = f"{ids[0]} to {ids[-1]}" if is_run else ", ".join(ids)
    nothing = "no pair made" if cli.has_failures() else "up to date"
    told = f"{plural(len(made), 'pair')} made in {folder}: {names}" if made else f"{folder}: {nothing}"
    cli.show(json.dumps({"folder": folder, "made": made}) if args.json else told)
    return 0


main = cli.Verb("degrade", __doc__, _add_flags, _act, opens_videos=True)

if __name__ == "__main__":
    raise SystemExit(main())
