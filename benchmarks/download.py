"""Is `youku.exchange.fetch` as quick as curl, and does a kill cost no more than the block in flight?

One 512 MB file from a loopback server: five interleaved runs of curl and of our fetch, medians of wall time inside
each (bar: ours, which syncs, at least 0.9 of curl's speed with a sync after it); then ten SIGKILLs at seeded random
points: the result is byte-identical and the server sends no byte again that had reached the part file (bar: 0 bytes).

Run: python benchmarks/download.py [--size-mb 512] [--runs 5] [--kills 10]
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from youku.files import sha256

MB = 1_000_000
SEED = 231711
FETCH = (
    "import sys, time\nfrom youku.exchange.fetch import fetch\nstart = time.perf_counter()\n"
    "fetch(sys.argv[1], sys.argv[2])\nprint(time.perf_counter() - start)"
)


class RangeServer(ThreadingHTTPServer):
    """Serves one file with Range and ETag; `starts` holds the first byte of every answer."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.path, self.starts = path, list[int]()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/{path.name}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A killed client is part of the plan."""


class _Handler(BaseHTTPRequestHandler):
    server: RangeServer

    def do_GET(self) -> None:
        total = self.server.path.stat().st_size
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(match[1]) if match else 0
        self.server.starts.append(start)
        self.send_response(206 if match else 200)
        if match:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("ETag", '"one"')
        self.send_header("Content-Length", str(total - start))
        self.end_headers()
        self.wfile.flush()
        with self.server.path.open("rb") as file:
            while start < total:
                start += os.sendfile(self.wfile.fileno(), file.fileno(), start, 1 << 20)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def make_file(path: Path, size_bytes: int) -> None:
    """Seeded noise: no two blocks alike, so that a splice cannot pass."""
    noise = random.Random(SEED)
    with path.open("wb") as file:
        for left in range(size_bytes, 0, -MB):
            file.write(noise.randbytes(min(MB, left)))


def time_curl(url: str, target: Path) -> float:
    """Seconds as curl itself counts them, so that neither side pays for its start."""
    command = ["curl", "-sS", "--fail", "-o", str(target), "-w", "%{time_total}", url]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def time_fetch(url: str, target: Path) -> float:
    """Seconds of one fetch() in its own process, its fsync and rename included."""
    command = [sys.executable, "-c", FETCH, url, str(target)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def time_curl_synced(url: str, target: Path) -> float:
    """The same with the fsync that our fetch pays for."""
    seconds = time_curl(url, target)
    start = time.perf_counter()
    with target.open("rb+") as file:
        os.fsync(file.fileno())
    return seconds + time.perf_counter() - start


def compare_speed(server: RangeServer, folder: Path, runs: int) -> dict[str, float]:
    """Median seconds of `runs` interleaved runs; each is preceded by a sync, its target deleted."""
    timers = {"curl": time_curl, "fetch": time_fetch, "curl + fsync": time_curl_synced}
    found: dict[str, list[float]] = {name: [] for name in timers}
    for index in range(runs + 1):  # the first round warms the page cache and is dropped
        for name, timer in timers.items():
            target = folder / "target"
            os.sync()
            found[name].append(timer(server.url, target))
            target.unlink()
        print(
            f"  run {index}: " + ", ".join(f"{name} {times[-1]:.3f} s" for name, times in found.items()),
            file=sys.stderr,
        )
    return {name: statistics.median(times[1:]) for name, times in found.items()}


def kill_often(server: RangeServer, folder: Path, kills: int) -> tuple[int, int, bool]:
    """(kills that hit, flushed bytes that were sent again, is the result byte-identical)."""
    total, target = server.path.stat().st_size, folder / "killed"
    part, points = Path(f"{target}.part"), random.Random(SEED)
    again_bytes, hits = 0, 0
    for index in range(kills):
        server.starts.clear()
        before = part.stat().st_size if part.exists() else 0
        goal = before + points.randint(0, (total - before) // (kills - index))
        process = subprocess.Popen([sys.executable, "-c", FETCH, server.url, str(target)], stdout=subprocess.DEVNULL)
        while process.poll() is None and not (server.starts and part.exists() and part.stat().st_size >= goal):
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        hits += process.wait() == -signal.SIGKILL
        again_bytes += sum(max(0, before - start) for start in server.starts)
    flushed = part.stat().st_size if part.exists() else total
    server.starts.clear()
    time_fetch(server.url, target)
    again_bytes += sum(max(0, flushed - start) for start in server.starts)
    return hits, again_bytes, sha256(target) == sha256(server.path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-mb", type=int, default=512, help="size of the file, MB")
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each")
    parser.add_argument("--kills", type=int, default=10, help="SIGKILLs")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_file(folder / "source.bin", args.size_mb * MB)
        server = RangeServer(folder / "source.bin")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        medians = compare_speed(server, folder, args.runs)
        hits, again_bytes, same = kill_often(server, folder, args.kills) if args.kills else (0, 0, True)
        server.shutdown()
        server.server_close()
    ratio = medians["curl + fsync"] / medians["fetch"]
    speed_met, kill_met = ratio >= 0.9, hits == args.kills and again_bytes == 0 and same
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {args.size_mb} MB")
    for name, seconds in medians.items():
        print(f"{name:<13} median {seconds:.3f} s {args.size_mb / seconds:6.0f} MB/s")
    print(
        f"speed, fetch (fsync included) / curl + fsync: {ratio:.2f}  (bar >= 0.90: {'met' if speed_met else 'MISSED'})"
    )
    if args.kills:
        print(
            f"{hits} kills: {'byte-identical' if same else 'DIFFERENT BYTES'}, {again_bytes} flushed bytes sent again  "
            f"(bar {args.kills} kills, identical, 0: {'met' if kill_met else 'MISSED'})"
        )
    return 0 if speed_met and kill_met else 1


if __name__ == "__main__":
    raise SystemExit(main())
