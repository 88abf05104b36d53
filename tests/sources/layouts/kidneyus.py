from __future__ import annotations

from layouts import Layout

# Masks bear the names of the pictures; 20 files are copies of ten pictures under other leading numbers.
_K = "kidneyUS_images_14_june_2022"

LAYOUT = Layout(
    images={
        f"{_K}/{_K}/1_IM-0001-0059_anon.png": {
            "id": "1_IM-0001-0059_anon.png",
            "patient": "1",
            "view": "Transverse",
            "masks": (
                "labels/reviewed_masks_1/capsule/1_IM-0001-0059_anon.png",
                "labels/reviewed_masks_1/regions/1_IM-0001-0059_anon.png",
            ),
        },
        f"{_K}/11_IM-0288-0017-0002_anon.png": {"id": "11_IM-0288-0017-0002_anon.png", "patient": "11"},
        f"{_K}/102_IM-0262-0009_anon.png": {"id": "102_IM-0262-0009_anon.png", "patient": "102"},
        f"{_K}/404_IM-0001-0001_anon.png": {"id": "404_IM-0001-0001_anon.png", "patient": "404"},
    },
    decoys={
        "labels/reviewed_masks_1/capsule/1_IM-0001-0059_anon.png": "mask",
        "labels/reviewed_masks_1/regions/1_IM-0001-0059_anon.png": "mask",
        "labels/reviewed_masks_2/capsule/1_IM-0001-0059_anon.png": "mask",
        f"{_K}/labels/reviewed_masks_2/regions/102_IM-0262-0009_anon.png": "mask",
        f"{_K}/400_IM-0262-0009_anon.png": "intra-rater copy",
        f"{_K}/404_IM-0262-0009_anon.png": "intra-rater copy",
        f"{_K}/500_IM-0115-17408_anon.png": "intra-rater copy",
        "kidneyUSlogo.png": "logo",
        "labels/README_labels": "document",
        "labels/reviewed_labels_2.csv": "table",
        "annotation_guidelines.docx": "document",
    },
    tables={
        "labels/reviewed_labels_1.csv": (
            "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
            '1_IM-0001-0059_anon.png,140645,"{""Quality"":""Fair"",""View"":""Transverse""}",1,0,"{}","{}"\n'
            '11_IM-0288-0017-0002_anon.png,1,"{broken",1,0,"{}","{}"\n'
        )
    },
    from_tables=("view",),
    real=(0, 0),
    archives={f"{_K}.zip": [f"{_K}/"]},
    full=(514, 501),
)
