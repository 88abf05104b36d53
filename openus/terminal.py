"""What a person sees: tables, cards, counts, and the progress of long work. Text only; nothing is decided here."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openus.errors import UsageError
from openus.storage import printable

if TYPE_CHECKING:
    from openus.data import Card, Progress
    from openus.fetch.folder import Fetched
    from openus.fetch.source import Missed


def word(value: Any) -> str:
    """A value as a person reads it: unknown is `?`."""
    if value is None:
        return "?"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def listed(card: Card) -> dict[str, Any]:
    """One row of `list`."""
    from openus import relations
    from openus.fetch.listing import by_hand

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


def print_sources(cards: list[Card]) -> None:
    """The table of `list`."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("#", "slug", "anatomy", "media", "access", "gate", "licence", "pass on", "commercial", "images",
                 "unique", "bytes", "role"):  # fmt: skip
        table.add_column(name, overflow="fold")
    for card in cards:
        row = listed(card)
        names = (
            "anatomy media access gated licence redistribution commercial_use expected_images unique_images bytes role"
        )
        cells = [" ".join(row[name]) if name == "media" else word(row[name]) for name in names.split()]
        table.add_row(str(card.index or "-"), card.slug, *cells)
    Console(width=None if sys.stdout.isatty() else 220).print(table)


def chosen(
    cards: Sequence[Card],
    anatomy: str | None,
    medium: str | None,
    access: str | None,
    commercial_use: str | None,
    redistribution: str | None,
) -> list[Card]:
    """The cards that fit all that is asked for. Raises UsageError for a word that no card could fit."""
    from openus import anatomy as words

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


def related(card: Card) -> dict[str, Any]:
    """What relations say of a source."""
    from dataclasses import asdict

    from openus import relations

    return {
        "unique_images": relations.unique_images(card.slug, card.expected_images),
        "shared_images": [asdict(one) for one in relations.SAME_IMAGES if card.slug in (one.a, one.b)],
        "shared_patients": [asdict(one) for one in relations.SAME_PATIENTS if card.slug in (one.a, one.b)],
        "carriers": [asdict(one) for one in relations.CARRIERS if card.slug in one.leaks],
    }


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


def card_text(card: Card) -> str:
    """The whole card: what it is, what one may do with it, how to get it."""
    import textwrap

    from openus import relations
    from openus.fetch.listing import by_hand, is_open

    def filled(text: str, first: str) -> str:
        rest = " " * len(first)
        return textwrap.fill(
            text, 118, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
        )

    def fact(name: str, value: str) -> str:
        return filled(value, f"  {name:14}  ")

    def point(text: str, mark: str = "-") -> str:
        return filled(text, f"  {mark} ")

    command = f"openus fetch {card.slug}{'' if is_open(card.licence) else ' --accept-licence'}"
    why = by_hand(card)
    fetching = [filled(f"Run `{command}`. Or by hand:" if why is None else f"By hand, as {why}:", "  ")]
    number = f"number {card.index} of OpenUS-46" if card.index else "an extra, not in OpenUS-46"
    unique = relations.unique_images(card.slug, card.expected_images)
    size = "unknown" if card.size_bytes is None else f"{card.size_bytes:,} bytes"
    new = "all of them are in other sources too" if unique == 0 else f"{word(unique)} unique after known overlaps"
    subject = card.subject if card.subject == card.species else f"{word(card.species)}, {word(card.subject)}"
    lines = [
        card.title,
        fact("slug", f"{card.slug} ({number}{f', there called {card.name}' if card.index else ''})"),
        fact("shows", word(card.anatomy) + (f": {card.anatomy_detail}" if card.anatomy_detail else "")),
        fact("subject", word(subject)),
        fact("media", ", ".join(card.media)),
        fact("images", f"{word(card.expected_images)} {card.counted} as published, {new}"),
        fact("patients", word(card.expected_patients)),
        fact("size", size),
        fact("role", f"{card.role} ({'a benchmark: never trained on' if card.role == 'held-out' else 'for training'})"),
        fact("layout", _LAYOUTS[card.layout]),
        "What one may do with it",
        fact("licence", card.licence.name or "? (none is known)"),
        fact("commercial use", word(card.licence.commercial_use)),
        fact("pass on", word(card.licence.redistribution)),
        fact("derived works", word(card.licence.derivatives)),
        *map(point, consequences(card)),
        "How to get it",
        fact("from", f"{card.access.url} ({card.access.kind}; {_GATES[card.access.gated]})"),
        *fetching,
        *(point(step, f"{number}.") for number, step in enumerate(card.access.steps, start=1)),
        point(
            f"Run `openus fetch {card.slug} --from PATH`, PATH being what you downloaded, packed or unpacked.",
            f"{len(card.access.steps) + 1}.",
        ),
        filled(f"Then `openus build-shards {card.slug} --root raw --out corpus`.", "  "),
    ]
    if card.access.ids:
        lines.append(fact("ids", ", ".join(f"{name} {value}" for name, value in card.access.ids.items())))
    if card.files:
        lines.append("Files")
        for file in card.files:
            size = "? bytes" if file.size_bytes is None else f"{file.size_bytes} bytes"
            check = (
                f"sha256 {file.sha256}" if file.sha256 else f"md5 {file.md5}" if file.md5 else "no checksum published"
            )
            lines.append(f"  {file.name} ({size}, {check})")
            if file.url is not None:
                lines.append(f"    {file.url}")
    shared = [one for one in relations.SAME_IMAGES if card.slug in (one.a, one.b)]
    patients = [one for one in relations.SAME_PATIENTS if card.slug in (one.a, one.b)]
    carriers = [one for one in relations.CARRIERS if card.slug in one.leaks]
    if shared or patients or carriers:
        lines.append("Shares pictures or patients")
        for one in shared:
            with_ = one.b if one.a == card.slug else one.a
            among = "within this source, pictures" if one.a == one.b else f"pictures with {with_}"
            lines.append(point(f"{among} ({one.strength}): {one.evidence}"))
        for two in patients:
            other = two.b if two.a == card.slug else two.a
            lines.append(point(f"patients with {other} ({two.strength}; {_POLICIES[two.policy]}): {two.why}"))
        lines += [point(f"outside OpenUS-46: {one.other}: {one.why}") for one in carriers]
    if card.notes:
        lines += ["Mind", *map(point, card.notes)]
    if card.unverified:
        lines += ["Not verified (rests on one weak place)", *map(point, card.unverified)]
    if card.citation:
        lines += ["Cite", card.citation]
    return "\n".join(lines)


