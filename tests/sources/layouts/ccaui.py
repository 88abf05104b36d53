from __future__ import annotations

from layouts import Layout

# A file under "US images" whose name does not fit is kept, with the text before "_slice_" as its recording.
_C = "Common Carotid Artery Ultrasound Images"
_VIEW = "transverse common carotid artery"

LAYOUT = Layout(
    images={
        f"{_C}/US images/202201121748100022VAS_slice_1069.png": {
            "id": "US images/202201121748100022VAS_slice_1069.png",
            "video": "202201121748100022VAS",
            "view": _VIEW,
            "masks": (f"{_C}/Expert mask images/202201121748100022VAS_slice_1069.png",),
        },
        f"{_C}/US images/20220207-carotid_slice_258.png": {
            "id": "US images/20220207-carotid_slice_258.png",
            "video": "20220207-carotid",
            "view": _VIEW,
        },
    },
    decoys={f"{_C}/Expert mask images/202201121748100022VAS_slice_1069.png": "mask"},
    top_folders=("", f"{_C}/", "some-archive-main/"),
    real=(9, 0),
    archives={"d4xt63mgjm-1.zip": [f"{_C}/"]},  # its true name was not seen
    full=(1100, None),
)
