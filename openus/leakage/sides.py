"""One side of the gate: pictures with keys, patients and sources, wherever they lie."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from openus import manifest, media, normalise
from openus.data import Pixels, Progress, silent
from openus.dedup import fingerprint
from openus.dedup.search import Fingerprints
from openus.errors import CorpusError, FileError, NotUltrasound, UsageError
from openus.params import Params
from openus.pictures import pictures
from openus.shards.read import StoredSample, decoded, digest, pictures_digest, samples
from openus.storage import is_hidden, printable, walk

_SAID = ("role", "source", "patient_id", "study_id", "video_id", "raw_path", "carries")
"""What manifest and sample say of a picture that a rule looks at."""


SHOWN = 5
"""Files that cannot be read, of which an error tells."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What the rules need to know of one picture beside its fingerprint."""

    key: str
    role: str | None = None
    source: str | None = None
    patients: frozenset[str] = frozenset()
    studies: frozenset[str] = frozenset()
    raw_path: str | None = None
    sha256: str | None = None
    """Of the encoded bytes in the shard; None for loose pictures."""
    carries: str | None = None
    """The benchmark whose authors' mark the file bears."""
    clip: str | None = None
    """The clip or volume that it is a frame of; None for a still."""


@dataclass(slots=True)
class Side:
    """All pictures of one side. `prints` stands row by row beside `pictures`."""

    name: str
    pictures: list[Picture]
    prints: Fingerprints
    salt: str | None = None
    """Fingerprint of the HMAC key that hashed the patients of own archives; None when unknown."""
    notes: list[str] = field(default_factory=list)
    digest: str | None = None
    """Of the corpus that was read (`openus.shards.read.digest`); None for loose shards and pictures."""

    @property
    def sources(self) -> dict[str, str]:
        """Slug -> digest of its pictures here (`pictures_digest`), for every source with a name, sorted."""
        found: dict[str, list[tuple[str, str]]] = {}
        for picture in self.pictures:
            if picture.source and picture.sha256:
                found.setdefault(picture.source, []).append((picture.key, picture.sha256))
        return {slug: pictures_digest(found[slug]) for slug in sorted(found)}

    @property
    def anonymous(self) -> str | None:
        """How many pictures tell neither patient nor examination, as a note; None for none."""
        count = sum(not picture.patients and not picture.studies for picture in self.pictures)
        if not count:
            return None
        return (
            f"{count} of {len(self.pictures)} pictures of {self.name} tell neither patient nor examination: of these "
            "only pixels and sources were compared"
        )

    def of_role(self, role: str) -> Side:
        """The pictures of that role; all of them when none has it (a corpus built for one side only)."""
        part = self.only(role)
        if not part.pictures:
            return self
        if left := len(self.pictures) - len(part.pictures):
            part.notes.append(f"{left} pictures of {self.name} have another role than {role} and were not compared")
        return part

    def only(self, role: str) -> Side:
        """The pictures of that role."""
        return self.at([row for row, picture in enumerate(self.pictures) if picture.role == role])

    def at(self, rows: list[int]) -> Side:
        """The pictures in these rows."""
        return Side(
            self.name,
            [self.pictures[row] for row in rows],
            self.prints.take(rows),
            self.salt,
            list(self.notes),
            self.digest,
        )


def read_side(path: Path, parameters: Params, progress: Progress = silent) -> Side:
    """Read and fingerprint everything under `path`.

    `path` is a manifest (its shards lie beside it), the folder of a corpus, a folder of WebDataset shards, or a
    folder of pictures and clips (key: path relative to it, `#n` for frame n; normalised by `parameters` as a build
    would).

    Raises:
        UsageError: there is nothing of the kind at `path`.
        CorpusError: a shard is damaged, or missing where the manifest names it, or a file that is a picture or clip by
            its bytes cannot be read: a gate that cannot see is shut.
    """
    _check_there(path)
    if path.name == "manifest.parquet" or path.suffix == ".parquet":
        return _corpus(path, progress)
    if (path / "manifest.parquet").exists():
        return _corpus(path / "manifest.parquet", progress)
    if not path.is_dir():
        raise UsageError(f"{path} is neither a manifest nor a folder.", "Name manifest.parquet or a folder.")
    tars = sorted(path.glob("*.tar")) or sorted(path.glob("shards/*.tar"))
    if not tars:
        return _folder(path, parameters, progress)
    side = _shards(str(path), tars, {}, None, progress)
    if not side.pictures:
        raise CorpusError(f"The shards of {path} hold no picture.", "Name other shards.")
    return side


