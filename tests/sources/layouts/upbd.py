from __future__ import annotations

import base64

from pixels import picture, tiff

from layouts import Layout

# 31 files named .jpg are TIFF; 1_0 and 1_00 are two pictures; six names have three parts. A copy calls the folders
# images/ and labels/json_train/.
_DRAWN = base64.b64encode(picture("contours drawn in").tobytes())[:400].decode()
_LABELME = f'{{"version": "3.16.7", "shapes": [], "imagePath": "1-2 - 标定.tif", "imageData": "{_DRAWN}"}}'

LAYOUT = Layout(
    images={
        "JPEGImages/1_0.jpg": {"id": "1_0.jpg", "patient": "1"},
        "JPEGImages/1_00.jpg": {"id": "1_00.jpg", "patient": "1"},
        "JPEGImages/2_1_0.jpg": {"id": "2_1_0.jpg", "patient": "2"},
        "JPEGImages/166_99.jpg": {"id": "166_99.jpg", "patient": "166"},
        "images/131_100.jpg": {"id": "131_100.jpg", "patient": "131"},
    },
    decoys={
        "json_train/1_0.json": "annotation",
        "json_train/1_00.json": "annotation",
        "labels/json_train/131_100.json": "annotation",
    },
    top_folders=("", "UBPD/", "twice/twice/"),
    content={
        "JPEGImages/1_00.jpg": tiff,
        "JPEGImages/2_1_0.jpg": tiff,
        "json_train/1_0.json": _LABELME.encode(),
        "json_train/1_00.json": _LABELME.encode("gbk"),  # 32 of them are no UTF-8
    },
    full=(955, 88),
    archives={"UBPD.zip": ["JPEGImages/", "json_train/"]},  # the name that converters expect
)