def fetched_text(one: Fetched | Missed) -> str:
    """One line, and more where there is more to say, of a source that came or did not."""
    from openus.fetch.source import Missed

    if isinstance(one, Missed):
        text = printable(str(one.error))
        return f"openus: {text}" if text.startswith(f"{one.slug}: ") else f"openus: {one.slug}: {text}"
    lines = [
        f"{one.slug}: {one.files} file{'s'[: one.files != 1]}, {one.size_bytes:,} bytes received; {one.images} items "
        f"in {one.folder}."
    ]
    if one.pinned:
        lines.append(
            f"  Nobody has published a checksum of {', '.join(one.pinned[:3])}{' …' if len(one.pinned) > 3 else ''}: "
            "the lock file pins what came."
        )
    return printable("\n".join([*lines, *(f"  {line[0].upper()}{line[1:]}" for line in one.told)]))


def missing_text(missing: Mapping[str, str]) -> str:
    """What was not fetched, one line each."""
    width = max(map(len, missing))
    return "\n".join(["Not fetched:", *(f"  {slug:{width}}  {why}" for slug, why in missing.items())])


def fetched_json(came: Sequence[Fetched | Missed], missing: Mapping[str, str]) -> dict[str, Any]:
    """The same as one document."""
    from openus.fetch.source import Missed

    return {
        "fetched": [
            {
                "slug": one.slug, "folder": printable(str(one.folder)), "files": one.files, "bytes": one.size_bytes,
                "items": one.images, "pinned": [*map(printable, one.pinned)], "told": [*map(printable, one.told)],
            }
            for one in came if not isinstance(one, Missed)
        ],
        "failed": {one.slug: printable(str(one.error)) for one in came if isinstance(one, Missed)},
        "missing": dict(missing),
    }  # fmt: skip


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
def progress(every_s: float = 10.0, clock: Callable[[], float] = time.monotonic) -> Iterator[Progress]:
    """A way to report long work: a bar on a terminal, elsewhere a line at the end of each part and every ten seconds.

    All on standard error, so that `--json` stays alone on standard output.
    """
    if sys.stderr.isatty():
        with _bar() as report:
            yield report
        return
    last = clock()

    def line(what: str, done: int, total: int | None) -> None:
        nonlocal last
        if done == total or clock() - last >= every_s:
            last = clock()
            of = "" if total is None else f" of {total}"
            sys.stderr.write(f"openus: {what}: {done}{of}\n")
            sys.stderr.flush()

    yield line


@contextlib.contextmanager
def transfers(every_s: float = 10.0, clock: Callable[[], float] = time.monotonic) -> Iterator[Progress]:
    """A way to report downloads, (name, bytes here, bytes of the whole or None): bars on a terminal, elsewhere lines.

    All on standard error. The first bar is of all files together.
    """
    import threading

    guard = threading.Lock()
    if sys.stderr.isatty():
        with _transfer_bars() as report:

            def guarded(name: str, here: int, whole: int | None) -> None:
                with guard:
                    report(name, here, whole)

            yield guarded
        return
    last: dict[str, float] = {}

    def line(name: str, here: int, whole: int | None) -> None:
        with guard:
            due = clock() - last.setdefault(name, clock()) >= every_s
            if due or here == whole:
                last[name] = clock()
                of = "" if whole is None else f" of {whole:,}"
                sys.stderr.write(f"openus: {name}: {here:,}{of} bytes\n")
                sys.stderr.flush()

    yield line


@contextlib.contextmanager
def _transfer_bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )  # fmt: skip

    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    tasks: dict[str, TaskID] = {}
    sizes: dict[str, tuple[int, int | None]] = {}
    with Progress(*columns, console=Console(stderr=True)) as bar:
        everything = bar.add_task("all", total=None)

        def report(name: str, here: int, whole: int | None) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=whole)
            bar.update(tasks[name], completed=here, total=whole, visible=here != whole)
            if "/" in name:  # a file that comes; else it is what is done with them
                sizes[name] = (here, whole)
            wholes = [whole for _, whole in sizes.values()]
            total = None if None in wholes else sum(whole or 0 for whole in wholes)
            bar.update(everything, completed=sum(here for here, _ in sizes.values()), total=total)

        yield report


@contextlib.contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True)) as bar:

        def report(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield report
