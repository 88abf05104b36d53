from __future__ import annotations

from layouts import Layout

# Rows of absent files and files without a row both occur in parts of the set.
_B = "BUSBRA"

LAYOUT = Layout(
    images={
        f"{_B}/Images/bus_0001-l.png": {
            "id": "Images/bus_0001-l.png",
            "patient": "1",
            "label": "malignant",
            "view": "left",
            "split": "fold-3",
            "masks": (f"{_B}/Masks/mask_0001-l.png",),
        },
        f"{_B}/Images/bus_0001-r.png": {
            "id": "Images/bus_0001-r.png",
            "patient": "1",
            "label": "malignant",
            "view": "right",
            "split": "fold-3",
            "masks": (f"{_B}/Masks/mask_0001-r.png",),
        },
        f"{_B}/Images/bus_1064-s.png": {"id": "Images/bus_1064-s.png", "patient": "1064", "view": "single"},
    },
    decoys={
        f"{_B}/Masks/mask_0001-l.png": "mask",
        f"{_B}/Masks/mask_0001-r.png": "mask",
        f"{_B}/LICENSE.txt": "document",
        f"{_B}/10-fold-cv.csv": "table",
        f"{_B}/__MACOSX/Images/bus_0002-l.png": "hidden",
        f"{_B}/Images/._bus_0001-l.png": "hidden",
        f"{_B}/Images/bus_12-l.png": "unlisted medium",
    },
    tables={
        f"{_B}/bus_data.csv": (
            "ID,Case,Histology,Pathology,BIRADS,Device,Width,Height,Side,BBOX\n"
            'bus_0001-l,1,invasive ductal carcinoma,malignant,4,GE Logiq 7 @10-14MHz,274,353,left,"[91,24,103,79]"\n'
            'bus_0001-r,1,invasive ductal carcinoma,malignant,4,GE Logiq 7 @10-14MHz,275,353,right,"[102,24,82,79]"\n'
            'bus_0002-l,2,cyst,benign,2,GE Logiq 7 @10-14MHz,275,353,left,"[1,2,3,4]"\n'
        ),
        f"{_B}/5-fold-cv.csv": (
            "ID,Pathology,kFold,valid_1,valid_2,valid_3,valid_4,valid_5\n"
            "bus_0001-l,malignant,3,1,1,NaN,1,1\n"
            "bus_0001-r,malignant,3,1,1,NaN,1,1\n"
            "bus_0002-l,benign,5,1,1,1,1,NaN\n"
        ),
    },
    from_tables=("label", "split"),
    real=(105, 60),
    archives={"BUSBRA.zip": [f"{_B}/"]},
    full=(1875, 1064),
)
