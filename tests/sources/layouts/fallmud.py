from __future__ import annotations

from layouts import Layout

# Two parts: suffixes of a picture and its masks differ in the one, names are bare numbers in the other.
_CRONIN = "FALLMUD/NeilCronin"
_CUNNINGHAM = "FALLMUD/RyanCunningham"

LAYOUT = Layout(
    images={
        f"{_CRONIN}/images/img_00001.tif": {
            "id": "NeilCronin/images/img_00001.tif",
            "view": "longitudinal",
            "masks": (f"{_CRONIN}/aponeurosis_masks/img_00001.jpg", f"{_CRONIN}/fascicle_masks/img_00001.tif"),
        },
        f"{_CRONIN}/images/img_00068.tif": {"id": "NeilCronin/images/img_00068.tif", "view": "longitudinal"},
        f"{_CUNNINGHAM}/images/0.jpg": {
            "id": "RyanCunningham/images/0.jpg",
            "view": "longitudinal",
            "masks": (f"{_CUNNINGHAM}/aponeurosis_masks/0.jpg", f"{_CUNNINGHAM}/fascicle_masks/0.jpg"),
        },
        f"{_CUNNINGHAM}/images/10.jpg": {"id": "RyanCunningham/images/10.jpg", "view": "longitudinal"},
    },
    decoys={
        f"{_CRONIN}/aponeurosis_masks/img_00001.jpg": "mask",
        f"{_CRONIN}/fascicle_masks/img_00001.tif": "mask",
        f"{_CUNNINGHAM}/aponeurosis_masks/0.jpg": "mask",
        f"{_CUNNINGHAM}/fascicle_masks/0.jpg": "mask",
    },
    full=(813, None),
    archives={"FALLMUD.zip": ["FALLMUD/"]},
)
