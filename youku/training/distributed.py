"""One training run on several devices: a process each, its share of every batch, the mean of all gradients.

`torchrun --nproc_per_node N -m youku.train ...`, or `launch` for --devices N -> `joined` gives each process its Ranks. All
hold the same weights, draw the same batch and cut their slice of it; gradients, and the statistics of batch norm, are those
of the whole batch, so that N processes make the steps of one within float order. The one module that knows torch.distributed.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from youku import cluster, threads
from youku.engines import torch_engine
from youku.text_table import plural
from youku.training.config import TrainConfig
from youku.training.progress import Say
from youku.training.ranks import ONE_PROCESS, Items, Ranks

PATIENCE_SEC = 1.0  # the first process tells what all of them find; who is still alive then found it alone
LOST = re.compile(
    "gloo|nccl|connection|socket|peer|store", re.IGNORECASE
)  # in what torch says of a process that is gone
TICK_SEC = 0.05
START_SEC = 120  # between the first process that is there and the last
MOST_RESTARTS = 3
MOST_TOLD = 60  # signs of a version; of anything longer is said that it is another
TOLD = (1, 2, 129, 130, 143)  # exit statuses of a verb, which has said why


@dataclass(frozen=True)
class Processes(Ranks):
    """Process `rank` of `world`; the batch divides among them, so a mean of means is the mean."""

    rank: int = 0
    world: int = 1

    def share(self, items: Items) -> Items:
        return items[len(items) * self.rank // self.world : len(items) * (self.rank + 1) // self.world]

    def mean(self, value: float) -> float:
        return float(_reduced(torch.tensor([value], dtype=torch.float64), dist.ReduceOp.SUM)[0]) / self.world

    def most(self, *values: int) -> tuple[int, ...]:
        return tuple(map(int, _reduced(torch.tensor(values), dist.ReduceOp.MAX)))

    def gather(self, items: list) -> list:
        shares: list[Any] = [None] * self.world
        dist.all_gather_object(shares, items)
        return [item for share in shares for item in share]

    def batch_mean(self, values: Tensor) -> Tensor:
        return _Sum.apply(values.mean()) / self.world

    def uniform(self, number: int) -> Tensor:
        return self.share(torch.rand(number * self.world))

    def average(self, module: nn.Module) -> None:
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        flat = _reduced(torch.cat([gradient.flatten() for gradient in gradients]), dist.ReduceOp.SUM) / self.world
        for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def share_statistics(self, module: nn.Module) -> None:
        for layer in module.modules():
            if type(layer) is nn.BatchNorm2d:
                layer.__class__ = SharedNorm

    def barrier(self) -> None:
        self.mean(0.0)

    def require_same(self, own: dict[str, str]) -> None:
        found = self.gather([own])
        for rank, other in enumerate(found):
            for key in (key for key, value in other.items() if value != found[0][key]):
                is_told = len(other[key]) <= MOST_TOLD
                told = f"{key} {other[key]}, process 0 has {found[0][key]}" if is_told else f"other {key}"
                raise ValueError(f"process {rank} has {told}; start all of them with the same versions, flags and data")


def _reduced(values: Tensor, how: Any) -> Tensor:
    dist.all_reduce(values, how)
    return values


class _Sum(torch.autograd.Function):
    """The sum over all processes; each one's gradient is that of all their losses."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return _reduced(values.clone(), dist.ReduceOp.SUM)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _reduced(gradients[0].clone(), dist.ReduceOp.SUM)


