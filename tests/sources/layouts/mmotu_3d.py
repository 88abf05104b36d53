from __future__ import annotations

from layouts import Layout

# Two masks a picture and one with the suffix twice; numbers begin at 1 as in OTU_2d; augmented copies circulate.
_D = "OTU_3d"

LAYOUT = Layout(
    images={
        f"{_D}/images/1.JPG": {
            "id": "OTU_3d/images/1.JPG",
            "label": "2",
            "split": "train",
            "masks": (f"{_D}/annotations/1.PNG", f"{_D}/annotations/1_binary.PNG"),
        },
        f"{_D}/images/138.JPG": {"id": "OTU_3d/images/138.JPG", "label": "3", "split": "val"},
        f"{_D}/images/170.JPG": {"id": "OTU_3d/images/170.JPG"},
    },
    decoys={
        f"{_D}/annotations/1.PNG": "mask",
        f"{_D}/annotations/1_binary.PNG": "mask",
        f"{_D}/annotations/1_binary_binary.PNG": "mask",
        f"{_D}/images/hflip_101.jpg": "unlisted medium",
        "OTU_2d/images/1.JPG": "unlisted medium",
    },
    tables={
        f"{_D}/train.txt": "1\n2\n",
        f"{_D}/val.txt": "138\n",
        f"{_D}/train_cls.txt": "1.JPG  2\n2.JPG  0\n",
        f"{_D}/val_cls.txt": "138.JPG  3\n",
    },
    from_tables=("label", "split"),
    full=(170, None),
)
