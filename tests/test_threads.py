"""Threads: a process that runs no network takes one, and none spins while it waits; what the user set stays."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TOLD = "import torch; print(torch.get_num_threads(), os.environ['GOMP_SPINCOUNT'], os.environ['OPENBLAS_NUM_THREADS'])"


@pytest.mark.parametrize("first", ["", "import torch; "])
@pytest.mark.parametrize(
    ("given", "wanted"), [({}, "1 3000 1"), ({"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "7"}, "2 7 1")]
)
def test_one_thread_that_waits_asleep(first: str, given: dict[str, str], wanted: str) -> None:
    """Whether torch was loaded before or is loaded after."""
    env = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", *given)} | given
    line = f"import os, youku; {first}from youku import threads; threads.take_one(); {TOLD}"
    done = subprocess.run([sys.executable, "-c", line], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == wanted


def test_doctor_counts_the_threads_that_networks_have() -> None:
    """Not the one of a process that runs none."""
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"} | {
        "CUDA_VISIBLE_DEVICES": ""
    }
    line = [sys.executable, "-c", f"import os, youku; {TOLD}"]
    number = subprocess.run(line, env=env, capture_output=True, text=True, check=True).stdout.split()[0]
    told = subprocess.run([sys.executable, "-m", "youku", "doctor"], env=env, capture_output=True, text=True).stdout
    assert f"cpu, {number} threads" in told or "mps" in told


@pytest.mark.parametrize(
    ("given", "wanted"), [({}, "1"), ({"OMP_NUM_THREADS": "2"}, "2"), ({"OMP_NUM_THREADS": "1"}, "1")]
)
def test_as_many_cores_as_the_process_may_use(given: dict[str, str], wanted: str) -> None:
    """Of a job that was given one core of many; a network that a verb without one runs after all has what the user set."""
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"} | given
    line = (
        "import os; hasattr(os, 'sched_setaffinity') and os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])\n"
        "from youku import threads; threads.take_one(); threads.take_all(); import torch\n"
        "from youku.exchange.score_clips import Scoring; scoring = Scoring('', '', '', None)\n"
        "print(torch.get_num_threads(), scoring.num_jobs, threads.cores())"
    )
    done = subprocess.run([sys.executable, "-c", line], env=env, capture_output=True, text=True, check=True)
    number, jobs, cores = done.stdout.split()
    assert jobs == cores
    if sys.platform == "linux":
        assert (number, cores) == (wanted, "1")
