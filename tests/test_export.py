"""Exported networks: the file gives torch's picture anywhere, says what it is, and nothing else is taken for one."""

from __future__ import annotations

import importlib.util
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import fresh_network, write_pair
from youku import contest, evaluate, export, look, predict
from youku.engines import graph, half, onnx_file, weights
from youku.engines.graph_engine import RUNTIMES, Runtime
from youku.engines.onnx_file import Parity
from youku.engines.planes import PlanesForm
from youku.inference import pipeline
from youku.models import MODELS
from youku.video import y4m

MISSING = [name for name in ("onnx", "onnxscript", "onnxruntime") if not importlib.util.find_spec(name)]
packages = pytest.mark.skipif(bool(MISSING), reason=f"needs pip install {' '.join(MISSING)}")
SHIPPED = Path(export.__file__).parent / "weights" / "fsrcnn_x2.safetensors"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kit's own FSRCNN x2 as a file."""
    path = tmp_path_factory.mktemp("exported") / "fsrcnn.onnx"
    assert export.main([str(SHIPPED), str(path), "--licence", "CC0-1.0"]) == 0
    return path


@packages
def test_predict_and_evaluate_take_the_file(exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """As they take the weights: the same planes but for a code here and there, the same table."""
    write_pair(tmp_path, 0, 15, 9, 2, scale=2)
    pictures = tmp_path / "set"
    pictures.mkdir()
    photo = np.random.default_rng(0).integers(0, 256, (49, 51, 3), dtype=np.uint8)
    Image.fromarray(photo).save(pictures / "a.png")
    tables, frames = [], []
    for name, path in (("torch", SHIPPED), ("file", exported)):
        out = str(tmp_path / f"{name}.y4m")
        flags = ["--engine", "torch"] if name == "torch" else []
        assert predict.main([str(tmp_path / contest.low_name(0)), out, "--weights", str(path), *flags]) == 0
        frames.append(y4m.Clip(out).frame(1))
        capsys.readouterr()
        assert evaluate.main([str(pictures), "--weights", str(path), *flags]) == 0
        tables.append(capsys.readouterr().out)
    assert tables[0] == tables[1] != ""
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(*frames, strict=True))


@packages
def test_the_file_says_what_it_is(exported: Path) -> None:
    """Scale, colours, range, licence and the card of the weights; axes have names, nothing names this machine."""
    import onnx

    model = onnx.load(exported)
    onnx.checker.check_model(model)
    told = {entry.key: entry.value for entry in model.metadata_props}
    wanted = {
        "youku.model": "fsrcnn",
        "youku.scale": "2",
        "youku.colours": "y",
        "youku.frames": "1",
        "youku.local": "1",
    }
    spec, plain = weights.load(exported, None, None, torch.device("cpu")).spec, MODELS["fsrcnn"]
    assert (spec.halo_px(2), spec.colours, spec.aligned) == (plain.halo_px(2), plain.colours, plain.aligned)
    assert wanted.items() <= told.items() and told["licence"] == "CC0-1.0" and "0 is black" in told["range"]
    card = json.loads(told["card"])
    assert card["model"] == "fsrcnn" and card["file"] == SHIPPED.name and len(card["sha256"]) == 64
    axes = [[dim.dim_param or dim.dim_value for dim in one.type.tensor_type.shape.dim] for one in model.graph.input]
    assert axes == [["batch", 1, "height", "width"]] and model.opset_import[0].version == 18
    assert str(Path(export.__file__).parent).encode() not in exported.read_bytes()


