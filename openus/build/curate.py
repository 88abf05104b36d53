"""curate: from the raw files of one source to staging. Lists, hashes what is new, decodes what is not staged."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from openus import manifest, media, params, sources
from openus.build.identity import DEFAULT, Salt, ids, same_name
from openus.build.stage import Done, Task, stage_file
from openus.build.staging import ITEMS, Segments, file_part, unit_key
from openus.data import AS_IT_LIES, Item, Licence, Progress, Reading, Role, silent
from openus.engine import RunTasks
from openus.errors import CorpusError, UnreadableFile
from openus.params import Params
from openus.relations import is_own
from openus.sources import Source
from openus.storage import printable, walk, write_text

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Curated:
    """What one source's folder came to, as `curated.json` in its staging holds it."""

    source: str
    files_taken: int = 0
    files_rejected: int = 0
    files_ignored: dict[str, int] = field(default_factory=dict)
    decoded_files: int = 0
    decoded_frames: int = 0
    reused_files: int = 0
    failed_files: int = 0
    """Could not be read this time (permission, crash, time limit); tried again by the next run."""
    salt: str = ""
    params_digest: str = ""
    wall_s: float = 0.0


def role_of(source: Source, parameters: Params) -> Role:
    """`held-out` or `pretrain`: the parameters' list where there is one, else the card (or the archive's block)."""
    if parameters.held_out is None:
        return source.card.role
    return "held-out" if source.card.slug in parameters.held_out else "pretrain"


def curate(
    source: Source,
    root: Path,
    staging: Path,
    parameters: Params,
    *,
    salt: Salt,
    run: RunTasks,
    progress: Progress = silent,
) -> Curated:
    """Bring `staging/<slug>/` up to date with the files under `root` (the source's own folder).

    Every regular file is taken, ignored by a named rule, or rejected. Files whose size and time are as the last
    listing says are not read again; files whose content is staged under these parameters are not decoded again.
    `progress` is told of the slug, files done and files in all.
    """
    began = time.monotonic()
    slug = source.card.slug
    settings = parameters.for_source(slug)
    if not is_own(slug):  # ids in published headers are public already; a person's key has no business with them
        salt = DEFAULT
    every_frame = role_of(source, parameters) == "held-out"
    # the key of the hash belongs into the digest, since rows hold hashed header ids
    decode = replace(settings.decode, timeout_s=1)  # how long a file may take shapes no pixel
    digest = params.digest(decode, settings.normalise, settings.select, every_frame, salt.fingerprint)
    template = Task(root, "", None, settings, digest, salt, every_frame)
    stats = Curated(slug, salt=salt.fingerprint if is_own(slug) else "", params_digest=digest)
    segments = Segments(staging / slug)
    segments.clean()
    rows, readings, ignored = _listing(source, root, salt)
    stats.files_ignored = dict(sorted(ignored.items()))
    tasks = _open_tasks(rows, readings, template, segments.units(), _previous(staging / slug), stats)
    try:
        for (number, _), result in run(_work, tasks, timeout_s=settings.decode.timeout_s):
            _settle(rows[number], result, segments, stats)
            progress(slug, stats.decoded_files + stats.reused_files + stats.failed_files, len(rows))
    except OSError as error:
        raise CorpusError(
            f"{staging / slug} could not be written: {error.strerror or error}.",
            "Free some room and run the same command again: it goes on from here.",
        ) from error
    except KeyboardInterrupt:
        segments.commit()
        raise
    segments.commit()
    _count_files(stats, segments, rows)
    manifest.write(manifest.table([_printable(row) for row in rows], ITEMS), staging / slug / "items.parquet")
    stats.wall_s = round(time.monotonic() - began, 3)
    write_text(staging / slug / "curated.json", json.dumps(asdict(stats), indent=1, sort_keys=True) + "\n")
    return stats


def _open_tasks(
    rows: list[dict[str, Any]],
    readings: Mapping[tuple[str, str | None], Reading],
    template: Task,
    staged: dict[str, list[str]],
    before: dict[tuple[str, str | None, int, int], str],
    stats: Curated,
) -> Iterator[tuple[int, Task]]:
    """(row number, task) of every item that is not known to be staged; the others get their unit at once."""
    several = {path for path, count in Counter(path for path, _ in readings).items() if count > 1}
    hashes: dict[str, str | None] = {}
    for number, row in enumerate(rows):
        if row["stage"] is not None:
            continue
        path, member = row["path"], row["member"]
        reading = readings[path, member]
        digest = template.params_digest  # as it always was where the file is read as it lies
        digest = digest if reading == AS_IT_LIES else params.digest(digest, reading)
        found = staged.get(file_part(unit_key(path, member, "", "")), [])
        known = before.get((path, member, row["raw_size"], row["raw_mtime_ns"]))
        unit = unit_key(path, member, known, digest) if known is not None else None
        if unit in found:
            row["unit"], row["content_sha256"] = unit, known
            stats.reused_files += 1
        else:
            if path in several and path not in hashes:
                hashes[path] = known or _hash(template.root / path)
            task = replace(template, path=path, member=member, reading=reading, params_digest=digest)
            yield number, replace(task, staged=tuple(found), content_sha256=hashes.get(path))


def _hash(path: Path) -> str | None:
    """Of a file of many items; None where it cannot be read, which its tasks will tell."""
    try:
        return media.content_sha256(path)
    except UnreadableFile:
        return None


def _work(numbered: tuple[int, Task]) -> Done:
    return stage_file(numbered[1])


