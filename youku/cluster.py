"""Clips on a Ray cluster, or on all cores of this machine: a clip (of one film a part) a task, a worker a GPU (or a core).

`--cluster auto` joins the cluster that runs on this machine, or starts one for this run; ADDRESS is HOST:PORT of another.
Tasks -> what was made of each, the largest begun first. A worker keeps its network and holds one clip at a time; where it is
lost Ray starts another, which goes on with that clip after the frames that are kept (RETRIES times). Every machine needs the
same kit, torch, weights and clips at the same place. The one module that knows Ray (https://docs.ray.io).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import youku
from youku import cli, files, shards, stops, system_errors, threads
from youku.text_table import plural

Made = TypeVar("Made")
Tell = Callable[[str], object]
PACKAGES = ("torch", "numpy", "av")
RETRIES = 3  # of a task whose worker was lost: what kills every worker that takes it ends the run
SHARED = "a cluster needs all files at the same place everywhere"
STORE_BYTES = 80 << 20  # Ray's least: names go through it, never frames
TICK_SEC = 0.2
PATIENCE_SEC = 5.0
# Ray sends nothing home, leaves the choice of a GPU alone where none is taken, gives up sooner on an address, and later on
# a worker of its own that starts slowly: of those that take over 60 s it starts no other, and waits for ever
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_NUM_REDIS_GET_RETRIES": "2",
    "RAY_worker_register_timeout_seconds": "1800",
}  # fmt: skip
CHECK = (sys.executable, "-P", "-m", "ray.scripts.scripts", "health-check", "--address")
SOON = {"RAY_gcs_rpc_server_connect_timeout_s": "1", "RAY_gcs_rpc_server_reconnect_timeout_s": "3"}  # of 5 and 60


@dataclass(frozen=True)
class Task:
    """What one worker does at a time."""

    name: str
    size: float
    """How much there is to do; the largest tasks are begun first."""
    what: Any


Work = Callable[[Any], Made]
Begin = Callable[[int, Tell], Work[Made]]
"""(workers on a machine, tell) -> what is done with a task's `what`; called once in every worker, so it can be pickled."""


class Worker:
    """What runs beside others, on any machine; errors that are to be told come back as sentences."""

    def __init__(self, begin: Begin[Any], beside: int, folder: str, same: dict[str, str], playlists: bool) -> None:
        self._how = begin, beside, folder, same, playlists
        self._work: Work[Any] | None = None
        self._said: list[str] = []

    def run(self, what: Any) -> tuple[list[str], ValueError | None, Any]:
        """(what there is to say, why it failed, what was made)."""
        self._said.clear()
        try:
            self._work = self._work or self._begin()
            return self._said, None, self._work(what)
        except Exception as error:
            is_own = isinstance(error, ValueError) and not isinstance(error, cli.RunError)
            sentence = str(error) if isinstance(error, ValueError) else system_errors.explain(error)
            if not sentence:
                raise
            return self._said, (ValueError if is_own else cli.RunError)(sentence), None

    def _begin(self) -> Work[Any]:
        begin, beside, folder, same, playlists = self._how
        host = socket.gethostname()
        try:
            os.chdir(folder)
            kit = versions()
            own = kit | {name: files.sha256(name) for name in same if name not in kit}
        except OSError as error:
            raise cli.RunError(f"{host}: {error.filename}: {error.strerror}; {SHARED}") from None
        for name in (name for name in own if own[name] != same[name]):
            told = f"{name} {own[name]}, this machine {same[name]}" if name in kit else f"another {name}"
            raise cli.RunError(f"{host} has {told}; a cluster needs the same versions and files everywhere")
        files.allow_playlists(playlists)
        threads.keep_freed()
        return begin(beside, self._said.append)


def versions() -> dict[str, str]:
    """Of this kit, by its code too, and of the packages that decide what it makes: what all processes of a run must share."""
    code = hashlib.sha256()
    for path in sorted(Path(youku.__file__).parent.rglob("*.py")):
        code.update(path.read_bytes())
    is_compiled = importlib.util.find_spec("youku.video._kernels") is not None  # which may round other samples up
    own = {"youku": f"{youku.__version__} (code {code.hexdigest()[:8]}{', compiled' * is_compiled})"}
    return own | {name: metadata.version(name) for name in PACKAGES}