@packages
def test_precision_and_opset(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """fp16 is fp16 within, at its border too, and within two codes; a published form's own borders go into the graph."""
    import onnx

    torch.manual_seed(0)
    weights.save(tmp_path / "w.safetensors", MODELS["vdsr"].build(2).state_dict(), "vdsr", 2, {"input_mean": "0.4"})
    assert export.main([str(tmp_path), str(tmp_path / "no.onnx")]) == 1
    source, out = str(tmp_path / "w.safetensors"), tmp_path / "new" / "h.onnx"
    assert export.main([source, str(out), "--precision", "fp16", "--opset", "20"]) == 0
    said = capsys.readouterr().out
    assert "61x47" in said and "opset 20, fp16" in said
    model = onnx.load(out)
    ends = [one.type.tensor_type.elem_type for one in (*model.graph.input, *model.graph.output)]
    assert set(ends) == {onnx.TensorProto.FLOAT16} and model.opset_import[0].version == 20
    assert out.stat().st_size < 1.1 * 2 * 665_921 + 2e4 and not (tmp_path / "no.onnx").exists()
    network = weights.load(out, None, None, torch.device("cpu"))
    x = torch.rand(2, 1, 9, 11)
    expected = weights.load(source, None, None, torch.device("cpu")).engine.step((x,), ())[0][0]
    assert float((network.engine.step((x,), ())[0][0] - expected).abs().max()) * 255 < 2


@packages
def test_files_that_are_not_ours(exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Cut, empty, others', of another version or table: one sentence, exit 1, no output."""
    import onnx

    write_pair(tmp_path, 0, 8, 8, 1, scale=2)
    data = exported.read_bytes()
    changed = {}
    for name, key, value in (("theirs", "youku.model", None), ("older", "youku.halo_px", None), ("x9", "youku.scale", "9"),
                             ("ycocg", "youku.colours", "ycocg"), ("rgb", "youku.colours", "rgb"),
                             ("none", "youku.frames", "0"), ("free", "youku.bytes_per_px", "0")):  # fmt: skip
        model = onnx.load_from_string(data)
        kept = [(entry.key, value if entry.key == key else entry.value) for entry in model.metadata_props]
        del model.metadata_props[:]
        for one, text in kept:
            if text is not None:
                model.metadata_props.add(key=one, value=text)
        changed[name] = model.SerializeToString()
    future = onnx.load_from_string(data)
    future.opset_import[0].version = 99
    past = onnx.load_from_string(data)
    past.opset_import[0].version = 7
    cases = {
        "cut": (data[: len(data) // 2], "expected a whole ONNX file"),
        "empty": (b"", "expected a whole ONNX file"),
        "text": (b"hello", "expected a whole ONNX file"),
        "theirs": (changed["theirs"], "this kit did not write"),
        "older": (changed["older"], "its metadata lacks halo_px"),
        "x9": (changed["x9"], "expected x9"),
        "ycocg": (changed["ycocg"], "its metadata lacks colours"),
        "none": (changed["none"], "its metadata lacks frames as"),
        "free": (changed["free"], "its metadata lacks bytes_per_px as"),
        "rgb": (changed["rgb"], "cannot run it"),
        "future": (future.SerializeToString(), "cannot run it ([ONNXRuntimeError] : 1 : FAIL : ONNX Runtime only"),
        "past": (
            past.SerializeToString(),
            "of an opset or version that they do not know; export it again (--opset 18)",
        ),
    }
    low = str(tmp_path / contest.low_name(0))
    for name, (content, why) in cases.items():
        path, out = tmp_path / f"{name}.onnx", tmp_path / "out.y4m"
        path.write_bytes(content)
        status = predict.main([low, str(out), "--weights", str(path), "--engine", "onnxruntime"])
        said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
        assert status == 1 and not out.exists() and len(said) == 1 and "Traceback" not in said[0], name
        assert str(path) in said[0] or name == "x9", said
        assert why in said[0], said


@packages
@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--dtype", "bf16"], "drop --dtype"),
        (["--engine", "torch"], "drop the flag"),
        (["--scale", "3"], "holds fsrcnn x2"),
        (["--model", "espcn"], "holds fsrcnn x2"),
    ],
)
def test_flags_against_the_file(
    exported: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    flags: list[str],
    why: str,
) -> None:
    """What the file has decided already cannot be asked for otherwise."""
    monkeypatch.setattr(half, "cpu_has_bf16", lambda: True)  # else float32 is computed in, and told
    write_pair(tmp_path, 0, 8, 8, 1, scale=2)
    given = [str(tmp_path / contest.low_name(0)), str(tmp_path / "out.y4m"), "--weights", str(exported), *flags]
    assert predict.main(given) == 1 and why in capsys.readouterr().err
    assert not (tmp_path / "out.y4m").exists()


@pytest.mark.parametrize(
    ("given", "status", "why"),
    [
        (["WEIGHTS", "OUT.pt"], 2, "ends in .onnx"),
        (["WEIGHTS", "OUT.onnx", "--opset", "17"], 2, "expected 18 to 23"),
        (["nowhere.safetensors", "OUT.onnx"], 1, "no such weights file"),
        (["GRAPH", "OUT.onnx"], 1, "give the weights it was made from"),
    ],
)
def test_export_refuses(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    given: list[str],
    status: int,
    why: str,
) -> None:
    """In one sentence, before any work, with nothing written."""
    monkeypatch.setattr(onnx_file, "installed", lambda: [Runtime("openvino", RUNTIMES["openvino"].open_graph)])
    monkeypatch.setattr("youku.engines.graph.can_export", lambda: True)
    (tmp_path / "g.onnx").write_bytes(b"graph")
    names = {"WEIGHTS": str(SHIPPED), "GRAPH": str(tmp_path / "g.onnx")}
    args = [names.get(word, word.replace("OUT", str(tmp_path / "out"))) for word in given]
    try:
        found = export.main(args)
    except SystemExit as stop:
        found = stop.code
    assert found == status and why in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))


