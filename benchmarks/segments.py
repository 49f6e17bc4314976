"""What coding a film in segments of 48 frames, so that a stop keeps them, costs in bytes at the same quality.

A video -> bytes of each codec unbroken and in segments, and the difference, of its pictures scaled to 640x360.

Run: python benchmarks/segments.py FILM
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from youku.video import container, segments
from youku.video.encoding import Encoding
from youku.video.recording import open_recording


def main(film: str) -> None:
    with open_recording(film, filters=(("scale", "640:360"),)) as recording:
        frames, header = list(recording), recording.header
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "a.mkv"
        for codec in ("x264", "x265", "vp9"):
            sizes = []
            for keep in (nullcontext(), segments.keep(target, "0" * 64, 1)):
                with keep as kept, container.create(target, header, Encoding(codec=codec), kept=kept) as writer:
                    for planes in frames:
                        writer.write(planes)
                sizes.append(target.stat().st_size)
            print(
                f"{codec}: {sizes[0]} bytes unbroken, {sizes[1]} in segments, {100 * (sizes[1] / sizes[0] - 1):+.1f} %"
            )


if __name__ == "__main__":
    main(sys.argv[1])
