from __future__ import annotations

from layouts import Layout

LAYOUT = Layout(
    images={
        "lus_videos/patient_1_L1.mp4": {
            "id": "lus_videos/patient_1_L1.mp4",
            "patient": "1",
            "video": "patient_1_L1",
            "view": "L1",
            "label": "2.0",
        },
        "lus_videos/patient_1_R1_2.mp4": {
            "id": "lus_videos/patient_1_R1_2.mp4",
            "patient": "1",
            "video": "patient_1_R1_2",
            "view": "R1",
            "label": "0.0",
        },
        "lus_videos/patient_63_R3.mp4": {
            "id": "lus_videos/patient_63_R3.mp4",
            "patient": "63",
            "video": "patient_63_R3",
            "view": "R3",
        },
    },
    decoys={
        "sample_video.gif": "sample",
        "appendix.pdf": "document",
        "README.md": "document",
        "LICENSE": "document",
        "lus_videos/patient_1_X1.mp4": "unlisted medium",
    },
    tables={
        "severity.csv": (
            "video_file,Severity Score,A-lines,B-lines,comments\n"
            'patient_1_L1,2.0,yes,yes ,"broken pleura line, B-lines"\n'
            "patient_1_R1_2,0.0,yes,no,\n"
            "patient_2_R1,1.0,yes,no,\n"
        ),
        "clinical_variables.csv": "patient_id,cov_test\n1,1\n2,0\n",
        "variable_explanations.csv": "variable,variable_type,unit,explanation\npat_sex,cat,,0=female, 1=male\n",
    },
    from_tables=("label",),
    top_folders=("", "COVID-BLUES-1857a6fba9b8d00614f133fe8ffb7bc1f1a14f78/", "COVID-BLUES-main/COVID-BLUES-main/"),
    real=(44, 8),
    archives={"COVID-BLUES-main.zip": [""]},
    full=(362, 63),
)