def test_packages_that_are_missing_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """For writing a file, and for running one."""
    monkeypatch.setattr(onnx_file, "installed", list)
    assert export.main([str(SHIPPED), str(tmp_path / "out.onnx")]) == 1
    assert "pip install onnxruntime onnx onnxscript" in capsys.readouterr().err
    (tmp_path / "f.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match="pip install openvino or pip install onnxruntime"):
        weights.load(tmp_path / "f.onnx", None, None, torch.device("cpu"))


@pytest.mark.parametrize("codes", [0.11, float("nan")])
def test_parity_is_required(codes: float) -> None:
    """One picture in one runtime that is too far, or is no picture, is enough; 16 bit may be farther."""
    found = [Parity("a 1x1", "onnxruntime", 0.01, 0.0), Parity("b 2x2", "openvino", codes, 0.5)]
    with pytest.raises(ValueError, match="b 2x2 in openvino differs .* nothing was written"):
        onnx_file.require_parity(found, "fp32")
    onnx_file.require_parity(found[:1], "fp32")
    onnx_file.require_parity([Parity("b", "openvino", 0.11, 0.5)], "fp16")


@packages
def test_a_graph_that_differs_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The check runs on the very bytes: with a runtime that is off, the file that was there stays."""
    (tmp_path / "out.onnx").write_bytes(b"before")
    monkeypatch.setattr(onnx_file, "PRECISIONS", {"fp32": -1.0})
    assert export.main([str(SHIPPED), str(tmp_path / "out.onnx")]) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["out.onnx"]
    assert (tmp_path / "out.onnx").read_bytes() == b"before"


def test_inspect_of_a_damaged_graph(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """inspect says that it is no weights file, and what would be; flags of weights and clips are refused."""
    (tmp_path / "g.onnx").write_bytes(b"graph")
    assert look.main([str(tmp_path / "g.onnx")]) == 1
    assert "holds no weights" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        look.main([str(tmp_path / "g.onnx"), "--checkerboard", "--max-frames", "3"])
    assert "--checkerboard, --max-frames: " in capsys.readouterr().err


@packages
def test_inspect_tells_what_a_graph_is(exported: Path, capsys: pytest.CaptureFixture) -> None:
    """Network, scale, colours, licence and card, as text and as JSON."""
    assert look.main([str(exported)]) == 0
    told = capsys.readouterr().out
    assert "g.onnx: ONNX" in told.replace(exported.name, "g.onnx") and "  model         fsrcnn\n" in told
    assert look.main([str(exported), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)["metadata"]
    assert (about["scale"], about["licence"]) == ("2", "CC0-1.0")


def test_a_missing_file_is_named_before_missing_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Nobody installs three packages to hear that a path was mistyped."""
    monkeypatch.setattr(onnx_file, "installed", list)
    assert export.main([str(tmp_path / "nosuch"), str(tmp_path / "out.onnx")]) == 1
    assert "nosuch: no such weights file" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "scale"), [("fsrcnn", 3), ("pairs-t", 4), ("rlfn", 3)])
