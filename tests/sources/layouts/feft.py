from __future__ import annotations

from layouts import Layout

# Blanks and brackets in names; numbers start again in each class and part.
_F = "Fetal Echocardiography First Trimester"
_NAMES = (
    "train/Aorta/Aorta train (1).jpg",
    "train/Flows/Flows train (1).jpg",
    "valid/Other/Other valid (164).jpg",
    "test/Aorta/Aorta test (1).jpg",
    "test/V sign/V sign test (79).jpg",
    "test/X sign/X sign test (1).jpg",
    "test/X sign/X sign test (79).jpg",
)

LAYOUT = Layout(
    images={
        f"{_F}/{name}": {
            "id": name,
            "split": name.split("/")[0],
            "label": name.split("/")[1],
            "view": name.split("/")[1],
        }
        for name in _NAMES
    },
    decoys={
        f"{_F}/test/X sign/._X sign test (1).jpg": "hidden",
        f"{_F}/test/V sign/cover.jpg": "unlisted medium",
        f"{_F}/train/Spine/Spine train (1).jpg": "unlisted medium",
    },
    # The file's name is unknown: this is its number at figshare.
    archives={"37624184.zip": [f"{_F}/"]},
)
