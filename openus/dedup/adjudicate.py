"""A person's word on pairs, which goes before the measured one."""

from __future__ import annotations

import csv
from pathlib import Path

from openus.errors import UsageError


def adjudications(path: Path) -> dict[frozenset[str], bool]:
    """Pairs of keys that a person has judged: CSV with columns a, b, verdict (`same` or `different`).

    Raises UsageError naming the line that does not fit, or that contradicts another.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns, rows = reader.fieldnames or [], [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        what = getattr(error, "strerror", None) or error
        raise UsageError(f"{path} cannot be read: {what}.", "Name a CSV file.") from error
    if missing := [name for name in ("a", "b", "verdict") if name not in columns]:
        raise UsageError(
            f"{path} has no column {missing[0]}; its first line is {','.join(columns)[:120] or 'empty'}.",
            "Its first line must be a,b,verdict.",
        )
    found: dict[frozenset[str], bool] = {}
    for number, row in rows:
        a, b, verdict = row["a"], row["b"], row["verdict"]
        where = f"{path}, line {number}"
        if not a or not b or a == b or verdict not in ("same", "different"):
            raise UsageError(f"{where}: it needs two keys and a verdict `same` or `different`.", "Mend the file.")
        if found.setdefault(frozenset((a, b)), verdict == "same") != (verdict == "same"):
            raise UsageError(f"{where}: {a} and {b} were judged otherwise before.", "Leave one of the lines.")
    return found
