from __future__ import annotations

from layouts import Layout

# Three files a case, blanks in names, numbers from 1 in either class.
LAYOUT = Layout(
    images={
        "Benign/1 Benign Image.bmp": {
            "id": "Benign/1 Benign Image.bmp",
            "label": "Benign",
            "masks": ("Benign/1 Benign Mask.tif",),
        },
        "Benign/109 Benign Image.bmp": {"id": "Benign/109 Benign Image.bmp", "label": "Benign"},
        "Malignant/1 Malignant Image.bmp": {
            "id": "Malignant/1 Malignant Image.bmp",
            "label": "Malignant",
            "masks": ("Malignant/1 Malignant Mask.tif",),
        },
    },
    decoys={
        "Benign/1 Benign Mask.tif": "mask",
        "Benign/1 Benign Lesion.bmp": "lesion crop",
        "Malignant/1 Malignant Mask.tif": "mask",
        "Malignant/1 Malignant Lesion.bmp": "lesion crop",
    },
    archives={"Benign.zip": ["Benign/"], "Malignant.zip": ["Malignant/"]},
    full=(232, None),
)
