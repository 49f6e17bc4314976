"""A built wheel: all that the kit needs is inside, and it works from an empty folder."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import write_pair
from youku import contest
from youku.video import y4m

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of this tree, unpacked as pip would into its site-packages."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("needs setuptools, which builds the wheel")
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "youku", copy / "youku", ignore=shutil.ignore_patterns("__pycache__"))
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(out)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as bundle:
        bundle.extractall(out / "site")
    return out / "site"


def test_every_file_of_the_kit_is_in_the_wheel(site: Path) -> None:
    """Weights, recipes, experiments, templates and tables; and the command `youku`."""
    wanted = {path.relative_to(ROOT) for path in (ROOT / "youku").rglob("*") if path.is_file()}
    wanted = {path for path in wanted if "__pycache__" not in path.parts}
    assert len(wanted) > 150 and {path for path in wanted if not (site / path).is_file()} == set()
    (points,) = site.glob("*.dist-info/entry_points.txt")
    assert "youku = youku.__main__:main" in points.read_text()


def test_the_wheel_works_from_an_empty_folder(site: Path, tmp_path: Path) -> None:
    """The kit that runs is the wheel's; its tables are read and its own weights enlarge a clip."""
    write_pair(tmp_path, 0, 32, 24, 2)
    code = (
        "import sys, youku; from youku.__main__ import main; print(youku.__file__);"
        "sys.exit(main(['models']) or main(['train', '--list']) or main(['predict', *sys.argv[1:]]))"
    )
    line = [sys.executable, "-P", "-c", code, contest.low_name(0), "big.y4m", "--device", "cpu", "--engine", "torch"]
    env = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.splitlines()[0]).is_relative_to(site)
    assert (
        all(word in done.stdout for word in ("pairs-m", "srresnet-slides")) and "trained on compressed" in done.stderr
    )
    assert y4m.Clip(tmp_path / "big.y4m").header.width == 128
