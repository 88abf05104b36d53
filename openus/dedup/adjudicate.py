"""A person's word on pairs, which goes before the measured one."""

from __future__ import annotations

import csv
from pathlib import Path

from openus.errors import UsageError


def adjudications(path: Path) -> dict[frozenset[str], bool]:
    """Pairs of keys that a person has judged: CSV with columns a, b, verdict (`same` or `different`).

    Raises UsageError naming the row that does not fit.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read: {error}.", "Name a CSV file.") from error
    found = {}
    for number, row in enumerate(rows, start=2):
        a, b, verdict = row.get("a"), row.get("b"), row.get("verdict")
        if not a or not b or verdict not in ("same", "different"):
            raise UsageError(
                f"{path}, line {number}: it needs a, b and a verdict `same` or `different`.", "Mend the file."
            )
        found[frozenset((a, b))] = verdict == "same"
    return found
