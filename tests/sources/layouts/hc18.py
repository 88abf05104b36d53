from __future__ import annotations

from layouts import Layout

# Test numbers start again at 000; two public scripts unpack into training_set/training_set/.
_VIEW = "fetal head standard plane"

LAYOUT = Layout(
    images={
        "training_set/000_HC.png": {
            "id": "training_set/000_HC.png",
            "study": "training-000",
            "view": _VIEW,
            "split": "training",
            "spacing_mm": (0.0691358041432, 0.0691358041432),
            "masks": ("training_set/000_HC_Annotation.png",),
        },
        "training_set/010_2HC.png": {
            "id": "training_set/010_2HC.png",
            "study": "training-010",
            "view": _VIEW,
            "split": "training",
            "spacing_mm": (0.25, 0.25),
        },
        "test_set/000_HC.png": {
            "id": "test_set/000_HC.png",
            "study": "test-000",
            "view": _VIEW,
            "split": "test",
            "spacing_mm": (0.1, 0.1),
        },
    },
    decoys={
        "training_set/000_HC_Annotation.png": "mask",
        "training_set/training_set/010_2HC_Annotation.png": "mask",
        "training_set.zip": "archive",
        "training_set/training_set/000_HC.png": "second copy",
    },
    tables={
        "training_set_pixel_size_and_HC.csv": (
            "filename,pixel size(mm),head circumference (mm)\n"
            "000_HC.png,0.0691358041432,44.3\n010_2HC.png,0.25,56.81\n011_HC.png,0.3,50\n"
        ),
        "test_set_pixel_size.csv": "filename,pixel size(mm)\n000_HC.png,0.1\n",
    },
    from_tables=("spacing_mm",),
    separate_tables=True,
    top_folders=("", "training_set/", "some-archive-main/"),
    real=(35, 0),
    archives={"training_set.zip": ["training_set/"], "test_set.zip": ["test_set/"]},
    full=(1334, None),
)
