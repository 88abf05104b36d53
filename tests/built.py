"""What a finished build holds, as tests compare it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from openus import manifest


def rows_of(corpus: Path) -> list[dict[str, Any]]:
    return manifest.read(corpus / "manifest.parquet").to_pylist()


def by_path(corpus: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows by the path of their file below the sample."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows_of(corpus):
        folder = f"_local/{row['source'][6:]}" if row["source"].startswith("local-") else row["source"]
        found.setdefault(f"{folder}/{row['raw_path']}", []).append(row)
    return found


def content(corpus: Path) -> dict[str, bytes]:
    """All that must be equal in two builds of the same."""
    names = ["manifest.parquet", "rejected.parquet", *(f"shards/{p.name}" for p in (corpus / "shards").iterdir())]
    return {name: (corpus / name).read_bytes() for name in sorted(names)}
