from __future__ import annotations

from layouts import Layout

# Names hold a blank and brackets; a number has up to three masks.
_GT = "Dataset_BUSI_with_GT"

LAYOUT = Layout(
    images={
        f"{_GT}/benign/benign (1).png": {
            "id": "benign/benign (1).png",
            "label": "benign",
            "masks": (f"{_GT}/benign/benign (1)_mask.png",),
        },
        f"{_GT}/benign/benign (195).png": {
            "id": "benign/benign (195).png",
            "label": "benign",
            "masks": tuple(f"{_GT}/benign/benign (195)_mask{n}.png" for n in ("", "_1", "_2")),
        },
        f"{_GT}/malignant/malignant (53).png": {
            "id": "malignant/malignant (53).png",
            "label": "malignant",
            "masks": (f"{_GT}/malignant/malignant (53)_mask.png", f"{_GT}/malignant/malignant (53)_mask_1.png"),
        },
        f"{_GT}/normal/normal (133).png": {"id": "normal/normal (133).png", "label": "normal"},
    },
    decoys={
        f"{_GT}/benign/benign (1)_mask.png": "mask",
        f"{_GT}/benign/benign (195)_mask.png": "mask",
        f"{_GT}/benign/benign (195)_mask_1.png": "mask",
        f"{_GT}/benign/benign (195)_mask_2.png": "mask",
        f"{_GT}/malignant/malignant (53)_mask.png": "mask",
        f"{_GT}/malignant/malignant (53)_mask_1.png": "mask",
        f"{_GT}/benign/malignant (7).png": "unlisted medium",
    },
    real=(83, 0),
    archives={"Dataset_BUSI.zip": [f"{_GT}/"]},
    full=(780, None),
)
