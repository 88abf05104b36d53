from __future__ import annotations

from layouts import Layout
from openus.data import Reading

# MR of the same volunteers in a zip of its own; labels beside the volumes without _US; slices turned by 180 degrees.
_U = "US_volunteer_dataset/ground_truth_data"
_TURNED = Reading(turn="rotate-180")


def _volume(patient: str, study: str, side: str, mask: bool = True) -> dict[str, object]:
    stem = f"{patient}_{study}_{side}"
    fields: dict[str, object] = {"id": f"ground_truth_data/US/{stem}_US.nii", "patient": patient, "view": side}
    fields |= {"study": f"{patient}_{study}", "video": f"{stem}_US", "reading": _TURNED}
    return fields | ({"masks": (f"{_U}/US_thyroid_label/{stem}.nii",)} if mask else {})


LAYOUT = Layout(
    images={
        f"{_U}/US/001_P1_1_left_US.nii": _volume("001", "P1_1", "left"),
        f"{_U}/US/001_P1_1_right_US.nii": _volume("001", "P1_1", "right"),
        f"{_U}/US/001_P2_2_left_US.nii": _volume("001", "P2_2", "left", mask=False),
        f"{_U}/US/014_P1_1_left_US.nii": _volume("014", "P1_1", "left", mask=False),
    },
    decoys={
        f"{_U}/US_thyroid_label/001_P1_1_left.nii": "mask",
        f"{_U}/US_thyroid_label/001_P1_1_right.nii": "mask",
        "MRI_volunteer_dataset/MRI/001_MRI.nii.gz": "MR",
        "MRI_volunteer_dataset/MRI_thyroid_label/005_MRI_thyroid_label.nii.gz": "MR",
        "MRI_volunteer_dataset/MRI_thyroid+jugular+carotid_label/001_label.nii.gz": "MR",
    },
    archives={"US_data.zip": ["US_volunteer_dataset/"], "MRI_data.zip": ["MRI_volunteer_dataset/"]},
)
