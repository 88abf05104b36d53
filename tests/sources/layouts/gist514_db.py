from __future__ import annotations

import json

from layouts import Layout

# The val file of split N is the test fold; the raw folder is the same pictures uncropped; names follow no pattern.
_R = "usd514-db/usd514_jpeg_roi"
_W = "usd514-db/usd514_jpeg_raw"
_CATEGORIES = [{"id": 1, "name": "lmym"}, {"id": 2, "name": "GIST"}]
_NAMES = {"a 1.jpg": (11, 1), "case_2.jpg": (12, 2), "3.jpg": (13, 2), "unlisted.jpg": (14, 0)}


def _coco(*names: str) -> str:
    images = [{"id": _NAMES[n][0], "file_name": n, "width": 300, "height": 200, "anatomy_id": 3} for n in names]
    annotations = [
        {"id": k, "image_id": _NAMES[n][0], "category_id": _NAMES[n][1], "bbox": [1, 2, 30, 20], "segmentation": []}
        for k, n in enumerate(names)
    ]
    return json.dumps({"images": images, "annotations": annotations, "categories": _CATEGORIES})


def _image(name: str, **more: str) -> dict[str, str]:
    return {"id": f"usd514_jpeg_roi/images/{name}", **more}


LAYOUT = Layout(
    images={
        f"{_R}/images/a 1.jpg": _image("a 1.jpg", label="lmym", split="fold-0"),
        f"{_R}/images/case_2.jpg": _image("case_2.jpg", label="GIST", split="fold-4"),
        f"{_R}/images/3.jpg": _image("3.jpg", label="GIST"),
        f"{_R}/images/unlisted.jpg": _image("unlisted.jpg"),
    },
    decoys={
        f"{_W}/images/a 1.jpg": "uncropped twin",
        f"{_W}/images/case_2.jpg": "uncropped twin",
        f"{_W}/annotations/val_anno_split_0.json": "table",
        f"{_R}/preprocessed/a 1.tif": "label raster",
    },
    tables={
        f"{_R}/annotations/all_anno_crop.json": _coco("a 1.jpg", "case_2.jpg", "3.jpg"),
        f"{_R}/annotations/train_anno_crop_split_0.json": _coco("case_2.jpg", "3.jpg"),
        f"{_R}/annotations/val_anno_crop_split_0.json": _coco("a 1.jpg"),
        f"{_R}/annotations/train_anno_crop_split_4.json": _coco("a 1.jpg", "3.jpg"),
        f"{_R}/annotations/val_anno_crop_split_4.json": _coco("case_2.jpg"),
    },
    from_tables=("label", "split"),
    full=(514, None),
)
