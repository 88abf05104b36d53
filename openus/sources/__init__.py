"""The sources: one module per dataset, discovered, with no central list.

A module `openus/sources/<slug with underscores>.py` holds

- `CARD: Card`: what is known of the dataset,
- `IMAGES: str`: a pattern over the whole relative path of what it takes,
- `IGNORED`: (rule, pattern searched in the relative path), the first that fits names why a file is no image,
- `items(root) -> Iterator[Item]`: what lies under the source's folder, sorted by path, without reading a pixel.

`openus.sources.local` makes a source of the same kind out of a person's own archive.
"""

from __future__ import annotations

import difflib
import pkgutil
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from openus import anatomy as words
from openus.data import Card, Item
from openus.errors import UnknownSource, UsageError
from openus.media import DATA_PART_SUFFIXES, suffix_format
from openus.sources._layout import rule_of
from openus.storage import is_hidden

LOCAL = "local"
"""Module, and first word of the slug, of a person's own archive."""
LOCK_NAME = "fetch.lock.json"
"""In a source's folder: what came from where (`openus.fetch.lock`)."""

DATA_PART = "data part of a header/data pair"

_SUFFIXES: dict[str, tuple[str, ...]] = {
    "table": (".csv", ".tsv", ".xlsx", ".xls", ".ods", ".json", ".jsonl", ".xml", ".txt", ".yaml", ".yml", ".parquet"),
    "document": (".md", ".pdf", ".docx", ".doc", ".html", ".htm", ".rtf", ".rst", ".bib", ".pptx"),
    "archive": (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz"),
}
_DOCUMENTS = re.compile(r"(?:^|/)(?:LICEN[CS]E|README|CITATION|COPYING|CHANGELOG|AUTHORS)[^/]*$", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """A dataset, or a person's own archive, as `build` takes it."""

    card: Card
    items: Callable[[Path], Iterator[Item]]
    ignored: tuple[tuple[str, str], ...]
    images: str | None = None
    """Pattern of the paths that the layout holds as images; None where only the bytes can tell (local archives)."""


def slugs() -> tuple[str, ...]:
    """The slugs of all sources, by their number in the OpenUS-46 list, extras behind them by name."""
    cards = [_module(name).CARD for name in _names()]
    return tuple(card.slug for card in sorted(cards, key=lambda card: (card.index or 999, card.slug)))


def load(slug: str) -> Source:
    """The source of that slug. Raises UnknownSource, with the nearest slugs as a hint."""
    name = slug.replace("-", "_")
    if name not in _names() or "_" in slug:
        near = difflib.get_close_matches(slug.lower().replace("_", "-"), slugs(), n=3)
        meant = f"Did you mean {' or '.join(near)}? " if near else ""
        raise UnknownSource(f"There is no source {slug!r}.", f"{meant}`openus list` shows all.")
    module = _module(name)
    return Source(module.CARD, module.items, module.IGNORED, module.IMAGES)


def chosen(
    cards: Sequence[Card],
    anatomy: str | None,
    medium: str | None,
    access: str | None,
    commercial_use: str | None,
    redistribution: str | None,
) -> list[Card]:
    """The cards that fit all that is asked for. Raises UsageError for a word that no card could fit."""
    media = {medium for card in cards for medium in card.media}
    gates = {card.access.gated for card in cards} - {None}
    kinds = {card.access.kind for card in cards} | gates
    for what, value, known in (("medium", medium, media), ("access", access, kinds)):
        if value is not None and value not in known:
            raise UsageError(f"No source has the {what} {value!r}.", f"Known are {', '.join(sorted(map(str, known)))}.")
    if anatomy is not None:
        try:
            words.check(anatomy)
        except ValueError as error:
            raise UsageError(f"{error}.") from error
    permissions = {"yes": True, "no": False, "unknown": None}
    return [
        card
        for card in cards
        if (anatomy is None or words.within(card.anatomy, anatomy))
        and (medium is None or medium in card.media)
        and (access is None or access in (card.access.kind, card.access.gated))
        and (commercial_use is None or card.licence.commercial_use is permissions[commercial_use])
        and (redistribution is None or card.licence.redistribution is permissions[redistribution])
    ]


def ignore_rule(source: Source, path: str, format: str | None) -> str:
    """Why a file that `source` does not take is no image: the source's own rule, else a general one.

    Args:
        source: the source under whose folder the file lies.
        path: relative to that folder, with `/`.
        format: what its bytes are (`openus.media.sniff`), None for no medium.

    Returns:
        The rule's name, as build.json counts it: the source's own (`mask`, `preview` …), `hidden`, `lock`,
        `second copy` (the same tree once more), `table`, `document`, `archive`, `data part of a header/data pair`,
        `unlisted medium` (a medium that the layout does not know) or `not a medium`.
    """
    if by_name := name_rule(source, path):
        return by_name
    lower = path.lower()
    if format is None and _DOCUMENTS.search(path):
        return "document"
    if format is None and suffix_format(path) is None:
        for rule, suffixes in _SUFFIXES.items():
            if lower.endswith(suffixes):
                return rule
    if lower.endswith(DATA_PART_SUFFIXES):
        return DATA_PART
    return "unlisted medium" if format else "not a medium"


def name_rule(source: Source, path: str) -> str | None:
    """As `ignore_rule`, where a file's name alone says it."""
    own = rule_of(path, source.ignored)
    if own:
        return own
    if source.images is None:
        lower = path.lower()
        if lower.endswith(DATA_PART_SUFFIXES):
            return DATA_PART
        return "archive" if lower.endswith(_SUFFIXES["archive"]) else "not a medium"
    if is_hidden(path):
        return "hidden"
    if path.rpartition("/")[2] == LOCK_NAME:
        return "lock"
    return "second copy" if re.fullmatch(source.images, path) else None


def _names() -> list[str]:
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in found if not name.startswith("_") and name != LOCAL)


def _module(name: str) -> ModuleType:
    return import_module(f"{__name__}.{name}")
