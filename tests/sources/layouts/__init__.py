"""Layouts of the sources as data: one module per source, written from what is published of it, not from its adapter."""

from __future__ import annotations

import gzip
import io
import pkgutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

TOP_FOLDERS = ("", "some-archive-main/", "twice/twice/")
"""Folders above the layout's own root that must change nothing."""

_SIGNATURES = {
    ".png": b"\x89PNG\r\n\x1a\n",
    ".jpg": b"\xff\xd8\xff\xe0",
    ".gif": b"GIF89a",
    ".mp4": b"\0\0\0\x18ftypmp42",
    ".mov": b"\0\0\0\x14ftypqt  ",
    ".avi": b"RIFF\0\0\0\0AVI ",
    ".mpeg": b"\0\0\x01\xba",
    ".rar": b"Rar!\x1a\x07\x01\0",
    ".bmp": b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x08\0\0\0\x08\0\0\0",
    ".tif": b"II*\0\x08\0\0\0",
    ".webm": b"\x1a\x45\xdf\xa3",
    ".mha": b"ObjectType = Image\nNDims = 3\nDimSize = 8 8 3\n",
    ".gz": gzip.compress(bytes(344) + b"n+1\0", mtime=0),
    ".nii": bytes(344) + b"n+1\0",
}
"""First bytes by suffix: enough to be recognised, too few to hold a pixel."""


@dataclass(frozen=True)
class Layout:
    """What lies on a disk and what a source must make of it."""

    images: Mapping[str, Mapping[str, Any] | Sequence[Mapping[str, Any]]]
    """Path -> fields of its Item, or of each of its Items; what is not named must be empty. `id` always stands here."""
    decoys: Mapping[str, str] = field(default_factory=dict)
    """Path of what must not be taken -> the rule that names why."""
    tables: Mapping[str, str | bytes] = field(default_factory=dict)
    """Path -> content."""
    from_tables: tuple[str, ...] = ()
    """Fields that are lost when the tables are."""
    separate_tables: bool = False
    """The tables are downloads of their own: a top folder of the images does not hold them."""
    top_folders: tuple[str, ...] = TOP_FOLDERS
    real: tuple[int, int] = (0, 0)
    """(images, patients) among the real files."""
    full: tuple[int | None, int | None] = (None, None)
    """(items, patients) of the whole download; None where it is not published."""
    archives: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """How the publisher packs it: path of an archive -> the paths it holds begin with one of these. The longest
    beginning counts; what no archive holds is a download of its own. An archive may lie in another."""
    content: Mapping[str, bytes | Callable[[str], bytes]] = field(default_factory=dict)
    """Path -> its bytes, or what makes them of the path, where the suffix does not tell what the file holds."""

    def items(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """(path, fields) of every item."""
        for path, fields in self.images.items():
            for one in [fields] if isinstance(fields, Mapping) else fields:
                yield path, one

    def bytes_of(self, path: str) -> bytes:
        """What the source cannot do without to list its items; else nothing, and first bytes are written."""
        made = self.content.get(path, b"")
        return made if isinstance(made, bytes) else made(path)

    def build(self, root: Path, top: str = "", tables: bool = True) -> None:
        """Write it below `root`, under the folders `top`."""
        for path in [*self.images, *self.decoys]:
            write(root / top / path, self.bytes_of(path))
        for path, content in self.tables.items() if tables else ():
            write(root / ("" if self.separate_tables else top) / path, content)


def write(path: Path, content: str | bytes) -> None:
    """A file with that content; an empty medium gets its first bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(data or _SIGNATURES.get(path.suffix.lower(), b"-"))


def xlsx(*rows: Sequence[str | float]) -> bytes:
    """The bytes of a workbook with one sheet."""
    cells = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in rows)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    links = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    packed = "http://schemas.openxmlformats.org/package/2006"
    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{packed}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kinds}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kinds}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{packed}/relationships">'
        f'<Relationship Id="r1" Type="{links}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{links}">'
        '<sheets><sheet name="Sheet" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{packed}/relationships">'
        f'<Relationship Id="r1" Type="{links}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
    }
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return data.getvalue()


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f"<c><v>{value}</v></c>"


def layouts() -> dict[str, Layout]:
    """Slug -> its layout, of every module here."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name.replace("_", "-"): import_module(f"{__name__}.{name}").LAYOUT for name in names}
