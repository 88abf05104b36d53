from __future__ import annotations

from layouts import Layout

# Arrays are pickles that hold the picture again; numbers are padded in two ways; the zip may lie in another one.
_N = "Fetal Abdominal Structures Segmentation Dataset Using Ultrasonic Images"


def _image(patient: str, n: int) -> dict[str, str]:
    view = "fetal abdominal circumference plane"
    return {"id": f"IMAGES/P{patient}_IMG{n}.png", "patient": patient, "view": view}


LAYOUT = Layout(
    images={
        f"{_N}/{_N}/IMAGES/P01_IMG1.png": _image("01", 1),
        f"{_N}/{_N}/IMAGES/P01_IMG10.png": _image("01", 10),
        f"{_N}/{_N}/IMAGES/P0149_IMG1.png": _image("0149", 1),
    },
    decoys={f"{_N}/{_N}/ARRAY_FORMAT/P01_IMG1.npy": "mask", f"{_N}/{_N}/ARRAY_FORMAT/P0149_IMG1.npy": "mask"},
    top_folders=("", f"{_N}/", "some-archive-main/"),
    archives={"4gcpm9dsc3-1.zip": [f"{_N}/{_N}.zip"], f"{_N}/{_N}.zip": [f"{_N}/{_N}/"]},
    full=(1588, None),
)
