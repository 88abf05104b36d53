"""The rules of the gate.

pixel     a pretrain picture is a held-out one, pixel by pixel
near      it shows the same picture (resized, re-encoded, gamma, cropped, mirrored)
patient   it is of a patient who is also held out; where one of two tells no patient, of the same examination; in any
          case, of the same clip
relation  its source may share patients with a held-out one and is held out together with it
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from openus import relations
from openus.data import Progress, silent
from openus.dedup import search
from openus.errors import UsageError
from openus.leakage.sides import Picture, Side
from openus.params import DedupParams
from openus.patients import Patients

SHOWN = 120
"""Characters of a stranger's line that an error shows."""
KEY_COLUMNS = ("key", "id", "image", "filename", "path", "raw_path")
SPLIT_COLUMNS = ("split", "fold", "kfold", "set", "subset", "partition")
"""Names of columns, in small letters: a table may have them in any."""


@dataclass(frozen=True, slots=True)
class Leak:
    """One pretrain picture that leaks, the held-out one that it leaks to (None for a relation), and why."""

    rule: str
    pretrain_key: str
    held_out_key: str | None
    detail: str
    pretrain_path: str | None = None
    held_out_path: str | None = None
    """Where the raw files lie, relative to their source's folder, so that a person finds them."""


@dataclass(slots=True)
class Findings:
    """What the gate found; `pretrain` and `held_out` count the pictures that were compared.

    `compared` says of either side which corpus it was (its digest, None for loose files) and which pictures of which
    sources it held (a digest each), so that a verdict that was written down can be held against a corpus later
    (`openus.leakage.admit`).
    """

    pretrain: int
    held_out: int
    leaks: list[Leak] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    compared: dict[str, dict[str, Any]] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    """When two pictures were taken for one."""
    overruled: list[Leak] = field(default_factory=list)
    """What a person judged to be different pictures, and therefore is no leak."""

    parts: int = 0
    """Of a split that was audited; 0 for two sides."""

    @property
    def summary(self) -> str:
        """What was found, in a sentence."""
        what = "nothing leaks" if self.ok else f"{len(self.leaks)} findings"
        if self.parts:
            return f"{self.pretrain} pictures in {self.parts} parts: {what}."
        if not self.held_out:
            return f"{self.pretrain} pictures against none held out: this proves nothing."
        return f"{self.pretrain} pictures against {self.held_out} held out: {what}."

    @property
    def ok(self) -> bool:
        """True when nothing leaks."""
        return not self.leaks

    def as_json(self) -> dict[str, Any]:
        """The document of `check-leakage --json`."""
        return {
            "ok": self.ok,
            "pretrain": self.pretrain,
            "held_out": self.held_out,
            "leaks": [asdict(leak) for leak in self.leaks],
            "notes": self.notes,
            "compared": self.compared,
            "params": self.params,
            "overruled": [asdict(leak) for leak in self.overruled],
        }


def check(
    pretrain: Side,
    held_out: Side,
    params: DedupParams,
    adjudicated: Mapping[frozenset[str], bool] | None = None,
    progress: Progress = silent,
) -> Findings:
    """Everything of `pretrain` that stands in `held_out` by any rule, sorted by rule and key.

    Args:
        pretrain: what is trained on.
        held_out: what must not be in it.
        params: when two pictures are one.
        adjudicated: pairs of keys on which a person has decided: True same, False different.
    """
    findings = Findings(len(pretrain.pictures), len(held_out.pictures), notes=[*pretrain.notes, *held_out.notes])
    findings.compared = {
        name: {"digest": side.digest, "sources": side.sources}
        for name, side in (("pretrain", pretrain), ("held_out", held_out))
    }
    findings.params = asdict(params)
    verdicts = adjudicated or {}
    for match in search.matches(pretrain.prints, held_out.prints, params, progress):
        a, b = pretrain.pictures[match.i].key, held_out.pictures[match.j].key
        _judged(findings, _pixel_leak(match, a, b), verdicts)
    found = {(leak.pretrain_key, leak.held_out_key) for leak in findings.leaks}
    present = ({p.key for p in pretrain.pictures}, {p.key for p in held_out.pictures})
    findings.leaks += [
        Leak("near", a, b, "a person has found them the same")
        for a, b in _found_same(verdicts)
        if a in present[0] and b in present[1] and (a, b) not in found
    ]
    findings.notes += _strangers(verdicts, present[0] | present[1])
    findings.leaks += _patients(pretrain, held_out, findings.notes)
    findings.leaks += _relations(pretrain, held_out)
    _finish(findings, pretrain, held_out)
    return findings


