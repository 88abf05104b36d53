from __future__ import annotations

from layouts import Layout

# The table has several rows a clip behind an unnamed first column, and not every clip has rows.


def _clip(batch: int, stem: str, split: str | None) -> tuple[str, dict[str, object]]:
    path = f"Batch{batch}/{stem}.avi"
    return path, {"id": path, "video": stem, "view": "PLAX", "split": split}


LAYOUT = Layout(
    images=dict(
        (
            _clip(1, "0X1017398D3C3F5FF9", "train"),
            _clip(2, "0X1027077445AE5512", "val"),
            _clip(3, "0X1B0D341BDF4D3E5F", "test"),
            _clip(4, "0X1B0D341BDF4D3E60", None),  # without a row
        )
    ),
    decoys={"Batch1/preview.avi": "unlisted medium", "Videos/0X100009310A3BD7FC.avi": "unlisted medium"},
    tables={
        "MeasurementsList.csv": (
            ",HashedFileName,Calc,CalcValue,Frame,X1,X2,Y1,Y2,Frames,FPS,Width,Height,split\n"
            "0,0X1017398D3C3F5FF9,LVPWd,0.93,20,410.0,421.0,310.0,345.0,66,50,1024,768,train\n"
            "1,0X1017398D3C3F5FF9,LVIDd,4.51,20,380.0,410.0,190.0,310.0,66,50,1024,768,train\n"
            "2,0X1017398D3C3F5FF9,IVSd,0.95,20,371.0,380.0,155.0,190.0,66,50,1024,768,train\n"
            "3,0X1027077445AE5512,LVIDs,2.90,31,300.0,310.0,200.0,280.0,80,30,800,600,val\n"
            "4,0X1B0D341BDF4D3E5F,LVPWs,1.20,12,300.0,310.0,280.0,310.0,90,30,640,480,test\n"
            "5,0X10CC1A4E9C42A5F6,IVSs,1.10,12,300.0,310.0,280.0,310.0,90,30,640,480,train\n"
        ),
    },
    from_tables=("split",),
    full=(12000, None),
    archives={"EchoNet-LVH.zip": ["Batch", "MeasurementsList.csv"]},
)
