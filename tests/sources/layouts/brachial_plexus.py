from __future__ import annotations

from layouts import Layout

# Stems with and without a letter, a mask for every frame, needle masks with gaps, other columns for each machine.
_E, _B, _S = "data/eSaote", "data/Butterfly", "data/Sonosite"
_NEEDLE = f"{_S}/needle/needle_masks/s071"


def _masks(machine: str, name: str, *frames: int) -> tuple[str, ...]:
    return tuple(f"{machine}/ac_masks/{name}/{name}_{frame:03}.jpg" for frame in frames)


def _clip(machine: str, name: str, nerve: str | None, *masks: str) -> dict[str, object]:
    view = None if nerve == "neg" else nerve
    path = f"{machine}/videos/{name}.mp4"
    return {"id": path, "patient": name, "video": name, "label": nerve, "view": view, "masks": masks}


_CLIPS = (
    (_E, "1032", "sc", _masks(_E, "1032", 0, 1)),
    (_E, "1483", "neg", _masks(_E, "1483", 0)),
    (_E, "6485", "isc", ()),
    (_E, "9897", None, ()),  # without a row
    (_B, "b240", "sc", _masks(_B, "b240", 0)),
    (_S, "s005", "sc", ()),
    # Frames 33 and 34 show no needle.
    (_S, "s071", "sc", (*_masks(_S, "s071", 0), f"{_NEEDLE}/s071_032.jpg", f"{_NEEDLE}/s071_035.jpg")),
)

LAYOUT = Layout(
    images={
        f"{machine}/videos/{name}.mp4": _clip(machine, name, nerve, *masks) for machine, name, nerve, masks in _CLIPS
    },
    decoys={mask: "mask" for _, _, _, masks in _CLIPS for mask in masks}
    | {
        # A mask whose clip is absent.
        f"{_E}/ac_masks/1081/1081_000.jpg": "mask",
        "data/demo/P_021_09.mp4": "demo",
        "data/demo/P_021_09.txt": "demo",
        "data/demo/P_021_09_masks/P_021_09_000.jpg": "demo",
        "other/high_gain.gif": "overlay",
        "other/Low_gain1.gif": "overlay",
        "other/Readme.md": "document",
        "README.md": "document",
        "Manuscript_v2_wo_names.pdf": "document",
        f"{_S}/needle/readme.md": "document",
        f"{_NEEDLE}/readme.md": "document",
        # What the README still speaks of.
        "data/us_videos/1032.mp4": "older state",
        "data/eSaote/videos/preview.mp4": "unlisted medium",
    },
    tables={
        f"{_E}/subjects_data.csv": (
            "vid_name,nerve,left_right,gain,gender,age,height,BMI,labels_count,frames_cnt,gac_iter\n"
            "1032,sc,R,H,F,34,170,24.1,150,186,3\n"
            "1483,neg,L,M,M,41,165,22.0,0,140,1\n"
            # More labels than frames.
            "6485,isc,L,L,M,29,172,21.5,100,85,2\n"
        ),
        f"{_B}/subjects_data.csv": "vid_name,nerve,frame_cnt,gac_iter\nb240,sc,224,3\nb267,sc,136,1\n",
        f"{_S}/subjects_data.csv": "vid_name,nerve,frame_cnt,needle,gac_iter\ns005,sc,100,,2\ns071,sc,160,yes,3\n",
        f"{_E}/bb_annotations/1032.txt": '{"0":{"tracker": "human", "bounding_boxes": "[[263, 72, 55, 46]]"}}\n',
        f"{_S}/needle/needle_coordinates/s071.txt": '{"1": {"start": [301, 202], "stop": [512, 88]}}',
    },
    from_tables=("label", "view"),
    top_folders=("", "brachial_plexus-16c3581a7724a638b1c9cccde8bb411ceb396483/", "twice/twice/"),
    full=(226, 226),
)
