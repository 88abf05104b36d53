"""Whatever bytes come, `frames` ends, and raises nothing but a FileError."""

from __future__ import annotations

import errno
import functools
import os
import tempfile
from pathlib import Path
from typing import NoReturn

import av
import cv2
import numpy as np
import phantom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openus.build.identity import DEFAULT
from openus.build.stage import Task, stage_file
from openus.decode import frames
from openus.errors import DecodeError, FileError, UnreadableFile, UnsupportedMedium
from openus.params import DecodeParams, Params

PARAMS = DecodeParams(max_pixels=1_000_000, max_frames=200)
FORMATS = {**phantom.STILLS, **{f"clip-{name}": write for name, write in phantom.CLIPS.items() if name != "c.mhd"}}


@functools.cache
def valid(name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        pictures = phantom.clip(5) if name.startswith("clip-") else [phantom.letter_f()]
        return FORMATS[name](Path(folder) / name, pictures).read_bytes()


def drain(path: Path) -> int:
    """Frames that came; only a FileError may end them early."""
    count = 0
    try:
        for frame in frames(path, PARAMS):
            assert frame.pixels.dtype == "uint8" and frame.pixels.ndim in (2, 3)
            count += 1
    except FileError as error:
        assert str(path.parent) not in error.message and "\n" not in error.message.strip()
    return count


@pytest.mark.parametrize("name", sorted(FORMATS))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(data=st.data())
def test_cuts_and_flipped_bits_raise_nothing_but_file_errors(tmp_path: Path, name: str, data: st.DataObject) -> None:
    whole = bytearray(valid(name))
    if data.draw(st.booleans(), label="cut"):
        whole = whole[: data.draw(st.integers(0, len(whole) - 1), label="length")]
    else:
        head = data.draw(st.booleans(), label="in the header")
        for _ in range(data.draw(st.integers(1, 4), label="flips")):
            at = data.draw(st.integers(0, min(len(whole), 600 if head else len(whole)) - 1), label="at")
            whole[at] ^= 1 << data.draw(st.integers(0, 7), label="bit")
    path = tmp_path / name
    path.write_bytes(bytes(whole))
    assert drain(path) <= PARAMS.max_frames


@pytest.mark.parametrize(
    "name", ["a.dcm", "a.png", "a.jpg", "a.mp4", "a.nii", "a.nii.gz", "a.mha", "a.avi", "a.gif", "a"]
)
def test_empty_files_and_text_in_disguise(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"")
    with pytest.raises(DecodeError, match="empty"):
        list(frames(path, PARAMS))
    path.write_text("Dear reader,\n\nthis is no picture at all.\n" * 20)
    with pytest.raises(UnsupportedMedium):
        list(frames(path, PARAMS))
    path.write_bytes(b"\x1f\x8b\x08\0 not gzip at all")
    with pytest.raises(UnsupportedMedium):
        list(frames(path, PARAMS))


def test_a_wrong_suffix_is_not_believed(tmp_path: Path) -> None:
    for name, other in (("f.png", "f.dcm"), ("f.dcm", "f.png"), ("f.nii.gz", "f.mp4"), ("f.mha", "f.jpg")):
        phantom.STILLS[name](tmp_path / name, [phantom.letter_f()]).rename(tmp_path / f"other-{other}")
        assert drain(tmp_path / f"other-{other}") == 1
    phantom.CLIPS["c.mp4"](tmp_path / "c.mp4", phantom.clip(5)).rename(tmp_path / "c.avi")
    assert drain(tmp_path / "c.avi") == 5


def test_unreadable_and_absent_files(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile):
        list(frames(tmp_path / "absent.png", PARAMS))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UnreadableFile):
        list(frames(tmp_path / "folder.png", PARAMS))
    if os.geteuid() != 0:
        path = phantom.write_image(tmp_path / "f.png", [phantom.letter_f()])
        path.chmod(0)
        with pytest.raises(UnreadableFile):
            list(frames(path, PARAMS))


def a_failure(error: Exception, cause: Exception | None = None) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "memory"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (a_failure(DecodeError("f.png is cut."), OSError(errno.ESTALE, "Stale file handle")), "Stale"),
        (OSError("image file is truncated"), ""),
        (av.error.OSError(errno.EIO, "Input/output error"), ""),  # as FFmpeg calls damaged bytes
    ],
)
def test_what_is_the_machines_fault_is_not_laid_on_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def failing(*_: object) -> NoReturn:
        raise error

    path = phantom.write_image(tmp_path / "f.png", [phantom.letter_f()])
    monkeypatch.setattr("openus.decode._dispatch", failing)
    with pytest.raises(UnreadableFile if said else DecodeError, match=said or "does not decode"):
        list(frames(path, PARAMS))
    staged = stage_file(Task(tmp_path, "f.png", None, Params(), "", DEFAULT, False))
    assert (staged.failure is not None, bool(staged.rows)) == (bool(said), not said)


def test_an_allocation_that_opencv_does_not_get_is_the_machines_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = phantom.write_image(tmp_path / "f.png", [phantom.letter_f()])
    small = np.zeros((9, 9), np.uint8)
    monkeypatch.setattr("openus.decode._dispatch", lambda *_: cv2.copyMakeBorder(small, *[2**30 - 9] * 4, 0))
    with pytest.raises(UnreadableFile, match="memory"):
        list(frames(path, PARAMS))


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_odd_names_are_fine_everywhere(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "Übung 3 (µ) #1 %s"
    folder.mkdir()
    suffix = name.removeprefix("clip-").split(".", 1)[1]
    path = folder / f"naïve clip+1 [é] 图.{suffix}"
    path.write_bytes(valid(name))
    assert drain(path) == (5 if name.startswith("clip-") else 1)


def test_what_is_said_of_a_file_is_one_bounded_line_of_printable_words(tmp_path: Path) -> None:
    path = tmp_path / "a\nb\x1b[31m.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DecodeError) as error:
        list(frames(path, PARAMS))
    assert error.value.message.isprintable() and "a b" in error.value.message


def test_a_stopped_reader_lets_go_of_the_file(tmp_path: Path) -> None:
    for name in ("c.mp4", "c.dcm", "c.mha", "c.tif"):
        path = phantom.CLIPS[name](tmp_path / name, phantom.clip(5))
        stream = frames(path, PARAMS)
        next(stream)
        stream.close()  # type: ignore[attr-defined]
    assert not [link for link in Path("/proc/self/fd").iterdir() if str(tmp_path) in os.path.realpath(link)]
