"""docs/api.md: its examples run as they stand, one after the other; the names of `import youku` are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import youku
from tests.conftest import textured_frame, write_pair
from youku import __main__
from youku.video import container, y4m
from youku.video.encoding import Encoding

PAGE = Path(__file__).parents[1] / "docs" / "api.md"


def test_every_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """Ten of them, in one folder, each seeing what those before it made; what they print and write is there."""
    for clip_id in range(3):
        write_pair(tmp_path / "clips", clip_id, 32, 24, 5)
    header = y4m.make_header(48, 32)
    with container.create(tmp_path / "film.mp4", header, Encoding()) as writer:
        for index in range(4):
            writer.write(textured_frame(header, index))
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text()
    examples = re.findall(r"^## (\d+)\..*?\n```python\n(.*?)```", text, re.MULTILINE | re.DOTALL)
    assert [number for number, _ in examples] == [str(number) for number in range(1, 11)]
    assert len(examples) == text.count("```python")
    names: dict[str, object] = {"__name__": "example"}
    for number, example in examples:
        exec(compile(example, f"{PAGE.name}, example {number}", "exec"), names)
    out = capsys.readouterr().out
    assert re.search(r"^32 24 25 5 uint8 \(24, 32\) \(12, 16\)\n48 32 4\n", out)
    assert re.search(r"pairs-s: \d+\.\d\d dB, SSIM 0\.\d{4}, VMAF \d+", out)
    with youku.open_clip("large.mkv") as large:
        assert (large.header.width, len(list(large.frames))) == (192, 4)


def test_the_names_of_the_package() -> None:
    """Each of them loads, none hides a verb, and another name is an AttributeError that says so."""
    assert all(getattr(youku, name) is not None and name in dir(youku) for name in youku.NAMES)
    assert not youku.NAMES.keys() & {module.partition(".")[0] for module, _ in __main__.VERBS.values()}
    with pytest.raises(AttributeError, match="no attribute 'clip'"):
        youku.clip  # noqa: B018


def test_the_kits_own_network_for_clips_or_pictures() -> None:
    """As `predict` chooses between them; another input is one sentence."""
    for kind in ("video", "clean"):
        path = youku.load_network(trained_on=kind).path
        assert path is not None and path.name == f"pairs_s_x4_{kind}.safetensors"
    with pytest.raises(ValueError, match="input 'film': expected one of clean, video"):
        youku.load_network(trained_on="film")
