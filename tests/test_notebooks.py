"""Every notebook runs from top to bottom on the stand-in clips, draws its pictures, and is committed without outputs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from jupyter_client.manager import KernelManager

from youku import contest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty notebooks/ whose neighbour demo/ the notebooks share, as in a checkout."""
    place = tmp_path_factory.mktemp("checkout") / "notebooks"
    place.mkdir()
    return place


@pytest.fixture(scope="module")
def kernel(folder: Path) -> Iterator[KernelManager]:
    """One process for all notebooks, so that torch is imported once; each begins with no name defined."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("YOUKU_CLIPS", str(folder / "none"))
        patch.setenv("YOUKU_STEPS", "36")
        manager = KernelManager()
        manager.start_kernel(cwd=str(folder))
    yield manager
    manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_without_outputs(path: Path) -> None:
    """No output and no execution count is in git."""
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells and not any(cell["outputs"] or cell["execution_count"] for cell in cells)


@pytest.mark.parametrize("ids", [range(3, 8), [7, *range(152, 159, 2), 160]])
def test_a_rehearsal_takes_the_clips_that_are_there(
    tmp_path: Path, ids: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pairs of one's own bear any numbers; of the contest's held-out clips some may be there."""
    for clip_id in ids:
        (tmp_path / contest.low_name(clip_id)).touch()
    monkeypatch.setenv("YOUKU_CLIPS", str(tmp_path))
    cells = json.loads(next(path for path in NOTEBOOKS if path.name.startswith("04")).read_text())["cells"]
    first = next(cell for cell in cells if cell["cell_type"] == "code")
    known: dict[str, Any] = {}
    exec("".join(line for line in first["source"] if not line.startswith("%")), known)
    assert [*known["test_set"].ids] == [one for one in ids if one >= 150 or ids[-1] < 150]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")  # the kernel's own packages warn about themselves
def test_runs_and_draws(path: Path, kernel: KernelManager) -> None:
    """No cell fails, and there are pictures that are not blank."""
    book = nbformat.read(path, as_version=4)
    book.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
    client = nbclient.NotebookClient(book, km=kernel, timeout=300)
    try:
        client.execute()
    finally:
        client.kc.stop_channels()
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    pictures = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 3 and all(len(picture) > 5000 for picture in pictures)
