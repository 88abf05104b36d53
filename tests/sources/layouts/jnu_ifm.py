from __future__ import annotations

from layouts import Layout

# Frames that the table does not list; a coloured copy of each mask; a table in each recording's folder.
_R, _S = "20190830T115515", "20200101T080000"
_VIEW = "transperineal, mid-sagittal"


def _frame(video: str, n: int, **more: object) -> dict[str, object]:
    return {"id": f"{video}/image/{video}_{n}.png", "video": video, "view": _VIEW, **more}


LAYOUT = Layout(
    images={
        f"us_data/{_R}/image/{_R}_169.png": _frame(
            _R, 169, label="SP+Head", masks=(f"us_data/{_R}/mask/{_R}_169_mask.png",)
        ),
        f"us_data/{_R}/image/{_R}_170.png": _frame(_R, 170, label="None"),
        f"us_data/{_R}/image/{_R}_999.png": _frame(_R, 999),
        f"us_data/{_S}/image/{_S}_169.png": _frame(_S, 169),
    },
    decoys={
        f"us_data/{_R}/mask/{_R}_169_mask.png": "mask",
        f"us_data/{_R}/mask_enhance/{_R}_169_mask.png": "overlay",
        f"us_data/{_S}/image/{_R}_1.png": "unlisted medium",
    },
    tables={f"us_data/{_R}/frame_label.csv": ",frame_id,frame_label\n0,169,6\n1,170,3\n2,171,5\n"},
    from_tables=("label",),
    archives={"us_data.zip": ["us_data/"]},  # its true name is unknown
    full=(6224, None),
)
