from __future__ import annotations

from layouts import Layout

# Nested once more in the download. One stem may stand in both views, each of which has a table of its own.
_D = "pediatric_echo_avi/pediatric_echo_avi"


def _clip(view: str, stem: str, fold: str | None) -> tuple[str, dict[str, object]]:
    path = f"{view}/Videos/{stem}.avi"
    patient, study, _ = stem.split("-")
    split = f"fold-{fold}" if fold else None
    fields = {"id": path, "patient": patient, "study": study, "video": stem, "view": view, "split": split}
    return f"{_D}/{path}", fields


_HEADER = "FileName,EF,Sex,Age,Weight,Height,Split\n"

LAYOUT = Layout(
    images=dict(
        (
            _clip("A4C", "CR32a95e6-CR3dcad12-000058", "9"),
            _clip("A4C", "CR32a95ef-CR32a97b8-000045", "7"),
            _clip("PSAX", "CR32a95e6-CR3dcad12-000058", "9"),  # the same stem
            _clip("PSAX", "CR32a95e6-CR3dcad12-000061", "9"),  # another clip of that study
            _clip("PSAX", "CR3dca6a0-CR3dca87f-000030", "0"),  # a fold that is no truth
            _clip("PSAX", "CR3dca6a0-CR3dca87f-000031", None),  # in no row
        )
    ),
    decoys={
        f"{_D}/A4C/Videos/test.avi": "unlisted medium",
        f"{_D}/Videos/CR32a95e6-CR3dcad12-000058.avi": "unlisted medium",  # the authors' scripts have one folder of all
    },
    tables={
        f"{_D}/A4C/FileList.csv": _HEADER
        + "CR32a95e6-CR3dcad12-000058.avi,60.97,F,13,45.1,150.0,9\n"
        + "CR32a95ef-CR32a97b8-000045.avi,21.95,M,0,nan,nan,7\n",
        f"{_D}/PSAX/FileList.csv": _HEADER
        + "CR32a95e6-CR3dcad12-000058.avi,60.97,F,13,45.1,150.0,9\n"
        + "CR32a95e6-CR3dcad12-000061.avi,60.97,F,13,45.1,150.0,9\n"
        + "CR3dca6a0-CR3dca87f-000030.avi,55.0,M,4,16.0,101.0,0\n",
        f"{_D}/A4C/VolumeTracings.csv": (
            "FileName,X,Y,Frame\nCR32a95e6-CR3dcad12-000058.avi,50.1,20.2,12\n"
            "CR32a95ef-CR32a97b8-000045.avi,,,No Systolic\n"
        ),
        f"{_D}/PSAX/VolumeTracings.csv": "FileName,X,Y,Frame\nCR3dca6a0-CR3dca87f-000030.avi,,,No Diastolic\n",
    },
    from_tables=("split",),
    top_folders=("", "echonetpediatric/", "twice/twice/"),
)
