"""The one place that builds and runs ffmpeg commands; the binary is imageio-ffmpeg's (or IMAGEIO_FFMPEG_EXE).

Commands are built by ffmpeg-python, always with `cmd=` explicit. Bytes go through pipes, so no frame is a file here.
"""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import IO, Any

from youku import stops, system_errors
from youku.video import y4m

Filter = tuple[str, str]  # one of FFmpeg's: name and options
Feed = Callable[[IO[bytes]], object]  # writes what a command reads
DEINTERLACE: dict[str, Filter] = {
    "frame": ("bwdif", "mode=send_frame:deint=interlaced"),  # those that are marked as interlaced
    "field": ("bwdif", "mode=send_field"),
    "all": ("bwdif", "mode=send_frame"),
}
DEBLOCK: tuple[Filter, ...] = (("deblock", ""),)


class FFmpegError(ValueError):
    """ffmpeg is missing, refused the input, or died."""


class NoVideoError(FFmpegError):
    """A file in which ffmpeg finds no video at all."""


class InterlacedError(ValueError):
    """Pictures of which each holds two moments, where whole ones are wanted."""


@lru_cache(maxsize=1)
def binary() -> str:
    """Path of the ffmpeg binary."""
    import imageio_ffmpeg

    try:
        with stops.held_back():  # it starts the binary, to see whether that runs
            return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        stops.run([sys.executable, "-V"])  # an OSError where it is not the binary, but that nothing can be started
        raise FFmpegError(f"no ffmpeg binary: {error}; reinstall imageio-ffmpeg or set IMAGEIO_FFMPEG_EXE") from None


@lru_cache(maxsize=8)
def ask(*options: str) -> str:
    """What the binary prints for an information option such as "-version" or "-filters"."""
    done = stops.run([binary(), "-hide_banner", *options])
    return (done.stdout + done.stderr).decode(errors="replace")


def version() -> str:
    """Version as the binary names it, e.g. "7.0.2-static"."""
    match = re.search(r"ffmpeg version (\S+)", ask("-version"))
    if not match:
        raise FFmpegError(f"{binary()}: does not answer -version like ffmpeg; set IMAGEIO_FFMPEG_EXE to a working one")
    return match[1]


@lru_cache(maxsize=1)
def passthrough() -> dict[str, str]:
    """The option that keeps every frame as it is: `-fps_mode passthrough`, `-vsync 0` before ffmpeg 5.1."""
    numbers = re.match(r"n?(\d+)\.(\d+)", version())
    if numbers and (int(numbers[1]), int(numbers[2])) < (5, 1):
        return {"vsync": "0"}
    return {"fps_mode": "passthrough"}


def passthrough_flags() -> list[str]:
    """The same as arguments of a command line."""
    return [part for name, value in passthrough().items() for part in (f"-{name}", value)]


def has_libvmaf() -> bool:
    return " libvmaf " in ask("-filters")


def has_encoder(name: str) -> bool:
    return f" {name} " in ask("-encoders")


def command(node: Any, *extra: str) -> list[str]:
    """Command line of an ffmpeg-python output node: quiet, overwriting, never reading the terminal."""
    arguments = node.global_args("-hide_banner", "-nostdin", "-loglevel", "error", *extra).overwrite_output()
    return list(arguments.compile(cmd=binary()))


def build(source: str, target: str, input_options: dict[str, str], output_options: dict[str, str]) -> list[str]:
    """Command line from one input to one output, each a path or "pipe:0" / "pipe:1"."""
    import ffmpeg

    return command(ffmpeg.output(ffmpeg.input(source, **input_options), target, **output_options))


def pix_fmt(chroma: str) -> str:
    """ffmpeg's pixel format of a y4m chroma name: 420mpeg2 -> yuv420p, 422p10 -> yuv422p10le, mono -> gray."""
    if chroma not in y4m.CHROMA:
        raise FFmpegError(f"chroma {chroma!r}: expected 420, 422, 444 or mono, 420p10 and so on")
    (sub_x, _, _), depth = y4m.CHROMA[chroma]
    base = f"yuv{chroma[:3]}p" if sub_x else "gray"
    return f"{base}{depth}le" if depth > 8 else base


def run(line: list[str], what: str) -> None:
    """Run a command to its end; FFmpegError with ffmpeg's last words where it fails."""
    done = stops.run(line)
    if done.returncode:
        raise failure(what, done.stderr, done.returncode)


def quoted(path: str) -> str:
    """A file's name for a command that is printed; what stands before a colon would be a protocol."""
    return shlex.quote(f"file:{path}" if ":" in path else path)


def failure(what: str, stderr: bytes, status: int) -> FFmpegError:
    """The error for a command that ended with `status`, in the system's words or ffmpeg's last ones."""
    words = stderr.decode(errors="replace")
    lines = [line for line in words.splitlines() if line.strip()]
    own = [line for line in lines if re.match(r"\[\w+ @ ", line)]  # a codec's or a format's, not the program's echo
    last = re.sub(r"^\[[^\]]*\]\s*", "", (own or lines or [""])[-1])  # without the component's address
    told = system_errors.explain(RuntimeError(words)) or last
    if not told:
        killed = "it was killed, as where memory, processes or threads run out; raise `ulimit -v` or `ulimit -u`"
        told = killed if status == -signal.SIGKILL else f"it said nothing, its exit status is {status}"
    return FFmpegError(f"{what}: ffmpeg failed: {told}")


@contextmanager
def piped_output(line: list[str], what: str, feed: Feed | None = None) -> Iterator[IO[bytes]]:
    """Run a command, fed from a thread, and yield its stdout; ffmpeg's last words are raised if it failed.

    A reader that leaves early ends the command without an error; what goes wrong in `feed` is raised here.
    """
    with tempfile.TemporaryFile() as errors:
        stdin = None if feed is None else subprocess.PIPE
        process = stops.popen(line, stdin=stdin, stdout=subprocess.PIPE, stderr=errors, bufsize=1 << 20)
        assert process.stdout is not None
        failures: list[BaseException] = []
        feeder = threading.Thread(target=_feed, args=(process.stdin, feed, failures), daemon=True)
        feeder.start()
        has_ended, damage, is_killed = False, None, False
        try:
            yield process.stdout
            has_ended = not process.stdout.read(1)
        except NoVideoError:
            raise
        except ValueError as error:  # damage downstream is often the command's own death: say that instead
            damage = error
            is_killed = _finish(process, 0.2) == -signal.SIGKILL
        except BaseException:  # a stop, or a reader that has enough: the rest is not waited for
            process.kill()
            raise
        finally:
            process.stdout.close()
            _finish(process, 5)
            feeder.join(0 if stops.caught() else None)
        errors.seek(0)
        words = errors.read()
        if failures:
            raise failures[0]
        if (damage and (words or is_killed)) or (has_ended and process.returncode):
            raise failure(what, words, process.returncode) from damage
        if damage:
            raise damage


def _feed(stdin: IO[bytes] | None, feed: Feed | None, failures: list[BaseException]) -> None:
    if stdin is None or feed is None:
        return
    try:
        feed(stdin)
    except BrokenPipeError:
        pass  # the command died: its own message is raised instead
    except BaseException as error:
        failures.append(error)
    finally:
        with suppress(BrokenPipeError):
            stdin.close()


def _finish(process: subprocess.Popen[bytes], patience_sec: float) -> int:
    """Wait briefly for a process whose output was read or dropped, then kill it; its status, 0 where it had to be killed."""
    try:
        return process.wait(patience_sec)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return 0
