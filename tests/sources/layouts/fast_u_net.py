from __future__ import annotations

from layouts import Layout

# The inner folders of the image archives are unknown: names tell the parts apart.
LAYOUT = Layout(
    images={
        "test_data/image/1576.jpg": {
            "id": "test_data/image/1576.jpg",
            "view": "fetal head",
            "masks": ("test_data/mask/1576.jpg",),
        },
        "Dataset/AC/AC_image1/0039.png": {
            "id": "0039.png",
            "view": "fetal abdomen circumference plane",
            "split": "train",
        },
        "Dataset/AC/AC_image2/image/fa_0215.png": {
            "id": "fa_0215.png",
            "view": "fetal abdomen circumference plane",
            "split": "val",
        },
        "Dataset/HC/HC_image1/514_HC.png": {
            "id": "514_HC.png",
            "study": "514",
            "view": "fetal head circumference plane",
            "split": "train",
        },
        "Dataset/HC/HC_image3/010_2HC.png": {
            "id": "010_2HC.png",
            "study": "010",
            "view": "fetal head circumference plane",
        },
    },
    decoys={
        "test_data/mask/1576.jpg": "mask",
        "Dataset/AC/mask/0039.png": "mask",
        "Dataset/AC/AC_mask/mask/fa_0215.png": "mask",
        "Dataset/HC/HC_mask/514_HC_Annotation.png": "mask",
        "Dataset/HC/514_HC_Annotation.png": "mask",
        "Fast_unet/000.jpg": "figure",
        "Dataset/AC/AC_mask.rar": "archive",
        "Dataset/AC/data": "not a medium",
        "README.md": "document",
        "test.txt": "table",
    },
    tables={
        "Dataset/AC/train.txt": "resized_data/image/0039.png resized_data/mask/0039.png\n",
        "Dataset/AC/val.txt": "resized_data/image/fa_0215.png resized_data/mask/fa_0215.png\n",
        "Dataset/HC/train.txt": "resized_data/image/514_HC.png resized_data/mask/514_HC_Annotation.png\n",
        "Dataset/HC/val.txt": "resized_data/image/515_HC.png resized_data/mask/515_HC_Annotation.png\n",
    },
    from_tables=("split",),
    top_folders=("", "Fast-U-Net-main/", "Fast-U-Net-5123c8e12fb9d847cc04eae2c69d6e9508731205/"),
    real=(3, 0),
    archives={
        "Fast-U-Net-main.zip": [""],
        **{
            f"Dataset/{part}.rar": [f"Dataset/{part}/"]
            for part in ("AC/AC_image1", "AC/AC_image2", "AC/AC_mask", "HC/HC_image1", "HC/HC_image3", "HC/HC_mask")
        },
    },
    full=(1414, None),
)