def _settle(row: dict[str, Any], result: Done | BaseException, segments: Segments, stats: Curated) -> None:
    """Take in what became of one item. A failure that another run may not meet stays out of staging."""
    if not isinstance(result, Done):
        name = row["path"].rpartition("/")[2]
        result = Done(None, failure=("decode", type(result).__name__, f"{name}: {result}."))
    row["unit"], row["content_sha256"] = result.unit, result.content_sha256
    if result.failure is not None:
        row["stage"], row["error"], row["message"] = result.failure
        stats.failed_files += 1
    elif result.rows and result.unit is not None:
        segments.append(result.unit, result.rows, result.pictures)
        stats.decoded_files += 1
        stats.decoded_frames += sum(one.get("position") is not None for one in result.rows)
    else:
        stats.reused_files += 1


def _listing(
    source: Source, root: Path, salt: Salt
) -> tuple[list[dict[str, Any]], dict[tuple[str, str | None], Reading], Counter[str]]:
    """One row per item and per folder that could not be listed; how each (path, member) is read; ignored by rule."""
    paths, unlisted = walk(root)
    items: dict[tuple[str, str | None], Item] = {}
    taken: set[str] = set()
    seen: set[str] = set()
    copies: set[str] = set()
    rows: list[dict[str, Any]] = []
    for item in source.items(root):
        name = same_name(printable(item.id))  # as `items.parquet` holds it, of which keys are made
        if name in seen:
            if is_own(source.card.slug):  # two files all the same: é written in two ways
                clash = "another file has this name in another form of writing, so both would get one key: rename one."
                rows.append(_item_row(source, root, item, salt) | _failure("list", "NameClash", item.path, clash))
                taken.add(item.path)
            else:
                copies.add(item.path)
            continue
        seen.add(name)
        items[item.path, item.member] = item
        taken.add(item.path)
    ignored: Counter[str] = Counter()
    for path in paths:
        if path not in taken:
            ignored["second copy" if path in copies else _rule(source, root, path)] += 1
    rows += [_item_row(source, root, item, salt) for _, item in sorted(items.items(), key=lambda pair: pair[1].id)]
    for folder, reason in unlisted:
        rows.append(
            dict.fromkeys((name for name, _, _ in ITEMS), None)
            | {"id": folder, "path": folder, "stage": "list", "error": "UnreadableFile"}
            | {"message": f"the folder {folder} could not be listed: {reason}."}
        )
    if ignored.get("unlisted medium"):
        log.warning(
            "%s: %d pictures or clips lie where the data set's own layout has none; they are left out.",
            source.card.slug, ignored["unlisted medium"],
        )  # fmt: skip
    return rows, {place: item.reading for place, item in items.items()}, ignored


def _rule(source: Source, root: Path, path: str) -> str:
    if by_name := sources.name_rule(source, path):  # so that masks are not opened
        return by_name
    try:
        found = media.sniff(root / path)
    except UnreadableFile:
        found = None
    return sources.ignore_rule(source, path, found)


def _item_row(source: Source, root: Path, item: Item, salt: Salt) -> dict[str, Any]:
    slug = source.card.slug
    names = ids(slug, item, salt)
    terms: Licence = item.licence or source.card.licence
    row: dict[str, Any] = {
        "id": item.id, "path": item.path, "member": item.member, "unit": None, "content_sha256": None,
        "patient_id": names.patient, "study_id": names.study, "video_id": names.video, "clip_id": names.clip,
        "label": item.label, "view": item.view, "split": item.split, "anatomy": item.anatomy or source.card.anatomy,
        "masks": json.dumps(item.masks, ensure_ascii=False) if item.masks else None,
        "spacing_mm_x": item.spacing_mm[0], "spacing_mm_y": item.spacing_mm[1],
        "licence": terms.name, "commercial_use": terms.commercial_use, "redistribution": terms.redistribution,
        "derivatives": terms.derivatives, "species": item.species or source.card.species,
        "subject": item.subject or source.card.subject,
        "raw_size": None, "raw_mtime_ns": None, "stage": None, "error": None, "message": None,
    }  # fmt: skip
    try:
        row["raw_size"], row["raw_mtime_ns"] = media.size_and_time(root / item.path)
    except OSError as error:
        row |= _failure("list", "UnreadableFile", item.path, f"{error.strerror or error}.")
    return row


def _failure(stage: str, error: str, path: str, message: str) -> dict[str, str]:
    return {"stage": stage, "error": error, "message": f"{path.rpartition('/')[2]}: {message}"}


def _previous(folder: Path) -> dict[tuple[str, str | None, int, int], str]:
    """(path, member, size, time) -> SHA-256 as the last listing had it."""
    if not (folder / "items.parquet").exists():
        return {}
    names = ["path", "member", "raw_size", "raw_mtime_ns", "content_sha256"]
    try:
        table = manifest.read(folder / "items.parquet", names)
    except CorpusError:  # damaged: then every file is hashed again
        return {}
    return {
        (row["path"], row["member"], row["raw_size"], row["raw_mtime_ns"]): row["content_sha256"]
        for row in table.to_pylist()
        if row["content_sha256"] is not None
    }


def _count_files(stats: Curated, segments: Segments, rows: list[dict[str, Any]]) -> None:
    """A file is taken when at least one frame came of it, else rejected."""
    with_frames = segments.with_frames()
    files: dict[str, bool] = {}
    for row in rows:
        if row["clip_id"] is not None:  # a folder that could not be listed is no file
            files[row["path"]] = files.get(row["path"], False) or row["unit"] in with_frames
    stats.files_taken = sum(files.values())
    stats.files_rejected = len(files) - stats.files_taken


def _printable(row: dict[str, Any]) -> dict[str, Any]:
    return {name: printable(value) if isinstance(value, str) else value for name, value in row.items()}


def curated(staging: Path, slug: str) -> Curated:
    """What the last `curate` of a source came to."""
    return Curated(**json.loads((staging / slug / "curated.json").read_text(encoding="utf-8")))