def _check_there(path: Path) -> None:
    if not path.exists():
        raise UsageError(f"There is nothing at {path}.", "Name a manifest, a folder of shards, or one of pictures.")


def _corpus(path: Path, progress: Progress) -> Side:
    """The shards beside a manifest, whatever its rows say; rows add role and patient."""
    table = manifest.read(path)
    tars = sorted((path.parent / "shards").glob("*.tar"))
    columns = ("key", *_SAID, "shard", "offset", "size", "status")
    rows = {row["key"]: row for row in table.select([n for n in columns if n in table.column_names]).to_pylist()}
    kept = {key for key, row in rows.items() if row.get("status") == "kept"}
    side = _shards(str(path), tars, rows, manifest.salt_of(table), progress)
    if unread := kept - {one.key for one in side.pictures}:
        raise CorpusError(
            f"{path}: {len(unread)} kept pictures are in no shard beside it, {min(unread)} among them.",
            "The gate reads the shards: bring them along, and see what `openus verify` tells.",
        )
    if path.name == "manifest.parquet":
        side.digest = digest(path.parent)
    return side


def _shards(name: str, tars: list[Path], rows: dict[str, dict[str, Any]], salt: str | None, progress: Progress) -> Side:
    prints = _Prints()
    found: list[Picture] = []
    for number, tar in enumerate(tars, start=1):
        for sample in samples(tar):
            pixels = decoded(sample.picture)
            if pixels is None:
                raise CorpusError(f"{tar.name}: {sample.key} does not decode.", "`openus verify` tells more.")
            row = rows.get(sample.key, {})
            if row.get("status") == "kept" and _address(row) != (
                f"shards/{tar.name}",
                sample.offset,
                len(sample.picture),
            ):
                raise CorpusError(
                    f"{name}: the address of {sample.key} is not where {tar.name} has it.",
                    "Who reads by address would see another picture than the gate: build the corpus again.",
                )
            one = _picture(sample.key, _words(tar, sample), row)
            found.append(replace(one, sha256=hashlib.sha256(sample.picture).hexdigest()))
            prints.add(pixels)
        progress("shards read", number, len(tars))
    return Side(name, found, prints.table(), salt)


