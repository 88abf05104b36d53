"""Synthetic pixels in any medium, the same for the same path: what a miniature is filled with, images and decoys."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from openus.sample import encode

Pixels = NDArray[np.uint8]

ROWS, COLUMNS, FRAMES = 72, 96, 4


def picture(name: str, rows: int = ROWS, columns: int = COLUMNS) -> Pixels:
    """Speckle over a few blobs, unlike that of any other name: (rows, columns) uint8, without a black border."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]))
    coarse = rng.uniform(0, 1, (7, 9)).astype(np.float32)
    level = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC)
    speckle = rng.rayleigh(0.25, (rows, columns))
    return np.clip(255 * np.clip(level, 0.15, 0.95) * (0.6 + speckle), 1, 255).astype(np.uint8)


def pictures(name: str, count: int = FRAMES, rows: int = ROWS, columns: int = COLUMNS) -> Pixels:
    """(count, rows, columns) uint8, no two alike."""
    return np.stack([picture(f"{name}#{k}", rows, columns) for k in range(count)])


def metaimage(volume: NDArray[np.uint8], spacing_mm: Sequence[float] = (1.0, 1.0, 1.0)) -> bytes:
    """An uncompressed .mha of (slices, rows, columns), as ITK writes it."""
    size = " ".join(map(str, volume.shape[::-1]))
    spacing = " ".join(map(str, spacing_mm))
    head = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
        f"Offset = 0 0 0\nElementSpacing = {spacing}\nDimSize = {size}\nElementType = MET_UCHAR\n"
        "ElementDataFile = LOCAL\n"
    )
    return head.encode() + volume.tobytes()


def planes_first(path: str) -> bytes:
    """A .mha whose three slices are the equal colour planes of one picture (FH-PS-AOP, PSFHS)."""
    return metaimage(np.repeat(picture(path)[None], 3, axis=0))


def tiff(path: str) -> bytes:
    """A TIFF, whatever the suffix says."""
    data = io.BytesIO()
    Image.fromarray(picture(path)).save(data, "TIFF")
    return data.getvalue()


def nifti_uncompressed(path: str) -> bytes:
    """A plain .nii of FRAMES slices."""
    import gzip

    return gzip.decompress(encode.nifti(pictures(path), (0.5, 0.5, 0.5)))


def hdf5(arrays: Mapping[str, object]) -> bytes:
    """An HDF5 file that holds these data sets."""
    import h5py

    data = io.BytesIO()
    with h5py.File(data, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
    return data.getvalue()


def _still(mode: str) -> Callable[[str], bytes]:
    def make(path: str) -> bytes:
        data = io.BytesIO()
        Image.fromarray(picture(path)).save(data, mode)
        return data.getvalue()

    return make


def _clip(container: str, codec: str) -> Callable[[str], bytes]:
    return lambda path: encode.clip(list(pictures(path)), container, codec)


_BY_SUFFIX: Mapping[str, Callable[[str], bytes]] = {
    "png": _still("PNG"),
    "jpg": _still("JPEG"),
    "jpeg": _still("JPEG"),
    "bmp": _still("BMP"),
    "tif": tiff,
    "tiff": tiff,
    "gif": lambda path: encode.gif(list(pictures(path))),
    "mp4": _clip("mp4", "libx264"),
    "mov": _clip("mov", "libx264"),
    "avi": _clip("avi", "mpeg4"),
    "mpeg": _clip("mpeg", "mpeg1video"),
    "mpg": _clip("mpeg", "mpeg1video"),
    "webm": _clip("webm", "libvpx"),
    "mha": lambda path: metaimage(pictures(path)),
    "nii.gz": lambda path: encode.nifti(pictures(path), (0.5, 0.5, 0.5)),
    "nii": nifti_uncompressed,
    "json": lambda path: json.dumps({"path": path}).encode(),
}


def medium(path: str) -> bytes | None:
    """A whole file of the kind that the suffix of `path` says; None for a suffix that is no medium's here."""
    lower = path.lower()
    suffix = "nii.gz" if lower.endswith(".nii.gz") else lower.rpartition(".")[2]
    return _BY_SUFFIX[suffix](path) if suffix in _BY_SUFFIX else None
