"""What pairs.json in a folder of training pairs says that each was made of (`pair_folder` writes it)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from youku import files

MANIFEST = "pairs.json"


def read_manifest(folder: Path) -> dict[int, Any]:
    """Its pairs, by id; none where there is no such file. ValueError for one of another kind."""
    path = folder / MANIFEST
    manifest = files.read_json(path) if path.exists() else {"pairs": {}}
    try:
        files.require(manifest, {"pairs": dict}, MANIFEST)
        for name, pair in manifest["pairs"].items():
            files.require(pair, {"source": str, "frames": (int, None)}, f"pairs.{name}")
        if odd := [key for key in manifest["pairs"] if not re.fullmatch("[0-9]{5}", key)]:
            raise ValueError(f"pairs: {ascii(odd[0])[:60]} is no id of five digits")
    except ValueError as error:
        told = files.printable(str(error), 500)
        raise ValueError(
            f'{path}: expected {{"pairs": ...}} of this kit: {told}; move it away or name another folder'
        ) from None
    return {int(name): pair for name, pair in manifest["pairs"].items()}


def films(folder: Path) -> dict[int, str]:
    """What pairs.json says that each pair was cut from, by id: the source's name and size, wherever it lay; none without."""
    listed = read_manifest(folder).items()
    return {clip_id: f"{Path(pair['source']).name} ({pair.get('source_bytes')} bytes)" for clip_id, pair in listed}
