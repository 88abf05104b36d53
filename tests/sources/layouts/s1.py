from __future__ import annotations

from layouts import Layout

# Numbers start again in each folder, the test pictures lie in two. The name of the zip file was not seen.
_TRAINING = "Data/TrainingDataSet"
_TESTING = "Data/TestingDataSet"

LAYOUT = Layout(
    images={
        f"{_TRAINING}/BreastTumourImages/0.jpg": {
            "id": "TrainingDataSet/BreastTumourImages/0.jpg",
            "split": "Training",
            "masks": (f"{_TRAINING}/Expanded-3-channel-Labels/0.png", f"{_TRAINING}/General-1-channel-Labels/0.png"),
        },
        f"{_TRAINING}/BreastTumourImages/10.jpg": {
            "id": "TrainingDataSet/BreastTumourImages/10.jpg",
            "split": "Training",
        },
        f"{_TESTING}/Test-Expanded-BreastTumourImages/0.jpg": {
            "id": "TestingDataSet/Test-Expanded-BreastTumourImages/0.jpg",
            "split": "Testing",
            "masks": (f"{_TESTING}/Test-Expanded-3-channel-Labels/0.png",),
        },
        f"{_TESTING}/Test-General-1-BreastTumourImages/0.jpg": {
            "id": "TestingDataSet/Test-General-1-BreastTumourImages/0.jpg",
            "split": "Testing",
            "masks": (f"{_TESTING}/Test-General-1-channel-Labels/0.png",),
        },
    },
    decoys={
        f"{_TRAINING}/Expanded-3-channel-Labels/0.png": "mask",
        f"{_TRAINING}/General-1-channel-Labels/0.png": "mask",
        f"{_TESTING}/Test-Expanded-3-channel-Labels/0.png": "mask",
        f"{_TESTING}/Test-General-1-channel-Labels/0.png": "mask",
        "Segmentation_Results/0.jpg": "result",  # perhaps in Data/
        "Data/Segmentation_Results/TestingDataSet/Test-Expanded-BreastTumourImages/0.jpg": "result",
        "Code/Architecture_and_Training_Model_of_Expanded_U-Net/train.py": "not a medium",
    },
    archives={"S1.zip": ["Data/", "Segmentation_Results/", "Code/"]},
)
