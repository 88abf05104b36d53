from __future__ import annotations

import json

from layouts import Layout

# Numbers begin again in test; masks are JPEG beside the images; tables have no header. The RAR parts of the repository
# hold test-image/ and test-mask/ without the folder tn3k/, and each is unpacked into a folder of its own.
_T = "Thyroid Dataset/tn3k"


def _image(part: str, n: str, label: str | None = None, mask: bool = True) -> dict[str, object]:
    fields: dict[str, object] = {"id": f"{part}-image/{n}.jpg", "split": part}
    if label:
        fields["label"] = label
    if mask:
        fields["masks"] = (f"{_T}/{part}-mask/{n}.jpg",)
    return fields


LAYOUT = Layout(
    images={
        f"{_T}/trainval-image/0000.jpg": _image("trainval", "0000", "malignant"),
        f"{_T}/trainval-image/2878.jpg": _image("trainval", "2878", mask=False),
        f"{_T}/test-image/0000.jpg": _image("test", "0000", "benign"),
        "test-image/0613.jpg": {"id": "test-image/0613.jpg", "split": "test", "masks": ("test-mask/0613.jpg",)},
    },
    decoys={
        f"{_T}/trainval-mask/0000.jpg": "mask",
        f"{_T}/test-mask/0000.jpg": "mask",
        "test-mask/0613.jpg": "mask",
        "Thyroid Dataset/tg3k/thyroid-image/0000.jpg": "other part of the archive",
        "Thyroid Dataset/tg3k/thyroid-mask/0000.jpg": "other part of the archive",
        "Thyroid Dataset/DDTI dataset/DDTI/1_or_data/image/0000.PNG": "other part of the archive",
    },
    tables={
        f"{_T}/label4trainval.csv": "0000.jpg,1\n0001.jpg,0\n",
        f"{_T}/label4test.csv": "0000.jpg,0\n",
        f"{_T}/tn3k-trainval.json": json.dumps({"train": [0], "val": [2878]}),
        f"{_T}/tn3k-trainval-fold0.json": json.dumps({"train": [2878], "val": [0]}),
    },
    from_tables=("label",),
    archives={
        "Thyroid Dataset.zip": ["Thyroid Dataset/"],
        "test-image.part1.rar": ["test-image/"],
        "test-mask.rar": ["test-mask/"],
    },
    full=(3493, None),
)
