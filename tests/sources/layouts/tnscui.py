from __future__ import annotations

from layouts import Layout

# Numbers without padding and suffixes in capitals, or padded and small; a repacked copy has other folders.
_T = "TNSCUI2020_train"

LAYOUT = Layout(
    images={
        f"{_T}/image/1273.PNG": {
            "id": f"{_T}/image/1273.PNG",
            "split": "train",
            "label": "malignant",
            "masks": (f"{_T}/mask/1273.PNG",),
        },
        "TNSCUI2020_test/image/1273.PNG": {"id": "TNSCUI2020_test/image/1273.PNG", "split": "test"},
        f"{_T}/image/00001.png": {
            "id": f"{_T}/image/00001.png",
            "split": "train",
            "label": "benign",
            "masks": (f"{_T}/mask/00001.png",),
        },
        "tnscui/JPEGImages/17.jpg": {"id": "JPEGImages/17.jpg", "masks": ("tnscui/SegmentationClass/17.png",)},
    },
    decoys={
        f"{_T}/mask/1273.PNG": "mask",
        f"{_T}/mask/00001.png": "mask",
        "tnscui/SegmentationClass/17.png": "mask",
    },
    tables={f"{_T}/train.csv": "ID,CATE\n1273.PNG,1\n00001.png,0\n"},
    from_tables=("label",),
    archives={"TNSCUI2020_train.zip": [f"{_T}/"], "tnscui.tar.gz": ["tnscui/"]},
    full=(3644, None),
)
