from __future__ import annotations

from layouts import Layout, xlsx
from openus.data import Reading

# Two clips a patient; the table lies beside the archives, and a level of no PFO is the letter o.
_D = "EchoCP_dataset"


def _clip(patient: str, state: str, level: str | None, masked: bool = True) -> tuple[str, dict[str, object]]:
    path = f"{_D}/{patient}_{state}"
    return f"{path}_image.nii.gz", {
        "id": f"{patient}_{state}_image.nii.gz",
        "patient": patient,
        "video": f"{patient}_{state}",
        "view": "A4C",
        "label": level,
        "masks": (f"{path}_label.nii.gz",) if masked else (),
        "reading": Reading(turn="rotate-180", clip=True),
    }


_CLIPS = (
    _clip("001", "r", "0"),
    _clip("001", "v", "2"),
    _clip("002", "r", "1"),
    _clip("030", "v", None, masked=False),  # in no row
)

LAYOUT = Layout(
    images=dict(_CLIPS),
    decoys={mask: "mask" for _, fields in _CLIPS for mask in fields["masks"]}  # type: ignore[attr-defined]
    | {f"{_D}/002_v_label.nii.gz": "mask", f"{_D}/001_x_image.nii.gz": "unlisted medium"},
    tables={
        "echoCP_diagnosis_label.xlsx": xlsx(
            ["Idx", "Action", "PFO level (o indicates No PFO)"],
            [1, "r", "o"],
            [1, "v", 2],
            ["002", "rest", 1],
            [3, "v", ""],
        ),
    },
    from_tables=("label",),
    separate_tables=True,
    full=(60, 30),
    archives={"EchoCP_dataset.change2zip": [f"{_D}/"]},
)
