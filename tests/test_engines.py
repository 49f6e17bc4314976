"""Engines beside torch: the same picture whatever its size, which one is taken, and what is said where one cannot be."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import fresh_network, write_pair
from youku import contest, evaluate, files, predict
from youku.engines import choice, chosen, graph, graph_engine, mean, weights
from youku.engines.cuda_graph import GraphedEngine
from youku.engines.graph import Opened
from youku.engines.graph_engine import RUNTIMES, Runtime, open_engine
from youku.engines.network import Network
from youku.engines.torch_engine import TorchEngine
from youku.inference import beside, pipeline, tiles
from youku.inference.jobs import Job, VideoOptions
from youku.inference.pipeline import Options
from youku.models import spec_of
from youku.models.colours import Tensors
from youku.video import y4m

CPU = torch.device("cpu")
SIZES = [(2, 24, 20), (1, 17, 31), (1, 1, 1), (1, 1, 7), (3, 9, 1)]  # pictures, height, width
FAMILIES = [
    ("fsrcnn", 3),
    ("vsrnet", 2),
    ("rlfn", 2),
    ("span-28", 2),
    ("srvgg-16", 2),
    ("waifu2x-upconv7-y", 2),
    ("pairs-t", 4),
    ("pairs-t", 3),
    ("smfanet", 2),
    ("disp", 2),
]
"""What differs in kind; benchmarks/engines.py --table goes through all."""
HAS = {name: bool(importlib.util.find_spec(name)) for name in ("openvino", "onnxruntime", "onnx", "onnxscript")}
exports = pytest.mark.skipif(not (HAS["onnx"] and HAS["onnxscript"]), reason="needs pip install onnx onnxscript")
runtimes = pytest.mark.parametrize(
    "runtime",
    [
        pytest.param(name, marks=pytest.mark.skipif(not HAS[name], reason=f"needs pip install {name}"))
        for name in RUNTIMES
    ],
)


def noise(made: Network, number: int, height: int, width: int) -> Tensors:
    generator = torch.Generator().manual_seed(height * width)
    rgb = torch.rand(number, 3, height, width, generator=generator)
    return tuple(part.repeat(1, made.spec.num_frames, 1, 1) for part in made.spec.colours.from_rgb(rgb))


def codes_apart(first: Tensors, second: Tensors) -> float:
    assert [part.shape for part in first] == [part.shape for part in second]
    return max(float((one - other).abs().max()) * 255 for one, other in zip(first, second, strict=True))


@exports
@pytest.mark.parametrize(("name", "scale"), FAMILIES)
def test_every_family_runs_in_every_runtime_at_any_size(name: str, scale: int) -> None:
    """One graph for batches, odd and one-pixel pictures: within a hundredth of a code of torch."""
    made = fresh_network(name, scale)
    data = graph.export(made, {"note": "kept"})
    engines = [open_engine(one, data, scale, made.engine.bytes_per_px) for one in RUNTIMES.values() if one.is_installed]
    for size in SIZES if engines else ():
        x = noise(made, *size)
        expected, _ = made.engine.step(x, ())
        for engine in engines:
            assert codes_apart(engine.step(x, ())[0], expected) < 0.01 * max(1, float(expected[0].abs().max())), size


@exports
@runtimes
def test_tiles_ensemble_and_batches_go_through_an_engine(runtime: str) -> None:
    """The pipeline asks nothing but the engine's few names: tiles equal the whole, turned pictures run too."""
    torchs = weights.load(None, "fsrcnn", 2, CPU)
    made = choice.with_engine(torchs, runtime, str)
    x = noise(torchs, 2, 21, 33)
    for options in (Options(), Options(tile_px=8), Options(ensemble=True)):
        expected = pipeline.run_network(torchs, x, options)
        assert codes_apart(pipeline.run_network(made, x, options), expected) < 0.01
    assert tiles.choose_tile_px(made, x) == pytest.approx(tiles.choose_tile_px(torchs, x), rel=0.5)


