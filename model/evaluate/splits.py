"""Who is tested, who is trained on, who choices are made on: official lists as they are, all else drawn by group.

A group is what belongs together: pictures that share a patient, an examination, a clip or a set of look-alikes, and
what these link in turn (the connected component). Where all patients are known and none looks like another, groups are
patients. Groups are what is dealt to folds and validation here, and what intervals and tests resample.

Official words in the manifest's column `split`:

    every word is `fold-K`              as many folds as words; K is the fold in which a picture is TEST
    `train`, `val` and/or `test`        one fold; `test` is tested, `val` where there is no `test` (MMOTU-2D); where
                                        both are, the official `val` is the validation part
    none                                folds drawn by group, stratified by class

Everything else of what is not tested is drawn anew for each (seed, fold), by group: BUS-BRA's own inner flags put
patients on both sides in each fold (201 to 216 of them), and are not used.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model.order import permutation
from openus.dedup.cluster import components
from openus.errors import UsageError

if TYPE_CHECKING:
    from model.pictures import Pictures

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """The labelled pictures of a benchmark, sorted by key."""

    at: Ints
    """Row numbers in the `Pictures` that they come from."""
    keys: tuple[str, ...]
    classes: tuple[str, ...]
    """Label words, sorted."""
    labels: Ints
    """0 … C-1."""
    patients: tuple[str | None, ...]
    studies: tuple[str | None, ...]
    videos: tuple[str | None, ...]
    clusters: tuple[str | None, ...]
    splits: tuple[str | None, ...]
    left_out: dict[str, int] = field(default_factory=dict)
    """Why -> how many pictures are not used."""

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Each picture's group by name: the first of its known patients, else the key of its first picture.

        The connected components over patient, examination, clip and set of look-alikes, of the labelled pictures.
        """
        pairs = [
            pair for names in (self.patients, self.studies, self.videos, self.clusters) for pair in _same_name(names)
        ]
        roots = components(len(self.keys), pairs).tolist()
        known = sorted((p, root) for p, root in zip(self.patients, roots, strict=True) if p)
        name = {root: patient for patient, root in reversed(known)}
        return tuple(name.get(root, self.keys[root]) for root in roots)


@dataclass(frozen=True)
class Outer:
    """One fold: its test rows, and what is left to train and choose on (`validation` only where it is official)."""

    name: str
    rest: Ints
    test: Ints
    validation: Ints | None = None


@dataclass(frozen=True)
class Plan:
    """The folds of a benchmark and what there is to say of them."""

    rule: str
    """official folds, official lists, or drawn by group."""
    folds: tuple[Outer, ...]
    straddling_patients: int
    """Patients with pictures in the test and the training part of a fold; official splits are kept even so."""
    straddling_clusters: int
    """Sets of near-duplicates with pictures on both sides of a fold."""


def labelled(pictures: Pictures, target: str, leave_out: Collection[str] = ()) -> Rows:
    """The rows of a benchmark that have a label (or view, as `target` says) and, where there are official words, one.

    Pictures whose word is in `leave_out` are not used.

    Raises UsageError when fewer than two classes are left, or `leave_out` names one that no picture has.
    """
    words, splits = _column(pictures, target), _column(pictures, "split")
    if none := set(leave_out) - set(words):
        there = ", ".join(sorted({repr(word) for word in words if word}))
        raise UsageError(
            f"evaluate.leave_out names {', '.join(map(repr, sorted(none)))}, which no picture has as its {target}.",
            f"There are {there or 'none'}.",
        )
    official = any(split for split in splits)
    has_label = [bool(word) and word not in leave_out for word in words]
    used = [ok and (bool(split) or not official) for ok, split in zip(has_label, splits, strict=True)]
    at = np.flatnonzero(used).astype(np.int64)
    classes = tuple(sorted({word for word, ok in zip(words, used, strict=True) if ok and word}))
    if len(classes) < 2:
        told = f"only the {target} {classes[0]!r}" if classes else f"no {target}"
        raise UsageError(
            f"The benchmark has {told}; nothing can be told apart.",
            "Choose another target (label or view), or add the source's own tables and build again.",
        )
    left_out = {
        "without " + target: sum(not word for word in words),
        **{f"of the class {word!r}": words.count(word) for word in leave_out},
        "without official split": sum(has_label) - len(at),
    }
    number = {word: c for c, word in enumerate(classes)}
    names = ("key", "patient_id", "study_id", "video_id", "cluster")
    keys, patients, studies, videos, clusters = (_column(pictures, name) for name in names)
    return Rows(
        at=at,
        keys=tuple(str(keys[i]) for i in at),
        classes=classes,
        labels=np.array([number[words[i] or ""] for i in at], dtype=np.int64),
        patients=tuple(patients[i] for i in at),
        studies=tuple(studies[i] for i in at),
        videos=tuple(videos[i] for i in at),
        clusters=tuple(clusters[i] for i in at),
        splits=tuple(splits[i] for i in at),
        left_out={why: count for why, count in left_out.items() if count},
    )