def _address(row: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return row.get("shard"), row.get("offset"), row.get("size")


def _words(tar: Path, sample: StoredSample) -> dict[str, str]:
    """What the sample's JSON says of it by the names that the rules look at, numbers as text."""
    found = {}
    for name in _SAID:
        value = (sample.meta or {}).get(name)
        if isinstance(value, list | dict):
            raise CorpusError(f"{tar.name}: the JSON of {sample.key} gives no word as {name}.", "Look at the shard.")
        if value is not None:
            found[name] = str(value)
    return found


def _picture(key: str, meta: Mapping[str, str], row: Mapping[str, Any]) -> Picture:
    """What sample and row say together; of patients and examinations, either counts."""
    role, source, path = (row.get(name) or meta.get(name) for name in ("role", "source", "raw_path"))
    patients, studies = (
        frozenset(value for value in (meta.get(name), row.get(name)) if value) for name in ("patient_id", "study_id")
    )
    carries, clip = (row.get(name) or meta.get(name) for name in ("carries", "video_id"))
    return Picture(key, role, source, patients, studies, path, carries=carries, clip=clip)


def _folder(root: Path, parameters: Params, progress: Progress) -> Side:
    """Every picture and clip below `root`, normalised as a build would."""
    paths, unlisted = walk(root)
    if unlisted:
        raise CorpusError(
            f"{root}: the folder {unlisted[0][0]} could not be listed: {unlisted[0][1]}.",
            "A gate that cannot see is shut: make it a folder that can be listed, or take it out.",
        )
    found: list[Picture] = []
    misnamed: list[str] = []
    unseen: list[str] = []
    prints = _Prints()
    for number, path in enumerate(paths, start=1):
        try:
            if media.sniff(root / path) is None:
                if media.suffix_format(path) and not is_hidden(path):
                    misnamed.append(printable(path))
                continue
            for frame, normalised in pictures(root / path, parameters.decode, parameters.normalise):
                name = printable(path)
                key, clip = (name, None) if frame.index is None else (f"{name}#{frame.index}", name)
                found.append(Picture(key, raw_path=name, carries=frame.header.carries, clip=clip))
                prints.add(normalised.pixels)
        except NotUltrasound:
            continue
        except FileError as error:
            unseen.append(f"{printable(str((root / path).parent))}: {error.message}")
        progress(f"files of {root.name} read", number, len(paths))
    if unseen:
        more = f" (and {len(unseen) - SHOWN} more)" if len(unseen) > SHOWN else ""
        raise CorpusError(
            " ".join(unseen[:SHOWN]) + more,
            "A gate that cannot see is shut: mend it, convert it, or take it out of the folder.",
        )
    if not found:
        raise CorpusError(f"{root} holds no picture.", "Name a manifest, a folder of shards, or one of pictures.")
    side = Side(str(root), found, prints.table())
    if misnamed:
        side.notes.append(
            f"{len(misnamed)} files of {root} are named like media but are none, {misnamed[0]} among them"
        )
    return side


@dataclass(slots=True)
class _Prints:
    """Fingerprints being collected. Blank pictures keep their row; a featureless thumbnail matches nothing."""

    thumbs: list[np.ndarray[Any, np.dtype[np.uint8]]] = field(default_factory=list)
    sha: list[str] = field(default_factory=list)

    def add(self, pixels: Pixels) -> None:
        self.thumbs.append(fingerprint.thumbnail(pixels))
        # blank pictures are equal everywhere and say nothing of a leak
        blank = normalise.quality(pixels) == "blank"
        self.sha.append("" if blank else fingerprint.pixel_sha256(pixels))

    def table(self) -> Fingerprints:
        side = fingerprint.THUMB_SIDE
        thumbs = np.stack(self.thumbs) if self.thumbs else np.zeros((0, side, side), np.uint8)
        return Fingerprints(thumbs, self.sha, np.full(len(self.sha), -1))


def sides(pretrain: Path, held_out: Path, parameters: Params, progress: Progress = silent) -> tuple[Side, Side]:
    """Both sides. One corpus named twice is parted by role, and then either part may be empty. Else everything of the
    held-out side counts, and of a pretrain side that says roles what is pretrain. `notes` say what was left out.

    Raises UsageError when pictures without roles are named twice.
    """
    for path in (pretrain, held_out):
        _check_there(path)
    left = read_side(pretrain, parameters, progress)
    if _whole(pretrain) != _whole(held_out):
        return left.of_role("pretrain"), read_side(held_out, parameters, progress)
    if left.pictures and not any(picture.role for picture in left.pictures):
        raise UsageError(f"{pretrain} is named as both sides and says no roles.", "Name two sides.")
    parts = left.only("pretrain"), left.only("held-out")
    for part, what in zip(parts, ("is trained on", "is held out"), strict=True):
        if not part.pictures:
            part.notes.append(f"no picture of {pretrain} {what}")
    return parts


def _whole(path: Path) -> Path:
    """A corpus by one name: its folder, its manifest and its shards are the same thing."""
    path = path.resolve()
    return path.parent if path.name == "manifest.parquet" else path
