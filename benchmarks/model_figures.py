"""Count what every network costs at each of its scales and write youku/models/figures.json, which `models` prints from.

python benchmarks/model_figures.py
"""

from __future__ import annotations

import json

from youku.models import MODELS, cost, figures


def main() -> None:
    """A line an entry, so that a change of one network is one line of a diff."""
    entries = [
        cost.network_as_json(spec, scale, *figures.INPUT)[0] for spec in MODELS.values() for scale in spec.scales
    ]
    figures.PATH.write_text("[\n" + ",\n".join(map(json.dumps, entries)) + "\n]\n", encoding="utf-8")
    print(f"{figures.PATH}: {len(entries)} entries")


if __name__ == "__main__":
    main()
