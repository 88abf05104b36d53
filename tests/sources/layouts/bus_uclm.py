from __future__ import annotations

from layouts import Layout

# Patients' letters are all that tells a patient; the authors' scripts leave copies and overlays beside the pictures.
_TOP = "BUS-UCLM Breast ultrasound lesion segmentation dataset"
_B = f"{_TOP}/BUS-UCLM"


def _item(name: str, label: str | None, split: str) -> dict[str, object]:
    return {
        "id": f"images/{name}.png",
        "patient": name[:4],
        "label": label,
        "split": split,
        "masks": (f"{_B}/masks/{name}.png",),
    }


LAYOUT = Layout(
    images={
        f"{_B}/images/ALWI_000.png": _item("ALWI_000", "Benign", "train"),
        f"{_B}/images/ALWI_001.png": _item("ALWI_001", "Normal", "train"),  # a normal frame has a mask, all black
        f"{_B}/images/CHCO_000.png": _item("CHCO_000", "Malignant", "train"),
        f"{_B}/images/POFR_013.png": _item("POFR_013", "Benign", "train"),
        f"{_B}/images/COPE_000.png": _item("COPE_000", "Normal", "test"),
        f"{_B}/images/ANFO_005.png": _item("ANFO_005", None, "test"),  # no row in this part of the table
    },
    decoys={
        f"{_B}/masks/ALWI_000.png": "mask",
        f"{_B}/masks/ALWI_001.png": "mask",
        f"{_B}/masks/CHCO_000.png": "mask",
        f"{_B}/masks/POFR_013.png": "mask",
        f"{_B}/masks/COPE_000.png": "mask",
        f"{_B}/masks/ANFO_005.png": "mask",
        f"{_TOP}/partitions/test/images/COPE_000.png": "second copy",
        f"{_TOP}/partitions/train/images/ALWI_000.png": "second copy",
        f"{_TOP}/partitions/train/images/XYZW_000.png": "second copy",  # whose original is not here
        f"{_TOP}/partitions/train/masks/ALWI_000.png": "second copy",
        f"{_TOP}/visualization/ALWI_000.png": "overlay",
    },
    tables={  # semicolons, a byte order mark, CRLF, one Doppler cell Y instead of Yes; a row of an absent file
        f"{_B}/INFO.csv": (
            "\ufeffImage;Resolution;Label;Doppler;Marks;Combined\r\n"
            "ALWI_000.png;856x606;Benign;No;Yes;No\r\n"
            "ALWI_001.png;856x606;Normal;No;No;No\r\n"
            "ALWI_002.png;856x606;Benign;No;No;No\r\n"
            "CHCO_000.png;856x606;Malignant;No;No;No\r\n"
            "COPE_000.png;856x606;Normal;No;No;No\r\n"
            "POFR_013.png;856x606;Benign;Y;Yes;No\r\n"
        ),
    },
    from_tables=("label",),
    full=(683, 38),
    archives={"7fvgj4jsp7-3.zip": [f"{_TOP}/"]},  # seen as 7fvgj4jsp7-1.zip of version 1
)
