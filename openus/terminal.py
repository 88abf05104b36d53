"""What a person sees: tables, cards, counts, and the progress of long work. Text only; nothing is decided here."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openus.data import Card

Report = Callable[[str, int, int], None]
"""Called with (what, done, of how many)."""


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
        "commercial_use": card.licence.commercial_use, "expected_images": card.expected_images,
        "bytes": card.size_bytes, "status": "adapter",
    }  # fmt: skip


def print_sources(cards: list[Card]) -> None:
    """The table of `list`."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("#", "slug", "title", "anatomy", "media", "access", "licence", "pass on", "commercial", "images",
                 "bytes", "role", "status"):  # fmt: skip
        table.add_column(name, overflow="fold")
    for card in cards:
        row = listed(card)
        names = "title anatomy media access licence redistribution commercial_use expected_images bytes role status"
        cells = [" ".join(row[name]) if name == "media" else word(row[name]) for name in names.split()]
        table.add_row(str(card.index or "-"), card.slug, *cells)
    Console(width=None if sys.stdout.isatty() else 220).print(table)


def card_text(card: Card) -> str:
    """The whole card, and how to get the source."""
    from openus import relations

    access = card.access
    number = f"number {card.index} of OpenUS-46" if card.index else "an extra"
    lines = [
        card.title,
        f"  slug            {card.slug} ({number})",
        f"  shows           {word(card.anatomy)}" + (f": {card.anatomy_detail}" if card.anatomy_detail else ""),
        f"  subject         {word(card.species)}, {word(card.subject)}",
        f"  media           {', '.join(card.media)}",
        f"  images          {word(card.expected_images)} as published",
        f"  patients        {word(card.expected_patients)}",
        f"  role            {card.role}",
        f"  licence         {word(card.licence.name)}",
        f"  pass on         {word(card.licence.redistribution)}",
        f"  commercial use  {word(card.licence.commercial_use)}",
        f"  from            {access.url} ({access.kind}; gated: {access.gated})",
        "How to get it",
        *(f"  {number}. {step}" for number, step in enumerate(access.steps, start=1)),
        f"  Then put it under DIR/{card.slug}/ and name DIR with --root.",
    ]
    if card.files:
        lines.append("Files")
        for file in card.files:
            size = "? bytes" if file.size_bytes is None else f"{file.size_bytes} bytes"
            check = (
                f"sha256 {file.sha256}" if file.sha256 else f"md5 {file.md5}" if file.md5 else "no checksum published"
            )
            lines.append(f"  {file.name} ({size}, {check})")
    shared = [one for one in relations.SAME_IMAGES if card.slug in (one.a, one.b)]
    if shared:
        lines.append("Shares pictures")
        lines += [f"  with {one.b if one.a == card.slug else one.a} ({one.strength}): {one.evidence}" for one in shared]
    if card.notes:
        lines += ["Mind", *(f"  - {note}" for note in card.notes)]
    if card.citation:
        lines += ["Cite", card.citation]
    return "\n".join(lines)


def counts_text(result: Mapping[str, Any], out: Path) -> str:
    """The table of a build, and where things lie."""
    width = max([len(slug) for slug in result["sources"]] + [6])
    lines = [f"{'source':{width}}  {'seen':>7}  {'kept':>7}  {'dropped':>7}  {'rejected':>8}  why dropped"]
    for slug, count in result["sources"].items():
        why = ", ".join(f"{reason} {n}" for reason, n in count["dropped"].items())
        dropped = sum(count["dropped"].values())
        numbers = f"{count['seen']:7}  {count['kept']:7}  {dropped:7}  {count['rejected']:8}"
        lines.append(f"{slug:{width}}  {numbers}  {why}".rstrip())
    packed, curated = result["stages"]["pack"], result["stages"]["curate"]
    lines += [
        f"{packed['samples']} samples in {packed['shards']} shards under {out}/shards; "
        f"{curated['decoded_frames']} frames of {curated['decoded_files']} files decoded in "
        f"{curated['wall_s']:.1f} s, {curated['reused_files']} files reused.",
        f"manifest: {out}/manifest.parquet   rejected: {out}/rejected.parquet   counts: {out}/build.json",
    ]
    return "\n".join(lines)


@contextlib.contextmanager
def progress(every_s: float = 10.0, clock: Callable[[], float] = time.monotonic) -> Iterator[Report]:
    """A way to report long work: a bar on a terminal, elsewhere a line at the end of each part and every ten seconds.

    All on standard error, so that `--json` stays alone on standard output.
    """
    if sys.stderr.isatty():
        with _bar() as report:
            yield report
        return
    last = clock()

    def line(what: str, done: int, total: int) -> None:
        nonlocal last
        if done == total or clock() - last >= every_s:
            last = clock()
            sys.stderr.write(f"openus: {what}: {done} of {total}\n")
            sys.stderr.flush()

    yield line


@contextlib.contextmanager
def _bar() -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True)) as bar:

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield report
