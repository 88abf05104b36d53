from __future__ import annotations

import json

from layouts import Layout

# A blank in the folder's name; a zip within the zip that holds every picture three times; numbers that begin again.
_T = "Thyroid Dataset"
_D = f"{_T}/DDTI dataset/DDTI"

LAYOUT = Layout(
    images={
        f"{_T}/tn3k/trainval-image/0000.jpg": {
            "id": "trainval-image/0000.jpg",
            "split": "trainval",
            "label": "benign",
            "masks": (f"{_T}/tn3k/trainval-mask/0000.jpg",),
        },
        f"{_T}/tn3k/test-image/0000.jpg": {
            "id": "test-image/0000.jpg",
            "split": "test",
            "label": "malignant",
            "masks": (f"{_T}/tn3k/test-mask/0000.jpg",),
        },
        f"{_T}/tg3k/thyroid-image/0000.jpg": {
            "id": "thyroid-image/0000.jpg",
            "masks": (f"{_T}/tg3k/thyroid-mask/0000.jpg",),
        },
        f"{_D}/1_or_data/image/0000.PNG": {
            "id": "1_or_data/image/0000.PNG",
            "masks": (f"{_D}/1_or_data/mask/0000.PNG",),
        },
    },
    decoys={
        f"{_T}/tn3k/trainval-mask/0000.jpg": "mask",
        f"{_T}/tn3k/test-mask/0000.jpg": "mask",
        f"{_T}/tg3k/thyroid-mask/0000.jpg": "mask",
        f"{_D}/1_or_data/mask/0000.PNG": "mask",
        f"{_D}/1_or_data/category.csv": "table",
        f"{_D}/2_preprocessed_data/stage1/p_image/0000.PNG": "second copy",
        f"{_D}/2_preprocessed_data/stage1/p_mask/0000.PNG": "second copy",
        f"{_D}/2_preprocessed_data/stage2/p_image/0000.PNG": "second copy",
        f"{_D}/2_preprocessed_data/readme.txt": "second copy",
    },
    tables={
        f"{_T}/tn3k/label4trainval.csv": "0000.jpg,0\n",
        f"{_T}/tn3k/label4test.csv": "0000.jpg,1\n",
        f"{_T}/tn3k/tn3k-trainval-fold0.json": json.dumps({"train": [], "val": [0]}),
    },
    from_tables=("label",),
    archives={"Thyroid Dataset.zip": [f"{_T}/"], f"{_T}/DDTI dataset/DDTI.zip": [f"{_D}/"]},
    full=(7715, None),
)