def _judged(findings: Findings, leak: Leak, verdicts: Mapping[frozenset[str], bool]) -> None:
    """A look-alike is a leak unless a person has judged the two to be different pictures."""
    same = verdicts.get(frozenset((leak.pretrain_key, leak.held_out_key or "")), True)
    (findings.leaks if same else findings.overruled).append(leak)


def _found_same(verdicts: Mapping[frozenset[str], bool]) -> Iterator[tuple[str, str]]:
    """The pairs that a person has found the same, in both orders."""
    for pair in sorted(sorted(pair) for pair, same in verdicts.items() if same):
        yield from itertools.permutations(pair)


def _strangers(verdicts: Mapping[frozenset[str], bool], present: Set[str]) -> list[str]:
    """A note of verdicts that say nothing here, since a key is of no picture that was compared."""
    absent = sorted(min(pair - present) for pair in verdicts if not pair <= present)
    if not absent:
        return []
    return [f"{len(absent)} of {len(verdicts)} judged pairs name a key of no picture here, {absent[0]} among them"]


def _finish(findings: Findings, pretrain: Side, held_out: Side) -> None:
    """Sort the leaks by rule and keys, and add where the raw files lie; say what a person overruled."""
    if findings.overruled:
        findings.notes.append(f"{len(findings.overruled)} look-alikes were judged different by a person: no leaks")
    order = {"pixel": 0, "near": 1, "patient": 2, "relation": 3}
    left, right = ({p.key: p.raw_path for p in side.pictures} for side in (pretrain, held_out))
    for leaks in (findings.leaks, findings.overruled):
        leaks.sort(key=lambda leak: (order[leak.rule], leak.pretrain_key, leak.held_out_key or ""))
        leaks[:] = [
            replace(leak, pretrain_path=left.get(leak.pretrain_key), held_out_path=right.get(leak.held_out_key or ""))
            for leak in leaks
        ]


def _pixel_leak(match: search.Match, a: str, b: str) -> Leak:
    if match.kind == "exact":
        return Leak("pixel", a, b, "equal pixel by pixel")
    return Leak("near", a, b, f"the same picture, correlation {match.score:.3f} when aligned")


def _patients(pretrain: Side, held_out: Side, notes: list[str]) -> list[Leak]:
    """Patients on both sides, and clips, which are of one patient; of own archives only those under one key."""
    comparable = not pretrain.salt or not held_out.salt or pretrain.salt == held_out.salt

    def ids(picture: Picture) -> tuple[list[str], list[str]]:
        of_patient, of_study = (
            [one for one in told if comparable or not _is_hashed(one)] for told in (picture.patients, picture.studies)
        )
        return of_patient, of_study

    seen = Patients()
    for picture in sorted(held_out.pictures, key=lambda p: p.key):
        seen.add(picture.key, *ids(picture))
    if not comparable and any(
        _is_hashed(p) for picture in pretrain.pictures for p in picture.patients | picture.studies
    ):
        notes.append(
            "patients of own archives were hashed under different OPENUS_SALT keys on the two sides: not compared"
        )
    notes += [note for side in (pretrain, held_out) if (note := side.anonymous)]
    leaks = []
    clips = {picture.clip: picture.key for picture in held_out.pictures if picture.source}  # a loose file's is a path
    for picture in pretrain.pictures:
        found = seen.find(*ids(picture))
        if not found and picture.source and picture.clip and picture.clip in clips:
            found = clips[picture.clip], f"clip {picture.clip}"
        if found:
            leaks.append(Leak("patient", picture.key, found[0], f"{found[1]} is on both sides"))
    return leaks


