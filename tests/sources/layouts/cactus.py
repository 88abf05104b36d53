from __future__ import annotations

from layouts import Layout

# The first number of a name is the grade. Names hold the scan and the frame; only one name was ever seen.
_C = "Cactus Dataset"
_NAMES = (  # name in its folder, grade, scan
    ("A4C/1_D15_frame_600_v2.jpg", "1", "D15"),
    ("A4C/10_D15_frame_5_v2.jpg", "10", "D15"),  # two digits
    ("PL/7_D15_frame_600_v2.jpg", "7", "D15"),  # one scan passes through several views
    ("PSAV/3_D2_frame_8.jpg", "3", "D2"),
    ("PSMV/8_D2_1_frame_30_v2.jpeg", "8", "D2_1"),  # an underscore in the scan
    ("Random/0_D7_frame_12_v2.jpg", "0", "D7"),
    ("SC/9_other.jpg", "9", None),  # no frame
    ("SC/4_frame_7_v2.jpg", "4", None),  # no scan, as a README has it
    ("SC/12_D3_frame_1.png", None, "12_D3"),  # no grade goes up to 12
)
_AS_IN_THE_README = "Image Dataset/SC/5_D9_frame_2_v2.jpg"

LAYOUT = Layout(
    images={
        f"{_C}/Images Dataset/{name}": {
            "id": f"Images Dataset/{name}",
            "view": name.partition("/")[0],
            "label": grade,
            "video": scan,
        }
        for name, grade, scan in _NAMES
    }
    | {f"{_C}/{_AS_IN_THE_README}": {"id": _AS_IN_THE_README, "view": "SC", "label": "5", "video": "D9"}},
    decoys={
        f"{_C}/Videos/Training/Video1.mp4": "source clip",
        f"{_C}/Videos/Real Time Scan/scan.mp4": "overlay",
        f"{_C}/Videos/Real-Time Scan/scan.mp4": "overlay",  # as the README writes it
        f"{_C}/Images Dataset/A2C/1_D15_frame_600_v2.jpg": "unlisted medium",
        "README.txt": "document",
    },
    tables={
        f"{_C}/Grades/A4C_grades.csv": (
            "\ufeffImage Name,Subfolder Name,Grade\n1_D15_frame_600_v2.jpg,A4C,1\n10_D15_frame_5_v2.jpg,A4C,10\n"
        ),
        f"{_C}/Grades/Random_grades.csv": "Image Name,Subfolder Name,Grade\n0_D7_frame_12_v2.jpg,Random,0\n",
        f"{_C}/Videos/Training/Video1.csv": "frame,grade,view\n0,1,A4C\n",
    },
    full=(37736, 0),
    archives={"CactusDataset_2025.110003.zip": [f"{_C}/"]},
)
