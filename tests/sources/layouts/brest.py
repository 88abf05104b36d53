from __future__ import annotations

import io

from PIL import Image
from pixels import picture

from layouts import Layout, xlsx

# Two kinds of mask beside the picture; RGBA with clear corners; words among the numbers of the table.
_I = "BrEaST-Lesions_USG-images_and_masks"


def _rgba(path: str) -> bytes:
    image, data = Image.fromarray(picture(path)).convert("RGBA"), io.BytesIO()
    image.paste((255, 255, 255, 0), (0, 0, 12, 24))
    image.save(data, "PNG")
    return data.getvalue()


LAYOUT = Layout(
    images={
        f"{_I}/case001.png": {
            "id": "case001.png",
            "patient": "1",
            "label": "benign",
            "spacing_mm": (0.0781, 0.0781),
            "masks": (f"{_I}/case001_tumor.png",),
        },
        f"{_I}/case022.png": {
            "id": "case022.png",
            "patient": "22",
            "label": "malignant",
            "spacing_mm": (0.0434, 0.0434),
            "masks": (f"{_I}/case022_tumor.png", f"{_I}/case022_other1.png", f"{_I}/case022_other2.png"),
        },
        f"{_I}/case045.png": {"id": "case045.png", "patient": "45", "label": "normal"},
        f"{_I}/case256.png": {"id": "case256.png", "patient": "256"},
    },
    decoys={
        f"{_I}/case001_tumor.png": "mask",
        f"{_I}/case022_tumor.png": "mask",
        f"{_I}/case022_other1.png": "mask",
        f"{_I}/case022_other2.png": "mask",
    },
    tables={
        "BrEaST-Lesions-USG-clinical-data-Dec-15-2023.xlsx": xlsx(
            ["CaseID", "Image_filename", "Pixel_size", "Age", "BIRADS", "Classification"],
            [1, "case001.png", 0.00781, 57, 2, "benign"],
            [22, "case022.png", 0.00434, "not available", "4c", "malignant"],
            [45, "case045.png", "not available", 40, 1, "normal"],
            [46, "case046.png", 0.005, 40, 1, "benign"],
        )
    },
    from_tables=("label", "spacing_mm"),
    separate_tables=True,
    real=(19, 19),
    content={f"{_I}/case022.png": _rgba},
    archives={"BrEaST-Lesions_USG-images_and_masks-Dec-15-2023.zip": [f"{_I}/"]},
    full=(256, 256),
)
