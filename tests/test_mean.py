"""The mean of networks: of their outputs before rounding, with memory, refused where they do not fit; several --weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from youku import predict
from youku.engines import mean, weights
from youku.engines.network import Network
from youku.models import MODELS
from youku.video import y4m

CPU = torch.device("cpu")


def network(folder: Path, name: str, seed: int, scale: int = 2) -> Network:
    torch.manual_seed(seed)
    path = folder / f"{name}_x{scale}_{seed}.safetensors"
    weights.save(path, MODELS[name].build(scale).state_dict(), name, scale, {})
    return weights.load(path, None, None, CPU)


def test_it_is_the_mean_of_the_outputs_unrounded(tmp_path: Path) -> None:
    """Of every plane; one network alone stays itself; the reach is the largest."""
    found = [network(tmp_path, "pairs-t", 0), network(tmp_path, "pairs-s", 1)]
    both = mean.of(found)
    torch.manual_seed(2)
    x = (torch.rand(1, 1, 6, 8), torch.rand(1, 2, 3, 4))
    outs = [one.engine.step(x, ())[0] for one in found]
    for made, first, second in zip(both.engine.step(x, ())[0], *outs, strict=True):
        assert torch.allclose(made, (first + second) / 2, atol=1e-7) and not torch.equal(made, first)
    assert mean.of(found[:1]) is found[0]
    assert both.spec.halo_px(2) == max(one.spec.halo_px(2) for one in found)
    assert both.spec.name == "mean-of-2-pairs-t+pairs-s" and both.paths == tuple(one.path for one in found)
    assert both.engine.bytes_per_px(x) > max(one.engine.bytes_per_px(x) for one in found)


@dataclass
class Counter:
    """Hands `parts` tensors on, each the sum of what it saw, and gives that sum."""

    parts: int
    device = CPU
    dtype = "float32"
    name = "counter"

    def step(self, x: tuple, memory: tuple) -> tuple[tuple, tuple]:
        assert len(memory) in (0, self.parts)
        total = x[0] * self.parts + (memory[0] if memory else 0)
        return (total,), (total,) * self.parts

    def bytes_per_px(self, x: tuple) -> float:
        return 1.0


def test_each_network_gets_its_own_memory_back() -> None:
    """Of two and three tensors, from frame to frame; a new shot begins with none."""
    spec = replace(MODELS["espcn"], memory=True)
    both = mean.of([Network(spec, 2, Counter(parts)) for parts in (2, 3)])
    x, memory = (torch.ones(1, 1, 2, 2),), ()
    for frame in (1, 2, 3):
        (made,), memory = both.engine.step(x, memory)
        assert float(made[0, 0, 0, 0]) == 2.5 * frame
    assert float(both.engine.step(x, ())[0][0][0, 0, 0, 0]) == 2.5


def test_asking_for_memory_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine settles at the first picture that it sees, which shall be a frame; float32 outputs of both are counted."""
    both = mean.of([Network(MODELS["espcn"], 2, Counter(0)) for _ in range(2)])
    monkeypatch.delattr(Counter, "step")
    assert both.engine.bytes_per_px((torch.ones(1, 1, 6, 4),)) == 1 + 2 * 4 * 2**2


def test_what_does_not_fit_is_one_sentence(tmp_path: Path) -> None:
    """Another scale, other planes."""
    first = network(tmp_path, "espcn", 0)
    with pytest.raises(ValueError, match=r"espcn_x2_0\S* is for x2, \S*espcn_x3_1\S* for x3; several are one network"):
        mean.of([first, network(tmp_path, "espcn", 1, 3)])
    with pytest.raises(ValueError, match=r"espcn \(y, 1 frame\) and espcn-rgb \(rgb, 1 frame\) .*give each a command"):
        mean.of([first, network(tmp_path, "espcn-rgb", 1)])


def test_predict_takes_several_weights_before_and_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same clip either way, another than each alone; with other weights of the mean it is made again."""
    files = [str(network(tmp_path, "espcn", seed).path) for seed in (0, 1, 2)]
    header = y4m.make_header(16, 12)
    rng = np.random.default_rng(0)
    with y4m.create(tmp_path / "in.y4m", header) as writer:
        writer.write(tuple(rng.integers(16, 236, shape, dtype=np.uint8) for shape in header.plane_shapes))
    names = [str(tmp_path / "in.y4m"), str(tmp_path / "out.y4m")]

    def run(*line: str) -> bytes:
        assert predict.main([*line, "--engine", "torch", "--device", "cpu"]) == 0
        return (tmp_path / "out.y4m").read_bytes()

    both = run(*names, "--weights", *files[:2])
    assert "mean-of-2-espcn x2" in capsys.readouterr().err
    assert run("--weights", *files[:2], *names) == both and "up to date" in capsys.readouterr().err
    assert run("--weights", files[0], files[2], *names) != both != run("--weights", files[0], *names)
    assert predict.main([*names, "--weights", files[0], str(tmp_path / "none")]) == 1
    assert "none: no such weights file" in capsys.readouterr().err
