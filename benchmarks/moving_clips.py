"""Make clips of a camera that moves over pictures: what recurrent networks learn compressed video from.

python benchmarks/moving_clips.py OUT PICTURES... [--side 320] [--frames 16] [--seed 0]
python -m youku degrade OUT PAIRS --preset youku

A y4m clip each picture (uncompressed 4:2:0, square), on a path of `youku.video.camera`; smaller pictures are left out.
"""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path

import numpy as np

from youku.files import make_folder
from youku.video import camera, color, file_names, pictures, y4m


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+", help="folders of them")
    for flag, default in (("--side", 320), ("--frames", 16), ("--seed", 0)):
        parser.add_argument(flag, type=int, default=default)
    args = parser.parse_args()
    header = y4m.make_header(args.side, args.side, 25)
    for path in (path for folder in args.pictures for path in file_names.find_pictures(folder)):
        if min(pictures.read_size(path)) < args.side:
            continue
        picture = pictures.read_rgb(path)
        rng = np.random.default_rng((args.seed, zlib.crc32(path.name.encode())))
        maps = camera.path(rng, args.frames, args.side, picture.shape[0], picture.shape[1], unit_px=4)
        target = make_folder(args.out) / f"{path.parent.name}-{path.stem}-{args.seed}.y4m"
        with y4m.create(target, header) as writer:
            for where in maps:
                writer.write(color.rgb_to_planes(camera.view(picture, where, args.side), header.layout))
        print(target)


if __name__ == "__main__":
    main()
