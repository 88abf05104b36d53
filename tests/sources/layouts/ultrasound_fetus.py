from __future__ import annotations

from layouts import Layout

# Numbers repeat between the classes; Datasets/ and OverlayedImages/ hold all again; stray masks are BUSI's. The Kaggle
# and the Mendeley release have other folders, and the latter's pictures lie in a RAR in the zip.
_U = "Ultrasound Fetus Dataset"
_K, _M = f"{_U}/{_U}/Data/Data", f"{_U}/Datasets/Datasets"


def _image(path: str, split: str, mask: str | None = None) -> dict[str, object]:
    fields: dict[str, object] = {"id": path, "split": split, "view": "fetal head standard plane"}
    return fields | ({"masks": (mask,)} if mask else {})


LAYOUT = Layout(
    images={
        f"{_K}/train/malignant/1_HC.png": _image(
            "train/malignant/1_HC.png", "train", f"{_K}/train/malignant/1_HC_Annotation.png"
        ),
        f"{_K}/train/benign/1_HC.png": _image("train/benign/1_HC.png", "train"),
        f"{_K}/validation/normal/1_HC.png": _image("validation/normal/1_HC.png", "validation"),
        f"{_M}/test/malignant/247_2HC.png": _image("test/malignant/247_2HC.png", "test"),
        # the RAR unpacked where it lies, without a folder of its name
        f"{_U}/Datasets/validation/benign/101_HC.png": _image("validation/benign/101_HC.png", "validation"),
    },
    decoys={
        f"{_K}/train/malignant/1_HC_Annotation.png": "mask",
        f"{_K}/Datasets/benign/1_HC.png": "second copy",
        f"{_K}/Datasets/malignant/1_HC.png": "second copy",
        f"{_K}/FetusDataset.csv": "table",
        f"{_M}/Datasets/malignant/247_2HC.png": "second copy",
        f"{_M}/OverlayedImages/malignant/247_2HC.png": "second copy",
        f"{_M}/train/benign/benign (50)_mask.png": "mask",
    },
    archives={
        "archive.zip": [f"{_U}/{_U}/"],
        "yrzzw9m6kk-2.zip": [f"{_U}/Datasets.rar"],
        f"{_U}/Datasets.rar": [f"{_M}/"],
    },
    full=(1669, None),
)