def _is_hashed(name: str) -> bool:
    """True for a patient or examination of an own archive."""
    return name.startswith(f"{relations.LOCAL_NAMESPACE}:")


def _relations(pretrain: Side, held_out: Side) -> list[Leak]:
    """Sources that are held out together with one of the held-out sources, and files that bear its mark."""
    sources = {name for picture in held_out.pictures for name in (picture.source, picture.carries) if name}
    leaks = []
    for picture in pretrain.pictures:
        reason = relations.held_out_partners(picture.source, sources) if picture.source else None
        if picture.carries in sources:
            reason = f"its file bears the mark of {picture.carries}, which is held out"
        if reason:
            leaks.append(Leak("relation", picture.key, None, reason))
    return leaks


def audit_split(
    corpus: Side,
    split: Path,
    params: DedupParams,
    adjudicated: Mapping[frozenset[str], bool] | None = None,
    progress: Progress = silent,
) -> Findings:
    """The same rules within one corpus, between the parts that a split file makes of it.

    The file is a CSV with a column that names pictures (one of KEY_COLUMNS: sample key, path, or file name without
    its suffix) and one that names their part (one of SPLIT_COLUMNS). In the findings `pretrain_key` and
    `held_out_key` lie in two different parts, which `detail` names.

    Raises UsageError when the file has no such columns or names nothing of the corpus.
    """
    part, torn, strangers = _parts(corpus, split)
    rows = [row for row, picture in enumerate(corpus.pictures) if picture.key in part]
    findings = Findings(len(rows), len(rows), notes=[*corpus.notes], parts=len(set(part.values())))
    if missing := len(corpus.pictures) - len(rows):
        findings.notes.append(f"{missing} pictures of the corpus stand in no part of {split.name}")
    if strangers:
        findings.notes.append(
            f"{len(strangers)} names of {split.name} are of no picture here, {strangers[0]} among them"
        )
    if note := corpus.anonymous:
        findings.notes.append(note)
    findings.leaks += [Leak("pixel", key, key, f"it stands in the parts {', '.join(parts)}") for key, parts in torn]
    verdicts = adjudicated or {}
    named = corpus.at(rows)
    number = {name: place for place, name in enumerate(sorted(set(part.values())))}
    group = np.array([number[part[picture.key]] for picture in named.pictures])  # no pair is looked for inside a part
    for match in search.matches(replace(named.prints, group=group), None, params, progress):
        a, b = named.pictures[match.i].key, named.pictures[match.j].key
        leak = _pixel_leak(match, a, b)
        leak = replace(leak, detail=f"{part[a]} | {part[b]}: {leak.detail}")
        _judged(findings, leak, verdicts)
    found = {frozenset((leak.pretrain_key, leak.held_out_key)) for leak in findings.leaks}
    findings.leaks += [
        Leak("near", a, b, f"{part[a]} | {part[b]}: a person has found them the same")
        for a, b in _found_same(verdicts)
        if a < b and part.get(a, "") != part.get(b, "") and {a, b} <= part.keys() and frozenset((a, b)) not in found
    ]
    findings.notes += _strangers(verdicts, set(part))
    findings.leaks += _divided_patients(named.pictures, part)
    findings.leaks += _related_parts(named.pictures, part)
    _finish(findings, corpus, corpus)
    return findings


