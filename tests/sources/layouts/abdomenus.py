from __future__ import annotations

from layouts import Layout

# One folder of the name or two; stems repeat between splits; real training pictures have no masks.
_A = "abdominal_US"
_SIMULATED = {"species": "simulated", "subject": "simulation"}

LAYOUT = Layout(
    images={
        f"{_A}/RUS/images/train/a.jpg": {"id": "RUS/images/train/a.jpg", "split": "train"},
        f"{_A}/RUS/images/test/a.jpg": {
            "id": "RUS/images/test/a.jpg",
            "split": "test",
            "masks": (f"{_A}/RUS/annotations/test/a.png",),
        },
        f"{_A}/AUS/images/train/ct14-1.png": {
            "id": "AUS/images/train/ct14-1.png",
            "split": "train",
            "patient": "ct14",
            "masks": (f"{_A}/AUS/annotations/train/ct14-1.png",),
            **_SIMULATED,
        },
        f"{_A}/AUS/images/test/ct14-2.png": {
            "id": "AUS/images/test/ct14-2.png",
            "split": "test",
            "patient": "ct14",
            **_SIMULATED,
        },
    },
    decoys={
        f"{_A}/RUS/annotations/test/a.png": "mask",
        f"{_A}/AUS/annotations/train/ct14-1.png": "mask",
    },
    archives={"ussimandsegm.zip": ["abdominal_US/"]},
    top_folders=("", "abdominal_US/", "images/images/"),
    full=(1543, None),
)
