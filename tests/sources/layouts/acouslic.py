from __future__ import annotations

import numpy as np
from pixels import metaimage, pictures

from layouts import Layout
from openus.data import Reading

# Six sweeps of 140 frames on one axis; several files of one subject; masks under the same names.
_A, _B = "0d0a3298-a9c6-43c3-a9e3-df3a9c0afa06", "9badcfbd-937a-4614-bbce-2b74f176b805"
_C = "02d3a9bc-63e2-4deb-9dc1-dba17e7d54c1"
_I, _M = "images/stacked_fetal_ultrasound", "masks/stacked_fetal_abdomen"


def _sweeps(uuid: str, **more: object) -> list[dict[str, object]]:
    return [
        {
            "id": f"{_I}/{uuid}.mha#sweep-{k}",
            "member": f"sweep-{k}",
            "study": uuid,
            "video": f"{uuid}-{k}",
            "view": f"{'transverse' if k < 4 else 'longitudinal'} sweep {k}",
            "reading": Reading(frames=tuple(range(140 * (k - 1), 140 * k)), clip=True),
            **more,
        }
        for k in range(1, 7)
    ]


def _stack(path: str) -> bytes:
    """840 small frames, black but for the first two of each sweep: so many are cheap."""
    frames = np.zeros((840, 32, 40), np.uint8)
    for sweep in range(6):
        frames[140 * sweep : 140 * sweep + 2] = pictures(f"{path}#{sweep}", 2, 32, 40)
    return metaimage(frames, (0.28, 0.28, 0.28))


LAYOUT = Layout(
    images={
        f"{_I}/{_A}.mha": _sweeps(_A, patient="17", masks=(f"{_M}/{_A}.mha",)),
        f"{_I}/{_B}.mha": _sweeps(_B, patient="17"),
        f"{_I}/{_C}.mha": _sweeps(_C),
    },
    decoys={f"{_M}/{_A}.mha": "mask"},
    tables={
        "circumferences/fetal_abdominal_circumferences_per_sweep.csv": (
            "uuid,subject_id,"
            + ",".join(f"sweep_{k}_ac_mm" for k in range(1, 7))
            + f"\n{_A},17,,181.2,,,190.0,\n{_B},17,,,,,,\n"
        )
    },
    from_tables=("patient",),
    content={f"{_I}/{uuid}.mha": _stack for uuid in (_A, _B, _C)},
    top_folders=("", "acouslic-ai-train-set/", "twice/twice/"),
    archives={"acouslic-ai-train-set.zip": [""]},
    full=(1800, None),
)
