"""What `kills.py` works on: small seeded clips, a submission of the truth, a film with sound, and a slow server of a zip."""

from __future__ import annotations

import re
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from youku import contest
from youku.video import container, ffmpeg, y4m
from youku.video.encoding import Encoding

IDS = "200-205"
NUM_FRAMES = 30


class SlowServer(BaseHTTPRequestHandler):
    """One zip with Range and ETag, a few megabytes a second, so that kills meet it on its way."""

    content = b""

    def do_HEAD(self) -> None:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        self.start, total = int(match[1]) if match else 0, len(self.content)
        self.send_response(206 if match else 200)
        if match:
            self.send_header("Content-Range", f"bytes {self.start}-{total - 1}/{total}")
        self.send_header("ETag", '"one"')
        self.send_header("Content-Length", str(total - self.start))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        for at in range(self.start, len(self.content), 1 << 16):
            self.wfile.write(self.content[at : at + (1 << 16)])
            time.sleep(0.03)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A killed client is part of the plan."""


def write_clip(path: Path, width: int, height: int, num_frames: int, seed: int) -> None:
    """Seeded blurry noise in motion."""
    header, rng = y4m.make_header(width, height), np.random.default_rng(seed)
    planes = [np.kron(rng.integers(16, 235, (h // 4 + 9, w // 4 + 9)), np.ones((4, 4))) for h, w in header.plane_shapes]
    with y4m.create(path, header) as writer:
        for index in range(num_frames):
            at = index % 30
            shapes = zip(planes, header.plane_shapes, strict=True)
            writer.write(tuple(plane[at : at + h, at : at + w].astype(np.uint8) for plane, (h, w) in shapes))


def make_material(work: Path) -> None:
    """Pairs of six clips, a submission of the truth itself, a film with sound, and the zip that the server sends."""
    ids = contest.test_set(IDS)
    for clip_id in ids.ids:
        high = work / "high" / contest.high_name(clip_id)
        write_clip(work / "low" / contest.low_name(clip_id), 40, 24, NUM_FRAMES, clip_id)
        write_clip(high, 160, 96, NUM_FRAMES, clip_id + 1000)
        clip = y4m.Clip(high)
        with y4m.create(work / "pred" / ids.name(clip_id), clip.header) as writer:
            for index in ids.frames(clip_id, NUM_FRAMES):
                writer.write(clip.frame(index))
    (work / "pairs").mkdir()
    for path in [*(work / "low").iterdir(), *(work / "high").iterdir()]:
        (work / "pairs" / path.name).hardlink_to(path)
    write_clip(work / "long.y4m", 80, 48, 600, 1)
    write_clip(work / "large.y4m", 276, 212, 150, 3)
    write_clip(work / "film.y4m", 64, 48, 240, 2)
    clip = y4m.Clip(work / "film.y4m")
    container.write_clip(work / "mute.mp4", clip.header, clip, Encoding())
    line = f"{ffmpeg.binary()} -v error -i {work}/mute.mp4 -f lavfi -i sine -shortest -c:v copy {work}/film.mp4"
    ffmpeg.run(line.split(), "film.mp4")
    bundle = work / "served.zip"
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as zipped:
        for clip_id in range(200, 250):
            write_clip(work / "one.y4m", 80, 48, 100, clip_id)
            zipped.write(work / "one.y4m", contest.low_name(clip_id))
    SlowServer.content = bundle.read_bytes()
