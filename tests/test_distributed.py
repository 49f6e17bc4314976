"""Several processes train one run: the steps of one process, one writer, one voice, and a killed one costs an interval."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher import api

from tests.test_train import settings
from youku import train
from youku.models import discriminators
from youku.training import dataset, distributed, fields, run, trainer
from youku.training.config import TrainConfig
from youku.training.dataset import Batch
from youku.training.distributed import Processes

pytestmark = pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch without gloo")

WORK = """
import os, sys, torch, youku
from pathlib import Path
from tests.test_distributed import doubled
from youku.training import distributed, fields, run
from youku.training.config import TrainConfig
torch.set_num_threads(1)
plain, gan = (TrainConfig(**fields.read(Path(file), TrainConfig)) for file in sys.argv[1:])
with distributed.joined(plain) as ranks:
    run.start(plain, progress=False, ranks=ranks)
    doubled(setattr)
    run.start(gan, progress=False, ranks=ranks)
    youku.__version__ += os.environ["RANK"]
    distributed._compare(plain)
"""


def doubled(patch: Callable[[Any, str, Any], object]) -> None:
    """All of the steps in float64: in float32 Adam's first steps make whole steps of roundings around zero."""
    torch.set_default_dtype(torch.float64)
    stack = dataset.stack

    def in_double(*args: Any) -> Batch:
        batch = stack(*args)
        low, high = (tuple(part.double() for part in x) for x in (batch.low, batch.high))
        return dataclasses.replace(batch, low=low, high=high)

    def small(side_px: int, channels: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(channels, 8, 3, 2), nn.BatchNorm2d(8), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 3))

    patch(discriminators, "DISCRIMINATORS", {"srgan": small})
    patch(trainer, "_validate", lambda state, *_: setattr(state, "validated", state.step))
    patch(torch.Tensor, "float", torch.Tensor.double)
    patch(dataset, "stack", in_double)


def together(command: list[str], world: int) -> list[str]:
    """What each of the processes that torchrun would start says on stderr."""
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        port = listener.getsockname()[1]
    running = []
    for rank in range(world):
        own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "localhost", "MASTER_PORT": port}
        environ = {**os.environ, **{name: str(value) for name, value in own.items()}, "OMP_NUM_THREADS": "1"}
        running.append(subprocess.Popen([sys.executable, *command], env=environ, stderr=subprocess.PIPE, text=True))
    return [process.communicate(timeout=300)[1] for process in running]


