"""What there is to say about a network's weights, as text and as data: the words of `inspect` for weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from torch import Tensor

from youku import text_table
from youku.engines.network import Network
from youku.looking import inspection
from youku.looking.checkerboard import Finding
from youku.looking.inspection import Statistics

NUM_BINS = 16
BAR_WIDTH = 50


def describe(
    network: Network, about: Mapping[str, str], statistics: Sequence[Statistics], warnings: Sequence[str]
) -> str:
    """Network, metadata, one line a tensor, warnings or the all-clear."""
    num_values = sum(value.numel() for value in network.module.parameters())
    factor = f" x{network.scale}" if network.scale > 1 else ""
    lines = [f"network    {network.spec.name}{factor}, {num_values:,} parameters ({network.spec.source})"]
    lines += [f"{key:<11}{value}" for key, value in sorted(about.items()) if key not in ("model", "scale")]
    rows = [
        [entry.name, "x".join(map(str, entry.shape)) or "one"]
        + [f"{value:.3g}" for value in (entry.mean, entry.std, entry.least, entry.most, entry.median_magnitude)]
        + [f"{entry.vanished:.1%}"]
        for entry in statistics
    ]
    header = ["tensor", "shape", "mean", "std", "min", "max", "median |w|", "|w| < 1e-30"]
    lines += ["", text_table.lay_out(header, rows), ""]
    lines += [f"warning: {warning}" for warning in warnings] or ["no weight tensor has vanished or broken values"]
    return "\n".join(lines)


def describe_histograms(state: Mapping[str, Tensor]) -> str:
    """Bars of each tensor's values between its least and its most."""
    blocks = []
    for name, value in state.items():
        bins = inspection.histogram(value, NUM_BINS) if value.is_floating_point() and value.numel() > 1 else []
        if not bins:
            continue
        tallest = max(count for _, _, count in bins)
        rows = [
            f"  {low:>10.3g} .. {high:>10.3g}  {count:>9,}  {'#' * round(BAR_WIDTH * count / tallest)}".rstrip()
            for low, high, count in bins
        ]
        blocks.append("\n".join([f"{name} ({value.numel():,} values)", *rows]))
    return "\n\n".join(blocks)


def describe_finding(finding: Finding) -> str:
    """The strongest line an input, the steps on a ramp, the verdict."""
    rows = [
        [line.source, line.pattern, f"{line.codes:.3f}", f"{line.surrounding_codes:.3f}", "yes" if line.fires else "no"]
        for line in finding.lines
    ]
    header = ["input", "strongest line", "code values", "around it", "counts"]
    steps = f"steps on a ramp: {finding.steps:.2f} of an input pixel's step (0 smooth, 0.25 to 0.4 repeated pixels)"
    return "\n".join([text_table.lay_out(header, rows), steps, f"verdict: {finding.verdict}"])


def as_json(
    network: Network,
    about: Mapping[str, str],
    statistics: Sequence[Statistics],
    warnings: Sequence[str],
    finding: Finding | None,
) -> dict[str, object]:
    """The same for programs."""
    found: dict[str, object] = {
        "model": network.spec.name,
        "scale": network.scale,
        "metadata": dict(about),
        "tensors": [asdict(entry) for entry in statistics],
        "warnings": list(warnings),
    }
    if finding:
        lines = [{**asdict(line), "pattern": line.pattern, "fires": line.fires} for line in finding.lines]
        found["checkerboard"] = {
            "fires": finding.fires,
            "verdict": finding.verdict,
            "steps": finding.steps,
            "lines": lines,
        }
    return found
