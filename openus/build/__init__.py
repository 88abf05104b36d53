"""build: the order of the passes, and the sums that must add up.

    curate(source)  raw files → staging/<source>/     each frame decoded once, resumable      curate.py, stage.py
    decide(staging) tables → one verdict per frame    no pixels but thumbnails                decide.py
    pack(decisions) staged bytes → OUT                bytes copied, seeded shuffle            pack.py

`openus build-shards` calls `build`; the DVC pipeline calls the three passes one by one.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from openus import __version__, sources
from openus.build.curate import Curated, curate, curated, role_of
from openus.build.decide import Decisions, decide
from openus.build.identity import Salt, salt_from
from openus.build.pack import Packed, claim, pack
from openus.build.staging import locked
from openus.data import Progress, silent
from openus.dedup.adjudicate import adjudications
from openus.engine import RunTasks
from openus.errors import CorpusError, ParamsError, UsageError
from openus.params import LocalParams, Params, to_mapping
from openus.relations import is_own, own_slug
from openus.sources import Source, local
from openus.storage import sweep, write_text

__all__ = [
    "Chosen", "Curated", "Decisions", "Packed", "Salt", "build", "choose", "claim", "curate", "curated", "decide",
    "pack", "salt_from", "write_summary",
]  # fmt: skip

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A source and the folder where its raw files lie."""

    source: Source
    folder: Path


def choose(root: Path | None, slugs: Sequence[str], own: Mapping[str, Path], parameters: Params) -> list[Chosen]:
    """Which sources a build takes. Warns of folders below `root` that name no source, and of other likely slips.

    Args:
        root: holds a folder `<slug>/` for each downloaded source; None when only own archives are built.
        slugs: sources named by the caller; empty for every source found under `root`.
        own: name -> folder of a person's own archives.
        parameters: `parameters.local[name]` describes an own archive; without a block the defaults do.

    Raises:
        UnknownSource: a slug that names nothing.
        UsageError: a folder that is not there, or none at all.
        ParamsError: `held_out` names what cannot be held out.
    """
    chosen: list[Chosen] = []
    unknown: list[str] = []
    known = sources.slugs()
    if root is None and not own:
        raise UsageError("There is nothing to build from.", "Name a folder with --root or --local NAME=PATH.")
    if root is not None and not _is_folder(root):
        raise UsageError(f"There is no folder {root}.", "Name the folder that holds <slug>/ with --root.")
    if root is None and slugs:
        raise UsageError("A source needs --root.", "Name the folder that holds <slug>/.")
    if slugs:
        for slug in dict.fromkeys(slugs):
            source = sources.load(slug)
            folder = (root or Path()) / slug
            if not _is_folder(folder):
                raise CorpusError(f"{slug}: there is no folder {folder}.", f"`openus info {slug}` says how to get it.")
            chosen.append(Chosen(source, folder))
    elif root is not None:
        for folder in sorted(path for path in root.iterdir() if path.is_dir()):
            if folder.name in known:
                chosen.append(Chosen(sources.load(folder.name), folder))
            elif not folder.name.startswith((".", "_")) and not _is_ours(folder):
                unknown.append(folder.name)
    for name, folder in own.items():
        if not _is_folder(folder):
            raise UsageError(f"--local {name}: there is no folder {folder}.", "Name a folder.")
        chosen.append(Chosen(local.source(name, parameters.local.get(name) or LocalParams()), folder))
    for where, slugs_named in (("held_out", parameters.held_out or ()), ("sources", parameters.sources)):
        for slug in slugs_named:
            if slug not in known and not is_own(slug):
                raise ParamsError(f"{where}: there is no source {slug!r}.", "`openus list` shows all.")
    for slug in sorted(set(filter(is_own, parameters.held_out or ())) - set(map(own_slug, own))):
        log.warning("held_out names %s, but no --local does: nothing of it is held out.", slug)
    if not chosen:
        raise UsageError(f"{root} holds no folder named after a source.", "`openus list` shows the names.")
    for name in unknown:
        log.warning("%s/%s names no source and is left out (yours? --local NAME=PATH).", root, name)
    for name in own:
        if name not in parameters.local:
            log.warning("no block `local.%s` in the parameters: the defaults describe it.", name)
    for one in chosen:
        if one.source.card.role == "held-out" and role_of(one.source, parameters) == "pretrain":
            log.warning("%s is trained on: `held_out` in the parameters does not name it.", one.source.card.slug)
    return chosen


def _is_ours(folder: Path) -> bool:
    """True for what a build has written: a corpus, or its staging folder."""
    corpus = folder.with_name(folder.name.removesuffix(".staging"))
    return (corpus / "build.json").is_file()


