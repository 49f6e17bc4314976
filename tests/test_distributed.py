"""Several processes train one run: the steps of one process, one writer, one voice, and a killed one costs an interval."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher import api

import youku
from tests.test_train import settings
from youku import cluster, threads, train
from youku.engines import torch_engine
from youku.models import discriminators
from youku.training import dataset, distributed, fields, run, saving, trainer
from youku.training.config import TrainConfig
from youku.training.dataset import Batch
from youku.training.distributed import Processes
from youku.training.progress import Ending

pytestmark = pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch without gloo")

FORK = """
import os, socket, sys, traceback, torch
import torch._dynamo  # which every process would import for its optimizer
from tests import test_distributed
torch.set_num_threads(1)
for group in sys.argv[1:]:
    world, *paths = group.split(":")
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        port = listener.getsockname()[1]
    for rank in range(int(world)):
        if not os.fork():
            own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "localhost", "MASTER_PORT": port}
            os.environ.update({name: str(value) for name, value in own.items()})
            try:
                test_distributed.work(paths)
            except Exception:
                traceback.print_exc()
            os._exit(0)
    for _ in range(int(world)):
        os.wait()
"""


def work(paths: list[str]) -> None:
    """What each process does: the runs of those configs, from the first named double- on in float64; then other versions."""
    configs = [TrainConfig(**fields.read(Path(path), TrainConfig)) for path in paths]
    with distributed.joined(configs[0]) as ranks:
        for config in configs:
            if config.name.startswith("double") and torch.get_default_dtype() == torch.float32:
                doubled(setattr)
            run.start(config, (config.folder / "last.pt").exists(), progress=False, ranks=ranks)
        youku.__version__ += os.environ["RANK"]
        ranks.require_same(cluster.versions())


def doubled(patch: Callable[[Any, str, Any], object]) -> None:
    """All of the steps in float64: in float32 Adam's first steps make whole steps of roundings around zero."""
    torch.set_default_dtype(torch.float64)
    finish = dataset.finish

    def in_double(*args: Any) -> list[Batch]:
        (batch,) = finish(*args)
        low, high = (tuple(part.double() for part in x) for x in (batch.low, batch.high))
        return [dataclasses.replace(batch, low=low, high=high)]

    def small(side_px: int, channels: int, norm: Callable[[int], nn.Module] = nn.BatchNorm2d) -> nn.Module:
        return nn.Sequential(nn.Conv2d(channels, 8, 3, 2), norm(8), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 3))

    patch(discriminators, "DISCRIMINATORS", {"srgan": small, "enhancenet": partial(small, norm=nn.Identity)})
    patch(trainer, "_validate", lambda state, *_: setattr(state, "validated", state.step))
    patch(torch.Tensor, "float", torch.Tensor.double)
    patch(dataset, "finish", in_double)


def together(groups: dict[int, list[TrainConfig]]) -> str:
    """Train each group's runs in turn with so many processes, as torchrun would start them; what they say on stderr."""
    words = []
    for world, configs in groups.items():
        paths = [Path(config.runs, f"{config.name}-{world}.toml") for config in configs]
        for config, path in zip(configs, paths, strict=True):
            path.parent.mkdir(exist_ok=True)
            path.write_text(fields.to_toml(config, {}))
        words.append(":".join(map(str, (world, *paths))))
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", FORK, *words]
    return subprocess.run(command, env=environ, stderr=subprocess.PIPE, text=True, timeout=300, check=True).stderr