@exports
@runtimes
def test_predict_and_evaluate_take_an_engine(runtime: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """An odd clip comes out as torch makes it, a code here and there apart; the line says how far the first frame is."""
    write_pair(tmp_path, 0, 15, 9, 2, scale=2)
    low = str(tmp_path / contest.low_name(0))
    for engine in ("torch", runtime):
        assert predict.main([low, str(tmp_path / f"{engine}.y4m"), "--scale", "2", "--engine", engine]) == 0
    assert f"engine {runtime} " in (said := capsys.readouterr().err) and "codes from torch's output" in said
    ours, theirs = (y4m.Clip(tmp_path / f"{engine}.y4m").frame(1) for engine in ("torch", runtime))
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(ours, theirs, strict=True))
    from PIL import Image

    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 50, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    folder = tmp_path / "set"
    folder.mkdir()
    (tmp_path / "a.png").rename(folder / "a.png")
    tables = []
    for engine in ("torch", runtime):
        assert evaluate.main([str(folder), "--scale", "2", "--engine", engine]) == 0
        tables.append(capsys.readouterr().out)
    assert tables[0] == tables[1] != ""


@exports
def test_a_graph_is_kept_for_the_same_weights_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The second run reads it; other weights under the same name are another graph; the same weights the same bytes."""
    path = tmp_path / "w.safetensors"
    graphs = []
    for bias in (0.0, 0.5):
        state = spec_of("fsrcnn-s", 2).build(2).state_dict() | {"last.bias": torch.tensor([bias])}
        weights.save(path, {key: torch.zeros_like(value) + bias for key, value in state.items()}, "fsrcnn-s", 2, {})
        graphs.append(graph.kept(weights.load(path, None, None, CPU)))
    assert graphs[0] != graphs[1] and str(Path(graph.__file__).parents[1]).encode() not in graphs[1]
    monkeypatch.setattr(graph, "export", None)
    assert graph.kept(weights.load(path, None, None, CPU)) == graphs[1]


class Runtimes:
    """Stand-ins for the packages, computing by torch: how they are opened, chosen and left out is the kit's own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[str] = []
        self.said: list[str] = []
        self.time = 0.0
        self.spends = {"torch": 4.0, "openvino": 1.0, "onnxruntime": 2.0}
        self.made = weights.load(None, "fsrcnn", 2, CPU)
        for module in (choice, graph_engine):
            monkeypatch.setattr(module, "find_spec", lambda name: name)
        monkeypatch.setattr(graph_engine, "version", lambda name: "1.0")
        monkeypatch.setattr(graph, "can_export", lambda: True)
        monkeypatch.setattr(graph, "kept", lambda made: b"")
        monkeypatch.setattr(chosen.time, "perf_counter", lambda: self.time)
        step = TorchEngine.step
        monkeypatch.setattr(TorchEngine, "step", lambda engine, *given: self.spend("torch", step(engine, *given)))
        for name in RUNTIMES:
            self.behave(monkeypatch, name, lambda y: y)

    def spend(self, name: str, made: object) -> object:
        self.time += self.spends[name]
        return made

    def behave(self, monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
        """Let a runtime give `change` of torch's output."""

        def open_graph(data: bytes, num_threads: int) -> Opened:
            self.opened.append(name)
            module = self.made.module

            def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
                with torch.inference_mode():
                    made = [change(module(*map(torch.from_numpy, arrays)).numpy())]
                self.spend(name, None)
                return made

            return Opened(run, {})

        monkeypatch.setitem(RUNTIMES, name, Runtime(name, open_graph))

    def run(self, name: str = "auto", size: tuple[int, int] = (8, 9), **changes: object) -> str:
        """What is said while two pictures go through a network with that engine; the output is that of torch."""
        self.said.clear()
        made = choice.with_engine(replace(self.made, **changes), name, self.said.append)  # type: ignore[arg-type]
        x = noise(self.made, 1, *size)
        with torch.inference_mode():
            expected = self.made.module(*x)
            for _ in range(2):
                assert codes_apart(made.engine.step(x, ())[0], (expected,)) <= choice.AGREE_CODES
        return "\n".join(self.said)


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> Runtimes:
    return Runtimes(monkeypatch)


def test_the_fastest_is_taken_and_remembered(packages: Runtimes) -> None:
    """One line says which and why; the next run opens it alone; another size is measured for itself."""
    said = packages.run()
    assert said.startswith("engine openvino 1.0 for fsrcnn x2 at 9x8: torch 4e+03 ms, openvino 1e+03 ms, onnxruntime")
    assert "at most 0 codes from torch's output" in said and "\n" not in said
    packages.opened.clear()
    assert "measured before" in packages.run() and packages.opened == ["openvino"]
    packages.spends["openvino"] = 3.0
    assert packages.run(size=(9, 9)).startswith("engine onnxruntime 1.0")
    assert packages.run().startswith("engine openvino 1.0")


def test_workers_take_what_one_process_took(packages: Runtimes, tmp_path: Path) -> None:
    """By name, after a frame of the first clip: their own measurements might choose another engine for each of them."""
    write_pair(tmp_path, 0, 9, 8, 2)
    job, video = Job(str(tmp_path / contest.low_name(0)), "out.y4m", None), VideoOptions()
    chosen: list[list[str]] = []

    def load(names: list[str], tell: choice.Tell) -> Network:
        chosen.append(names)
        return packages.made

    made = choice.with_engine(packages.made, "auto", str)
    both = mean.of([made, choice.with_engine(packages.made, "onnxruntime", str)])
    for network, name in ((made, "auto"), (both, "auto"), (packages.made, "auto"), (made, "torch")):
        beside.share(load, name, network, [job], Options(), False, video)(2, str)
    assert chosen == [["openvino"], ["openvino", "onnxruntime"], ["torch"], ["torch"]]


@pytest.mark.parametrize("spent", [4.5, 3.9])
def test_torch_stays_where_nothing_is_worth_it(packages: Runtimes, spent: float) -> None:
    """Slower, or faster by less than a twentieth: the picture stays torch's own, and that is remembered too."""
    packages.spends |= {"openvino": spent, "onnxruntime": spent}
    assert packages.run().startswith("engine torch ")
    packages.opened.clear()
    assert "engine torch" in packages.run() and packages.opened == []


def test_what_is_remembered_is_of_these_versions(packages: Runtimes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new version is measured again, as is everything where the memory is damaged."""
    packages.run()
    monkeypatch.setattr(graph_engine, "version", lambda name: "2.0")
    assert "measured before" not in packages.run() and "measured before" in packages.run()
    for path in files.cache_folder("engines").glob("*.json"):
        path.write_text("{")
    assert "measured before" not in packages.run()


def fail(y: np.ndarray) -> np.ndarray:
    raise RuntimeError("first line\nno kernel for this")


BROKEN = {
    "far": (lambda y: y + 0.01, "differs from torch by 2.55 codes, at most 0.1 are allowed"),
    "nan": (lambda y: y * np.nan, "differs from torch by nan codes"),
    "small": (lambda y: y[..., :-1], "expected x2"),
    "fails": (fail, "cannot run it (no kernel for this)"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_an_engine_that_will_not_do(packages: Runtimes, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """auto leaves it out in one sentence and takes another; asked for by name it is refused."""
    change, why = BROKEN[fault]
    packages.behave(monkeypatch, "openvino", change)
    said = packages.run().splitlines()
    assert "engine openvino 1.0 is left out" in said[0] and why in said[0] and said[1].startswith("engine onnxruntime")
    with pytest.raises(ValueError, match="--engine openvino: .*; take --engine torch") as caught:
        packages.run("openvino")
    assert why in str(caught.value)
    packages.behave(monkeypatch, "onnxruntime", change)
    assert [line.split(" is ")[0] for line in packages.run(size=(5, 5)).splitlines()] == [
        "engine openvino 1.0", "engine onnxruntime 1.0",
    ]  # fmt: skip
    assert "engine onnxruntime 1.0 is left out" in packages.run(size=(5, 5))  # nothing to remember: it may be mended


def test_a_network_without_a_graph(packages: Runtimes, monkeypatch: pytest.MonkeyPatch) -> None:
    """auto says so in one sentence, tries it once, and torch computes it; by name it is refused."""

    def refuse(made: Network) -> bytes:
        packages.opened.append("export")
        raise ValueError("fsrcnn x2 has no ONNX form (no such operator)")

    monkeypatch.setattr(graph, "kept", refuse)
    assert packages.run() == "engine torch for fsrcnn x2 at 9x8: fsrcnn x2 has no ONNX form (no such operator)"
    assert packages.run().endswith("no other could run it") and packages.opened == ["export"]
    with pytest.raises(ValueError, match="--engine openvino: fsrcnn x2 has no ONNX form .*; take --engine torch"):
        packages.run("openvino")


def test_without_packages_torch_runs_and_nothing_is_said(packages: Runtimes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for by name, a package that is missing is named with the line that brings it."""
    monkeypatch.setattr(graph_engine, "find_spec", lambda name: None)
    assert packages.run() == "" and packages.run("torch") == ""
    for name in RUNTIMES:
        with pytest.raises(ValueError, match=f"--engine {name}: .*run pip install {name} onnx onnxscript"):
            packages.run(name)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"engine": TorchEngine(torch.nn.Identity(), CPU, "bf16")}, "drop --dtype"),
        ({"engine": TorchEngine(torch.nn.Identity(), torch.device("cuda"))}, "add --device cpu"),
        ({"spec": replace(spec_of("fsrcnn", 2), memory=True)}, "carries memory"),
        ({"spec": spec_of("bicubic", 2)}, "has no effect on bicubic"),
    ],
)
def test_what_torch_alone_computes(packages: Runtimes, changes: dict, why: str) -> None:
    """auto says nothing, as there is nothing to choose; on a GPU torch's steps become graphs."""
    made = replace(packages.made, **changes)
    chosen = choice.with_engine(made, "auto", packages.said.append)
    assert packages.said == [] and getattr(chosen.engine, "eager", chosen.engine) is made.engine
    assert isinstance(chosen.engine, GraphedEngine) == (made.device.type == "cuda")
    assert choice.with_engine(made, "torch", packages.said.append) is made
    with pytest.raises(ValueError, match=f"--engine onnxruntime: .*{why}"):
        choice.with_engine(made, "onnxruntime", str)


