from __future__ import annotations

from layouts import Layout

LAYOUT = Layout(
    images={
        "Hospital/Test_Image_1.png": {"id": "Hospital/Test_Image_1.png", "masks": ("Hospital/mask_1.png",)},
        "Hospital/Test_Image_42.png": {"id": "Hospital/Test_Image_42.png"},
    },
    decoys={"Hospital/mask_1.png": "mask", "Hospital/mask_41.png": "mask"},
    top_folders=("", "STU-Hospital-master/", "STU-Hospital-ba4a898d6c42fdfb5aa2b122742fd4cf6195349b/"),
    real=(42, 0),
    archives={"STU-Hospital-master.zip": [""]},
    full=(42, None),
)