def plan(rows: Rows, folds: int, seed: int = 0) -> Plan:
    """The folds, by the official words where there are any, else `folds` of them drawn by group.

    Raises UsageError when the words are none that are understood, or leave a part empty.
    """
    words = sorted({split for split in rows.splits if split}, key=lambda word: (len(word), word))
    if not words:
        rule, outer = "drawn by group", _drawn(rows, folds, seed)
    elif all(re.fullmatch(r"fold-\w+", word) for word in words):
        rule, outer = "official folds", [_fold(rows, word, [word]) for word in words]
    elif set(words) <= {"train", "val", "test"}:
        rule, outer = "official lists", [_lists(rows, words)]
    else:
        raise UsageError(
            f"The official split words {', '.join(words)} are neither all fold-K nor among train, val, test.",
            "The adapter of the source is to give one of these, or none.",
        )
    for fold in outer:
        if not len(fold.rest) or not len(fold.test):
            raise UsageError(
                f"Fold {fold.name} has nothing to {'test' if len(fold.rest) else 'train on'}.",
                "The corpus holds a part of the benchmark only; build it from the whole.",
            )
        _check_classes(rows, fold)
    return Plan(rule, tuple(outer), *(_on_both_sides(names, outer) for names in (rows.patients, rows.clusters)))


def inner(rows: Rows, fold: Outer, share: float, seed: int) -> tuple[Ints, Ints]:
    """(train, validation) of a fold: the official validation part, else drawn by group for (seed, fold).

    Of each class `share` of its groups validate, at least one, and at least one trains; a class with a single
    group trains only. A group with pictures of several classes counts to the most frequent one.

    Raises UsageError when validation is left with one class.
    """
    if fold.validation is not None:
        train, validation = fold.rest, fold.validation
    else:
        chosen: set[str] = set()
        for word, groups in zip(rows.classes, _groups_by_class(rows, fold.rest), strict=True):
            count = max(min(max(round(share * len(groups)), 1), len(groups) - 1), 0)
            order = permutation(len(groups), "validation", seed, fold.name, word)
            chosen |= {groups[i] for i in order[:count]}
        inside = np.array([rows.groups[i] in chosen for i in fold.rest])
        train, validation = fold.rest[~inside], fold.rest[inside]
    if len(np.unique(rows.labels[validation])) < 2 or len(np.unique(rows.labels[train])) < 2:
        raise UsageError(
            f"Fold {fold.name} has too few groups a class to train and to choose on.",
            "Two classes need two groups (patients, or what belongs together) each, outside of the test part.",
        )
    return train, validation


def straddling(names: Sequence[str | None], one: Ints, other: Ints) -> set[str]:
    """The (known) patients or clusters that have pictures in both parts."""
    return {n for n in (names[i] for i in one) if n} & {n for n in (names[i] for i in other) if n}


def group_numbers(groups: Sequence[str]) -> Ints:
    """Each row's group as 0 … G-1, by name."""
    return np.unique(np.array(groups), return_inverse=True)[1].astype(np.int64)


