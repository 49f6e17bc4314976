"""Prediction on a GPU: graphs equal eager torch, and clips equal the processor's within a code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import textured_frame
from tests.test_models import ONCE, build, picture
from youku.engines import choice, weights
from youku.engines.cuda_graph import GraphedEngine
from youku.engines.network import Network
from youku.engines.torch_engine import TorchEngine
from youku.inference import pipeline
from youku.inference.pipeline import Options
from youku.models import MODELS
from youku.video import y4m
from youku.video.y4m import Header, Planes

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CUDA, CPU = torch.device("cuda"), torch.device("cpu")
TRAINABLE = [case for case in ONCE if MODELS[case[0]].trainable]


def enlarged(network: Network, header: Header, frames: list[Planes], **options: int) -> list[Planes]:
    return list(pipeline.upscale_frames(network, header, frames, Options(**options)))


def shipped(device: torch.device, model: str) -> Network:
    return weights.load(None, model, 4, device)


@pytest.mark.parametrize(
    ("name", "scale", "dtype"),
    [*((*case, dtype) for case in TRAINABLE for dtype in ("float32", "fp16")), ("fsrcnn", 4, "bf16")],
)
def test_graph_equals_eager(name: str, scale: int, dtype: str) -> None:
    """A step seen twice is a graph; on other pictures it gives eager torch's output, memory and all, to the last bit."""
    said: list[str] = []
    eager = TorchEngine(build(name, scale).to(CUDA, memory_format=torch.channels_last), CUDA, dtype)
    graphed = GraphedEngine(eager, said.append)
    memory: tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]] = ((), ())
    for turn in range(5):
        x = tuple((part * (1 - turn / 10)).to(CUDA) for part in picture(name, 24, 32))
        ours, theirs = graphed.step(x, memory[0]), eager.step(x, memory[1])
        memory = (ours[1], theirs[1])
        assert all(map(torch.equal, (*ours[0], *ours[1]), (*theirs[0], *theirs[1]))), turn
    assert said == [] and all(graphed._known.values()) and graphed._known


@pytest.mark.parametrize("model", ["fsrcnn", "pairs-s"])
@pytest.mark.parametrize(
    ("chroma", "size"), [("420", (64, 48)), ("420p10", (37, 29)), ("444", (40, 24)), ("mono", (33, 17))]
)
def test_clips_are_the_processors(model: str, chroma: str, size: tuple[int, int]) -> None:
    """Each layout and depth, odd sizes, more frames than wait between stages; in batches and tiles too."""
    header = y4m.make_header(*size, chroma=chroma)
    shift = header.depth - 8
    frames = [
        tuple((plane.astype(header.dtype) << shift) for plane in textured_frame(header, index)) for index in range(9)
    ]
    on_gpu = choice.graphed(shipped(CUDA, model))
    expected = enlarged(shipped(CPU, model), header, frames)
    for options in ({}, {"batch": 4}, {"tile_px": 32}):
        got = enlarged(on_gpu, header, frames, **options)
        assert len(got) == 9
        for ours, theirs in zip(got, expected, strict=True):
            for plane, other in zip(ours, theirs, strict=True):
                assert plane.dtype == other.dtype
                assert np.abs(plane.astype(int) - other).max() <= 1 << shift


def test_frames_stay_when_others_follow() -> None:
    """A frame that is kept is not written over by later ones: its memory is its own."""
    header = y4m.make_header(64, 48)
    frames = [textured_frame(header, index) for index in range(40)]
    network = choice.graphed(shipped(CUDA, "fsrcnn"))
    kept = enlarged(network, header, frames)
    for index, planes in enumerate(pipeline.upscale_frames(network, header, frames, Options())):
        assert all(map(np.array_equal, planes, kept[index]))


def test_not_finite_output_names_its_frame() -> None:
    """Though the GPU runs ahead, the frame is the right one."""
    network = shipped(CUDA, "fsrcnn")
    header = y4m.make_header(64, 48)

    class Damaged(TorchEngine):
        calls = 0  # of pictures; memory is measured by torch's own step

        def step(self, x, memory):  # type: ignore[no-untyped-def]
            y, after = super().step(x, memory)
            Damaged.calls += 1
            return tuple(part * (float("nan") if Damaged.calls > 7 else 1.0) for part in y), after

    assert isinstance(network.engine, TorchEngine)
    broken = replace(network, engine=Damaged(network.engine.module, CUDA))
    with pytest.raises(pipeline.NotFiniteError) as caught:
        enlarged(broken, header, [textured_frame(header, index) for index in range(20)])
    assert caught.value.index == 7


def test_predict_verb(tmp_path: Path) -> None:
    """The verb's file is the same with graphs and without."""
    from youku import predict

    header = y4m.make_header(64, 48)
    with y4m.create(tmp_path / "low.y4m", header) as writer:
        for index in range(12):
            writer.write(textured_frame(header, index))
    for engine in ("auto", "torch"):
        line = [str(tmp_path / "low.y4m"), str(tmp_path / f"{engine}.y4m"), "--engine", engine, "--device", "cuda"]
        assert predict.main(line) == 0
    assert (tmp_path / "auto.y4m").read_bytes() == (tmp_path / "torch.y4m").read_bytes()