class SharedNorm(nn.BatchNorm2d):
    """Batch norm by mean and variance over the patches of all processes; SyncBatchNorm is for GPUs alone."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        own = x.float()  # (N, C, H, W)
        count = own.numel() // own.shape[1] * dist.get_world_size()
        centred = own - (mean := _Sum.apply(own.sum((0, 2, 3))) / count)[:, None, None]
        variance = _Sum.apply((centred**2).sum((0, 2, 3))) / count
        with torch.no_grad():
            assert (
                self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
            )
            self.running_mean.lerp_(mean, self.momentum or 0.0)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum or 0.0)
            self.num_batches_tracked += 1
        y = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        return (y * self.weight[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def _variable(name: str) -> int:
    value = os.environ.get(name, "")
    if not re.fullmatch("[0-9]{1,6}", value):
        raise ValueError(
            f"{name} is {value!r}: expected the number that torchrun sets; start it by torchrun or --devices"
        )
    return int(value)


def check(config: TrainConfig, world: int) -> None:
    """ValueError where a run cannot be shared out among so many processes."""
    if world < 1 or config.batch % world:
        fitting = ", ".join(str(count) for count in range(1, config.batch + 1) if config.batch % count == 0)
        raise ValueError(
            f"{world} processes: a batch of {config.batch} divides among {fitting}; start so many, or change it"
        )
    if world > 1 and config.amp_backend == "apex":
        raise ValueError(f"{world} processes: --amp-backend apex trains in one; use --amp-backend torch")
    device = torch_engine.pick_device(config.device)
    if world > 1 and (device.type == "mps" or device.index is not None):
        raise ValueError(f"{world} processes: --device {config.device}: each takes its own; give cuda or cpu")


def check_machine(config: TrainConfig, number: int) -> None:
    """ValueError where this machine has not so many GPUs, or cores; torchrun starts more on cores, which take turns."""
    on_gpu = torch_engine.pick_device(config.device).type == "cuda"
    there = torch.cuda.device_count() if on_gpu else threads.cores()
    if number > max(1, there):
        has = plural(there, "GPU" if on_gpu else "core")
        advice = "" if on_gpu else ", or start them by torchrun, to take turns"
        raise ValueError(f"--devices {number}: this machine has {has}; start so many{advice}")


def _meet(rank: int, world: int) -> dist.Store:
    """What all processes share, once each of them is there; ValueError where one ended before, or never began."""
    late = time.monotonic() + START_SEC
    with suppress(RuntimeError):
        store, _, _ = next(dist.rendezvous("env://", timeout=timedelta(seconds=START_SEC)))
        store.set(f"here {rank}", "")
        while not (is_full := store.check([f"here {other}" for other in range(world)])) and time.monotonic() < late:
            time.sleep(TICK_SEC)
        if is_full:
            return store
    raise ValueError(
        f"not all {world} processes of this run began within {START_SEC} s; see what the others said, and start it again"
    )


@contextmanager
def joined(config: TrainConfig) -> Iterator[Ranks]:
    """The place of a process that torchrun started among those that train the run: ONE_PROCESS where it is the only one."""
    if (world := _variable("WORLD_SIZE")) == 1:
        yield ONE_PROCESS
        return
    rank, local, _ = (_variable(name) for name in ("RANK", "LOCAL_RANK", "MASTER_PORT"))
    if rank >= world:
        raise ValueError(
            f"RANK is {rank}: expected 0 to {world - 1}, as WORLD_SIZE is {world}; start it by torchrun or --devices"
        )
    with _one_voice(rank, world):
        check(config, world)
        on_gpu = torch_engine.pick_device(config.device).type == "cuda"
        if on_gpu and local >= torch.cuda.device_count():
            raise ValueError(
                f"{local + 1} processes on this machine, which has {plural(torch.cuda.device_count(), 'GPU')}; start so many"
            )
        if on_gpu:
            torch.cuda.set_device(local)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if on_gpu else "gloo", store=_meet(rank, world), rank=rank, world_size=world
        )
        try:
            ranks = Processes(is_writer=rank == 0, rank=rank, world=world)
            ranks.require_same(cluster.versions() | {"settings": str(config)})
            yield ranks
        finally:
            dist.destroy_process_group()


@contextmanager
def _one_voice(rank: int, world: int) -> Iterator[None]:
    """The first process speaks for all; another only of what it met alone."""
    try:
        yield
    except ValueError as error:
        if rank == 0:
            raise
        time.sleep(PATIENCE_SEC)
        raise ValueError(f"process {rank} of {world}: {error}") from None
    except RuntimeError as error:
        if not LOST.search(str(error)):
            raise
        time.sleep(3 * PATIENCE_SEC)  # the one that is gone tells why, if it can
        raise ValueError("another process of this run is gone; --resume goes on from the last checkpoint") from None


def launch(argv: Sequence[str], number: int, resume: Sequence[str], say: Say) -> int:
    """Train with `number` processes on this machine, by torchrun's launcher; returns their exit status.

    Where one is killed all begin again, with the arguments `resume` where last.pt of that run, its last word, is there.
    """
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in [name for name in logging.root.manager.loggerDict if name.startswith("torch.distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they tell of what the processes tell themselves
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, threads.cores() // number)))
    how = LaunchConfig(
        1, 1, number, run_id=f"youku-{os.getpid()}", logs_specs=DefaultLogsSpecs(), rdzv_backend="c10d",
        rdzv_endpoint="localhost:0", max_restarts=0,
    )  # fmt: skip
    for restart in range(MOST_RESTARTS + 1):
        try:
            elastic_launch(how, sys.executable)("-m", "youku.train", *argv)
            return 0
        except SignalException:
            raise KeyboardInterrupt from None
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            who, code = f"process {rank} of {number}", failure.exitcode
            if Path(resume[-1], "last.pt").exists():
                argv = resume
            if code in TOLD:
                return code
            if code >= 0:
                raise ValueError(f"{who} ended with status {code}; what it said stands above, if anything") from None
            name = signal.Signals(-code).name
            if restart == MOST_RESTARTS:
                advice = "mostly for want of memory: lower --batch, or start fewer"
                kept = "; --resume goes on from what was saved" * (argv == resume)
                raise ValueError(f"{who} was killed ({name}) {restart + 1} times, {advice}{kept}") from None
            say(f"{who} was killed ({name}); all begin again (restart {restart + 1} of {MOST_RESTARTS})")
    raise AssertionError