def _column(pictures: Pictures, name: str) -> list[str | None]:
    return [None if value is None else str(value) for value in getattr(pictures, name)]


def _same_name(names: Sequence[str | None]) -> list[tuple[int, int]]:
    """Pairs of rows (the first of a name, each other of it) that share a name."""
    first: dict[str, int] = {}
    return [(first.setdefault(name, i), i) for i, name in enumerate(names) if name]


def _fold(rows: Rows, name: str, tested: Sequence[str], validated: Sequence[str] = ()) -> Outer:
    test = np.array([split in tested for split in rows.splits])
    validation = np.array([split in validated for split in rows.splits])
    official = np.flatnonzero(validation) if validated else None
    return Outer(name, np.flatnonzero(~test & ~validation), np.flatnonzero(test), official)


def _lists(rows: Rows, words: Sequence[str]) -> Outer:
    if "train" not in words or len(words) == 1:
        raise UsageError(
            f"The official lists are only {' and '.join(words)}.", "One fold needs train and at least one of val, test."
        )
    tested = "test" if "test" in words else "val"
    return _fold(rows, tested, [tested], ["val"] if len(words) == 3 else [])


def _drawn(rows: Rows, folds: int, seed: int) -> list[Outer]:
    """Groups dealt to folds: class by class, rarest first, large ones first, to the fold with the fewest pictures
    of the class (then the fewest at all, then the lowest number)."""
    if folds < 2:
        raise UsageError("evaluate.folds is 1, and the benchmark has no official split.", "Take 2 folds or more.")
    size = Counter(rows.groups)
    of = _groups_by_class(rows, np.arange(len(rows.keys), dtype=np.int64))
    if sum(map(len, of)) < folds:
        raise UsageError(
            f"{sum(map(len, of))} groups (patients, or what belongs together) cannot be dealt to {folds} folds.",
            "Lower evaluate.folds.",
        )
    fold_of: dict[str, int] = {}
    every = [0] * folds
    for word, groups in sorted(zip(rows.classes, of, strict=True), key=lambda one: len(one[1])):
        mine = [0] * folds
        order = [groups[i] for i in permutation(len(groups), "folds", seed, word)]
        for group in sorted(order, key=lambda one: -size[one]):
            at = min(range(folds), key=lambda f: (mine[f], every[f], f))
            fold_of[group] = at
            mine[at] += size[group]
            every[at] += size[group]
    dealt = np.array([fold_of[group] for group in rows.groups])
    return [Outer(f"drawn-{f + 1}", np.flatnonzero(dealt != f), np.flatnonzero(dealt == f)) for f in range(folds)]


def _groups_by_class(rows: Rows, at: Ints) -> list[list[str]]:
    """Per class the groups that count to it, sorted: those whose most frequent class it is (of equals the first)."""
    counts: dict[str, Counter[int]] = {}
    for i in at:
        counts.setdefault(rows.groups[i], Counter())[int(rows.labels[i])] += 1
    of: list[list[str]] = [[] for _ in rows.classes]
    for group in sorted(counts):
        ranked = sorted((-count, c) for c, count in counts[group].items())
        of[ranked[0][1]].append(group)
    return of


def _check_classes(rows: Rows, fold: Outer) -> None:
    """Raises UsageError when a class is tested that nothing can be learned of."""
    unseen = set(rows.labels[fold.test].tolist()) - set(rows.labels[fold.rest].tolist())
    if unseen:
        names = ", ".join(rows.classes[c] for c in sorted(unseen))
        raise UsageError(
            f"Fold {fold.name} tests {names}, of which no other group is there to train on.",
            "Name the class in evaluate.leave_out, or add patients that show it.",
        )


def _on_both_sides(names: Sequence[str | None], folds: Sequence[Outer]) -> int:
    found: set[str] = set()
    for fold in folds:
        other = fold.rest if fold.validation is None else np.concatenate([fold.rest, fold.validation])
        found |= straddling(names, fold.test, other)
    return len(found)
