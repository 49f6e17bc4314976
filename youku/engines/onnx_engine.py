"""Run an ONNX graph with onnxruntime on the processor: bytes -> arrays to arrays (engines.graph.Opened)."""

from __future__ import annotations

import numpy as np

from youku.engines.graph import Opened

DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
ERRORS_ONLY = 3


def open_graph(graph: bytes, num_threads: int) -> Opened:
    """Load a graph for any size; its threads sleep while they wait."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = num_threads, 1
    options.log_severity_level = ERRORS_ONLY
    for pool in ("intra_op", "inter_op"):
        options.add_session_config_entry(f"session.{pool}.allow_spinning", "0")
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    inputs = [(one.name, DTYPES[one.type]) for one in session.get_inputs()]

    def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
        fed = {name: array.astype(dtype, copy=False) for (name, dtype), array in zip(inputs, arrays, strict=True)}
        return session.run(None, fed)

    return Opened(run, dict(session.get_modelmeta().custom_metadata_map))
