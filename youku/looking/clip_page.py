"""Draw a clip's luma histogram and its change from frame to frame, with cuts, as one PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from youku import files
from youku.looking.survey import Survey

BLUE, RED, GRAY = "#1f6feb", "#d9480f", "#868e96"


def draw(found: Survey, title: str, path: str | Path) -> None:
    """Histogram beside difference curve; ValueError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError("--png: needs matplotlib; run: pip install matplotlib") from None
    figure = Figure(figsize=(11, 4), layout="constrained")
    figure.suptitle(title)
    left, right = figure.subplots(1, 2)
    left.bar(np.arange(256), 100 * found.luma_counts / found.luma_counts.sum(), width=1.0, color=BLUE)
    left.axvspan(-0.5, 15.5, color=GRAY, alpha=0.2, label="outside 16-235")
    left.axvspan(235.5, 255.5, color=GRAY, alpha=0.2)
    left.set(title="luma histogram", xlabel="code value of 8 bit", ylabel="samples, %", xlim=(-0.5, 255.5))
    left.legend(frameon=False, fontsize=8)
    frames = np.arange(1, len(found.differences) + 1)
    right.plot(frames, found.differences, color=BLUE, linewidth=1.4, marker="." if len(frames) < 60 else "")
    for index, cut in enumerate(found.cuts):
        right.axvline(cut, color=RED, linewidth=1, linestyle="--", label="" if index else "cut")
    right.set(title="change from the frame before", xlabel="frame", ylabel="mean |luma difference|, code values")
    right.set_ylim(bottom=0)
    right.set_xlim(0, max(1, len(frames)))
    if found.cuts:
        right.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    with files.atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
