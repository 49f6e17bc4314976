"""Stages of a pipeline: what each worked is told apart from what it waited, and makes no item go missing."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import textured_frame, write_pair
from youku import contest
from youku.engines import weights
from youku.inference import pipeline
from youku.inference.clip import Predictor
from youku.inference.jobs import Job
from youku.inference.pipeline import Options
from youku.inference.stages import Busy, side_by_side
from youku.video import y4m


def test_reading_is_timed_and_waiting_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Items come unchanged; the time between them, while the consumer works, does not count."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def items() -> Iterator[int]:
        for number in range(3):
            now[0] += 1
            yield number

    busy, seen = Busy(), []
    for item in busy.reading(items()):
        seen.append(item)
        now[0] += 10
        with busy.at("writing"):
            now[0] += 2
    assert seen == [0, 1, 2] and busy.seconds == {"reading": 3, "network": 0, "writing": 6}
    assert busy.told(3) == "0.0769 frames/s (busy: reading 8%, network 0%, writing 15%)"


@pytest.mark.parametrize("model", ["bicubic", "fsrcnn"])
def test_a_prediction_ends_with_its_speed_and_what_was_busy(tmp_path: Path, model: str) -> None:
    """One line a clip: frames, frames a second, the share of each stage."""
    write_pair(tmp_path, 0, 32, 24, 3)
    network = weights.load(None, model, 4, torch.device("cpu"))
    told: list[str] = []
    job = Job(str(tmp_path / contest.low_name(0)), str(tmp_path / "out.y4m"), None)
    assert Predictor(network, Options(), tell=told.append).predict(job) == 3
    line = re.fullmatch(
        r".*out\.y4m: 3 frames, ([\d.e+]+) frames/s \(busy: reading (\d+)%, network (\d+)%, writing (\d+)%\)", told[-1]
    )
    assert line and float(line[1]) > 0 and int(line[3]) > 0


OPEN = """
import sys, torch
from youku.inference import stages
def planes():
    x = torch.rand(300, 300)
    while True:
        yield torch.nn.functional.conv2d(x[None, None], x[None, None, :9, :9])
sys.left_open = stages.ahead((2 * x for x in stages.ahead(planes())), depth=64)
next(sys.left_open)
"""


def test_a_pipeline_left_open_ends_with_the_process() -> None:
    """No thread is met in torch by the end of the interpreter (std::terminate), none waits for another for ever."""
    done = subprocess.run([sys.executable, "-c", OPEN], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_side_by_side_keeps_order_and_what_came_before_an_error() -> None:
    """However long each takes; a damaged source is told after the frames before it, and makes no more."""

    def items() -> Iterator[int]:
        yield from range(7)
        raise ValueError("damaged")

    def act(number: int) -> int:
        time.sleep(0.02 if number % 3 == 0 else 0)
        return number * number

    made = side_by_side(act, items(), 3)
    assert [next(made) for _ in range(7)] == [number * number for number in range(7)]
    with pytest.raises(ValueError, match="damaged"):
        next(made)
    with pytest.raises(ZeroDivisionError):
        list(side_by_side(lambda number: 1 // number, range(5), 2))


def test_small_frames_are_handed_to_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """They come out as they do from threads."""
    header = y4m.make_header(64, 64)
    frames = [textured_frame(header, index) for index in range(3)]
    network = weights.load(None, "fsrcnn", 4, torch.device("cpu"))
    expected = list(pipeline.upscale_frames(network, header, frames, Options()))
    monkeypatch.setattr(pipeline, "SMALL_PX", 64 * 64)
    monkeypatch.setattr(threading, "Thread", None)
    for planes, wanted in zip(pipeline.upscale_frames(network, header, frames, Options()), expected, strict=True):
        assert all(map(np.array_equal, planes, wanted))
    with pytest.raises(TypeError):
        list(pipeline.upscale_frames(network, y4m.make_header(66, 64), [], Options()))
