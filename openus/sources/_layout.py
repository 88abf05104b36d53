"""What makes a plain source a few declarative lines: files by pattern, tables by key. No pixels are read here.

An `IMAGES` pattern is matched against the whole relative path. Its named groups fill the fields of `Item` of the same
name (`id`, `patient`, `study`, `video`, `label`, `view`, `split`); a group `id` that begins at the layout's first
fixed folder makes the id independent of any folder above. Write `WRAPPER` in front of it.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from openus.data import Item
from openus.storage import is_hidden, walk

Rules = Sequence[tuple[str, str]]
Row = Mapping[str, str]

WRAPPER = r"(?:.*/)?"
"""Any folder above the layout's own root: the archive's folder, a GitHub top folder, the same folder twice."""

MAX_TABLE_BYTES = 64 * 1024 * 1024
MAX_HDF5_ROWS = 10_000_000

_log = logging.getLogger(__name__)


def outside(*folders: str) -> str:
    """WRAPPER, but nowhere below folders of these names (patterns), where the layout's own paths stand once more."""
    return rf"(?!(?:.*/)?(?:{'|'.join(folders)})/)" + WRAPPER


def rule_of(path: str, ignored: Rules) -> str | None:
    """The name of the first rule whose pattern is found in the relative path."""
    return next((rule for rule, pattern in ignored if re.search(pattern, path)), None)


def match(root: Path, pattern: str, ignored: Rules = ()) -> Iterator[tuple[str, re.Match[str]]]:
    """(relative path, match) of every file whose whole path fits, sorted; hidden and ignored files are passed over.

    The rules are searched from the id on: a folder above is a person's own, whatever it is called.
    """
    compiled = re.compile(pattern)
    for path in walk(root)[0]:
        found = compiled.fullmatch(path)
        if found is None or is_hidden(path):
            continue
        begin = found.start("id") if "id" in found.re.groupindex else 0
        if rule_of(path[begin:], ignored) is None:
            yield path, found


def matched(root: Path, images: str, ignored: Rules = ()) -> Iterator[tuple[Item, re.Match[str]]]:
    """(Item, match) for every file that fits `images`, sorted by path; named groups fill the fields of that name.

    Of two files with one id only the first counts: the other is a second copy of the same tree.
    """
    seen = set()
    for path, found in match(root, images, ignored):
        words = {name: (word or "").strip() or None for name, word in found.groupdict().items()}
        key = words.get("id") or path
        if key not in seen:
            seen.add(key)
            yield item(key, path, words), found


def item(key: str, path: str, words: Mapping[str, str | None]) -> Item:
    """The Item of one file whose fields are the words of the same name; other words are left alone."""
    return Item(
        id=key,
        path=path,
        patient=words.get("patient"),
        study=words.get("study"),
        video=words.get("video"),
        label=words.get("label"),
        view=words.get("view"),
        split=words.get("split"),
    )


def listed(
    root: Path, images: str, ignored: Rules = (), *, mask: tuple[str, str] = ("", ""), view: str | None = None
) -> Iterator[Item]:
    """The items of `matched`, for a source whose pattern says it all.

    mask: the part of an image's path by which its mask's path differs, and what stands there in its stead.
    view: of all items, where they have no other.
    """
    for found, _ in matched(root, images, ignored):
        masks = existing(root, swapped(found, *mask)) if mask[0] else ()
        yield replace(found, view=found.view or view, masks=masks)


def swapped(item: Item, old: str, new: str) -> str:
    """The item's path with `old` as `new` within the layout: a folder above that has the same name stays as it is."""
    return item.path.removesuffix(item.id) + item.id.replace(old, new)


def existing(root: Path, *candidates: str) -> tuple[str, ...]:
    """Those of the relative paths that are files: the masks that a person's copy holds."""
    return tuple(path for path in candidates if (root / path).is_file())


def find(root: Path, pattern: str) -> Path | None:
    """The first file, in sorted order, whose whole relative path fits; None where there is none."""
    return next((root / path for path, _ in match(root, pattern)), None)


def read_text(path: Path | None) -> str:
    """A table's text: UTF-8 with or without byte order mark, else Latin-1. Empty where it is missing or unreadable.

    A source without its table keeps its pictures and loses only what the table says, so this logs and goes on.
    """
    if path is None:
        return ""
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            _log.warning("%s is too large for a table and is not read.", path.name)
            return ""
        data = path.read_bytes()
    except OSError as error:
        _log.warning("%s is not read: %s.", path.name, error.strerror or error)
        return ""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_json(path: Path | None) -> Any:
    """What a JSON file holds; None where it is missing or damaged."""
    try:
        return json.loads(read_text(path) or "null")
    except (ValueError, RecursionError) as error:
        _log.warning("%s is not read: %s.", path.name if path else "table", error)
        return None


def read_csv(path: Path | None, key: str, delimiter: str = ",") -> dict[str, Row]:
    """Rows of a CSV table by the column `key`, header and cells stripped; the first row of a key counts.

    Empty where the table is missing or has no such column.
    """
    rows = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, strict=False)
    try:
        return _by_key(rows, [key])
    except csv.Error as error:
        _log.warning("%s is not read: %s.", path.name if path else "table", error)
        return {}


def read_xlsx(path: Path | None, *key: str) -> dict[str, Row]:
    """Rows of a workbook's first sheet by the column `key`, cells as text (whole numbers without `.0`).

    Several columns make one key, their cells joined by a blank. Empty where the workbook is missing, damaged, or lacks
    one of them.
    """
    if path is None:
        return {}
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        with CalamineWorkbook.from_path(str(path)) as workbook:
            cells = workbook.get_sheet_by_index(0).to_python()
    except (CalamineError, OSError) as error:
        _log.warning("%s is not read: %s.", path.name, error)
        return {}
    return _by_key(([_text(cell) for cell in row] for row in cells), key)


def read_hdf5(path: Path | None, *names: str) -> list[tuple[str, ...]]:
    """Rows of the one-dimensional data sets `names` of an HDF5 file, as text, side by side: its index, not its pixels.

    Empty where the file is missing, damaged, or lacks one of them.
    """
    if path is None:
        return []
    import h5py

    try:
        with h5py.File(path) as file:
            if max(file[name].size for name in names) > MAX_HDF5_ROWS:
                raise ValueError("too many rows")
            columns = [[_word(cell) for cell in file[name][...].ravel().tolist()] for name in names]
        if len({len(column) for column in columns}) > 1:
            raise ValueError(f"{', '.join(names)} differ in length")
    except (OSError, KeyError, TypeError, AttributeError, RuntimeError, ValueError, MemoryError) as error:
        _log.warning("%s is not read: %s.", path.name, error)
        return []
    return list(zip(*columns, strict=False))


def _word(cell: object) -> str:
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else _text(cell)


def number(text: str | None) -> float | None:
    """A positive finite number, None for anything else.

    >>> number("0.05"), number("not available"), number("nan"), number("-1")
    (0.05, None, None, None)
    """
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None


def _by_key(rows: Iterable[Sequence[str]], key: Sequence[str]) -> dict[str, Row]:
    lines = iter(rows)
    header = [name.strip() for name in next(lines, [])]
    if not set(key) <= set(header):
        return {}
    table: dict[str, Row] = {}
    for cells in lines:
        row = {name: cell.strip() for name, cell in reversed(list(zip(header, cells, strict=False)))}
        words = [row.get(name, "") for name in key]
        if all(words):
            table.setdefault(" ".join(words), row)
    return table


def _text(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)