def test_planes_within_the_graph_are_those_of_predict(name: str, scale: int, matrix: str = "709") -> None:
    """Range, matrix, phase of chroma and rounding, at odd sizes too; a code here and there, where a sum lies at a half."""
    network = fresh_network(name, scale)
    form = PlanesForm(network.module, network.spec.colours.coded(matrix, False), scale)
    for width, height in ((17, 13), (22, 14)):
        header, rng = y4m.make_header(width, height), np.random.default_rng(width)
        planes = tuple(rng.integers(0, 256, shape, np.uint8) for shape in header.plane_shapes)
        (expected,) = pipeline.upscale_frames(network, header, [planes], pipeline.Options(), matrix=matrix)
        with torch.inference_mode():
            made = [plane[0].numpy() for plane in form(*(torch.from_numpy(plane)[None] for plane in planes))]
        assert [plane.shape for plane in made] == [plane.shape for plane in expected]
        far = np.concatenate([np.abs(a.astype(int) - b).ravel() for a, b in zip(made, expected, strict=True)])
        assert far.max() <= 1 and (far > 0).mean() < 0.01


@packages
def test_a_file_of_planes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """uint8 in and out by name, said in the metadata; the kit's own verbs take networks, and say so."""
    import onnx

    out = tmp_path / "p.onnx"
    assert export.main([str(SHIPPED), str(out), "--planes"]) == 0
    model = onnx.load(out)
    ends = {one.name: one.type.tensor_type.elem_type for one in (*model.graph.input, *model.graph.output)}
    assert ends == dict.fromkeys(("y", "u", "v", "y_out", "u_out", "v_out"), onnx.TensorProto.UINT8)
    assert {entry.key: entry.value for entry in model.metadata_props}["youku.planes"] == "601"
    write_pair(tmp_path, 0, 8, 8, 1, scale=2)
    capsys.readouterr()
    assert predict.main([str(tmp_path / contest.low_name(0)), str(tmp_path / "o.y4m"), "--weights", str(out)]) == 1
    assert "takes planes for other programs" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "scale"), [("fsrcnn", 3), ("pairs-s", 3)])
def test_a_package_of_planes(name: str, scale: int) -> None:
    """Of luma and of 4:2:0 networks, at odd factors too; chroma is cut to odd sizes."""
    network = weights.load(None, name, scale)
    data = graph.package(network, {}, coded=network.spec.colours.coded("601", False))
    module = torch.export.load(io.BytesIO(data)).module()
    planes = (torch.full((3, *size), 128, dtype=torch.uint8) for size in ((9, 11), (5, 6), (5, 6)))
    height, width = 9 * scale, 11 * scale
    half = (3, (height + 1) // 2, (width + 1) // 2)
    assert [part.shape for part in module(*planes)] == [(3, height, width), half, half]


def test_a_package_of_torch(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Needs torch alone, takes any batch and size, says what it is; what has no effect is refused."""
    source, out = str(SHIPPED.with_name("pairs_s_x2_clean.safetensors")), str(tmp_path / "n.pt2")
    assert export.main([source, out, "--planes"]) == 0
    assert "61x47" in capsys.readouterr().out
    told = {"about.json": ""}
    module = torch.export.load(out, extra_files=told).module()
    assert json.loads(told["about.json"])["youku.model"] == "pairs-s"
    planes = (torch.full((3, *size), 128, dtype=torch.uint8) for size in ((9, 11), (5, 6), (5, 6)))
    assert [part.shape for part in module(*planes)] == [(3, 18, 22), (3, 9, 11), (3, 9, 11)]
    assert predict.main(["in.y4m", "out.y4m", "--weights", out]) == 1
    assert "n.pt2: is a network exported for other programs; give its weights" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        export.main([source, out, "--opset", "20"])
