"""Clips: variable rates, turns, transparency, cut tails, lying headers, gray."""

from __future__ import annotations

import csv
import struct
from pathlib import Path

import av
import numpy as np
import phantom
import pytest

from openus.data import Frame
from openus.decode import frames, versions
from openus.decode.container import missing_bytes
from openus.decode.video import NEUTRAL, Converter
from openus.errors import DecodeError, NotUltrasound
from openus.media import sniff
from openus.params import DecodeParams

PARAMS = DecodeParams()
CUTTABLE = ("mjpeg.avi", "c.mpeg", "c.webm", "c.wmv", "c.gif", "gray.avi", "fast.mp4")


def fast_start(path: Path, pictures: list[np.ndarray]) -> Path:
    """An MP4 whose index stands first, so that a cut one still opens; with pictures that wait for later ones."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream("libx264", rate=25, options={"bf": "2", "x264-params": "keyint=8:rc-lookahead=4"})
        stream.width, stream.height, stream.pix_fmt = pictures[0].shape[1], pictures[0].shape[0], "yuv420p"
        for picture in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="gray")))
        out.mux(stream.encode())
    return path


def collected(path: Path) -> tuple[list[Frame], Exception | None]:
    found: list[Frame] = []
    stream = frames(path, PARAMS)
    while True:
        try:
            found.append(next(stream))
        except StopIteration:
            return found, None
        except DecodeError as error:
            return found, error


@pytest.mark.parametrize("name", CUTTABLE)
def test_a_cut_clip_gives_its_whole_frames_and_then_an_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write = fast_start if name == "fast.mp4" else phantom.CLIPS[name]
    whole = write(path, phantom.clip(30)).read_bytes()
    reference = [frame.pixels for frame in frames(path, PARAMS)]
    came = []
    for share in (0.5, 0.7, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        found, error = collected(path)
        assert error is not None and str(len(found)) in error.message
        came.append(len(found))
        for frame, pixels in zip(found, reference, strict=False):
            np.testing.assert_array_equal(frame.pixels, pixels, err_msg="a frame that came is the frame of that index")
    assert 0 < came[0] <= came[1] <= came[2] < 30


def test_a_cut_that_takes_no_picture_is_forgiven(tmp_path: Path) -> None:
    for name in ("c.mp4", "c.avi"):
        whole = phantom.CLIPS[name](tmp_path / name, phantom.clip(12)).read_bytes()
        (tmp_path / name).write_bytes(whole[:-4])  # of the metadata or the index behind the pictures
        found, error = collected(tmp_path / name)
        assert (len(found), error) == (12, None)


def test_headers_that_state_too_many_frames(tmp_path: Path) -> None:
    path = phantom.CLIPS["c.avi"](tmp_path / "c.avi", phantom.clip(20))
    made = bytearray(path.read_bytes())
    length = made.index(b"strh") + 8 + 32
    assert struct.unpack_from("<I", made, length) == (20,)
    for declared, whole in ((19, True), (21, True), (22, True), (23, False), (40, False)):
        struct.pack_into("<I", made, length, declared)
        path.write_bytes(made)
        found, error = collected(path)
        assert len(found) == 20 and (error is None) == whole
    assert error is not None and "20 frames came of 40" in error.message


def test_frames_that_an_edit_list_hides_are_not_missing(tmp_path: Path) -> None:
    path = phantom.write_video("libx264", "yuv420p", bf="0")(tmp_path / "e.mp4", phantom.clip(40))
    made = bytearray(path.read_bytes())
    at = made.index(b"elst") + 12
    struct.pack_into(">I", made, at, struct.unpack_from(">I", made, at)[0] // 2)
    path.write_bytes(made)
    found, error = collected(path)
    assert (len(found), error) == (20, None)


def test_variable_rate_gives_every_frame_once(tmp_path: Path) -> None:
    pts = [0, 3, 4, 11, 30, 31, 32, 90]
    path = phantom.write_video("libx264", "yuv420p", crf="10")(tmp_path / "v.mp4", phantom.clip(8), pts=pts)
    found = list(frames(path, PARAMS))
    assert len(found) == 8
    for frame, picture in zip(found, phantom.clip(8), strict=True):
        assert phantom.likeness(frame.pixels, picture) > 0.97


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_display_rotation_is_applied(tmp_path: Path, degrees: int) -> None:
    picture = phantom.letter_f()
    stored = np.ascontiguousarray(np.rot90(picture, -degrees // 90))
    path = phantom.write_video("libx264", "yuv420p", crf="10")(tmp_path / "r.mp4", [stored] * 3, rotate=degrees)
    for frame in frames(path, PARAMS):
        assert phantom.likeness(frame.pixels, picture) > 0.97


def test_transparent_gif_is_composited_onto_black(tmp_path: Path) -> None:
    from PIL import Image

    alpha = np.where(np.arange(64) < 20, 0, 255)[None].repeat(48, 0).astype(np.uint8)
    rgba = [Image.fromarray(np.dstack([picture] * 3 + [alpha])) for picture in phantom.clip(3)]
    rgba[0].save(tmp_path / "t.gif", save_all=True, append_images=rgba[1:], disposal=2)
    found = list(frames(tmp_path / "t.gif", PARAMS))
    assert len(found) == 3
    for frame in found:
        assert not frame.pixels[:, :20].any() and frame.pixels[:, 20:].any()


def test_a_gif_of_one_frame_is_a_still_and_may_be_a_label(tmp_path: Path) -> None:
    (frame,) = frames(phantom.write_gif(tmp_path / "s.gif", [phantom.letter_f()]), PARAMS)
    assert frame.index is None
    phantom.write_gif(tmp_path / "l.gif", [np.eye(64, dtype=np.uint8) * 255])
    with pytest.raises(NotUltrasound):
        list(frames(tmp_path / "l.gif", PARAMS))


@pytest.mark.parametrize("name", ["2024-01-01T12:30:45.mp4", "concat:c.mp4|c.mp4", "file:c.mp4", "c%20d?e.mp4"])
def test_a_name_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    phantom.CLIPS["c.mp4"](tmp_path / "c.mp4", phantom.clip(3)).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(list(frames(Path(name), PARAMS))) == 3


def test_sound_without_pictures(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        stream = out.add_stream("aac", rate=8000)
        stream.layout = "mono"
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        out.mux(stream.encode(sound))
        out.mux(stream.encode())
    with pytest.raises(NotUltrasound, match="no video stream"):
        list(frames(tmp_path / "a.mp4", PARAMS))


def test_bounds(tmp_path: Path) -> None:
    path = phantom.CLIPS["c.mp4"](tmp_path / "c.mp4", phantom.clip(6))
    with pytest.raises(DecodeError, match="64 x 48"):
        list(frames(path, DecodeParams(max_pixels=1000)))
    with pytest.raises(DecodeError, match="max_frames"):
        list(frames(path, DecodeParams(max_frames=5)))


@pytest.mark.parametrize("form", ["yuv420p", "yuv444p"])
def test_gray_is_the_gray_of_the_rgb_conversion(tmp_path: Path, form: str) -> None:
    from openus.decode.video import _EXACT

    path = phantom.write_video("libx264", form, crf="10")(tmp_path / "g.mp4", phantom.clip(5))
    found = list(frames(path, PARAMS))
    with av.open(str(path)) as container:
        for frame, raw in zip(found, container.decode(video=0), strict=True):
            rgb = raw.reformat(format="rgb24", interpolation=_EXACT).to_ndarray()
            np.testing.assert_array_equal(frame.pixels, rgb[..., 0])
            np.testing.assert_array_equal(frame.pixels, rgb[..., 2])


def test_versions_name_what_changes_bytes() -> None:
    found = versions()
    assert {"av", "ffmpeg", "libavcodec", "libswscale", "numpy", "pydicom"} <= set(found)


def test_real_clips_give_all_their_frames_and_none_is_cut(real: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with (real / "CHECK.tsv").open() as table:
        rows = [row for row in csv.DictReader(table, delimiter="\t") if row["kind"] == "video"]
    assert len(rows) == 81
    for row in rows:
        path = real / row["path"]
        expected = int(row["info"].split("frames=")[1].split()[0])
        assert missing_bytes(path, sniff(path) or "") == 0
        assert sum(1 for _ in frames(path, PARAMS)) == expected, row["path"]
    assert not any(capfd.readouterr())


@pytest.mark.parametrize(
    ("off", "dimensions"), [(0, 2), (NEUTRAL, 2), (-NEUTRAL, 2), (NEUTRAL + 1, 3), (-NEUTRAL - 1, 3)]
)
@pytest.mark.parametrize("plane", [1, 2])
def test_noise_of_chroma_is_no_colour(plane: int, off: int, dimensions: int) -> None:
    luma = np.arange(256, dtype=np.uint8).reshape(16, 16)
    planes = [luma, np.full((16, 16), 128, np.uint8), np.full((16, 16), 128, np.uint8)]
    planes[plane][8, 8] = 128 + off
    frame = av.VideoFrame.from_ndarray(np.stack(planes), format="yuvj444p")
    pixels = Converter(av.video.reformatter.VideoReformatter(), {}).pixels(frame)
    assert pixels.ndim == dimensions
    if dimensions == 2:
        np.testing.assert_array_equal(pixels, luma)
