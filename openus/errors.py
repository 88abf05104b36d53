"""The error tree. Every error is one clear sentence plus a hint that says what to do next.

    OpenusError                    exit code 1: the job failed
    ├── UsageError                 exit code 2: the caller asked for something that cannot be
    │   ├── ParamsError            a parameter file that does not fit; the message names the path
    │   └── UnknownSource          a slug that names no source
    ├── CorpusError                a corpus (shards, manifest, staging) that is not whole
    ├── FetchError                 a site that does not give what it should, or will not without a person
    ├── ArchiveError               an archive that is damaged, encrypted, unsafe, or too large to unpack
    └── FileError                  one input file that yields no frame; becomes a row of rejected.parquet
        ├── DecodeError            corrupt, truncated, empty, or claiming impossible sizes
        ├── UnsupportedMedium      a format, or a flavour of it, that no decoder here reads
        ├── NotUltrasound          the file itself says that it is no ultrasound picture (MR, RF, label, tracker …)
        └── UnreadableFile         the bytes, or memory for them, were not to be had; another run may have them

Exceptions of libraries are translated into this tree where the library is called.
"""

from __future__ import annotations

from pathlib import Path


class OpenusError(Exception):
    """A job that failed: `message` says what and where, `hint` what to do next."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(OpenusError):
    """The caller asked for something that cannot be done as asked."""

    exit_code = 2


class ParamsError(UsageError):
    """A parameter file with an unknown key or a value of the wrong kind; names the path, e.g. `dedup.near`."""


class UnknownSource(UsageError):
    """A slug that names no source."""


class CorpusError(OpenusError):
    """A corpus whose shards, manifest or staging are not whole."""


class FetchError(OpenusError):
    """A download that did not come: the message says what arrived instead.

    `renewable` tells that a fresh address may help: signed ones die, and pages stand in for them.
    """

    def __init__(self, message: str, hint: str = "", *, renewable: bool = False) -> None:
        super().__init__(message, hint)
        self.renewable = renewable


class ArchiveError(OpenusError):
    """An archive that is not unpacked: damaged, encrypted, unsafe, too large for its limits or the disk.

    `damaged` is the archive whose bytes are at fault, where they are: fetched again it may be whole.
    """

    def __init__(self, message: str, hint: str = "", *, damaged: Path | None = None) -> None:
        super().__init__(message, hint)
        self.damaged = damaged


class FileError(OpenusError):
    """One input file that yields no (further) frame."""


class DecodeError(FileError):
    """The bytes are corrupt, truncated, empty, or claim an impossible size."""


class UnsupportedMedium(FileError):
    """A format, or a flavour of it, that no decoder here reads."""


class NotUltrasound(FileError):
    """The file itself says that it is not an ultrasound picture."""


class UnreadableFile(FileError):
    """The bytes, or memory for them, were not to be had (permission, input/output error, data file that is missing).

    Another run may have them.
    """
