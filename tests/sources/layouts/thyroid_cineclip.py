from __future__ import annotations

import numpy as np
from pixels import hdf5, pictures

from layouts import Layout
from openus.data import Reading

# Ids keep an underscore in both files, and so may frame numbers; rows are sorted by neither clip nor frame; a row of
# the table may be empty.
_D = "thyroidultrasoundcineclip"
_CLIPS = (b"159_", b"3_", b"159_", b"159_", b"3_", b"88_", b"88_")
_FRAMES = (2, 0, 0, 1, 1, 10, 9)


def _clip(name: str, rows: tuple[int, ...], **more: str) -> dict[str, object]:
    where = {"id": f"dataset.hdf5#{name}", "member": name, "video": name}
    return {**where, "reading": Reading(dataset="image", frames=rows), **more}


def _dataset(path: str) -> bytes:
    image = pictures(path, len(_CLIPS))
    return hdf5(
        {
            "image": image,
            "mask": np.where(image > 128, 255, 0).astype(np.uint8),
            "annot_id": np.array(_CLIPS),
            "frame_num": np.array([b"%d_" % n for n in _FRAMES]),
        }
    )


LAYOUT = Layout(
    images={
        f"{_D}/dataset.hdf5": [
            _clip("159", (2, 3, 0), label="0"),
            _clip("3", (1, 4), label="1"),
            _clip("88", (6, 5)),
        ]
    },
    tables={
        f"{_D}/metadata.csv": (
            "annot_id,age,sex,location,ti-rads_level,histopath_diagnosis\n"
            "159_,44,Female,right,4,0\n3_,61,Male,isthmus,5,1\n88_,,,,,\n"
        )
    },
    from_tables=("label",),
    content={f"{_D}/dataset.hdf5": _dataset},
)
