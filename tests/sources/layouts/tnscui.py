from __future__ import annotations

from layouts import Layout

# Numbers without padding (2 to 9767) and suffixes in capitals; one page shows them padded and small. Test pictures have
# names of their own and lie in the folder itself or in image/. A repacked copy has other folders.
_T = "TNSCUI2020_train"
_E = "tnscui2020_testset"


def _image(name: str, label: str) -> dict[str, object]:
    return {"id": f"image/{name}", "split": "train", "label": label, "masks": (f"{_T}/mask/{name}",)}


LAYOUT = Layout(
    images={
        f"{_T}/image/2.PNG": _image("2.PNG", "benign"),
        f"{_T}/image/1273.PNG": _image("1273.PNG", "malignant"),
        f"{_T}/image/00012.png": _image("00012.png", "benign"),
        f"{_E}/test_1.PNG": {"id": "test_1.PNG", "split": "test"},
        f"{_E}/image/test_910.PNG": {"id": "test_910.PNG", "split": "test"},
        "tnscui/JPEGImages/17.jpg": {"id": "JPEGImages/17.jpg", "masks": ("tnscui/SegmentationClass/17.png",)},
    },
    decoys={
        f"{_T}/mask/2.PNG": "mask",
        f"{_T}/mask/1273.PNG": "mask",
        f"{_T}/mask/00012.png": "mask",
        "tnscui/SegmentationClass/17.png": "mask",
    },
    tables={f"{_T}/train.csv": "ID,CATE\n2.PNG,0\n1273.PNG,1\n00012.png,0\n"},
    from_tables=("label",),
    archives={f"{_T}.rar": [f"{_T}/"], f"{_E}.rar": [f"{_E}/"], "tnscui.tar.gz": ["tnscui/"]},
    full=(4554, None),  # with the 910 of the test set,
)
