"""Where a source's files are: which site lists them, what the terms ask before, what a person has to do."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from urllib.parse import parse_qsl, urlsplit

from openus import sources
from openus.data import Access, Card, Licence, RemoteFile
from openus.errors import FetchError, UsageError
from openus.fetch.archive import UNPACKED
from openus.fetch.client import Client
from openus.sources import LOCK_NAME, Source

Resolve = Callable[[Access, Client], list[RemoteFile]]

RESOLVERS: Mapping[str, str] = {
    "zenodo": "zenodo",
    "figshare": "figshare",
    "mendeley": "mendeley",
    "kaggle-dataset": "kaggle",
    "kaggle-competition": "kaggle",
    "gdrive": "gdrive",
    "github": "github",
    "girder": "girder",
    "eprints": "eprints",
    "huggingface": "huggingface",
    "azure": "azure",
}
"""Kind of access -> the module that lists its files. What the others give stands on the card, or needs a person."""

MADE_ON_THE_FLY = frozenset({"girder", "github"})
"""Their archives have other bytes each time: what is in them is compared, not they."""


def is_open(licence: Licence) -> bool:
    """Whether the terms allow anybody any use and passing on (opendefinition.org 2.1): nothing to accept then."""
    return licence.commercial_use is True and licence.redistribution is True and licence.derivatives is not False


def check_terms(card: Card, accepted: bool) -> None:
    """Nothing, where the terms are open or were accepted. Raises UsageError that says what they are."""
    if accepted or is_open(card.licence):
        return
    allowed = {True: "allowed", False: "forbidden", None: "unknown"}
    licence = card.licence
    raise UsageError(
        f"{card.slug} is under {licence.name or 'terms that are not known'}, which is no open licence: commercial use "
        f"{allowed[licence.commercial_use]}, passing on {allowed[licence.redistribution]}, derived works "
        f"{allowed[licence.derivatives]}.",
        f"Read its terms (openus info {card.slug}; {card.access.url}) and say --accept-licence.",
    )


def elsewhere(source: Source, mirror: bool) -> Source:
    """The source at another place than its card's: its copy on Hugging Face, or the AIMI container of a person's link.

    Raises UsageError where a `mirror` is asked for and the card names none.
    """
    access = source.card.access
    if mirror:
        if "huggingface" not in access.ids:
            raise UsageError(f"The card of {source.card.slug} names no copy on Hugging Face.", "Leave --mirror out.")
        copy = replace(access, kind="huggingface", url=f"https://huggingface.co/datasets/{access.ids['huggingface']}")
        return replace(source, card=replace(source.card, access=copy, files=()))
    at_aimi = any("stanfordaimi" in address for address in (access.url, *access.ids.values()))
    if at_aimi and os.environ.get("OPENUS_AIMI_SAS_URL"):
        return replace(source, card=replace(source.card, access=replace(access, kind="azure")))
    return source


def by_hand(card: Card) -> str | None:
    """Why no program can bring this source, None where one can."""
    has_urls = bool(card.files) and all(file.url for file in card.files)
    if card.access.kind in RESOLVERS or (has_urls and card.access.gated != "application"):
        return None
    if card.access.gated == "application":
        return "it is given on application"
    if card.access.gated in ("login", "licence-click"):
        return "its site wants a person to log in and accept its terms"
    return "its site names no address that a program could ask"


def steps(card: Card) -> str:
    """What a person does, in order, to the command that adopts what came."""
    lines = [f"  {n}. {step}" for n, step in enumerate(card.access.steps, start=1)]
    names = ", ".join(file.name for file in card.files)
    lines.append(
        f"  {len(lines) + 1}. openus fetch {card.slug} --from PATH"
        + (f"   (PATH: {names}, or the folder that holds it)" if names else "")
    )
    return "\n".join([f"By hand, from {card.access.url}:", *lines])


def resolve(card: Card, client: Client) -> list[RemoteFile]:
    """The files of a source with addresses, sizes and checksums: the site's listing, held against the card.

    Where the card names files, only those are taken, if the site has them. Raises FetchError where the listing and the
    card contradict each other, and what the resolver raises.
    """
    module = RESOLVERS.get(card.access.kind)
    if module is None:
        return list(card.files)
    lister: Resolve = import_module(f"openus.fetch.{module}").resolve
    listed = lister(card.access, client)
    if not listed:
        raise FetchError(f"{card.slug}: {card.access.url} lists no file.", "Look at the page in a browser.")
    counts = Counter(unicodedata.normalize("NFC", file.name).casefold() for file in listed)
    name, count = counts.most_common(1)[0]
    if count > 1:  # by name as the least able file system compares it
        raise FetchError(f"{card.slug}: {card.access.url} lists {name} more than once.", steps(card))
    known = [(file, next((one for one in card.files if _is(file, one)), None)) for file in listed]
    taken = [pair for pair in known if pair[1] is not None] or known
    return [_held_against(card, *pair) for pair in taken]


def _is(listed: RemoteFile, known: RemoteFile) -> bool:
    """Whether the card's file is the listed one: by name, or by the id in its address (Drive tells the names late)."""
    ids = [dict(parse_qsl(urlsplit(file.url or "").query)).get("id") for file in (listed, known)]
    return listed.name == known.name or (ids[0] is not None and ids[0] == ids[1])


