from __future__ import annotations

from layouts import Layout
from openus.data import Reading

# Numbers begin again in every folder, one folder writes patient1 without a dash, `normal` and `patient` share numbers.
_D = "cardiacUDC_dataset"
_TURNED = Reading(turn="rotate-180", clip=True)


def _clip(folder: str, name: str, label: str | None = None, masked: bool = True) -> tuple[str, dict[str, object]]:
    path = f"{_D}/{folder}/{name}"
    return f"{path}_image.nii.gz", {
        "id": f"{folder}/{name}_image.nii.gz",
        "patient": f"{folder}/{name}".removesuffix("-4"),
        "video": f"{folder}/{name}",
        "label": label,
        "view": "A4C",
        "masks": (f"{path}_label.nii.gz",) if masked else (),
        "reading": _TURNED,
    }


_CLIPS = (
    _clip("Site_G_20", "patient-1-4"),
    _clip("Site_G_29", "patient-1-4"),
    _clip("Site_G_100", "patient1-4"),  # no dash
    _clip("Site_G_100", "patient-2-4"),  # one list prints a dash here too
    _clip("Site_R_52", "patient-1-4"),
    _clip("Site_R_73", "patient-53-4", masked=False),  # a folder without masks
    _clip("Site_R_126", "patient-2-4", "patient"),
    _clip("Site_R_126", "normal-2-4", "normal"),  # another person than patient-2
    _clip("label_all_frame", "normal-23-4", "normal"),
    _clip("label_all_frame", "patient-5-4", "patient"),
)

LAYOUT = Layout(
    images=dict(_CLIPS),
    decoys={mask: "mask" for _, fields in _CLIPS for mask in fields["masks"]}  # type: ignore[attr-defined]
    | {
        f"{_D}/Site_R_52/patient-9-4_label.nii.gz": "mask",
        f"{_D}/Site_R_52/patient-1-4.nii.gz": "unlisted medium",
        f"{_D}/label_all_frame/readme.txt": "document",
    },
    full=(364, None),
    archives={"cardiacUDC_dataset.change2zip": [f"{_D}/"]},
)
