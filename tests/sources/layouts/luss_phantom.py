from __future__ import annotations

from pixels import hdf5

from layouts import Layout

# Frames are cut from the clips beside them; one clip may give frames to both parts.
_D = "data-3"


def _frame(part: str, name: str, clip: str, masked: bool = True) -> tuple[str, dict[str, object]]:
    masks = (f"{_D}/{part}/masks/{name}.png",) if masked else ()
    path = f"{part}/images/{name}.png"
    return f"{_D}/{path}", {"id": path, "split": part, "video": clip, "masks": masks}


_FRAMES = (
    _frame("train", "clip12-F1", "clip12"),
    _frame("train", "clip12-F20", "clip12"),
    _frame("train", "P2-Focus-F003", "P2-Focus"),  # the last -F counts
    _frame("train", "clip7", "clip7", masked=False),  # none
    _frame("test", "clip12-F1", "clip12"),  # the same clip, even the same name, in the other part
)

LAYOUT = Layout(
    images=dict(_FRAMES),
    decoys={mask: "mask" for _, fields in _FRAMES for mask in fields["masks"]}
    | {
        f"{_D}/test/masks/clip9-F1.png": "mask",
        "VideoClips/clip12.webm": "source clip",
        "VideoClips/clip7.webm": "source clip",
        f"{_D}/model.h5": "model or script",
        "vidtoImage.m": "model or script",
        f"{_D}/overview.png": "unlisted medium",
    },
    top_folders=("", "LUS_model/", "twice/twice/"),
    full=(564, 0),
    archives={"LUS_model.zip": [f"{_D}/"], "VideoClips.zip": ["VideoClips/"]},
    content={f"{_D}/model.h5": lambda _: hdf5({"weights": [0.0, 1.0]})},
)
