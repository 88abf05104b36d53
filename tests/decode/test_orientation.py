"""An asymmetric phantom through every decoder: what comes out is the upright F, rows x columns, everywhere alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import phantom
import pytest

from openus.decode import frames
from openus.params import DecodeParams

PARAMS = DecodeParams()
LOSSLESS = {"f.png", "f.bmp", "f.tif", "f.dcm", "rle.dcm", "j2k.dcm", "jls.dcm", "f.mha", "f.nrrd", "f.nii", "f.nii.gz"}


def wrong_ways(picture: np.ndarray) -> list[np.ndarray]:
    return [picture[::-1], picture[:, ::-1], picture[::-1, ::-1]]


@pytest.mark.parametrize("name", sorted(phantom.STILLS))
def test_a_still_comes_out_upright_from_every_format(tmp_path: Path, name: str) -> None:
    picture = phantom.letter_f()
    (frame,) = frames(phantom.STILLS[name](tmp_path / name, [picture]), PARAMS)
    assert frame.index is None
    assert frame.pixels.dtype == np.uint8 and frame.pixels.flags.c_contiguous
    pixels = frame.pixels if name != "f.webp" else frame.pixels[..., 1]
    assert phantom.likeness(pixels, picture) > 0.97
    assert all(phantom.likeness(pixels, other) < 0.8 for other in wrong_ways(picture))
    if name in LOSSLESS:
        np.testing.assert_array_equal(frame.pixels, picture)


@pytest.mark.parametrize("name", sorted(phantom.CLIPS))
def test_a_sequence_comes_out_upright_and_in_order_from_every_format(tmp_path: Path, name: str) -> None:
    pictures = phantom.clip()
    found = list(frames(phantom.CLIPS[name](tmp_path / name, pictures), PARAMS))
    assert [frame.index for frame in found] == list(range(12))
    for frame, picture in zip(found, pictures, strict=True):
        pixels = frame.pixels if frame.pixels.ndim == 2 else frame.pixels[..., 1]
        assert phantom.likeness(pixels, picture) > 0.97
    if name not in ("c.webp", "c.avi", "c.mov", "mjpeg.avi"):  # whose codecs colour it by a level or two
        assert all(frame.pixels.ndim == 2 for frame in found), "gray clips stay gray"


@pytest.mark.parametrize(
    "name", sorted({*LOSSLESS, "f.jpg", "jpeg.dcm", "f.webp"} - {"f.mha", "f.nrrd", "f.nii", "f.nii.gz"})
)
def test_colours_come_out_as_red_green_blue(tmp_path: Path, name: str) -> None:
    picture = phantom.coloured(phantom.letter_f())
    (frame,) = frames(phantom.STILLS[name](tmp_path / name, [picture]), PARAMS)
    assert frame.pixels.shape == picture.shape
    np.testing.assert_allclose(frame.pixels[3, 3], (230, 30, 30), atol=25)
    np.testing.assert_allclose(frame.pixels[-3, -3], (30, 30, 230), atol=25)


@pytest.mark.parametrize("name", ["c.mp4", "c.avi", "c.mpeg", "c.mov", "c.webm"])
def test_clip_colours_come_out_as_red_green_blue(tmp_path: Path, name: str) -> None:
    pictures = [phantom.coloured(picture) for picture in phantom.clip(4)]
    found = list(frames(phantom.CLIPS[name](tmp_path / name, pictures), PARAMS))
    for frame in found:
        assert frame.pixels.ndim == 3
        np.testing.assert_allclose(frame.pixels[2, 6], (230, 30, 30), atol=45)
        np.testing.assert_allclose(frame.pixels[-3, -6], (30, 30, 230), atol=45)


@pytest.mark.parametrize("name", ["f.mha", "f.nrrd", "f.nii", "f.nii.gz"])
def test_volume_spacing_is_columns_then_rows(tmp_path: Path, name: str) -> None:
    (frame,) = frames(phantom.STILLS[name](tmp_path / name, [phantom.letter_f()]), PARAMS)
    assert frame.spacing_mm == pytest.approx((0.2, 0.3))
