from __future__ import annotations

from layouts import Layout

# Both forms of the set. Case 114 has one picture, while its XML marks image 2; repacked numbers may be padded.
LAYOUT = Layout(
    images={
        "114_1.jpg": {"id": "114_1.jpg", "patient": "114", "label": "4a"},
        "150_1.jpg": {"id": "150_1.jpg", "patient": "150"},
        "150_2.jpg": {"id": "150_2.jpg", "patient": "150"},
        "151_1.jpg": {"id": "151_1.jpg", "patient": "151"},
        "DDTI dataset/DDTI/1_or_data/image/1.PNG": {
            "id": "1_or_data/image/1.PNG",
            "masks": ("DDTI dataset/DDTI/1_or_data/mask/1.PNG",),
        },
        "DDTI dataset/DDTI/1_or_data/image/0637.PNG": {"id": "1_or_data/image/0637.PNG"},
    },
    decoys={
        "DDTI dataset/DDTI/1_or_data/mask/1.PNG": "mask",
        "DDTI dataset/DDTI/1_or_data/category.csv": "table",
        "DDTI dataset/DDTI/2_preprocessed_data/stage1/p_image/1.PNG": "preview",
        "DDTI dataset/DDTI/2_preprocessed_data/stage1/p_mask/1.PNG": "mask",
        "DDTI dataset/DDTI/2_preprocessed_data/stage2/p_image/1.PNG": "preview",
        "DDTI dataset/DDTI/2_preprocessed_data/train.csv": "preview",
        "DDTI dataset/DDTI.zip": "archive",
        "0001.jpg": "second copy",  # no case of that number
    },
    tables={
        "114.xml": "<case><number>114</number><tirads>4a</tirads><mark><image>2</image><svg>[]</svg></mark></case>",
        "150.xml": "<case><number>150</number><tirads></tirads><mark><image>1</image></mark></case>",
        "151.xml": (
            '<!DOCTYPE case [<!ENTITY a "5"><!ENTITY b "&a;&a;&a;&a;">]>'
            "<case><number>151</number><tirads>&b;</tirads></case>"
        ),
    },
    from_tables=("label",),
    top_folders=("", "archive/", "ddti-thyroid-ultrasound-images/archive/"),
    real=(135, 104),
    archives={"DDTI dataset/DDTI.zip": ["DDTI dataset/DDTI/"]},
)
