"""--cluster: a clip a task on Ray; a lost worker costs a clip's time, never a result, and what cannot be is one sentence."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.conftest import fresh_network, textured_frame, write_pair
from tests.test_score import TEST_SET, made  # noqa: F401
from tests.test_shards import contents
from youku import cli, cluster, contest, convert, degrade, files, predict, score, threads
from youku.cluster import Task, Worker
from youku.inference import beside, clip, tiles
from youku.video import pair_folder, segments, y4m

FAST = ["--quality", "fast", "--engine", "torch"]
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")


def dying_once(items: Iterable[Any]) -> Iterator[Any]:
    """The worker that first comes to the third item is gone."""
    for index, item in enumerate(items):
        if index == 2 and not Path("died").exists():
            Path("died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield item


def begin_and_die_once(load: Any, options: Any, force: bool, video: Any, number: int, tell: Any) -> clip.Work:
    """As beside.begin, but the worker that first comes to the third frame of a clip is gone."""

    def watch(items: Iterable[Any], name: str = "", total: int | None = None) -> Iterator[Any]:
        return dying_once(items)

    return clip.Predictor(load(str), options, watch=watch, tell=tell)


@needs_ray
def test_a_killed_worker_costs_no_byte(
    tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Workers of half the cores each, one killed in the middle of a clip: the results of one process, and none made twice.

    Ray is asked to wait a second alone for a worker's start, which is waited for all the same: it would start no other.
    """
    monkeypatch.setenv("RAY_worker_register_timeout_seconds", "1")
    write_pair(pairs, 3, 64, 48, 4)
    monkeypatch.chdir(tmp_path)
    for name in ("one", "many"):
        assert predict.main(["clips/Youku_00000_l.y4m", f"{name}/Youku_00000_h_Res.y4m", *FAST]) == 0
    assert predict.main(["clips", "one", *FAST]) == 0
    capsys.readouterr()
    monkeypatch.setattr(beside, "begin", begin_and_die_once)
    monkeypatch.setenv("OMP_NUM_THREADS", str(-(-(os.cpu_count() or 1) // 2)))
    assert predict.main(["clips", "many", *FAST, "--cluster", "auto"]) == 0
    assert Path("died").exists() and contents(Path("one")) == contents(Path("many"))
    said = capsys.readouterr().err
    assert re.search(r"[12] workers? on 1 machine\n", said) and said.count("up to date") == 1
    assert [said.count(f"many/Youku_0000{index}_h_Res.y4m: 5 frames, ") for index in (1, 2)] == [1, 1]


def make_sources(folder: Path) -> None:
    """Three clips of which one is larger than the others."""
    for index, num_frames in enumerate((3, 6, 2)):
        with y4m.create(folder / f"{index}.y4m", header := y4m.make_header(32, 32)) as writer:
            for frame in range(num_frames):
                writer.write(textured_frame(header, frame))


def fill_and_die_once(begin: Any, number: int, tell: Any) -> Any:
    """As `begin`, but with the worker that first makes a pair's third frame gone."""
    real = pair_folder.make_pair
    pair_folder.make_pair = lambda frames, *how: real(dying_once(frames), *how)
    return begin(number, tell)


@needs_ray
def test_a_killed_worker_costs_no_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs are split and numbered as by one process, and the one that a worker was killed over is made anew."""
    make_sources(tmp_path / "src")
    monkeypatch.chdir(tmp_path)
    line = ["--preset", "youku", "--split-every", "4", "--noise", "2"]
    assert degrade.main(["src", "one", *line]) == 0
    real = cluster.run
    monkeypatch.setattr(
        cluster,
        "run",
        lambda address, tasks, begin, tell: real(address, tasks, partial(fill_and_die_once, begin), tell),
    )
    monkeypatch.setenv("OMP_NUM_THREADS", str(-(-(os.cpu_count() or 1) // 2)))
    assert degrade.main(["src", "many", *line, "--cluster", "auto"]) == 0
    assert Path("died").exists() and contents(Path("one")) == contents(Path("many"))
    assert len(contents(Path("one"))) == 9


class OneProcess:
    """As much of Ray as `cluster.run` needs: a task is done when it is asked for, the last that was begun first."""

    exceptions = SimpleNamespace(RayActorError=KeyError, OutOfMemoryError=MemoryError)
    nodes = staticmethod(lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}])
    shutdown = staticmethod(lambda: None)
    get = staticmethod(lambda done: done())

    def remote(self, **_: Any) -> Any:
        def start(*how: Any) -> Any:
            worker = Worker(*how)
            return SimpleNamespace(run=SimpleNamespace(remote=lambda what: partial(worker.run, what)))

        return lambda _: SimpleNamespace(remote=start)

    def wait(self, running: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        return running[-1:], running[:-1]


def test_every_verb_makes_on_workers_what_it_makes_alone(
    tmp_path: Path,
    made: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """predict (of a film too), convert, degrade and score: the same files, and finished ones are not made again."""
    monkeypatch.setattr(cluster, "_join", lambda address: OneProcess())
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(segments, "SEGMENT_FRAMES", 2)
    monkeypatch.chdir(tmp_path)
    make_sources(tmp_path / "src")
    clips = str(made / "clips")
    for name, verb, line in (
        ("predict", predict, [clips, "{}", "--frames", "0-1", *FAST]),
        ("film", predict, [f"{clips}/{contest.low_name(TEST_SET.ids[0])}", "{}/a.y4m", *FAST]),
        ("convert", convert, [clips, "{}", "--planes"]),
        ("degrade", degrade, ["src", "{}", "--noise", "3", "--split-every", "2"]),
        (
            "score",
            score,
            [str(made / "pred"), "--low", clips, "--high", clips, "--test-set", str(TEST_SET), "--out", "{}"],
        ),
    ):
        line += ["--no-vmaf"] if verb is score else []
        assert verb.main([word.format(f"one/{name}") for word in line]) == 0
        many = [word.format(f"many/{name}") for word in line] + ["--cluster", "auto"]
        assert verb.main(many) == 0
        assert contents(Path("one", name)) == contents(Path("many", name)), name
        assert "2 workers on 1 machine" in capsys.readouterr().err
        with monkeypatch.context() as patched:
            patched.setattr(clip.segments, "keep", None)
            patched.setattr(pair_folder, "make_pair", None)
            assert verb not in (predict, degrade) or verb.main(many) == 0


def test_a_damaged_input_ends_no_run_of_others(
    tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On workers and in shards as alone: it is told, all else is made, the status is 1; of a film's parts the first ends it."""
    monkeypatch.setattr(cluster, "_join", lambda address: OneProcess())
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(segments, "SEGMENT_FRAMES", 1)
    monkeypatch.chdir(tmp_path)
    make_sources(Path("src"))
    for place in (Path("src/0.y4m"), cut := Path("clips/Youku_00000_l.y4m")):
        place.write_bytes(place.read_bytes()[:-400])
    Path("clips/Youku_00001_l.y4m").write_bytes(b"no clip")
    for name, verb, line, num_bad in (
        ("predict", predict, ["clips", "{}", "--frames", "0-4", *FAST], 2),
        ("film", predict, [str(cut), "{}/a.y4m", *FAST], 0),
        ("convert", convert, ["clips", "{}", "--every", "2"], 2),
        ("split", degrade, ["src", "{}", "--split-every", "2"], 1),
    ):
        found = []
        for way, flags in (("alone", []), ("cluster", ["--cluster", "auto"]), ("shard", ["--shard", "1/1"])):
            if name == "film" and way == "shard":
                continue
            for _ in range(2):  # again, too
                assert verb.main([word.format(f"{way}/{name}") for word in line] + flags) == 1, name
                said = [one for one in capsys.readouterr().err.splitlines() if one.startswith("error: ")]
                assert len(said) == num_bad + 1 and said[-1].endswith("failed") == bool(num_bad), name
                found.append((sorted(said), contents(Path(way, name))))
        assert found == [found[0]] * len(found) and bool(found[0][1]) == bool(num_bad), name


def task(name: str = "a.y4m") -> Task:
    return Task(name, 1.0, name)


def begin(beside: int, tell: cluster.Tell) -> cluster.Work[str]:
    """Work that fails as its task is named."""

    def work(name: str) -> str:
        tell(f"{name} of {beside}")
        errors = {"value": ValueError("no clip"), "system": OSError(28, "full", "x"), "fault": KeyError("fault")}
        if name in errors:
            raise errors[name]
        return name

    return work


def test_a_worker_tells_errors_and_shows_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user can mend comes back as the sentence of a plain run; a fault of ours keeps its traceback."""
    monkeypatch.chdir(tmp_path)
    begun = list[str]()
    monkeypatch.setattr(threads, "keep_freed", lambda: begun.append("freed memory is kept, as on the command line"))
    worker = Worker(begin, 2, str(tmp_path), cluster.versions(), False)
    assert worker.run("a.y4m") == (["a.y4m of 2"], None, "a.y4m")
    said, failure, result = worker.run("value")
    assert (said, repr(failure), result) == (["value of 2"], "ValueError('no clip')", None)
    assert isinstance(failure := worker.run("system")[1], cli.RunError) and "x: the disk is full" in str(failure)
    with pytest.raises(KeyError):
        worker.run("fault")
    assert len(begun) == 1


@pytest.mark.parametrize(
    ("name", "other", "words"),
    [
        (
            "youku",
            "9.9",
            r"has youku 0.1.0 \(code \w{8}(, compiled)?\), this machine 9.9; a cluster needs the same versions and files",
        ),
        ("numpy", "9.9", "has numpy .*, this machine 9.9; a cluster needs the same versions"),
        ("torch", "9.9", "has torch .*, this machine 9.9; a cluster needs the same versions"),
        ("weights", "9.9", "has another weights; a cluster needs the same versions and files"),
        (
            "missing",
            "9.9",
            "missing: No such file or directory; a cluster needs all files at the same place everywhere",
        ),
        ("folder", "", "nowhere: No such file or directory; a cluster needs all files"),
    ],
)
def test_a_worker_that_is_unlike_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, other: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").write_bytes(b"w")
    same = cluster.versions() | {"weights": files.sha256("weights")} | ({name: other} if other else {})
    worker = Worker(begin, 1, str(tmp_path / "nowhere") if name == "folder" else str(tmp_path), same, False)
    said, failure, result = worker.run("a.y4m")
    assert (said, result) == ([], None) and re.search(words, str(failure)) and isinstance(failure, cli.RunError)


def test_rooms_are_whole_workers_of_each_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker a GPU where there are some and they may be taken, else as many CPUs as OMP_NUM_THREADS says."""
    kinds = ({"CPU": 7.0, "GPU": 2.0}, {"CPU": 4.0}, {"CPU": 1.0})
    nodes = [{"Alive": True, "Resources": one} for one in kinds] + [{"Alive": False, "Resources": {"CPU": 64.0}}]
    ray = SimpleNamespace(nodes=lambda: nodes)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert cluster._rooms(ray, on_gpus=False) == ([7, 4, 1], {"num_cpus": 1})
    assert cluster._rooms(ray, on_gpus=True) == ([2], {"num_gpus": 1})
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert cluster._rooms(ray, on_gpus=False) == ([3, 2], {"num_cpus": 2})
    monkeypatch.setenv("OMP_NUM_THREADS", "16")
    with pytest.raises(ValueError, match="no machine of it has 16 CPUs; lower OMP_NUM_THREADS"):
        cluster._rooms(ray, on_gpus=False)


def test_what_cannot_be_a_cluster_is_one_sentence(
    pairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing, nobody there, of another version, not an address, one clip, a clip that no worker survives."""
    out = str(pairs.parent / "out")

    def said(address: str, source: Path, status: int) -> str:
        try:
            assert predict.main([str(source), out, *FAST, "--cluster", address]) == status
        except SystemExit as ending:
            assert ending.code == status == 2
        return capsys.readouterr().err.splitlines()[-1]

    monkeypatch.setitem(sys.modules, "ray", None)
    assert said("auto", pairs, 1).endswith("needs a package that is not installed; run pip install ray")
    faults: list[Exception] = [RuntimeError("Version mismatch:\n    Ray: 2.60.0\n    Python: 3.12")]
    faults.append(type("AuthenticationError", (Exception,), {})("No token was found. Ensure that ..."))

    def refuse(*_: object, **__: object) -> None:
        raise faults.pop(0)

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=refuse))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(pairs.parent))
    assert "--cluster 127.0.0.1:1: [Errno" in (line := said("127.0.0.1:1", pairs, 1)) and "check the address" in line
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setattr(cluster, "CHECK", [sys.executable, "-c", "raise SystemExit('[E 1] Failed to connect')"])
        assert f"--cluster {place}: what listens at {place} does not answer as Ray does;" in said(place, pairs, 2)
        monkeypatch.setattr(cluster, "CHECK", [sys.executable, "-c", "raise OSError('Token is missing. Note: ...')"])
        assert f"--cluster {place}: Token is missing; check the address, RAY_AUTH_MODE" in said(place, pairs, 1)
    assert "Version mismatch: Ray: 2.60.0 Python: 3.12; check" in said("auto", pairs, 1)
    assert "--cluster auto: No token was found; check the address, RAY_AUTH_MODE" in said("auto", pairs, 1)
    assert "expected auto, or HOST:PORT" in said("ray://head", pairs, 2)
    assert "--cluster reads and writes files alone, no pipe; name IN and OUT" in said("auto", Path("-"), 2)
    assert not Path(out).exists()


def test_a_cluster_that_is_gone_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody listens at the address that an earlier `ray start` left, or another, auto begins a cluster of its own."""
    begun: list[str] = []
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=lambda address, **_: begun.append(address)))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    left = tmp_path / "ray" / "ray_current_cluster"
    left.parent.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as head:
        left.write_text(f"127.0.0.1:{head.getsockname()[1]}")
        for code in ("", "raise SystemExit(1)"):
            monkeypatch.setattr(cluster, "CHECK", [sys.executable, "-c", code])
            cluster._join("auto")
    cluster._join("auto")
    left.unlink()
    cluster._join("auto")
    assert begun == ["auto", "local", "local", "local"]


@needs_ray
def test_a_server_that_is_not_ray_is_told_soon(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """In one sentence, without the lines of Ray's own log."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        with pytest.raises(cli.UsageError, match="does not answer as Ray does"):
            cluster._join(f"127.0.0.1:{server.getsockname()[1]}")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("unready", "words"),
    [
        (False, "a.y4m: 4 workers were lost over it, mostly for want of memory"),
        (True, r"no worker starts \(ModuleNotFoundError: No module named 'youku'\); install this kit on every machine"),
    ],
)
def test_workers_that_do_not_live_are_told(unready: bool, words: str) -> None:
    class Lost(Exception):
        actor_init_failed = unready

    def lost(_: object) -> None:
        raise Lost("The actor died\nModuleNotFoundError: No module named 'youku'")

    errors = SimpleNamespace(RayActorError=Lost, OutOfMemoryError=MemoryError)
    with pytest.raises(ValueError, match=words):
        cluster._result(SimpleNamespace(get=lost, exceptions=errors), None, task(), str)


def test_workers_of_one_machine_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four side by side take tiles of a quarter of the memory each, so of half the side."""
    network, picture = fresh_network("bicubic"), (torch.zeros(1, 1, 8, 8),)
    network = replace(network, engine=SimpleNamespace(bytes_per_px=lambda x: 1000.0, device=network.device))  # type: ignore[arg-type]
    alone, beside = (tiles.choose_tile_px(network, picture, number) for number in (1, 4))
    assert beside == pytest.approx(alone / 2, rel=0.2)