def _is_folder(path: Path) -> bool:
    """True for a folder that can be seen."""
    try:
        return path.is_dir()
    except OSError:
        return False


def build(
    chosen: Sequence[Chosen],
    out: Path,
    staging: Path,
    parameters: Params,
    *,
    salt: Salt,
    workers: AbstractContextManager[RunTasks],
    adjudicated: Path | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """The whole way from raw folders to a corpus in `out`; returns what build.json holds.

    `out` holds exactly the `chosen` sources afterwards. Killed at any moment and run again, it goes on where it was
    and ends with the same bytes.
    """
    if salt.is_default and any(is_own(one.source.card.slug) for one in chosen):
        log.warning(
            "patients of your archives are hashed under the public default key; set OPENUS_SALT to a secret of your "
            "own before you pass anything on."
        )
    _apart(out, staging, [one.folder for one in chosen])
    claim(out)
    verdicts = adjudications(adjudicated) if adjudicated else None
    with locked(out), locked(staging):
        stages: dict[str, Any] = {}
        with _timed(stages, "curate"), workers as run:
            stats = [
                curate(one.source, one.folder, staging, parameters, salt=salt, run=run, progress=progress)
                for one in chosen
            ]
        stages["curate"] |= {
            "decoded_files": sum(one.decoded_files for one in stats),
            "decoded_frames": sum(one.decoded_frames for one in stats),
            "reused_files": sum(one.reused_files for one in stats),
        }
        with _timed(stages, "decide"):
            decisions = decide([one.source for one in chosen], staging, parameters, verdicts, progress)
        with _timed(stages, "pack"):
            packed = pack(decisions, staging, out, parameters.seed, parameters.shards, progress)
        stages["pack"] |= asdict(packed)
        return write_summary(out, decisions.sources, parameters, salt, stages)


def _apart(out: Path, staging: Path, raw: Sequence[Path]) -> None:
    """Raise UsageError when what a build writes would lie in what it reads, or in what it replaces."""
    out, staging = out.resolve(), staging.resolve()
    if staging == out or out in staging.parents:
        raise UsageError(f"The staging folder {staging} lies in the corpus folder.", "Name one beside it.")
    for folder in (one.resolve() for one in raw):
        for written in (out, staging):
            if written == folder or folder in written.parents:
                raise UsageError(f"{written} lies in the raw folder {folder}.", "Write the corpus elsewhere.")
            if written in folder.parents:
                raise UsageError(f"The raw folder {folder} lies in {written}.", "Write the corpus elsewhere.")


@contextlib.contextmanager
def _timed(stages: dict[str, Any], name: str) -> Iterator[None]:
    """Note wall and CPU seconds (of this process and of workers that ended) of the block as `stages[name]`."""
    began, before = time.monotonic(), os.times()
    yield
    after = os.times()
    spent = sum(after[:4]) - sum(before[:4])
    stages[name] = {"wall_s": round(time.monotonic() - began, 3), "cpu_s": round(spent, 3)}


def write_summary(
    out: Path, counts: Mapping[str, Any], parameters: Params, salt: Salt, stages: Mapping[str, Any]
) -> dict[str, Any]:
    """Write `out/build.json` and return what it holds. Raises CorpusError when the sums do not add up."""
    from openus import decode

    for slug, count in counts.items():
        if count["seen"] != count["kept"] + sum(count["dropped"].values()) + count["rejected"]:
            raise CorpusError(f"{slug}: the counts do not add up: {count}.", "This is a fault of openus; report it.")
    restricted = [slug for slug, count in counts.items() if count["local_only"]]
    if restricted:
        log.warning(
            "%s: the terms of %s forbid passing on what is made of them: use it where it was built.",
            out, ", ".join(restricted),
        )  # fmt: skip
    unknown = [slug for slug, count in counts.items() if count["terms_unknown"]]
    if unknown:
        log.warning("%s: whether what is made of %s may be passed on is not known.", out, ", ".join(unknown))
    shown = to_mapping(parameters)
    shown["local"] = {name: block for name, block in shown["local"].items() if own_slug(name) in counts}
    value = {
        "version": __version__,
        "seed": parameters.seed,
        "params": shown,
        "salt": salt.fingerprint,
        "salt_is_default": salt.is_default,
        "libraries": decode.versions(),
        "local_use_only": restricted,
        "terms_unknown": unknown,
        "sources": dict(counts),
        "stages": dict(stages),
    }
    sweep(out, "build.json.*")
    write_text(out / "build.json", json.dumps(value, indent=1, ensure_ascii=False) + "\n")
    return value
