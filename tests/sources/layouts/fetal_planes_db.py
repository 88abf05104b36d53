from __future__ import annotations

from layouts import Layout

# The table is separated by semicolons; its last header and values have a trailing blank.
LAYOUT = Layout(
    images={
        "Images/Patient00168_Plane3_1_of_3.png": {
            "id": "Images/Patient00168_Plane3_1_of_3.png",
            "patient": "168",
            "label": "Fetal brain",
            "anatomy": "fetal-brain",
            "view": "Trans-thalamic",
            "split": "train",
        },
        "Images/Patient00001_Plane1_10_of_15.png": {
            "id": "Images/Patient00001_Plane1_10_of_15.png",
            "patient": "1",
            "label": "Other",
            "split": "test",
        },
        "Images/Patient01792_Plane4_1_of_1.png": {
            "id": "Images/Patient01792_Plane4_1_of_1.png",
            "patient": "1792",
            "label": "Maternal cervix",
            "anatomy": "cervix",
        },
    },
    decoys={"README.md": "document", "FETAL_PLANES_DB_data.xlsx": "table"},
    tables={
        "FETAL_PLANES_DB_data.csv": (
            "Image_name;Patient_num;Plane;Brain_plane;Operator;US_Machine;Train \n"
            "Patient00168_Plane3_1_of_3;168;Fetal brain;Trans-thalamic;Op. 1;Voluson E6;1 \n"
            "Patient00001_Plane1_10_of_15;1;Other;Not A Brain;Other;Aloka;0 \n"
        )
    },
    from_tables=("view", "split"),
    top_folders=("", "FETAL_PLANES_ZENODO/", "twice/twice/"),
    archives={"FETAL_PLANES_ZENODO.zip": [""]},
    full=(12400, 1792),
)
