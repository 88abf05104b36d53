from __future__ import annotations

from layouts import Layout

# Names have 13 to 16 hex digits; FileList.csv names them with or without .avi, and lists clips that a copy lacks.
_D = "EchoNet-Dynamic"


def _clip(stem: str, split: str | None) -> tuple[str, dict[str, object]]:
    path = f"Videos/{stem}.avi"
    return f"{_D}/{path}", {"id": path, "patient": stem, "video": stem, "view": "A4C", "split": split}


LAYOUT = Layout(
    images=dict(
        (
            _clip("0X100009310A3BD7FC", "VAL"),
            _clip("0X1002E8FBACD08477", "TRAIN"),  # with .avi in the table
            _clip("0XABCDEF0123456", "TEST"),  # 13 digits, and a size of 768 pixels in the table
            _clip("0XABCDEF0123456789", None),  # in no row
        )
    ),
    decoys={f"{_D}/Videos/preview.avi": "unlisted medium", f"{_D}/README.md": "document"},
    tables={
        f"{_D}/FileList.csv": (
            "FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split\n"
            "0X100009310A3BD7FC,78.49840597,14.88136797,69.21053366,112,112,50,174,VAL\n"
            "0X1002E8FBACD08477.avi,59.10098821,40.38387561,98.74288421,112,112,50,215,TRAIN\n"
            "0XABCDEF0123456,62.4,10.1,27.0,768,1024,50,90,TEST\n"
            "0X100CF05D141FF143,60.0,20.0,50.0,112,112,50,93,TRAIN\n"
        ),
        f"{_D}/VolumeTracings.csv": ("FileName,X1,Y1,X2,Y2,Frame\n0X100009310A3BD7FC.avi,51.26,15.35,64.93,69.13,46\n"),
    },
    from_tables=("split",),
    full=(10030, 10030),
    archives={"EchoNet-Dynamic.zip": [f"{_D}/"]},
)