def figures(config: TrainConfig) -> list[float]:
    """Losses and validations of a run, whose steps are there once and in order."""
    lines = [json.loads(line) for line in (config.folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == sorted(line["step"] for line in lines)
    return [value for line in lines for key, value in line.items() if key in ("loss", "d_loss", "d_fake", "val_psnr")]


def test_two_processes_make_the_steps_of_one(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same losses and validations: of a plain network, and of one with batch norm and an adversary that has it too.

    Afterwards two of different versions are refused.
    """
    plain = settings(pairs, name="plain", batch=2, noise=3.0, full_range=0.5, ema=0.9)
    gan = settings(
        pairs,
        name="gan",
        batch=2,
        model="fsrcnn",
        loss="l1+0.1*gan",
        pretrain_steps=1,
        d_steps=2,
        steps=3,
        patch_px=8,
    )
    twos = [dataclasses.replace(config, name=f"{config.name}-2") for config in (plain, gan)]
    for config in twos:
        (tmp_path / f"{config.name}.toml").write_text(fields.to_toml(config, {}))
    said = together(["-c", WORK, *(str(tmp_path / f"{config.name}.toml") for config in twos)], 2)
    try:
        run.start(plain, progress=False)
        doubled(monkeypatch.setattr)
        run.start(gan, progress=False)
    finally:
        torch.set_default_dtype(torch.float32)
    for one, two, most in ((plain, twos[0], 1e-4), (gan, twos[1], 1e-9)):
        assert figures(two) == pytest.approx(figures(one), rel=most), said
        assert len(figures(one)) >= 6
    refusal = "process 1 has youku 0.1.01, process 0 has 0.1.00; start all of them with the same versions and flags"
    for lines in map(str.splitlines, said):  # gloo's threads may speak after it
        assert any(line.endswith(refusal) for line in lines), lines


@pytest.mark.parametrize("world", [1, 2, 4])
def test_slices_of_all_processes_are_the_batch(world: int) -> None:
    ranks = [Processes(rank=rank, world=world) for rank in range(world)]
    assert [item for one in ranks for item in one.share(list(range(8)))] == list(range(8))
    assert {len(one.share(list(range(8)))) for one in ranks} == {8 // world}


@pytest.mark.parametrize(
    ("changes", "world", "words"),
    [
        ({"batch": 4}, 3, "a batch of 4 divides among 1, 2, 4"),
        ({"batch": 4}, 8, "a batch of 4 divides among 1, 2, 4"),
        ({"batch": 4}, 0, "0 processes"),
        ({"batch": 4, "dtype": "auto", "amp_backend": "apex"}, 2, "apex trains in one"),
    ],
)
def test_a_number_of_processes_that_cannot_be_is_one_sentence(changes: dict, world: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        distributed.check(TrainConfig(device="cpu", **changes), world)


def test_devices_are_checked_before_any_is_started(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Settings and data too: what all processes would find is said once, and no run folder is left."""
    line = ["--data", str(pairs), "--runs", str(pairs.parent / "runs"), "--device", "cpu", "--devices"]
    for more, words in ((["3", "--batch", "4"], "3 processes"), (["2", "--num-pairs", "99"], "--num-pairs 99")):
        assert train.main([*line, *more]) == 1
        assert capsys.readouterr().err.count("error:") == 1 and words
    assert not (pairs.parent / "runs").exists()


@pytest.mark.parametrize(("variables", "words"), [({"RANK": "x"}, "RANK is 'x'"), ({}, "LOCAL_RANK is ''")])
def test_odd_variables_are_told(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with (
        pytest.raises(ValueError, match=f"{words}.*start it by torchrun or --devices"),
        distributed.joined(TrainConfig()),
    ):
        pass


@pytest.mark.parametrize(
    ("exits", "expected"), [([-9, 0], 0), ([-9, -9, 3], 3), ([1], 1), ([-9] * 4, 1), ([0], 0)], ids=str
)
def test_a_killed_process_begins_again_and_a_failed_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exits: list[int], expected: int
) -> None:
    """From the last checkpoint, three times; what is an error stays one."""
    lines, waiting = [], iter(exits)

    def launcher(config: object, entrypoint: str) -> Callable[..., None]:
        def launched(*line: str) -> None:
            lines.append(line[2:])
            (tmp_path / "last.pt").touch()
            if status := next(waiting):
                raise ChildFailedError("train", {1: ProcessFailure(1, 1, status, "")})

        return launched

    monkeypatch.setattr(api, "elastic_launch", launcher)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    said: list[str] = []
    assert distributed.launch(["--amp"], 2, ["--resume", str(tmp_path)], said.append) == expected
    assert lines == [("--amp",), *[("--resume", str(tmp_path))] * (len(exits) - 1)]
    assert len(said) == len(exits) - 1 and all("process 1 of 2 was killed (SIGKILL)" in text for text in said)


def test_one_process_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another waits whether the first tells the same, then names itself; one that lost another says so."""
    monkeypatch.setattr(distributed, "PATIENCE_SEC", 0.0)
    for rank, error, words in (
        (1, ValueError("no such clip"), "process 1 of 4: no such clip"),
        (0, RuntimeError("Connection closed by peer"), "another process of this run is gone"),
    ):
        with pytest.raises(ValueError, match=words), distributed._one_voice(rank, 4):
            raise error
    with pytest.raises(RuntimeError, match="shape"), distributed._one_voice(0, 4):
        raise RuntimeError("shape mismatch")