def figures(config: TrainConfig) -> list[float]:
    """Losses and validations of a run, whose steps are there once and in order."""
    lines = [json.loads(line) for line in (config.folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == sorted(line["step"] for line in lines)
    return [value for line in lines for key, value in line.items() if key in ("loss", "d_loss", "d_fake", "val_psnr")]


def test_processes_make_the_steps_of_one(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same losses and validations with 2 and 4, and begun with 2, gone on with 4 and with 1; with 2, of every kind too.

    The kinds: batch norm in the network and in its adversary, the losses that look at a whole batch (ragan) or draw for it
    (wgan-gp), memory from frame to frame. Afterwards processes of different versions are refused.
    """
    plain = settings(pairs, name="plain", batch=4, noise=3.0, full_range=0.5, ema=0.9, patch_px=8, schedule="constant")
    kind = partial(settings, pairs, batch=4, steps=3, patch_px=8, model="fsrcnn", pretrain_steps=1, d_steps=2)
    gans = [
        kind(name=f"double-{loss}", loss=f"l1+0.1*{loss}", discriminator=discriminator)
        for loss, discriminator in (("gan", "srgan"), ("ragan", "srgan"), ("wgan-gp", "enhancenet"))
    ]
    remembering = settings(pairs, name="double-memory", batch=4, steps=3, patch_px=8, model="recurrent-t", sequence=3)
    fours, goes_on, then_one = (replace(plain, name=name) for name in ("fours", "goes-on", "then-one"))
    halves = [replace(config, steps=3) for config in (goes_on, then_one)]
    doubles = [*gans, remembering]
    twos = [replace(config, name=f"{config.name}-2") for config in (plain, *doubles)]
    said = together({2: [*halves, *twos], 4: [fours, goes_on]})
    try:
        run.start(plain, progress=False)
        run.start(then_one, resume=True, progress=False)
        doubled(monkeypatch.setattr)
        for config in doubles:
            run.start(config, progress=False)
    finally:
        torch.set_default_dtype(torch.float32)
    same = [(plain, other, 1e-4) for other in (twos[0], fours, goes_on, then_one)]
    for one, other, most in (*same, *((one, two, 1e-9) for one, two in zip(doubles, twos[1:], strict=True))):
        assert figures(other) == pytest.approx(figures(one), rel=most), (other.name, said)
        assert len(figures(one)) >= 3
    code = r"\(code \w{8}(?:, compiled)?\)"
    refusal = rf"process 1 has youku 0.1.01 {code}, process 0 has 0.1.00 {code}; start all of them with"
    assert len(re.findall(refusal, said)) == 6, said  # each of them finds it


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


def test_devices_are_checked_before_any_is_started(
    pairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Settings, data and cores too: what all processes would find is said once, and no run folder is left."""
    monkeypatch.setattr(threads, "cores", lambda: 2)
    line = ["--data", str(pairs), "--runs", str(pairs.parent / "runs"), "--device", "cpu", "--devices"]
    for more, words in (
        (["3", "--batch", "4"], "3 processes: a batch of 4"),
        (["2", "--num-pairs", "99"], "--num-pairs 99"),
        (["64", "--batch", "64"], "--devices 64: this machine has 2 cores; start so many, or start them by torchrun"),
    ):
        assert train.main([*line, *more]) == 1
        assert (said := capsys.readouterr().err).count("error:") == 1 and words in said
    assert not (pairs.parent / "runs").exists()


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_engine, "pick_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="--devices 2: this machine has 1 GPU; start so many$"):
        distributed.check_machine(TrainConfig(), 2)


@pytest.mark.parametrize("is_of_agent", [False, True])
def test_a_process_that_never_comes_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, is_of_agent: bool) -> None:
    """One that ended at its start, with status 0 too: torchrun waits for the others, and they for it."""
    monkeypatch.setattr(distributed, "START_SEC", 1)
    store = torch.distributed.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = store.port if is_of_agent else free.getsockname()[1]
    own = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    for name, value in {**own, "TORCHELASTIC_USE_AGENT_STORE": is_of_agent}.items():
        monkeypatch.setenv(name, str(value))
    told = "not all 2 processes of this run began within 1 s; see what the others said"
    with pytest.raises(ValueError, match=told), distributed.joined(TrainConfig(device="cpu")):
        pass


@pytest.mark.parametrize(
    ("rank", "launcher", "num_lines"), [(0, "none", 1), (0, f"youku-{os.getppid()}", 0), (1, "none", 0)]
)
def test_one_process_tells_of_a_stop(
    pairs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rank: int,
    launcher: str,
    num_lines: int,
) -> None:
    """The launcher of --devices for its own, as it stops them to begin again; of those that torchrun started the first."""
    for name, value in {"RANK": rank, "WORLD_SIZE": 1, "TORCHELASTIC_RUN_ID": launcher}.items():
        monkeypatch.setenv(name, str(value))
    stopped: list[object] = [Ending(3, False, 0.0, stopped_by=15), KeyboardInterrupt()]

    def start(*_: Any, **__: Any) -> Any:
        if isinstance(ending := stopped.pop(), BaseException):
            raise ending
        return ending

    monkeypatch.setattr(run, "start", start)
    monkeypatch.setattr(saving, "kept", lambda folder: "kept")
    for status, words in ((130, "stopped at once; kept"), (143, "stopped at step 3; kept")):
        assert train.main(["--data", str(pairs), "--runs", str(pairs.parent / "runs"), "--device", "cpu"]) == status
        assert capsys.readouterr().err.splitlines() == [words] * num_lines


def test_a_hushed_process_ends_without_a_word() -> None:
    """In the middle of an import too, before it knows of a run."""
    code = "from youku import stops; stops.keeps('kept'); stops.hush(); stops.end(is_told=False)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (130, "")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"RANK": "x"}, "RANK is 'x'"),
        ({}, "LOCAL_RANK is ''"),
        ({"LOCAL_RANK": "0"}, "MASTER_PORT is ''"),
        ({"LOCAL_RANK": "0", "MASTER_PORT": "9", "RANK": "5"}, "RANK is 5: expected 0 to 1, as WORLD_SIZE is 2"),
    ],
)
def test_odd_variables_are_told(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str) -> None:
    for name in ("LOCAL_RANK", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", **variables}.items():
        monkeypatch.setenv(name, value)
    with (
        pytest.raises(ValueError, match=f"{words}.*start it by torchrun or --devices"),
        distributed.joined(TrainConfig()),
    ):
        pass


def test_processes_that_see_other_clips_are_refused(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a step: each of several machines has its own folder of that name."""
    monkeypatch.setattr(Processes, "gather", lambda self, items: [*items, dict.fromkeys(items[0], "0" * 64)])
    with pytest.raises(ValueError, match="process 1 has other clips or pictures; start all of them with the same"):
        run.start(settings(pairs), progress=False, ranks=Processes(world=2))
    assert not (pairs.parent / "runs").exists()


@pytest.mark.parametrize(
    ("exits", "expected"),
    [
        ([-9, 0], 0),
        ([-9, -9, 2], 2),
        ([1], 1),
        ([0], 0),
        ([-9] * 4, r"process 1 of 2 was killed \(SIGKILL\) 4 times, mostly for want of memory.*; --resume goes on"),
        ([3], "process 1 of 2 ended with status 3; what it said stands above"),
    ],
    ids=str,
)
def test_a_killed_process_begins_again_and_a_failed_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exits: list[int], expected: int | str
) -> None:
    """From the last checkpoint, three times; what is an error stays one, and none ends without a word."""
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
    line = ["--amp"], 2, ["--resume", str(tmp_path)], said.append
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=expected):
            distributed.launch(*line)
    else:
        assert distributed.launch(*line) == expected
    assert not logging.getLogger(api.__name__).isEnabledFor(logging.ERROR)
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
