"""Work shared out, the flags of that: a Ray cluster (`cluster`), or `--shard 2/8`, `auto` in a job array of Slurm or Kubernetes.

Items and their sizes -> the items of one shard. The split is by size, largest first, each to the shard that has least so
far (Graham 1969, "Bounds on multiprocessing timing anomalies": no shard has over 4/3 of what is possible), so that the same
items give the same split on every machine, and all shards together are the whole.
"""

from __future__ import annotations

import argparse
import heapq
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from youku.cli import UsageError

Item = TypeVar("Item")
AUTO = "auto"


def add_flags(parser: argparse.ArgumentParser, what: str, also: str = "") -> None:
    """--shard and --cluster, which share out `what`; --cluster shares out `also` too."""
    text = f"of {what}, take the I-th of N parts alike in bytes; auto or auto/N: from Slurm's or Kubernetes' variables"
    parser.add_argument("--shard", type=parse, metavar="I/N", help=text)
    text = f"{what}{also} on a Ray cluster: HOST:PORT, or auto: this machine's, else all its cores (pip install ray)"
    parser.add_argument("--cluster", type=address, metavar="ADDRESS", help=text)


def refuse_one(args: argparse.Namespace, is_one: bool, what: str) -> None:
    """UsageError where a flag would share out `what`, and the input `is_one`."""
    if is_one and (args.shard or args.cluster):
        flag = "--shard" if args.shard else "--cluster"
        raise UsageError(f"{flag} shares out {what}, and {args.source} is none; drop it")


def address(text: str) -> str:
    """Of a cluster; ArgumentTypeError in one sentence."""
    if text != AUTO and not re.fullmatch(r"[^\s/]+:\d{1,5}", text):
        raise argparse.ArgumentTypeError(f"expected auto, or HOST:PORT as `ray start --head` names it, got {text!r}")
    return text


@dataclass(frozen=True)
class Shard:
    """Number `number` of `count`, from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def pick(self, items: Sequence[Item], size: Callable[[Item], float]) -> list[Item]:
        """This shard's items, in their order."""
        sizes = [size(item) for item in items]
        loads = [(0.0, number) for number in range(1, self.count + 1)]  # a heap
        own = []
        for index in sorted(range(len(items)), key=lambda index: (-sizes[index], index)):
            load, lightest = loads[0]
            heapq.heapreplace(loads, (load + sizes[index], lightest))
            if lightest == self.number:
                own.append(index)
        return [items[index] for index in sorted(own)]


def parse(text: str) -> Shard:
    """I/N, auto, or auto/N where the cluster tells no N; ArgumentTypeError in one sentence."""
    match = re.fullmatch(r"(auto|\d{1,9})(?:/(\d{1,9}))?", text)
    if not match or (match[1] != AUTO and not match[2]):
        raise argparse.ArgumentTypeError(f"expected I/N such as 2/8, auto or auto/N, got {text!r}")
    count = int(match[2]) if match[2] else None
    number, count = _of_cluster(count) if match[1] == AUTO else (int(match[1]), int(match[2]))
    if not 1 <= number <= count:
        raise argparse.ArgumentTypeError(f"shard {number} of {count}: expected 1 to {count}")
    return Shard(number, count)


def _of_cluster(count: int | None) -> tuple[int, int]:
    """Number and count of this task of an array."""
    if "SLURM_ARRAY_TASK_ID" in os.environ:
        names = ("ID", "MIN", "MAX", "STEP", "COUNT")
        own, least, most, step, tasks = (_variable(f"SLURM_ARRAY_TASK_{name}") for name in names)
        step = max(1, step)
        if (own - least) % step or (most - least) // step + 1 != tasks:
            raise argparse.ArgumentTypeError(
                f"auto: the array {least}-{most}:{step} of {tasks} tasks has gaps, so its split is not told; give I/N"
            )
        if count not in (None, tasks):
            raise argparse.ArgumentTypeError(f"auto/{count}: the array has {tasks} tasks; give auto, or I/{count}")
        return (own - least) // step + 1, tasks
    if "JOB_COMPLETION_INDEX" in os.environ:
        if count is None and "JOB_COMPLETIONS" not in os.environ:
            raise argparse.ArgumentTypeError(
                "auto: JOB_COMPLETION_INDEX does not tell of how many; give auto/N, N being the job's completions"
            )
        return _variable("JOB_COMPLETION_INDEX") + 1, count or _variable("JOB_COMPLETIONS")
    raise argparse.ArgumentTypeError(
        "auto: neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set; run it in a job array, or give I/N"
    )


def _variable(name: str) -> int:
    """A whole number from the environment; Slurm leaves no step out, old versions no count."""
    value = os.environ.get(name, "1" if name.endswith("STEP") else "")
    if not re.fullmatch(r"\d{1,9}", value):
        raise argparse.ArgumentTypeError(f"auto: {name} is {value!r}; expected a whole number, so give I/N")
    return int(value)