def _divided_patients(pictures: Sequence[Picture], part: Mapping[str, str]) -> list[Leak]:
    """Patients in two parts, and clips, which are of one patient each whether or not they tell whom."""
    seen = {name: Patients() for name in sorted(set(part.values()))}
    clips: dict[tuple[str, str], str] = {}
    leaks = []
    for picture in sorted(pictures, key=lambda picture: picture.key):
        here = part[picture.key]
        for there, patients in seen.items():
            if there == here:
                continue
            found = patients.find(picture.patients, picture.studies)
            if not found and picture.clip and (there, picture.clip) in clips:
                found = clips[there, picture.clip], f"clip {picture.clip}"
            if found:
                leaks.append(Leak("patient", found[0], picture.key, f"{there} | {here}: {found[1]} is on both sides"))
        seen[here].add(picture.key, picture.patients, picture.studies)
        if picture.clip:
            clips.setdefault((here, picture.clip), picture.key)
    return leaks


def _related_parts(pictures: Sequence[Picture], part: Mapping[str, str]) -> list[Leak]:
    """Related sources in two parts, and marked copies apart from their benchmark: one finding for two sources in two
    parts. Sources that share patients may stand apart where both tell them, since patients are compared."""
    first: dict[tuple[str, str], Picture] = {}
    untold: set[tuple[str, str]] = set()
    copies: dict[tuple[str, str], Picture] = {}
    for picture in sorted(pictures, key=lambda picture: picture.key):
        place = picture.source or "", part[picture.key]
        first.setdefault(place, picture)
        if not picture.patients:
            untold.add(place)
        if picture.carries and picture.carries != picture.source:
            copies.setdefault((picture.carries, place[1]), picture)
    leaks = []
    for (a, here), (b, there) in itertools.combinations(sorted(first), 2):
        reason = relations.may_share_patients(a, b) if here != there else None
        if reason and {(a, here), (b, there)} & untold:
            leaks.append(Leak("relation", first[a, here].key, first[b, there].key, f"{here} | {there}: {reason}"))
    for (benchmark, here), copy in sorted(copies.items()):
        for (source, there), picture in sorted(first.items()):
            if source == benchmark and here != there:
                detail = f"{here} | {there}: its file bears the mark of {benchmark}"
                leaks.append(Leak("relation", copy.key, picture.key, detail))
    return leaks


def _parts(corpus: Side, split: Path) -> tuple[dict[str, str], list[tuple[str, list[str]]], list[str]]:
    """(sample key -> name of its part, the first by name; the keys that stand in several, with these; names of nothing
    here, sorted)."""
    try:
        with split.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=";" if ";" in first and "," not in first else ",")
            rows = list(reader)
            names = {name.strip().lower(): name for name in reader.fieldnames or [] if name}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        what = getattr(error, "strerror", None) or error
        raise UsageError(f"{split} cannot be read: {what}.", "Name a CSV file.") from error
    key = next((names[name] for name in KEY_COLUMNS if name in names), None)
    value = next((names[name] for name in SPLIT_COLUMNS if name in names), None)
    if key is None or value is None:
        raise UsageError(
            f"{split} has no column that names {'pictures' if key is None else 'parts'}; "
            f"its first line is {first.strip()[:SHOWN] or 'empty'}.",
            f"It needs one of {', '.join(KEY_COLUMNS)} and one of {', '.join(SPLIT_COLUMNS)}.",
        )
    wanted: dict[str, set[str]] = {}
    for row in rows:
        if row[key] and row[value]:
            wanted.setdefault(row[key], set()).add(row[value])
    parts: dict[str, str] = {}
    torn: list[tuple[str, list[str]]] = []
    met: set[str] = set()
    for picture in corpus.pictures:
        path = PurePosixPath(picture.raw_path or picture.key)
        names_of = {picture.key, str(path), path.name, path.stem} & wanted.keys()
        met |= names_of
        found: set[str] = set().union(*(wanted[name] for name in names_of))
        if found:
            parts[picture.key] = min(found)
        if len(found) > 1:
            torn.append((picture.key, sorted(found)))
    if not parts:
        raise UsageError(f"{split} names no picture of {corpus.name}.", f"Its column {key} holds other names.")
    return parts, torn, sorted(wanted.keys() - met)
