from __future__ import annotations

from pixels import planes_first

from layouts import Layout

# Numbers begin at 03744; images and masks bear the same names and are paired by them, never by position.
_NUMBERS = ("03744", "04000", "05101")

LAYOUT = Layout(
    images={
        **{
            f"PSFHS/image_mha/{n}.mha": {
                "id": f"image_mha/{n}.mha",
                "view": "transperineal",
                "masks": (f"PSFHS/label_mha/{n}.mha",),
            }
            for n in _NUMBERS
        },
        "PSFHS/image_mha/04001.mha": {"id": "image_mha/04001.mha", "view": "transperineal"},
    },
    decoys={f"PSFHS/label_mha/{n}.mha": "mask" for n in _NUMBERS},
    content={f"PSFHS/image_mha/{n}.mha": planes_first for n in (*_NUMBERS, "04001")},
    archives={"PSFHS.zip": ["PSFHS/"]},
    full=(1358, None),
)
