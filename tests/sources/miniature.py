"""A source in miniature as its publisher hands it out: its layout, filled with pixels, packed into its archives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import packers
import pixels
from layouts import Layout

from openus.fetch.archive import stem

Pixels = Callable[[str], bytes | None]


def files(layout: Layout, fill: Pixels = pixels.medium) -> dict[str, bytes]:
    """Path -> bytes of everything in the layout: whole pictures in images and decoys alike, tables as they stand."""
    found: dict[str, bytes] = {}
    for path in [*layout.images, *layout.decoys]:
        if layout.decoys.get(path) != "archive":
            found[path] = layout.bytes_of(path) or fill(path) or b"-"
    for path, content in layout.tables.items():
        found[path] = content.encode() if isinstance(content, str) else content
    return found


def write(layout: Layout, folder: Path, fill: Pixels = pixels.medium) -> None:
    """What a person has in `folder` after the downloads: archives, and the files that no archive holds."""
    contents = files(layout, fill)
    owners = {path: _owner(path, layout.archives) for path in [*contents, *layout.archives]}
    for name in layout.archives:
        if owners[name] is None:
            packers.pack(folder / name, _members(name, layout, contents, owners))
    for path, content in contents.items():
        if owners[path] is None:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)


def _owner(path: str, archives: Mapping[str, object]) -> str | None:
    """The archive that holds `path`: the one with the longest beginning."""
    fitting = [
        (len(beginning), name)
        for name, beginnings in archives.items()
        for beginning in beginnings  # type: ignore[attr-defined]
        if path.startswith(beginning) and path != name
    ]
    return max(fitting)[1] if fitting else None


def _members(
    archive: str, layout: Layout, contents: Mapping[str, bytes], owners: Mapping[str, str | None]
) -> dict[str, bytes]:
    """Name in the archive -> bytes. In a nested one names begin where it is unpacked: at the folder of its own name."""
    folder, _, name = archive.rpartition("/")
    own = f"{folder}/{stem(name)}/" if owners[archive] else ""
    members = {path: content for path, content in contents.items() if owners[path] == archive}
    for nested in layout.archives:
        if owners[nested] == archive:
            members[nested] = packers.packed(nested, _members(nested, layout, contents, owners))
    return {path.removeprefix(own): content for path, content in sorted(members.items())}
