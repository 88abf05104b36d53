from __future__ import annotations

import json

from layouts import Layout

# Positions of the list are the file numbers; masks are JPEG beside the images.
_T = "Thyroid Dataset/tg3k"


def _image(n: str, **more: object) -> dict[str, object]:
    return {"id": f"thyroid-image/{n}.jpg", "masks": (f"{_T}/thyroid-mask/{n}.jpg",), **more}


LAYOUT = Layout(
    images={
        f"{_T}/thyroid-image/0000.jpg": _image("0000", split="train"),
        f"{_T}/thyroid-image/0001.jpg": _image("0001", split="val"),
        f"{_T}/thyroid-image/3584.jpg": _image("3584", split="train"),
    },
    decoys={
        **{f"{_T}/thyroid-mask/{n}.jpg": "mask" for n in ("0000", "0001", "3584")},
        "Thyroid Dataset/tn3k/test-image/0000.jpg": "other part of the archive",
        "Thyroid Dataset/tn3k/test-mask/0000.jpg": "other part of the archive",
        "Thyroid Dataset/DDTI dataset/DDTI/1_or_data/image/0000.PNG": "other part of the archive",
    },
    tables={f"{_T}/tg3k-trainval.json": json.dumps({"train": [0, 3584], "val": [1]})},
    from_tables=("split",),
    archives={"Thyroid Dataset.zip": ["Thyroid Dataset/"]},
    full=(3585, None),
)
