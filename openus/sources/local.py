"""A person's own archive as a source like any other, told by the files' bytes and a parameter block."""

from __future__ import annotations

import contextlib
import logging
import posixpath
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from openus import anatomy
from openus.data import Access, Card, Item, Licence
from openus.errors import ParamsError, UnreadableFile, UsageError
from openus.media import companions, sniff, suffix_format
from openus.params import LocalParams
from openus.relations import own_slug
from openus.sources import Source
from openus.sources._layout import item
from openus.storage import printable, walk

log = logging.getLogger(__name__)

GROUPS = ("patient", "study", "video", "label", "view")
"""Named groups that a `pattern` may have."""

_HEADERS = (".mhd", ".mha", ".nhdr", ".nrrd", ".hdr", ".hdr.gz")


def source(name: str, params: LocalParams) -> Source:
    """The source `local-NAME` described by its parameter block.

    Every file counts that is a medium by its bytes or pretends to be one by its suffix and that passes `include` and
    `exclude`; what then yields no frame is rejected by decoding, so that nothing of a person's archive is lost
    silently. The id of an item is its path.

    Raises:
        UsageError: NAME is not made of `[a-z0-9-]`.
        ParamsError: an unknown anatomy, a pattern that is no regular expression or has a group of another name.
    """
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise UsageError(f"{name!r} cannot name an archive.", "NAME is small letters, digits and hyphens.")
    pattern = _pattern(name, params.pattern)
    ignored = _rules(name, params)
    card = Card(
        slug=own_slug(name),
        index=None,
        name=name,
        title=f"A person's own archive ({name})",
        anatomy=_anatomy(name, params.anatomy),
        species=params.species,
        subject=params.subject,
        media=(),
        role=params.role,
        licence=Licence(params.licence, params.commercial_use, params.redistribution),
        access=Access(kind="local", url=""),
    )
    return Source(card, partial(_items, name=name, pattern=pattern, ignored=ignored), ignored)


def glob_regex(glob: str) -> str:
    """A regular expression for a glob over a relative path, case-sensitive, to be used with `re.search`.

    `*` and `?` stay within a folder, `[…]` is a choice (`[!…]` its opposite), `**` as a whole component is any number
    of folders, none included. A glob without `/` fits the file's name in any folder; one that ends in `/` fits all
    below that folder.

    >>> [bool(re.search(glob_regex(g), "a/x/y/b.png")) for g in ("*.png", "a/*.png", "a/**/b.png", "**/y/*", "a/")]
    [True, False, True, True, True]
    """
    if "/" not in glob:
        glob = f"**/{glob}"
    parts = (glob + "**" if glob.endswith("/") else glob).split("/")
    parts = [part for at, part in enumerate(parts) if part != "**" or parts[at - 1 : at] != ["**"]]
    text = "".join("(?:[^/]+/)*" if part == "**" else _component(part) + "/" for part in parts[:-1])
    return rf"(?s:\A{text}{'.+' if parts[-1] == '**' else _component(parts[-1])}\Z)"


def _component(glob: str) -> str:
    """One path component of a glob as a regular expression; a `[` that is no choice is itself."""
    text, at = "", 0
    while at < len(glob):
        char = glob[at]
        at += 1
        choice = re.match(r"(!?)(\]?[^\]]*)\]", glob[at:]) if char == "[" else None
        if choice and choice[2]:
            text += _choice(choice[2], opposite=bool(choice[1]))
            at += choice.end()
        elif char == "*":
            text += "" if text.endswith("[^/]*") else "[^/]*"
        else:
            text += "[^/]" if char == "?" else re.escape(char)
    return text


def _choice(inside: str, opposite: bool) -> str:
    """`[…]` as a regular expression: single characters and ranges; a range that runs backwards fits nothing."""
    parts = []
    for low, high, single in re.findall(r"(.)-(.)|(.)", inside, re.DOTALL):
        if single:
            parts.append(re.escape(single))
        elif low <= high:
            parts.append(f"{re.escape(low)}-{re.escape(high)}")
    if not parts:
        return "[^/]" if opposite else "(?!)"
    return f"(?!/)[{'^' if opposite else ''}{''.join(parts)}]"


def _pattern(name: str, pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    where = f"local.{name}.pattern"
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ParamsError(f"{where}: {pattern!r} is no regular expression: {error}.", "Mend it.") from error
    other = [group for group in compiled.groupindex if group not in GROUPS]
    if other:
        raise ParamsError(f"{where}: unknown group {other[0]!r}.", f"Groups are {', '.join(GROUPS)}.")
    return compiled


def _anatomy(name: str, word: str | None) -> str | None:
    try:
        return None if word is None else anatomy.check(word)
    except ValueError as error:
        hint = "openus.anatomy lists the words; leave the key out where an archive shows several regions."
        raise ParamsError(f"local.{name}.anatomy: {error}.", hint) from error


def _rules(name: str, params: LocalParams) -> tuple[tuple[str, str], ...]:
    """`excluded` as patterns: outside every `include`, or inside an `exclude`."""
    for field in ("include", "exclude"):
        if "" in getattr(params, field):
            raise ParamsError(f"local.{name}.{field}: an empty glob.", "Write e.g. '**/*.dcm'.")
    rules = [("excluded", glob_regex(glob)) for glob in params.exclude]
    if params.include:
        within = "|".join(glob_regex(glob) for glob in params.include)
        rules.append(("excluded", rf"\A(?!{within})"))
    return tuple(rules)


def _items(
    root: Path, name: str, pattern: re.Pattern[str] | None, ignored: tuple[tuple[str, str], ...]
) -> Iterator[Item]:
    compiled = [re.compile(rule) for _, rule in ignored]
    paths = [path for path in walk(root)[0] if not any(rule.search(path) for rule in compiled)]
    taken = [path for path in paths if _is_medium(root / path)]
    parts = _data_parts(root, taken)
    files = [path for path in taken if path not in parts]
    if pattern and (others := [path for path in files if not pattern.search(path)]):
        log.warning(
            "local.%s.pattern fits %d of %d files (not %s): what it names is not known of the others.",
            name, len(files) - len(others), len(files), printable(others[0]),
        )  # fmt: skip
    for path in files:
        found = pattern.search(path) if pattern else None
        words = found.groupdict() if found else {}
        yield item(path, path, {group: words.get(group) or None for group in GROUPS})


def _is_medium(path: Path) -> bool:
    """By bytes or by suffix; a file without suffix that cannot be read may be one (DICOM exports have none)."""
    if suffix_format(path.name):
        return True
    try:
        return sniff(path) is not None
    except UnreadableFile:
        return "." not in path.name


def _data_parts(root: Path, paths: list[str]) -> frozenset[str]:
    """Paths of the values that a header elsewhere names (MetaImage .mhd, NRRD .nhdr, NIfTI .hdr).

    A file that is a medium by its name and its bytes stays one, whatever a header says of it.
    """
    parts = set()
    for path in paths:
        if path.lower().endswith(_HEADERS):
            with contextlib.suppress(UnreadableFile):
                for name in companions(root / path):
                    part = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
                    picture = suffix_format(part) and (root / part).is_file() and sniff(root / part)
                    if not picture:
                        parts.add(part)
    return frozenset(parts)
