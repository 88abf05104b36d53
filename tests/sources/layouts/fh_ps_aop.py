from __future__ import annotations

from pixels import planes_first

from layouts import Layout

# Planes lie first in the array, the folders are PSFHS's too, numbers may have gaps; some keep the zip within a zip.
_F = "Pubic Symphysis-Fetal Head Segmentation and Angle of Progression"
_NUMBERS = ("00001", "00100", "03744")

LAYOUT = Layout(
    images={
        f"{_F}/image_mha/{n}.mha": {
            "id": f"image_mha/{n}.mha",
            "view": "transperineal",
            "masks": (f"{_F}/label_mha/{n}.mha",),
        }
        for n in _NUMBERS
    },
    decoys={f"{_F}/label_mha/{n}.mha": "mask" for n in _NUMBERS},
    content={f"{_F}/image_mha/{n}.mha": planes_first for n in _NUMBERS},
    archives={"FH-PS-AOP.zip": [f"{_F}.zip"], f"{_F}.zip": [f"{_F}/"]},
    full=(4000, None),
)
