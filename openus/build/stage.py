"""The work on one file, done in a worker process: decode once, normalise, fingerprint, select, encode."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openus import anatomy, decode, media, normalise
from openus.build.identity import Salt, header_ids
from openus.build.staging import unit_key
from openus.data import AS_IT_LIES, Frame, Header, Reading
from openus.dedup import fingerprint
from openus.dedup.select import Selector
from openus.errors import FileError, UnreadableFile
from openus.params import Params
from openus.pictures import pictures
from openus.shards.read import decoded
from openus.storage import printable


@dataclass(frozen=True, slots=True)
class Task:
    """One file of a source, with everything that its result depends on."""

    root: Path
    path: str
    member: str | None
    params: Params
    params_digest: str
    salt: Salt
    every_frame: bool
    """Encode all frames of a clip, also those that selection would drop (held-out sources)."""
    reading: Reading = AS_IT_LIES
    content_sha256: str | None = None
    """Of the file, where it is known already: of a file of many items it is computed once."""
    staged: tuple[str, ...] = ()
    """Units of this file that staging holds already."""


@dataclass(slots=True)
class Done:
    """What became of a task. `rows` is empty when the unit was staged already or the failure is transient."""

    unit: str | None
    content_sha256: str | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    pictures: list[bytes | None] = field(default_factory=list)
    failure: tuple[str, str, str] | None = None
    """(stage, error, message) of a failure that another run may not meet: it is not staged."""


def stage_file(task: Task) -> Done:
    """Rows and encoded pictures of one file. Never raises for what is wrong with the file: that becomes a row."""
    path = task.root / task.path
    try:
        content_sha256 = task.content_sha256 or media.content_sha256(path)
        unit = unit_key(task.path, task.member, content_sha256, task.params_digest)
        if unit in task.staged:
            return Done(unit, content_sha256)
        result = Done(unit, content_sha256)
        _fill(result, path, task)
        return result
    except UnreadableFile as error:
        return Done(None, failure=("decode", type(error).__name__, str(error)))
    except (OSError, MemoryError) as error:
        what = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Done(None, failure=("decode", type(error).__name__, f"{path.name}: {what}."))


def _fill(result: Done, path: Path, task: Task) -> None:
    """Decode `path` into `result`; a file error becomes its last row, at the first frame that did not come."""
    medium = media.sniff(path)
    selector = Selector(task.params.select)
    header, named = Header(), _header_columns(Header(), task.salt)
    try:
        frames = pictures(path, task.params.decode, task.params.normalise, task.reading)
        for position, (frame, normalised) in enumerate(frames):
            if frame.header != header:
                header, named = frame.header, _header_columns(frame.header, task.salt)
            row = _row(result, position, frame, normalised, medium) | named
            thumb = fingerprint.thumbnail(normalised.pixels)
            usable = normalised.quality is None
            if usable and frame.index is not None:
                usable = selector.offer(position, thumb) == "keep"
            picture = None
            if usable or task.every_frame:
                picture, row["extension"] = normalise.encode(normalised.pixels, task.params.normalise)
                # What is stored is what the gate will compare: of a pair at the verdict it must not think otherwise.
                stored = decoded(picture)
                assert stored is not None, "it was encoded just now"
                thumb = fingerprint.thumbnail(stored)
            row |= {"phash": f"{fingerprint.phash(thumb):016x}", "thumb": thumb.tobytes(), "selection": "keep"}
            result.rows.append(row)
            result.pictures.append(picture)
            _let_go(result, selector.released(), task.every_frame)
    except (OSError, UnreadableFile):
        raise
    except FileError as error:
        _reject(result, task, type(error).__name__, str(error))
    except Exception as error:  # a library's own surprise must cost this file alone, and show
        if passing := decode.unreadable(path, error):
            raise passing from error
        _reject(result, task, type(error).__name__, f"{path.name}: {error or 'no reason given'}.")
    if not result.rows:
        _reject(result, task, "DecodeError", f"{path.name} holds no picture.")
    verdicts = selector.finish()
    for position, verdict in verdicts.items():
        result.rows[position] |= {"selection": verdict.choice, "repeats": verdict.repeats}
    _let_go(result, [p for p, verdict in verdicts.items() if verdict.choice != "keep"], task.every_frame)


def _let_go(result: Done, positions: list[int], every_frame: bool) -> None:
    """Forget encoded pictures that nobody will use."""
    if not every_frame:
        for position in positions:
            result.pictures[position], result.rows[position]["extension"] = None, None


def _header_columns(header: Header, salt: Salt) -> dict[str, Any]:
    """The staged columns that a file's header fills; the header itself goes no further."""
    patient, study = header_ids(header, salt)
    return {
        "header_patient": patient,
        "header_study": study,
        "body_part": anatomy.from_body_part(header.body_part),
        "carries": header.carries,
    }


def _row(result: Done, position: int, frame: Frame, normalised: Frame, medium: str | None) -> dict[str, Any]:
    """The staged columns of a frame that do not depend on its header, selection and encoding."""
    crop = normalised.crop
    assert crop is not None
    pixels = normalised.pixels
    return {
        "unit": result.unit,
        "position": position,
        "frame_index": frame.index,
        "medium": medium,
        "orig_width": frame.pixels.shape[1],
        "orig_height": frame.pixels.shape[0],
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "channels": 1 if pixels.ndim == 2 else 3,
        "crop_x": crop.x,
        "crop_y": crop.y,
        "crop_w": crop.w,
        "crop_h": crop.h,
        "sector_kind": normalised.sector_kind,
        "has_text": normalised.has_text,
        "quality": normalised.quality,
        "spacing_mm_x": frame.spacing_mm[0],
        "spacing_mm_y": frame.spacing_mm[1],
        "pixel_sha256": fingerprint.pixel_sha256(frame.pixels),
    }


def _reject(result: Done, task: Task, error: str, message: str) -> None:
    """Add the row that says what did not come; its frame_index is the first missing one, null when none came."""
    message = printable(message)
    missing: int | None = len(result.rows) or None
    if missing is not None and task.reading.frames is not None:
        missing = task.reading.frames[missing] if missing < len(task.reading.frames) else None
    result.rows.append(
        {"unit": result.unit, "frame_index": missing, "stage": "decode"} | {"error": error, "message": message}
    )
    result.pictures.append(None)
