"""The house's rules about who may import whom and how large things are, read from the code."""

from __future__ import annotations

import ast
import statistics
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "youku"
FILES = sorted(PACKAGE.rglob("*.py"))
VERBS = {
    "download",
    "degrade",
    "convert",
    "train",
    "experiment",
    "soup",
    "curves",
    "predict",
    "submit",
    "score",
    "report",
    "evaluate",
    "export",
    "look",
    "compare",
    "demo",
    "doctor",
    "bench",
}

# A verb that lives in its room keeps the room's rules; beside them it may import these alone.
ROOM_VERBS = {"youku.models.__main__": {"youku.cli", "youku.text_table"}}

# A layer may import itself and those named here; verbs may import every room.
ALLOWED = {
    "base": set(),
    "video": {"base"},
    "metrics": {"base", "video"},
    "models": {"video"},
    "engines": {"base", "video", "models"},
    "exchange": {"base", "video", "metrics"},
    "pages": {"base", "video", "metrics"},
    "inference": {"base", "video", "metrics", "models", "engines"},
    "training": {"base", "video", "metrics", "models", "engines", "inference"},
    "looking": {"base", "video", "metrics", "models", "engines", "pages", "inference", "training"},
    "verb": {"base", "video", "metrics", "models", "engines", "exchange", "pages", "inference", "training", "looking"},
}
HEAVY = {
    "pandas",
    "skimage",
    "matplotlib",
    "onnxruntime",
    "onnx",
    "onnxscript",
    "openvino",
    "jinja2",
    "ffmpeg",
    "imageio_ffmpeg",
    "PIL",
    "tqdm",
    "requests",
    "h5py",
}


def layer_of(module: str) -> str:
    """Layer of a dotted name below youku."""
    first = module.split(".")[1] if "." in module else ""
    if first in ALLOWED:
        return first
    return "verb" if first in VERBS else "main" if first == "__main__" else "base"


@cache
def tree(path: Path) -> ast.Module:
    """A file, parsed once for all tests."""
    return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree(path)))


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    """Dotted names that a file imports, `from youku import x` as youku.x."""
    names = set()
    for node in tree(path).body if top_level_only else nodes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in FILES}


def functions(path: Path) -> dict[str, int]:
    """Name and line of every function of a file -> how many lines it has, with its signature and docstring."""
    found = [node for node in nodes(path) if isinstance(node, ast.FunctionDef)]
    return {f"{path.stem}.{node.name}:{node.lineno}": (node.end_lineno or 0) - node.lineno + 1 for node in found}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    """base <- video <- metrics, models <- engines <- exchange, pages, inference <- training <- looking <- verbs <- __main__."""
    own = layer_of(module_name(path))
    if own == "main" or path.stem == "demo":  # the table of verbs, and the one chain of them
        assert path.stem in ("__main__", "demo")
        return
    used = {name for name in imports(path) if name.startswith("youku.")} - ROOM_VERBS.get(module_name(path), set())
    breaches = {name for name in used if layer_of(name) not in ALLOWED[own] | ({own} if own != "verb" else set())}
    assert breaches == set()


def test_no_circle_between_modules() -> None:
    """Modules can be put in an order in which each imports earlier ones only, imports inside functions counted."""
    graph = {}
    for module, path in MODULES.items():
        used = {name if name in MODULES else name.rpartition(".")[0] for name in imports(path)}
        graph[module] = used & MODULES.keys()
    assert sum(map(len, graph.values())) > 2 * len(graph)
    TopologicalSorter(graph).prepare()  # CycleError names the modules of a circle


@pytest.mark.parametrize("path", sorted((PACKAGE / "models").glob("*.py")), ids=lambda path: path.stem)
def test_models_import_torch_and_blocks_only(path: Path) -> None:
    """Networks are plain torch; planes, resize's kernel and colour conversion come in; the room's verb reads a command line."""
    verb = ROOM_VERBS.get(module_name(path), set())
    foreign = {name.split(".")[0] for name in imports(path)} - {
        "torch",
        "numpy",
        "math",
        "__future__",
        "collections",
        "dataclasses",
        "importlib",
        "json",
        "pathlib",
        "typing",
        *({"argparse", "re"} if verb else ()),
    }
    assert foreign <= {"youku"}
    allowed = ("youku.models.", "youku.video.resize", "youku.video.color", *verb)
    assert all(name.startswith(allowed) for name in imports(path) if name.startswith("youku.")) or not foreign


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_where_needed(path: Path) -> None:
    """Nothing heavy loads when a module is imported; what downloads needs its own tools."""
    at_top = {name.split(".")[0] for name in imports(path, top_level_only=True)}
    assert at_top & HEAVY <= ({"requests", "tqdm"} if path.stem in ("fetch", "objects", "downloads") else set())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_is_too_long_and_every_one_says_its_job(path: Path) -> None:
    """A module fits in a head: 300 lines, a verb 150, a function 60; one sentence on its first line says the job."""
    is_verb = layer_of(module_name(path)) == "verb" or module_name(path) in ROOM_VERBS
    most = 150 if is_verb else 300
    assert len(path.read_text().splitlines()) <= most
    assert {name: length for name, length in functions(path).items() if length > 60} == {}
    first, _, rest = (ast.get_docstring(tree(path), clean=False) or "").partition("\n")
    assert first.endswith((".", "?")) and rest.partition("\n")[0] == ""


def test_half_of_the_functions_have_eight_lines_or_fewer() -> None:
    """Signature and docstring counted."""
    assert statistics.median(length for path in FILES for length in functions(path).values()) <= 8


def test_no_module_is_named_like_one_of_the_standard_library() -> None:
    """`import inspect` never means two things."""
    stems = {path.stem for path in FILES} - {"__init__", "__main__"}
    assert not stems & sys.stdlib_module_names


def test_nothing_prints_in_the_rooms() -> None:
    """Rooms, training among them, return values; verbs print (to stderr what is not a result)."""
    for path in FILES:
        name = module_name(path)
        if name in ROOM_VERBS or layer_of(name) in ("base", "verb", "main"):
            continue
        calls = [node for node in nodes(path) if isinstance(node, ast.Call)]
        assert not [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"], path


def test_every_bar_is_drawn_in_one_place() -> None:
    """`cli.bar`, which writes lines to logs; others import tqdm for types and for lines above a bar alone."""
    calls = [
        f"{path.name}:{node.lineno}"
        for path in FILES
        for node in nodes(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tqdm"
    ]
    assert len(calls) == 1 and calls[0].startswith("cli.py")
