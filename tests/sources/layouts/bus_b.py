from __future__ import annotations

from layouts import Layout, xlsx

# Masks bear the pictures' names; a reader may turn '000001' into 1; the sheet holds a legend beside the table.
LAYOUT = Layout(
    images={
        "BUS/original/000001.png": {
            "id": "original/000001.png",
            "patient": "000001",
            "label": "Benign",
            "masks": ("BUS/GT/000001.png",),
        },
        "BUS/original/000147.png": {"id": "original/000147.png", "patient": "000147", "label": "Malignant"},
        "BUS/original/000310.png": {"id": "original/000310.png", "patient": "000310"},
    },
    decoys={"BUS/GT/000001.png": "mask", "BUS/GT/000295.png": "mask"},
    tables={
        "BUS/DatasetB.xlsx": xlsx(
            ["Image", "Type", "Diagnosis", "", "", "Llegend", ""],
            ["000001", "Benign", "CYST", "", "", "FA", "Fibroadenoma"],
            [147, "Malignant", "IDC", "", "", "IDC", "Invasive ductal carcinoma"],
            ["000295", "Malignant", "DCIS"],
        )
    },
    from_tables=("label",),
    top_folders=("", "Dataset_B/", "BUS_original/"),
    archives={"BUS.zip": ["BUS/"]},  # its true name is unknown
    full=(163, 163),
)
