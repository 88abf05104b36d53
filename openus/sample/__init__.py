"""A small synthetic corpus in the sources' real on-disk layouts, so that everything runs offline and in seconds.

`phantom` scans, `scenes` draws tissue, `encode` makes files, `layouts` and `archives` put them where sources and
people put them. What is planted for the pipeline's rules to find is named by `PLANTED`.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from openus.errors import UsageError
from openus.storage import atomic, write_text

MARK_FILE = "SYNTHETIC.md"
LOCAL_FOLDER = "_local"
"""Own archives lie below it: no source, so `build-shards` takes them only when named by `--local`."""
ARCHIVES = ("dicom", "volumes", "ward")

_MARK_TEXT = """\
# Synthetic pictures

Everything in this folder was made by `openus sample`: phantoms with computed speckle, no person or animal was scanned.
Names, folders and tables follow those of the published sources, so that their adapters read it; the content has
nothing to do with them, and nothing measured on it says anything about ultrasound. Running `openus sample` again
replaces this folder.
"""

_PARAMS = """\
# Synthetic: openus sample. The own archives of the sample, for `openus build-shards --params`.
local:
  dicom: {licence: CC0-1.0, commercial_use: true, redistribution: true, species: null, subject: simulation}
  ward:
    anatomy: breast
    licence: CC0-1.0
    commercial_use: true
    redistribution: true
    species: null
    subject: simulation
  volumes:
    anatomy: prostate
    licence: CC0-1.0
    commercial_use: true
    redistribution: true
    species: null
    subject: simulation
    pattern: 'case(?P<patient>\\d+)/'
"""


@dataclass(frozen=True, slots=True)
class Planted:
    """What a build of the sample must find. Paths are relative to the sample's folder."""

    exact: tuple[tuple[str, str], ...]
    """Pairs with equal pixels."""
    near: tuple[tuple[str, str], ...]
    """Pairs of which the second is the first, reduced and through JPEG."""
    leaks: tuple[tuple[str, str], ...]
    """Pairs of a pretrain picture and the held-out one that it is a copy of."""
    blank: Mapping[str, tuple[int, ...]]
    """Clip -> indices of its black frames."""
    held: Mapping[str, tuple[int, ...]]
    """Clip -> indices of frames that repeat the one before."""
    rejected: tuple[str, ...]
    """Files of own archives that pretend to be pictures or volumes and must yield none."""
    one_patient: tuple[str, ...]
    """Files of different archives that show one patient."""


_BUSI, _BUSBRA = "busi/Dataset_BUSI_with_GT", "bus-bra/BUSBRA/Images"

PLANTED = Planted(
    exact=((f"{_BUSI}/benign/benign (2).png", f"{_BUSI}/malignant/malignant (4).png"),),
    near=((f"{_BUSI}/benign/benign (3).png", f"{_BUSI}/benign/benign (6).png"),),
    leaks=(
        ("_local/ward/lecture/slide_07.jpg", f"{_BUSBRA}/bus_0003-s.png"),
        ("_local/ward/lecture/slide_08", f"{_BUSBRA}/bus_0007-s.png"),
    ),
    blank={f"blues/lus_videos/patient_{patient}_L1.mp4": (0, 1) for patient in (1, 2)},
    held={"blues/lus_videos/patient_1_R2.mp4": (1, 2, 3, 4, 5)},
    rejected=(
        "_local/dicom/DICOMDIR",
        "_local/dicom/P2/MR000001",
        "_local/dicom/P2/notes.dcm",
        "_local/volumes/case01/us_label.nii.gz",
    ),
    one_patient=("_local/dicom/P1/IM000001", "_local/dicom/P1/IM000002", "_local/ward/scan.dcm"),
)


def write(folder: Path, seed: int = 0) -> int:
    """Write the sample under `folder`; an earlier one there is replaced.

    The same seed gives the same bytes of every file on one machine and set of libraries; names do not depend on it.

    Returns:
        The number of files written.

    Raises:
        UsageError: the folder holds something that this function did not write.
        CorpusError: a file could not be written.
    """
    makers = _makers()
    parts = [folder / part for part in makers]
    for part in (folder, *parts):
        _refuse_foreign(part)
    for part in parts:
        _clear(part)
    write_text(folder / MARK_FILE, _MARK_TEXT)
    write_text(folder / LOCAL_FOLDER / "params.yaml", _PARAMS)
    written = 2
    for part, files in zip(parts, makers.values(), strict=True):
        write_text(part / MARK_FILE, _MARK_TEXT)
        written += 1
        for name, data in files(seed):
            with atomic(part / name) as file:
                file.write(data)
            written += 1
    return written


def local_options(folder: Path) -> str:
    """The part of `openus build-shards` that adds the own archives of the sample under `folder`, quoted for a shell."""
    below = folder / LOCAL_FOLDER
    options = [word for name in ARCHIVES for word in ("--local", f"{name}={below / name}")]
    return shlex.join([*options, "--params", str(below / "params.yaml")])


def _makers() -> dict[str, Callable[[int], Iterator[tuple[str, bytes]]]]:
    """Folder, relative to the sample's, -> what yields its files for a seed."""
    from openus.sample import archives, layouts

    return {
        "blues": layouts.blues,
        "bus-bra": layouts.bus_bra,
        "busi": layouts.busi,
        "hc18": layouts.hc18,
        "pocus": layouts.pocus,
        f"{LOCAL_FOLDER}/dicom": archives.dicom,
        f"{LOCAL_FOLDER}/volumes": archives.volumes,
        f"{LOCAL_FOLDER}/ward": archives.ward,
    }


def _clear(folder: Path) -> None:
    """Empty the folder of an earlier sample down to its mark, so that one killed here is still known as a sample's."""
    for child in folder.iterdir() if folder.is_dir() else ():
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child, ignore_errors=True)
        elif child.name != MARK_FILE:
            child.unlink()


def _refuse_foreign(folder: Path) -> None:
    """Raises UsageError unless the folder is absent, empty, or marked as an earlier sample's."""
    if not folder.exists() or (folder / MARK_FILE).is_file():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder.", "Name a new folder.")
    if any(folder.iterdir()):
        raise UsageError(
            f"{folder} holds files that are not a sample's (no {MARK_FILE}).", "Name a new or empty folder."
        )