def run(
    address: str,
    tasks: Sequence[Task],
    begin: Begin[Made],
    tell: Tell,
    inputs: Sequence[Path] = (),
    device: str = "cpu",
    each: cli.Each = cli.each,
) -> list[Made]:
    """What was made of all tasks, in the order in which they were done; of one that fails, what `each` does.

    `inputs` are files that every worker reads; on a `device` that may be a GPU, each of the cluster's has one worker.
    """
    if not tasks:
        return []
    same = versions() | {str(path): files.sha256(path) for path in inputs}
    ray = _join(address)
    try:
        rooms, needs = _rooms(ray, device == "auto" or device.startswith("cuda"))
        number = min(sum(rooms), len(tasks))
        tell(f"{plural(number, 'worker')} on {plural(len(rooms), 'machine')}")
        start = ray.remote(max_restarts=-1, max_task_retries=RETRIES, **needs)(Worker).remote
        how = (begin, min(number, max(rooms)), str(Path.cwd()), same, files.playlists_allowed())
        idle, running = [start(*how) for _ in range(number)], dict[Any, Any]()
        waiting = iter(sorted(tasks, key=lambda task: task.size, reverse=True))
        with cli.bar(total=len(tasks), unit="clip") as bar:
            stops.keeps(lambda: f"{bar.n} of {plural(len(tasks), 'task')} done; give the same command again")

            def next_made(_: Task) -> Made:
                """What was made of the task that is done next, whichever that is."""
                for task in islice(waiting, len(idle)):
                    worker = idle.pop()
                    running[worker.run.remote(task.what)] = worker, task
                idle.clear()  # whoever has nothing left to do makes room for one that has to begin again
                while not (done := ray.wait(list(running), timeout=TICK_SEC)[0]):
                    pass  # a signal is heard between two of them
                worker, task = running.pop(done[0])
                idle.append(worker)
                bar.update()
                return _result(ray, done[0], task, tell)

            return list(each(next_made, tasks))
    finally:
        ray.shutdown()


def _result(ray: Any, done: Any, task: Task, tell: Tell) -> Any:
    try:
        said, failure, made = ray.get(done)
    except (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError) as error:
        if getattr(error, "actor_init_failed", False):
            reason = str(error).strip().rpartition("\n")[2]
            raise cli.RunError(f"--cluster: no worker starts ({reason}); install this kit on every machine") from None
        raise ValueError(
            f"{task.name}: {RETRIES + 1} workers were lost over it, mostly for want of memory; try it without --cluster"
        ) from None
    for sentence in said:
        tell(sentence)
    if failure:
        raise failure
    return made


def _rooms(ray: Any, on_gpus: bool) -> tuple[list[int], dict[str, int]]:
    """How many workers each machine has room for, and what one of them takes; ValueError where there is none."""
    num_threads = int(os.environ.get("OMP_NUM_THREADS") or 1)
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    has_gpus = on_gpus and any("GPU" in one for one in machines)
    rooms = [int(one.get("GPU", 0) if has_gpus else one.get("CPU", 0) // num_threads) for one in machines]
    if not any(rooms):
        raise ValueError(f"--cluster: no machine of it has {num_threads} CPUs; lower OMP_NUM_THREADS, or add machines")
    return [one for one in rooms if one], {"num_gpus": 1} if has_gpus else {"num_cpus": num_threads}


def _join(address: str) -> Any:
    """Ray, connected; ValueError in one sentence where it is not there, or not of one kind everywhere."""
    os.environ.update(QUIET)
    try:
        import ray
    except ImportError:
        raise ValueError("--cluster: needs a package that is not installed; run pip install ray") from None
    how: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        answers = _answers(address)
        with stops.held_back():  # it starts processes
            if answers:
                ray.init(address, **how)
            else:
                ray.init("local", include_dashboard=False, object_store_memory=STORE_BYTES, **how)
    except SystemExit:  # by the handler that Ray puts in the place of ours
        signal.signal(signal.SIGTERM, handler)
        signal.raise_signal(signal.SIGTERM)
    except cli.UsageError:
        raise
    except Exception as error:  # Ray's own kinds too
        reason = " ".join(str(error).partition(". ")[0].split())[:300]
        advice = "check the address, RAY_AUTH_MODE and the token, and that Ray runs there in the same version"
        raise ValueError(f"--cluster {address}: {reason}; {advice}") from None
    finally:
        with suppress(ValueError):  # not the main thread
            signal.signal(signal.SIGTERM, handler)
    return ray


def _answers(address: str) -> bool:
    """Whether Ray answers there, which it waits minutes for by itself; for auto, where `ray start` last began a cluster.

    OSError where nobody listens whom the user named, UsageError where it is not Ray, RuntimeError for what Ray refuses.
    """
    named = os.environ.get("RAY_ADDRESS", "") if address == shards.AUTO else address
    known = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir(), "ray", "ray_current_cluster")
    place = named or (known.read_text() if known.exists() else "")
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host, int(port)), PATIENCE_SEC).close()
    except (OSError, ValueError, OverflowError):
        if named:
            raise
        return False
    # a process of its own, which it ends
    check = subprocess.run([*CHECK, place], env=os.environ | SOON, capture_output=True, text=True)
    if check.returncode and "Traceback" in check.stderr:
        raise RuntimeError(check.stderr.strip().rpartition("\n")[2].partition(": ")[2])
    if check.returncode and named:
        raise cli.UsageError(
            f"--cluster {address}: what listens at {place} does not answer as Ray does; name what `ray start --head` said"
        )
    return not check.returncode
