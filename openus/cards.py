"""What is known of the sources, for a person to read and as JSON: the table of all, and the card of one."""

from __future__ import annotations

import sys
import textwrap
from dataclasses import asdict
from typing import Any

from openus import relations
from openus.data import Card
from openus.fetch.listing import by_hand, is_open
from openus.relations import Carrier, SharedImages, SharedPatients

_ELEMENTS = {
    "BY": "credit its authors",
    "NC": "use it for no commercial purpose",
    "SA": "pass on what you make of it under the same licence",
    "ND": "pass on nothing that is made of it",
}
_GATES = {
    "none": "anybody can download it",
    "login": "needs an account at the site",
    "licence-click": "needs an account and a click on its terms",
    "application": "needs an application that a person grants",
    None: "whether it is gated is unknown",
}
_LAYOUTS = {
    "real files": "proven on real files",
    "published tables": "read from the publisher's own tables or file lists",
    "public code": "read from public code that opens the data; never run on the files themselves here",
    "description": "read from a description alone; never run on the files themselves",
    None: "unknown",
}
_POLICIES = {
    "audit": "to be looked at",
    "one group": "split as one",
    "hold out together": "left out of training while that one is held out",
}


def word(value: Any) -> str:
    """A value as a person reads it: unknown is `?`."""
    if value is None:
        return "?"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def listed(card: Card) -> dict[str, Any]:
    """One row of `list`."""
    return {
        "slug": card.slug, "index": card.index, "name": card.name, "title": card.title, "anatomy": card.anatomy,
        "media": list(card.media), "role": card.role, "access": card.access.kind, "gated": card.access.gated,
        "licence": card.licence.name, "redistribution": card.licence.redistribution,
        "commercial_use": card.licence.commercial_use, "derivatives": card.licence.derivatives,
        "local_only": card.licence.local_only, "expected_images": card.expected_images,
        "unique_images": relations.unique_images(card.slug, card.expected_images),
        "counted": card.counted, "bytes": card.size_bytes, "subject": card.subject, "layout": card.layout,
        "status": "fetch" if by_hand(card) is None else "by hand",
    }  # fmt: skip


_COLUMNS = {
    "index": "#", "slug": "slug", "anatomy": "anatomy", "media": "media", "access": "access", "gated": "gate",
    "licence": "licence", "redistribution": "pass on", "commercial_use": "commercial", "expected_images": "images",
    "unique_images": "unique", "bytes": "bytes", "role": "role",
}  # fmt: skip
_FIRST = (
    "slug licence expected_images role anatomy gated redistribution access commercial_use media index unique_images "
    "bytes"
).split()
"""Which columns a narrow terminal shows first."""
_LICENCE_WIDTH = 24
"""Letters of a licence on a terminal; the card has all of it."""


