from __future__ import annotations

from layouts import Layout

# Blanks in folders and names; two zips in the zip, unpacked apart, so that images and masks may lie in two places.
LAYOUT = Layout(
    images={
        "105USImages/105 US Images/001.png": {
            "id": "105 US Images/001.png",
            "masks": ("105USMasks/105 US Masks/001 G man.png",),
        },
        "105USImages/105 US Images/105.png": {"id": "105 US Images/105.png"},
    },
    decoys={
        "105USMasks/105 US Masks/001 G man.png": "mask",
        "105USMasks/105 US Masks/104 G man.png": "mask",
        "105USImages/105 US Images/readme.txt": "document",
    },
    archives={
        "archive.zip": ["105USImages.zip", "105USMasks.zip"],
        "105USImages.zip": ["105USImages/"],
        "105USMasks.zip": ["105USMasks/"],
    },
    full=(105, None),
)
