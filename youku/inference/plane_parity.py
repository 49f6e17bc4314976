"""A graph of planes against what `predict` writes: the same photographs, one of odd size, through every runtime installed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from youku.engines.graph_engine import Runtime
from youku.engines.network import Network
from youku.engines.onnx_file import PICTURES, Parity
from youku.inference import pipeline
from youku.models.colours import LEFT
from youku.threads import own_threads
from youku.video import color, standin, y4m


def measure(network: Network, graph: bytes, matrix: str, runtimes: Sequence[Runtime]) -> list[Parity]:
    """The largest difference in codes, and the share of samples that have another code; ValueError where a size differs."""
    found = []
    for runtime in runtimes:
        opened = runtime.open_graph(graph, own_threads())
        for name, width, height in PICTURES:
            photo = np.ascontiguousarray(standin.load_photo(name)[:height, :width])
            planes = color.rgb_to_planes(photo, LEFT, matrix)
            header = y4m.make_header(width, height)
            (expected,) = pipeline.upscale_frames(network, header, [planes], pipeline.Options(), matrix=matrix)
            made = opened.run([plane[None] for plane in planes])
            if [part.shape[1:] for part in made] != [part.shape for part in expected]:
                raise ValueError(f"{runtime.name} makes planes of other sizes than predict of {width}x{height}")
            far = np.concatenate([np.abs(a[0].astype(int) - b).ravel() for a, b in zip(made, expected, strict=True)])
            found.append(Parity(f"{name} {width}x{height}", runtime.name, float(far.max()), float((far > 0).mean())))
    return found
