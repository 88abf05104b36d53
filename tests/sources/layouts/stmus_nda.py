from __future__ import annotations

from layouts import Layout

# The pictures stand twice: by muscle, and scaled for a network. Their names were not seen; the same may stand in each.
_P = "Polito-Radboud-DeepLearningUS"
_NETWORK = f"{_P}/Segmentation_models/data/MuscleCNN"
_OUTER = (
    "DATASET for Deep learning segmentation of transverse musculoskeletal ultrasound images for neuromuscular disease "
    "assessment"
)

LAYOUT = Layout(
    images={
        f"{_P}/BB/Healthy/Images/a.png": {
            "id": "BB/Healthy/Images/a.png",
            "view": "BB",
            "label": "Healthy",
            "masks": (f"{_P}/BB/Healthy/Masks/a.png",),
        },
        f"{_P}/GM/Pathological/Images/a.png": {
            "id": "GM/Pathological/Images/a.png",
            "view": "GM",
            "label": "Pathological",
            "masks": (f"{_P}/GM/Pathological/Masks/a.png",),
        },
        f"{_P}/TA/Pathological/Images/b (2).png": {
            "id": "TA/Pathological/Images/b (2).png",
            "view": "TA",
            "label": "Pathological",
        },
    },
    decoys={
        f"{_P}/BB/Healthy/Masks/a.png": "mask",
        f"{_P}/GM/Pathological/Masks/a.png": "mask",
        f"{_NETWORK}/train/a.png": "second copy",
        f"{_NETWORK}/trainannot/a.png": "mask",
        f"{_NETWORK}/val/b (2).png": "second copy",
        f"{_NETWORK}/valannot/b (2).png": "mask",
        f"{_NETWORK}/test/c.png": "second copy",
        f"{_NETWORK}/testannot/c.png": "mask",
        f"{_P}/Segmentation_models/post_process_muscleNet.m": "not a medium",
        f"{_P}/readme.txt": "document",
    },
    # 'Download All' wraps the archive into another, in a folder of 121 characters.
    top_folders=("", f"{_OUTER}/", f"{_OUTER}/DATASET_10.1016j.compbiomed.2021.104623/"),
    archives={"DATASET_10.1016j.compbiomed.2021.104623.zip": [f"{_P}/"]},
)
