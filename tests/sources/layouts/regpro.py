from __future__ import annotations

from pixels import pictures

from layouts import Layout
from openus.data import Reading
from openus.sample import encode

# MR and ultrasound bear the same names; labels are 4-D; sagittal slices lie along the first axis of the file.
_READING = Reading(axes=(1, 2, 0), turn="rotate-180")


def _box(path: str) -> bytes:
    """(z, y, x) with enough rows and columns for a picture along each axis."""
    return encode.nifti(pictures(path, 20, 24, 18), (0.8, 0.8, 0.8))


def _volume(split: str, n: str, mask: bool = True) -> dict[str, object]:
    fields: dict[str, object] = {"id": f"{split}/us_images/case{n}.nii.gz", "patient": n, "video": f"case{n}"}
    fields |= {"split": split, "reading": _READING}
    return fields | ({"masks": (f"{split}/us_labels/case{n}.nii.gz",)} if mask else {})


LAYOUT = Layout(
    images={
        "train/us_images/case000000.nii.gz": _volume("train", "000000"),
        "train/us_images/case000064.nii.gz": _volume("train", "000064", mask=False),
        "val/us_images/case000065.nii.gz": _volume("val", "000065", mask=False),
    },
    decoys={
        "train/us_labels/case000000.nii.gz": "mask",
        "train/mr_images/case000000.nii.gz": "MR",
        "train/mr_labels/case000000.nii.gz": "mask",
        "val/mr_images/case000065.nii.gz": "MR",
    },
    content={
        f"{split}/us_images/case{n}.nii.gz": _box
        for split, n in (("train", "000000"), ("train", "000064"), ("val", "000065"))
    },
    top_folders=("", "regPro/", "nifti_data/"),
    archives={"train.zip": ["train/"], "val.zip": ["val/"]},
    full=(73, 73),
)
