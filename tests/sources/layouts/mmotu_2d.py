from __future__ import annotations

from layouts import Layout

# Upper-case extensions; both kinds of mask in one folder; the class lists have two blanks between name and number.
LAYOUT = Layout(
    images={
        "OTU_2d/images/6.JPG": {
            "id": "OTU_2d/images/6.JPG",
            "label": "Chocolate_Cyst",
            "split": "train",
            "masks": ("OTU_2d/annotations/6.PNG", "OTU_2d/annotations/6_binary.PNG"),
        },
        "OTU_2d/images/1469.JPG": {
            "id": "OTU_2d/images/1469.JPG",
            "label": "HighGradeSerousCystadenoma",
            "split": "val",
        },
        "OTU_2d/images/76.JPG": {"id": "OTU_2d/images/76.JPG", "split": "val"},
        "OTU_2d/images/5.JPG": {"id": "OTU_2d/images/5.JPG"},
    },
    decoys={
        "OTU_2d/annotations/6.PNG": "mask",
        "OTU_2d/annotations/6_binary.PNG": "mask",
        "OTU_2d/annotations/6_binary_binary.PNG": "mask",
        "CLASS_BY_FOLDER.tsv": "table",
        "MMOTU/images/6.JPG": "unlisted medium",
        "dataset/OTU_2D/train/train_image/6.JPG": "unlisted medium",
    },
    tables={
        "OTU_2d/train.txt": "6\n7\n",
        "OTU_2d/val.txt": "1469\n76\n",
        "OTU_2d/train_cls.txt": "6.JPG  0\n7.JPG  0\n",
        "OTU_2d/val_cls.txt": "1469.JPG  7\r\n",
    },
    from_tables=("label", "split"),
    real=(80, 0),
    archives={"OTU_2d.zip": ["OTU_2d/"]},  # whether it is a zip was not seen
    full=(1469, None),
)
