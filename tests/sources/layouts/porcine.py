from __future__ import annotations

from layouts import Layout

# One name stands in both parts, all of one recording's frames share its video, and some names have another form.
_D, _S = "Final dataset for object detection", "SegmentationDataset"
_BOX = (
    "<annotation><filename>a.png</filename><object><name>hematoma</name><bndbox><xmin>10</xmin><ymin>20</ymin>"
    "<xmax>80</xmax><ymax>90</ymax></bndbox></object></annotation>"
)
_NO_BOX = "<annotation><filename>a.png</filename></annotation>"


def _detection(split: str, stem: str, video: str | None, label: str | None) -> tuple[str, dict[str, object]]:
    path = f"{_D}/{split}/{stem}.png"
    return path, {"id": path, "split": split, "video": video, "label": label, "view": "sagittal"}


def _segmentation(split: str, stem: str, video: str | None) -> tuple[str, dict[str, object]]:
    path = f"{split}_images/{stem}.png"
    masks = (f"{_S}/{split}_masks/{stem}.png",)
    return f"{_S}/{path}", {"id": path, "split": split, "video": video, "view": "sagittal", "masks": masks}


_SEGMENTATION = (
    _segmentation("train", "predict4_scaled-A0004_frame1", "predict4_scaled-A0004"),  # also in the detection part
    _segmentation("train", "predict4_scaled-A0004_frame12", "predict4_scaled-A0004"),
    _segmentation("val", "predict11_scaled-A0004_frame1", "predict11_scaled-A0004"),  # recordings restart in a batch
    _segmentation("test", "img 17", None),
)

LAYOUT = Layout(
    images=dict(
        (
            _detection("train", "predict4_scaled-A0004_frame1", "predict4_scaled-A0004", "pre-injury"),
            _detection("val", "predict4_scaled-A0091_frame1", "predict4_scaled-A0091", None),  # no XML
            _detection("test", "frame_0017", None, "post-injury"),  # the other style of names
            *_SEGMENTATION,
        )
    ),
    decoys={mask: "mask" for _, fields in _SEGMENTATION for mask in fields["masks"]}
    | {
        f"__MACOSX/{_D}/train/._predict4_scaled-A0004_frame1.png": "hidden",
        f"__MACOSX/{_S}/train_images/._predict4_scaled-A0004_frame1.png": "hidden",
        f"{_S}/overview.png": "unlisted medium",
    },
    tables={
        f"{_D}/train/predict4_scaled-A0004_frame1.xml": _NO_BOX,
        f"{_D}/test/frame_0017.xml": _BOX,
        f"{_D}/test/frame_0018.xml": _BOX,  # without its picture
    },
    from_tables=("label",),
    full=(12468, None),
    archives={
        "jhu_injury_localization.zip": [f"{_D}/", f"__MACOSX/{_D}/"],
        "jhu_segmentation.zip": [f"{_S}/", f"__MACOSX/{_S}/"],
    },
)