def print_sources(cards: list[Card]) -> None:
    """The table of `list`: whole where it is piped, on a terminal the columns that have room in a line."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 220)
    rows = [{**listed(card), "index": card.index or "-", "media": " ".join(card.media)} for card in cards]
    cells = [{name: word(row[name]) for name in _COLUMNS} for row in rows]
    shown = _fitting(cells, console.width) if console.is_terminal else list(_COLUMNS)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in shown:
        short = console.is_terminal and name == "licence"
        table.add_column(
            _COLUMNS[name], no_wrap=short, overflow="ellipsis" if short else "fold",
            max_width=_LICENCE_WIDTH if short else None,
        )  # fmt: skip
    for row in cells:
        table.add_row(*(row[name] for name in shown))
    console.print(table)
    if hidden := [title for name, title in _COLUMNS.items() if name not in shown]:
        print(f"not shown for want of room: {', '.join(hidden)}; --json has all", file=sys.stderr)


def _fitting(cells: list[dict[str, str]], width: int) -> list[str]:
    """The columns that fit into `width` letters, first those of `_FIRST`, in the order of the table."""
    chosen, taken = set(), 0
    for name in _FIRST:
        widest = max([len(_COLUMNS[name]), *(len(row[name]) for row in cells)])
        needed = min(widest, _LICENCE_WIDTH) if name == "licence" else widest
        if taken + needed > width:
            break
        chosen.add(name)
        taken += needed + 2
    return [name for name in _COLUMNS if name in chosen]


def related(card: Card) -> dict[str, Any]:
    """What relations say of a source."""
    pictures, patients, carriers = _relations(card.slug)
    return {
        "unique_images": relations.unique_images(card.slug, card.expected_images),
        "shared_images": [asdict(one) for one in pictures],
        "shared_patients": [asdict(one) for one in patients],
        "carriers": [asdict(one) for one in carriers],
    }


def _relations(slug: str) -> tuple[list[SharedImages], list[SharedPatients], list[Carrier]]:
    """Who shares pictures and patients with a source, and what outside the 46 carries either."""
    return (
        [one for one in relations.SAME_IMAGES if slug in (one.a, one.b)],
        [one for one in relations.SAME_PATIENTS if slug in (one.a, one.b)],
        [one for one in relations.CARRIERS if slug in one.leaks],
    )


def consequences(card: Card) -> list[str]:
    """What follows from the terms of a source for who builds a corpus from it.

    What the elements of a Creative Commons licence ask: https://creativecommons.org/share-your-work/cclicenses/
    """
    licence = card.licence
    name = licence.name or ""
    elements = name.split()[0].split("-") if name.startswith("CC") else []
    asks = [text for element, text in _ELEMENTS.items() if element in elements]
    told = [f"It asks you to {'; '.join(asks)}."] if asks else []
    if licence.commercial_use is False and "NC" not in elements:
        told.append("It may be used for no commercial purpose.")
    if licence.name is not None and None in (licence.commercial_use, licence.redistribution) and not licence.local_only:
        told.append("What these terms allow is not wholly known: read them first.")
    if licence.local_only:
        told.append(
            "Ask its owners before you pass on pictures, shards or weights; until then keep them where they were built."
        )
    if licence.name is None:
        told.append(
            "No terms are known: beyond trying it yourself, take each ? for no until its page or its authors say more."
        )
    return told


def card_text(card: Card) -> str:
    """The whole card: what it is, what one may do with it, how to get it."""
    lines = [card.title, *_facts(card), "What one may do with it", *_terms(card), "How to get it", *_how_to_get(card)]
    further = {
        "Files": _files(card),
        "Shares pictures or patients": _shared(card),
        "Mind": [_point(note) for note in card.notes],
        "Not verified (rests on one weak place)": [_point(statement) for statement in card.unverified],
        "Cite": [card.citation] if card.citation else [],
    }
    for title, told in further.items():
        if told:
            lines += [title, *told]
    return "\n".join(lines)


def _facts(card: Card) -> list[str]:
    number = f"number {card.index} of OpenUS-46" if card.index else "an extra, not in OpenUS-46"
    unique = relations.unique_images(card.slug, card.expected_images)
    new = "all of them are in other sources too" if unique == 0 else f"{word(unique)} unique after known overlaps"
    subject = card.subject if card.subject == card.species else f"{word(card.species)}, {word(card.subject)}"
    return [
        _fact("slug", f"{card.slug} ({number}{f', there called {card.name}' if card.index else ''})"),
        _fact("shows", word(card.anatomy) + (f": {card.anatomy_detail}" if card.anatomy_detail else "")),
        _fact("subject", word(subject)),
        _fact("media", ", ".join(card.media)),
        _fact("images", f"{word(card.expected_images)} {card.counted} as published, {new}"),
        _fact("patients", word(card.expected_patients)),
        _fact("size", "unknown" if card.size_bytes is None else f"{card.size_bytes:,} bytes"),
        _fact(
            "role", f"{card.role} ({'a benchmark: never trained on' if card.role == 'held-out' else 'for training'})"
        ),
        _fact("layout", _LAYOUTS[card.layout]),
    ]


def _terms(card: Card) -> list[str]:
    return [
        _fact("licence", card.licence.name or "? (none is known)"),
        _fact("commercial use", word(card.licence.commercial_use)),
        _fact("pass on", word(card.licence.redistribution)),
        _fact("derived works", word(card.licence.derivatives)),
        *map(_point, consequences(card)),
    ]


def _how_to_get(card: Card) -> list[str]:
    """By a program where one can, by hand, and what comes then."""
    command = f"openus fetch {card.slug}{'' if is_open(card.licence) else ' --accept-licence'}"
    why = by_hand(card)
    adopt = f"Run `openus fetch {card.slug} --from PATH`, PATH being what you downloaded, packed or unpacked."
    steps = [*card.access.steps, adopt]
    lines = [
        _fact("from", f"{card.access.url} ({card.access.kind}; {_GATES[card.access.gated]})"),
        _filled(f"Run `{command}`. Or by hand:" if why is None else f"By hand, as {why}:", "  "),
        *(_point(step, f"{number}.") for number, step in enumerate(steps, start=1)),
        _filled(f"Then `openus build-shards {card.slug} --root raw --out corpus`.", "  "),
    ]
    if card.access.ids:
        lines.append(_fact("ids", ", ".join(f"{name} {value}" for name, value in card.access.ids.items())))
    return lines


def _files(card: Card) -> list[str]:
    """Each file, and its address in a line of its own that can be copied."""
    lines = []
    for file in card.files:
        size = "? bytes" if file.size_bytes is None else f"{file.size_bytes} bytes"
        check = f"sha256 {file.sha256}" if file.sha256 else f"md5 {file.md5}" if file.md5 else "no checksum published"
        lines.append(f"  {file.name} ({size}, {check})")
        if file.url is not None:
            lines.append(f"    {file.url}")
    return lines


def _shared(card: Card) -> list[str]:
    pictures, patients, carriers = _relations(card.slug)
    lines = []
    for one in pictures:
        other = one.b if one.a == card.slug else one.a
        among = "within this source, pictures" if one.a == one.b else f"pictures with {other}"
        lines.append(_point(f"{among} ({one.strength}): {one.evidence}"))
    for two in patients:
        other = two.b if two.a == card.slug else two.a
        lines.append(_point(f"patients with {other} ({two.strength}; {_POLICIES[two.policy]}): {two.why}"))
    return [*lines, *(_point(f"outside OpenUS-46: {one.other}: {one.why}") for one in carriers)]


def _fact(name: str, value: str) -> str:
    return _filled(value, f"  {name:14}  ")


def _point(text: str, mark: str = "-") -> str:
    return _filled(text, f"  {mark} ")


def _filled(text: str, first: str) -> str:
    """Lines of at most 118 letters that begin with `first`, or as far to the right; addresses stay whole."""
    rest = " " * len(first)
    return textwrap.fill(
        text, 118, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
