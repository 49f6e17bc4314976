"""Run a network's ONNX graph in a runtime, as an engine: the runtimes that the kit knows, a table written by hand.

Runtime, graph -> engine (engines.network.Engine) on the processor, in float32 at its borders. ValueError says in one
sentence what a runtime makes no sense of.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import numpy as np
import torch

from youku.engines import half
from youku.engines.graph import PACKAGES, Opened
from youku.engines.network import Engine
from youku.models.colours import Tensors
from youku.threads import own_threads

DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}  # of onnxruntime
ERRORS_ONLY = 3
OUT_OF_MEMORY = ("bad_alloc", "out of memory", "allocate memory", "not enough memory")


@dataclass(frozen=True)
class Runtime:
    """A package that runs graphs."""

    package: str
    """As --engine, pip and Python name it."""
    open_graph: Callable[[bytes, int], Opened]

    @property
    def is_installed(self) -> bool:
        return find_spec(self.package) is not None

    @property
    def name(self) -> str:
        with suppress(PackageNotFoundError):  # its variants bring the same module under other names
            return f"{self.package} {version(self.package)}"
        return self.package

    @property
    def pip_line(self) -> str:
        return f"pip install {' '.join((self.package, *PACKAGES))}"


def open_onnxruntime(graph: bytes, num_threads: int) -> Opened:
    """A graph in onnxruntime, for any size; its threads sleep while they wait."""
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


def open_openvino(graph: bytes, num_threads: int) -> Opened:
    """A graph in OpenVINO, for any size, in 32 bit whatever the processor would like better, one picture at a time."""
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


RUNTIMES = {
    "openvino": Runtime("openvino", open_openvino),
    "onnxruntime": Runtime("onnxruntime", open_onnxruntime),
}


@dataclass(frozen=True)
class GraphEngine:
    """A graph opened in a runtime."""

    name: str
    opened: Opened
    scale: int
    bytes_per_px: Callable[[Tensors], float]
    """Of the same layers in torch: a runtime tells nobody what it needs."""
    device = torch.device("cpu")
    dtype = half.FLOAT32

    def step(self, x: Tensors, memory: Tensors) -> tuple[Tensors, Tensors]:
        """(output in float32, no memory) for network input of one or more pictures."""
        assert not memory
        try:
            made = self.opened.run([part.float().contiguous().numpy() for part in x])  # (N, T C, H, W)
        except Exception as error:  # the runtime's own kinds
            raise _told(self.name, error) from None
        y = tuple(torch.from_numpy(part).float() for part in made)  # (N, C, s H, s W)
        shape, expected = y[0].shape, (len(x[0]), *(self.scale * px for px in x[0].shape[-2:]))
        if (shape[0], *shape[-2:]) != expected or len(y) != len(x):
            raise ValueError(f"{self.name} makes {tuple(shape)} of {tuple(x[0].shape)}, expected x{self.scale}")
        return y, ()


def open_engine(runtime: Runtime, graph: bytes, scale: int, bytes_per_px: Callable[[Tensors], float]) -> Engine:
    """The engine, with as many threads as torch has in the calling thread; ValueError where the runtime can not run it."""
    try:
        return GraphEngine(runtime.name, runtime.open_graph(graph, own_threads()), scale, bytes_per_px)
    except Exception as error:  # the runtime's own kinds
        raise _told(runtime.name, error) from None


def _told(name: str, error: Exception) -> Exception:
    """What a runtime's error is to the kit: too little memory, which smaller tiles mend, or a graph it cannot run."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY):
        return MemoryError(f"{name}: out of memory")
    reason = (
        re.sub(r"\S*_src/\S+ .*?\) (?=[A-Z])", "", lines[-1]) if lines else type(error).__name__
    )  # where in its code
    first = re.split(r"\.\s", reason)[0]
    return ValueError(f"{name} cannot run it ({first[:200]})")
