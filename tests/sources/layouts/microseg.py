from __future__ import annotations

from layouts import Layout
from openus.data import Reading

# Numbers begin again in test; non_expert_annotations contains expert_annotations; names of masks are others.
_D = "Micro_Ultrasound_Prostate_Segmentation_Dataset"
_TURNED = Reading(turn="flip-top-bottom")


def _volume(split: str, n: str, mask: bool = True) -> dict[str, object]:
    fields: dict[str, object] = {
        "id": f"{split}/micro_ultrasound_scans/microUS_{split}_{n}.nii.gz",
        "patient": f"{split}_{n}",
        "video": f"{split}_{n}",
        "split": split,
        "reading": _TURNED,
    }
    return fields | (
        {"masks": (f"{_D}/{split}/expert_annotations/expert_annotation_{split}_{n}.nii.gz",)} if mask else {}
    )


LAYOUT = Layout(
    images={
        f"{_D}/train/micro_ultrasound_scans/microUS_train_01.nii.gz": _volume("train", "01"),
        f"{_D}/train/micro_ultrasound_scans/microUS_train_55.nii.gz": _volume("train", "55", mask=False),
        f"{_D}/test/micro_ultrasound_scans/microUS_test_01.nii.gz": _volume("test", "01"),
    },
    decoys={
        f"{_D}/train/expert_annotations/expert_annotation_train_01.nii.gz": "mask",
        f"{_D}/train/non_expert_annotations/nonexpert_annotation_train_01.nii.gz": "mask",
        f"{_D}/train/non_expert_annotations/nonexpert_annotation_train_55.nii.gz": "mask",
        f"{_D}/test/expert_annotations/expert_annotation_test_01.nii.gz": "mask",
        f"{_D}/test/clinician_annotations/clinician_annotation_test_01.nii.gz": "mask",
        f"{_D}/test/medical_student_annotations/a_test_01.nii.gz": "mask",
        f"{_D}/test/master_student_annotations/a_test_01.nii.gz": "mask",
    },
    archives={f"{_D}.zip": [f"{_D}/"]},
    full=(75, 75),
)