def _held_against(card: Card, file: RemoteFile, known: RemoteFile | None) -> RemoteFile:
    if known is None:
        return file
    merged = {}
    for name in ("size_bytes", "md5", "sha256", "git_sha1"):
        ours, theirs = getattr(known, name), getattr(file, name)
        if ours is not None and theirs is not None and str(ours).lower() != str(theirs).lower():
            raise FetchError(
                f"{card.slug}: the site lists {file.name} with {name} {theirs}; the card says {ours}.",
                "The site changed its file: look at its page, and tell the makers of openus.",
            )
        merged[name] = ours if theirs is None else theirs
    return replace(file, archive=file.archive or known.archive, **merged)


def missing(card: Card, accepted: bool, without_account: bool) -> str | None:
    """What lacks to fetch this source at once, in one line; None where nothing does."""
    why = by_hand(card)
    if why is not None:
        return f"{why}: openus info {card.slug}"
    if without_account and card.access.kind.startswith("kaggle") and card.access.gated != "none":
        return "it needs a Kaggle account, and its token (docs/fetch.md): then openus fetch " + card.slug
    if not accepted and not is_open(card.licence):
        return f"its terms ({card.licence.name or 'none are known'}) are not open: read them, then --accept-licence"
    return None


def chosen(
    slugs: Sequence[str], *, everything: bool, only_open: bool, adopted: bool, mirror: bool, accepted: bool
) -> tuple[list[Source], dict[str, str]]:
    """The sources to bring, and what lacks to bring each of the others (slug -> one line).

    Args:
        slugs: sources named by a person.
        everything: all sources in place of named ones.
        only_open: all that need no account in place of named ones.
        adopted: what a person fetched is taken in: of one source, whose terms are asked for then.
        mirror: the copy on Hugging Face in place of the site.
        accepted: a person accepted the terms that are not open.

    Raises UsageError when it is not clear what to bring, or a named source has no such copy or terms to accept first,
    and UnknownSource.
    """
    alone = not adopted or (len(slugs) == 1 and not mirror)
    if (bool(slugs) + everything + only_open) != 1 or not alone or (mirror and not slugs):
        raise UsageError(
            "It is not clear what to fetch.",
            "Name slugs, or --all, or --open; with --from exactly one slug, with --mirror at least one.",
        )
    found = [sources.load(slug) for slug in dict.fromkeys(slugs or sources.slugs())]
    if adopted:
        return found, {}
    if slugs:
        found = [elsewhere(one, mirror) for one in found]
        for one in found:
            check_terms(one.card, accepted)
        return found, {}
    lacking = {one.card.slug: why for one in found if (why := missing(one.card, accepted, only_open))}
    return [one for one in found if one.card.slug not in lacking], lacking


def safe(card: Card, name: str) -> str:
    """`name`, which a site told, where it stays in its folder. Raises FetchError."""
    parts = name.split("/")
    odd = any(unicodedata.category(letter) in ("Cc", "Cf", "Cs") for letter in name)
    bad = odd or any(
        part in ("", ".", "..") or len(part.encode(errors="replace")) > 226 or part.endswith(UNPACKED) for part in parts
    )
    bad = bad or name == LOCK_NAME or len(name) > 1000
    if bad or "\\" in name or parts[0].startswith("."):
        raise FetchError(f"{card.slug}: its site lists a file named {name!r}, which is refused.", steps(card))
    return name
