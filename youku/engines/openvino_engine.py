"""Run an ONNX graph with OpenVINO on the processor: bytes -> arrays to arrays (engines.graph.Opened)."""

from __future__ import annotations

import io

import numpy as np

from youku.engines.graph import Opened


def open_graph(graph: bytes, num_threads: int) -> Opened:
    """Compile a graph for any size, in 32 bit whatever the processor would like better, one picture at a time."""
    import openvino

    model = openvino.Core().read_model(io.BytesIO(graph))
    told = model.rt_info["framework"] if "framework" in model.rt_info else {}  # noqa: SIM401 (it is no dict)
    about = {key: str(text.value) for key, text in told.items()}
    wanted = {
        "INFERENCE_NUM_THREADS": num_threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,  # other work of the machine goes where it likes
    }
    compiled = openvino.Core().compile_model(model, "CPU", wanted)
    dtypes = [one.get_element_type().to_dtype() for one in compiled.inputs]
    request = compiled.create_infer_request()

    def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
        fed = [array.astype(dtype, copy=False) for dtype, array in zip(dtypes, arrays, strict=True)]
        made = request.infer(fed, share_inputs=True)
        return [made[index] for index in range(len(compiled.outputs))]

    return Opened(run, about)
