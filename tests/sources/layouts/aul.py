from __future__ import annotations

import json

from layouts import Layout

# Numbers begin at 1 in each class; Normal has no mass/; Malignant 229 has no liver/. Braces above must not break it.
_SQUARE = json.dumps([[10, 10], [50, 10], [50, 40]])


def _image(label: str, n: int, *parts: str) -> dict[str, object]:
    masks = tuple(f"{label}/segmentation/{part}/{n}.json" for part in parts)
    return {"id": f"{label}/image/{n}.jpg", "label": label, **({"masks": masks} if masks else {})}


LAYOUT = Layout(
    images={
        "Benign/image/1.jpg": _image("Benign", 1, "liver", "mass", "outline"),
        "Malignant/image/1.jpg": _image("Malignant", 1),
        "Malignant/image/229.jpg": _image("Malignant", 229, "mass", "outline"),
        "Normal/image/1.jpg": _image("Normal", 1, "liver", "outline"),
    },
    decoys={
        "Benign/segmentation/liver/1.json": "outline",
        "Benign/segmentation/mass/1.json": "outline",
        "Benign/segmentation/outline/1.json": "outline",
        "Malignant/segmentation/mass/229.json": "outline",
        "Malignant/segmentation/outline/229.json": "outline",
        "Normal/segmentation/liver/1.json": "outline",
        "Normal/segmentation/outline/1.json": "outline",
    },
    content={"Benign/segmentation/outline/1.json": _SQUARE.encode()},
    top_folders=("", "some-archive-main/", "Benign/", "image/{1}/"),
    archives={f"{label}.zip": [f"{label}/"] for label in ("Benign", "Malignant", "Normal")},
    full=(735, None),
)
