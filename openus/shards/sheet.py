"""A contact sheet of a corpus: stored pictures with their keys, evenly drawn from every source."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from openus import manifest
from openus.errors import CorpusError
from openus.shards.read import decoded, picture_bytes
from openus.storage import atomic

TILE = 160
CAPTION = 26


def contact_sheet(corpus: Path, path: Path, columns: int = 8, rows: int = 8) -> int:
    """Write `path` (PNG) with up to `columns` × `rows` kept frames of `corpus`; returns how many are on it.

    Sources take turns, each giving its frames in the order of their keys, so small sources are seen beside large ones.
    """
    table = manifest.read(corpus / "manifest.parquet")
    names = ["key", "source", "role", "status", "shard", "offset", "size"]
    kept = [row for row in table.select(names).to_pylist() if row["status"] == "kept"]
    queues: dict[str, list[dict[str, str]]] = {}
    for row in kept:
        queues.setdefault(row["source"], []).append(row)
    drawn = []
    for turn in range(max(map(len, queues.values()), default=0)):
        drawn += [queue[turn] for queue in queues.values() if turn < len(queue)]
        if len(drawn) >= columns * rows:
            break
    drawn = drawn[: columns * rows]
    sheet = np.full((-(-len(drawn) // columns) * (TILE + CAPTION) or 1, columns * TILE, 3), 255, np.uint8)
    for number, row in enumerate(drawn):
        content = picture_bytes(corpus, row["shard"], int(row["offset"]), int(row["size"]))
        picture = decoded(content)
        if picture is None:
            raise CorpusError(f"{row['key']} does not decode.", "`openus verify` tells more.")
        colours = cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR
        top, left = number // columns * (TILE + CAPTION), number % columns * TILE
        scale = (TILE - 4) / max(picture.shape[:2])
        size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
        small = cv2.resize(
            cv2.cvtColor(picture, colours), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        )
        y, x = top + (TILE - small.shape[0]) // 2, left + (TILE - small.shape[1]) // 2
        sheet[top : top + TILE, left + 2 : left + TILE - 2] = 0
        sheet[y : y + small.shape[0], x : x + small.shape[1]] = small
        for line, text in enumerate((f"{row['source']} ({row['role']})", row["key"][-23:])):
            place = (left + 3, top + TILE + 10 + 12 * line)
            cv2.putText(sheet, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.32, (40, 40, 40), 1, cv2.LINE_AA)
    with atomic(path) as file:
        file.write(cv2.imencode(".png", sheet)[1].tobytes())
    return len(drawn)
