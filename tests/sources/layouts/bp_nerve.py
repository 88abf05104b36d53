from __future__ import annotations

from layouts import Layout

# Masks lie beside their pictures; test numbers tell no subject and repeat those of train.
_VIEW = "transverse neck"

LAYOUT = Layout(
    images={
        "train/1_1.tif": {
            "id": "train/1_1.tif",
            "patient": "1",
            "view": _VIEW,
            "split": "train",
            "masks": ("train/1_1_mask.tif",),
        },
        "train/1_10.tif": {"id": "train/1_10.tif", "patient": "1", "view": _VIEW, "split": "train"},
        "train/33_77.tif": {
            "id": "train/33_77.tif",
            "patient": "33",
            "view": _VIEW,
            "split": "train",
            "masks": ("train/33_77_mask.tif",),
        },
        "test/1.tif": {"id": "test/1.tif", "view": _VIEW, "split": "test"},
        "test/5508.tif": {"id": "test/5508.tif", "view": _VIEW, "split": "test"},
    },
    decoys={
        "train/1_1_mask.tif": "mask",
        "train/33_77_mask.tif": "mask",
        "train_masks.csv": "table",
        "sample_submission.csv": "table",
    },
    top_folders=("", "train/", "ultrasound-nerve-segmentation/"),  # `unzip -d train train.zip` gives train/train/
    full=(11143, None),
    archives={
        "ultrasound-nerve-segmentation.zip": ["train.zip", "test.zip", "train_masks.csv", "sample_submission.csv"],
        "train.zip": ["train/"],
        "test.zip": ["test/"],
    },
)