def test_damaged_weights_are_no_reason_to_choose(packages: Runtimes) -> None:
    """Where torch's own output is not finite, the frame is refused by its number as ever, and no engine is blamed."""
    with torch.no_grad():
        packages.made.module.last.bias.fill_(float("nan"))
    made = choice.with_engine(packages.made, "auto", packages.said.append)
    with pytest.raises(pipeline.NotFiniteError):
        pipeline.run_network(made, noise(packages.made, 1, 8, 8), Options())
    assert packages.said == [] and packages.opened == []


def test_frames_kept_are_of_the_same_engine(packages: Runtimes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes into the record of a run that was stopped: all that may have made its frames, with versions."""
    engine = choice.with_engine(packages.made, "auto", str).engine
    assert engine.name == f"torch {torch.__version__} or openvino 1.0 or onnxruntime 1.0"
    assert choice.with_engine(packages.made, "openvino", str).engine.name == "openvino 1.0"


@pytest.mark.filterwarnings("ignore:Guards may run slower")  # of torch, on Python 3.13.0 alone
def test_compiled_layers_make_torchs_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced by torch.compile, without the minute that its kernels take; the first picture is held to eager torch's."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    for name in ("fsrcnn", "recurrent-t"):
        said: list[str] = []
        torchs = fresh_network(name, 2)
        made = choice.with_engine(torchs, "compile", said.append)
        assert made.engine.name == f"torch {torch.__version__} compiled"
        assert made.engine.bytes_per_px(noise(torchs, 1, 8, 8)) > 0 and said == []  # compiles nothing
        for height, width in ((8, 10), (8, 10), (12, 6)):
            x = noise(torchs, 1, height, width)
            assert codes_apart(made.engine.step(x, ())[0], torchs.engine.step(x, ())[0]) <= choice.AGREE_CODES
        assert len(said) == 1 and "compiled, in " in said[0] and "codes from torch's output" in said[0]


def test_a_compiler_that_will_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """None there, another picture, nothing to compile: a sentence; damaged weights are no fault of it."""
    torchs = weights.load(None, "fsrcnn", 2, CPU)
    x = noise(torchs, 1, 8, 8)

    def fail(module: torch.nn.Module) -> torch.nn.Module:
        raise RuntimeError("\nInvalidCxxCompiler: none\nmore")

    monkeypatch.setattr(torch, "compile", lambda module: lambda *parts: module(*parts) + 0.01)
    with pytest.raises(ValueError, match=r"--engine compile: differs from torch by 2\.55 codes"):
        choice.with_engine(torchs, "compile", str).engine.step(x, ())
    monkeypatch.setattr(torch, "compile", fail)
    with pytest.raises(ValueError, match=r"cannot compile the network \(InvalidCxxCompiler: none\); it needs a C\+\+"):
        choice.with_engine(torchs, "compile", str).engine.step(x, ())
    with pytest.raises(ValueError, match="--engine compile: has no effect on bicubic"):
        choice.with_engine(replace(torchs, spec=spec_of("bicubic", 2)), "compile", str)
    with torch.no_grad():
        torchs.module.last.bias.fill_(float("nan"))
    assert choice.with_engine(torchs, "compile", str).engine.step(x, ())[0][0].isnan().all()
