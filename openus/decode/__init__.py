"""One decoder per family of media, one entry: `frames`.

Every decoder yields upright pictures, (rows, columns) gray or (rows, columns, 3) RGB, uint8, row 0 nearest the probe
as the source shows it, and raises nothing but the `FileError`s of `openus.errors`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from openus.data import AS_IT_LIES, Frame, Pixels, Reading, Turn
from openus.errors import DecodeError, FileError, NotUltrasound, UnreadableFile, UnsupportedMedium
from openus.media import FAMILY, head, sniff_bytes, suffix_format
from openus.params import DecodeParams

__all__ = ["frames", "unreadable", "versions"]

MESSAGE_CHARACTERS = 400

_PASSING = (
    errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOENT, errno.EACCES,
    errno.EPERM, errno.ENOTCONN, errno.EHOSTDOWN, errno.ENODEV, errno.ENXIO,
)  # fmt: skip
"""What disks and shares that fail or go away answer."""
_OPENCV_NO_MEMORY = -4


def frames(path: Path, params: DecodeParams, reading: Reading = AS_IT_LIES) -> Iterator[Frame]:
    """The pictures of one file in their order, streamed.

    The format is what the first bytes say; the suffix is not believed. A still yields one frame with index None.
    `reading` is what the source knows of the file; its `frames`, `axes` and `dataset` count for volumes and HDF5 alone.

    Raises:
        UnreadableFile: the operating system would not give the bytes, or the memory for the pixels.
        UnsupportedMedium: a format that no decoder here reads.
        NotUltrasound: the file says itself that it is no ultrasound picture.
        DecodeError: broken bytes or impossible sizes. When a tail is lost, the frames before it come first.
    """
    first = head(path)
    kind = sniff_bytes(first, path.name)
    if not first:
        raise DecodeError(f"{path.name} is empty (0 bytes).", "Fetch or copy it again.")
    if kind is None:
        pretended = suffix_format(path.name)
        claim = f"pretends to be {pretended} but its first bytes are not" if pretended else "is no known medium"
        raise UnsupportedMedium(f"{path.name} {claim}.", "Check that it was downloaded whole and is what it says.")
    try:
        for frame in _dispatch(path, kind, params, reading):
            yield replace(frame, pixels=_upright(frame.pixels, reading.turn)) if reading.turn else frame
    except FileError as error:
        if passing := unreadable(path, error):
            raise passing from error
        if (plain := _plain(error.message)) != error.message:
            raise type(error)(plain, error.hint) from error
        raise
    except Exception as error:  # the border: whatever a library throws at broken bytes is one file's failure
        if passing := unreadable(path, error):
            raise passing from error
        # What a DICOM library says may quote the header, and with it the patient.
        words = "" if kind == "dicom" else f": {error}".rstrip(".")
        message = f"{path.name} does not decode ({type(error).__name__}{words})."
        raise DecodeError(_plain(message), "The file is probably damaged.") from error


def unreadable(path: Path, error: BaseException) -> UnreadableFile | None:
    """What to raise in place of `error` where it, or a cause of it, is the machine's fault and not the file's.

    That is: no memory, or a disk that fails. Another run may not meet it.
    """
    import av
    import cv2

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or (isinstance(cause, cv2.error) and cause.code == _OPENCV_NO_MEMORY):
            return UnreadableFile(f"{path.name}: too large for this machine's memory.", "Lower decode.max_pixels.")
        of_ffmpeg = isinstance(cause, av.FFmpegError)  # which calls damaged bytes an input/output error too
        if isinstance(cause, OSError) and cause.errno in _PASSING and not of_ffmpeg:
            return UnreadableFile(f"{path.name}: {cause.strerror}.", "Look at the disk, and run it again.")
        cause = cause.__cause__
    return None


def _plain(message: str) -> str:
    """One line of printable words, of bounded length: bytes of a broken file may have got into it."""
    line = "".join(c if c.isprintable() else " " for c in message)
    return line if len(line) <= MESSAGE_CHARACTERS else line[:MESSAGE_CHARACTERS] + " …"


def _upright(pixels: Pixels, turn: Turn) -> Pixels:
    rows = slice(None, None, None if turn == "flip-left-right" else -1)
    columns = slice(None, None, None if turn == "flip-top-bottom" else -1)
    return np.ascontiguousarray(pixels[rows, columns])


def _dispatch(path: Path, kind: str, params: DecodeParams, reading: Reading) -> Iterator[Frame]:
    """The frames of a file whose format is known. Imports only the decoder that is needed."""
    family = FAMILY.get(kind)
    if kind == "dicomdir":
        raise NotUltrasound(f"{path.name} is a DICOMDIR: it names other files and holds no picture.")
    if family == "image":
        from openus.decode import image

        return image.frames(path, kind, params)
    if family == "dicom":
        from openus.decode import dicom

        return dicom.frames(path, params)
    if family == "volume":
        from openus.decode import volume

        return volume.frames(path, kind, params, reading)
    if family == "video":
        from openus.decode import video

        return video.frames(path, kind, params)
    if kind == "hdf5" and reading.dataset is not None:
        from openus.decode import array

        return array.frames(path, params, reading.dataset, reading.frames)
    raise UnsupportedMedium(
        f"{path.name} is {kind}: its members have no common layout.", "Write an adapter that names the members."
    )


def versions() -> dict[str, str]:
    """Versions of the libraries whose change may change decoded bytes, by name."""
    from importlib import metadata

    import av

    names = (
        "numpy", "h5py", "opencv-python-headless", "pillow", "pydicom", "pylibjpeg-openjpeg", "pylibjpeg-rle",
        "pyjpegls", "nibabel", "av",
    )  # fmt: skip
    found = {name: metadata.version(name) for name in names}
    libav = {name: ".".join(map(str, number)) for name, number in sorted(av.library_versions.items())}
    return {**found, "ffmpeg": str(av.ffmpeg_version_info), **libav}
