from __future__ import annotations

from layouts import Layout

# All/ holds every picture again; numbers have no fixed width and may repeat between the classes.
_B = "BUS_UC"


def _image(label: str, name: str, mask: bool = True) -> dict[str, object]:
    fields: dict[str, object] = {"id": f"{label}/images/{name}", "label": label}
    return fields | ({"masks": (f"{_B}/{label}/masks/{name}",)} if mask else {})


LAYOUT = Layout(
    images={
        f"{_B}/Benign/images/01.png": _image("Benign", "01.png"),
        f"{_B}/Benign/images/010.png": _image("Benign", "010.png", mask=False),
        f"{_B}/Malignant/images/01.png": _image("Malignant", "01.png"),
        f"{_B}/Malignant/images/0319.png": _image("Malignant", "0319.png"),
    },
    decoys={
        f"{_B}/Benign/masks/01.png": "mask",
        f"{_B}/Malignant/masks/01.png": "mask",
        f"{_B}/Malignant/masks/0319.png": "mask",
        f"{_B}/All/images/01.png": "second copy",
        f"{_B}/All/images/0319.png": "second copy",
        f"{_B}/All/masks/01.png": "mask",
    },
    top_folders=("", "BUS_UC/", "images/images/"),
    archives={"3ksd7w7jkx-1.zip": [f"{_B}/"]},
    full=(811, None),
)
