"""From stored DICOM samples to 8-bit gray or RGB: colour spaces, palettes, and the gray scale."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import phantom
import pytest
from phantom import one, ybr
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from openus.decode import frames
from openus.errors import UnsupportedMedium
from openus.params import DecodeParams

PARAMS = DecodeParams()
F = phantom.letter_f()
RGB = phantom.coloured(F)


def test_planar_configurations_and_byte_orders(tmp_path: Path) -> None:
    made = phantom.dataset(RGB)
    made.PlanarConfiguration = 1
    phantom.save(made, tmp_path / "p.dcm", np.ascontiguousarray(RGB.transpose(2, 0, 1)).tobytes())
    np.testing.assert_array_equal(one(tmp_path / "p.dcm"), RGB)
    deep = F.astype(np.uint16) * 16
    for syntax, order in ((ExplicitVRBigEndian, ">u2"), (ImplicitVRLittleEndian, "<u2")):
        made = phantom.dataset(deep, syntax)
        made.BitsStored, made.HighBit = 12, 11
        phantom.save(made, tmp_path / "b.dcm", deep.astype(order).tobytes())
        np.testing.assert_array_equal(one(tmp_path / "b.dcm"), np.rint(deep * (255 / 4095)).astype(np.uint8))


@pytest.mark.parametrize("name", ["YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422"])
def test_raw_ybr_becomes_the_right_colours(tmp_path: Path, name: str) -> None:
    smooth = cv2.resize(RGB[:8, :16], (16, 8))
    picture = np.ascontiguousarray(np.tile(smooth, (4, 4, 1)))
    stored = ybr(picture)
    if name == "YBR_PARTIAL_422":  # ITU-R BT.601 studio range
        stored = np.rint(
            stored * [219 / 255, 224 / 255, 224 / 255] + [16, 128 * (1 - 224 / 255), 128 * (1 - 224 / 255)]
        )
        stored = stored.astype(np.uint8)
    made = phantom.dataset(picture)
    made.PhotometricInterpretation = name
    if name == "YBR_FULL":
        data = stored.tobytes()
    else:
        pairs = stored.reshape(-1, 2, 3)
        data = np.concatenate([pairs[:, :, 0], pairs[:, 0, 1:]], axis=1).tobytes()
    found = one(phantom.save(made, tmp_path / "y.dcm", data))
    assert np.abs(found.astype(int) - picture)[:, 2:-2].max() <= 3


def test_monochrome1_is_inverted_and_few_bits_fill_the_range(tmp_path: Path) -> None:
    made = phantom.dataset(F)
    made.PhotometricInterpretation = "MONOCHROME1"
    np.testing.assert_array_equal(one(phantom.save(made, tmp_path / "m.dcm", (255 - F).tobytes())), F)
    made.PhotometricInterpretation, made.BitsStored, made.HighBit = "MONOCHROME2", 6, 5
    dirty = (F >> 2) | 0xC0  # bits above Bits Stored mean nothing
    np.testing.assert_array_equal(
        one(phantom.save(made, tmp_path / "s.dcm", dirty.tobytes())), np.rint((F >> 2) * (255 / 63))
    )


def test_deep_gray_by_window_or_by_bits_stored(tmp_path: Path) -> None:
    deep = np.linspace(0, 4095, F.size).reshape(F.shape).astype(np.uint16)
    made = phantom.dataset(deep)
    made.BitsStored, made.HighBit = 12, 11
    np.testing.assert_array_equal(
        one(phantom.save(made, tmp_path / "d.dcm", deep.tobytes())), np.rint(deep * (255 / 4095))
    )
    made.WindowCenter, made.WindowWidth, made.RescaleSlope, made.RescaleIntercept = [1000, 7], [501, 9], 2, -100
    found = one(phantom.save(made, tmp_path / "w.dcm", deep.tobytes()))
    shown = deep * 2.0 - 100
    expected = np.clip(((shown - 999.5) / 500 + 0.5) * 255, 0, 255)  # PS3.3 C.11.2.1.2.1
    np.testing.assert_allclose(found, expected, atol=0.51)
    signed = (deep.astype(np.int32) - 2048).astype(np.int16)
    made = phantom.dataset(signed)
    made.BitsStored, made.HighBit, made.PixelRepresentation = 12, 11, 1
    np.testing.assert_array_equal(
        one(phantom.save(made, tmp_path / "i.dcm", signed.tobytes())), np.rint(deep * (255 / 4095))
    )


@pytest.mark.parametrize("syntax", [phantom.ExplicitVRLittleEndian, phantom.RLE])
@pytest.mark.parametrize(("factor", "high"), [(1, 255), (16, 4095), (256, 65535)])
def test_sixteen_bits_stored_of_sixteen_are_taken_by_the_values_of_all_frames(
    tmp_path: Path, syntax: str, factor: int, high: int
) -> None:
    clip = [(picture * np.uint16(factor)) for picture in (F // 8, F, F // 4)]
    made = phantom.dataset(clip[0], frames=3)
    made.PixelData = b"".join(picture.tobytes() for picture in clip)
    made["PixelData"].VR = "OW"
    if syntax == phantom.RLE:
        made.compress(syntax, generate_instance_uid=False)
    made.save_as(tmp_path / "d.dcm", enforce_file_format=True)
    for frame, picture in zip(frames(tmp_path / "d.dcm", PARAMS), clip, strict=True):
        np.testing.assert_array_equal(frame.pixels, np.rint(picture * (255 / high)))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("bits", "window"), [(8, False), (12, False), (12, True)])
def test_a_negative_slope_inverts(tmp_path: Path, photometric: str, bits: int, window: bool) -> None:
    full = (1 << bits) - 1
    stored = np.linspace(0, full, F.size).reshape(F.shape).astype(np.uint8 if bits == 8 else np.uint16)
    made = phantom.dataset(stored)
    made.BitsStored, made.HighBit, made.PhotometricInterpretation = bits, bits - 1, photometric
    made.RescaleSlope, made.RescaleIntercept = -1, full
    shown = (full - stored.astype(float)) * (255 / full)
    if window:  # of the rescaled values 1000 to 1500 (PS3.3 C.11.2.1.2.1)
        made.WindowCenter, made.WindowWidth = 1250.5, 501
        shown = np.clip((full - stored.astype(float) - 1000) * (255 / 500), 0, 255)
    found = one(phantom.save(made, tmp_path / "n.dcm", stored.tobytes()))
    np.testing.assert_allclose(found, shown if photometric == "MONOCHROME2" else 255 - shown, atol=0.51)


def test_eight_bit_pictures_are_taken_as_they_are(tmp_path: Path) -> None:
    made = phantom.dataset(F)
    made.WindowCenter, made.WindowWidth = 60, 20
    np.testing.assert_array_equal(one(phantom.save(made, tmp_path / "e.dcm", F.tobytes())), F)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_palettes(tmp_path: Path, big: bool, bits: int) -> None:
    table = np.stack([np.arange(256), np.arange(256)[::-1], np.full(256, 40)]).astype(np.uint16)
    made = phantom.dataset(F, ExplicitVRBigEndian if big else phantom.ExplicitVRLittleEndian)
    made.PhotometricInterpretation = "PALETTE COLOR"
    for row, colour in zip(table, ("Red", "Green", "Blue"), strict=True):
        setattr(made, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, bits])
        data = (row << 8 | 0x3C if bits == 16 else row).astype(">u2" if big else "<u2").tobytes()
        setattr(made, f"{colour}PaletteColorLookupTableData", data)
    found = one(phantom.save(made, tmp_path / "p.dcm", F.tobytes()))
    np.testing.assert_array_equal(found, table.T[F])


@pytest.mark.parametrize(
    ("picture", "word", "signed"),
    [(F, "MONOCHROM", 0), (F, "", 0), (F, "RGB", 0), (F, "PALETTE COLOR", 1), (RGB, "HSV", 0), (RGB, "MONOCHROME2", 0)],
)
def test_samples_that_nobody_can_know_the_meaning_of(
    tmp_path: Path, picture: np.ndarray, word: str, signed: int
) -> None:
    made = phantom.dataset(picture)
    made.PhotometricInterpretation, made.PixelRepresentation = word, signed
    for colour in ("Red", "Green", "Blue"):
        setattr(made, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 8])
        setattr(made, f"{colour}PaletteColorLookupTableData", bytes(range(256)))
    with pytest.raises(UnsupportedMedium, match="palette are signed" if signed else "Photometric Interpretation"):
        one(phantom.save(made, tmp_path / "u.dcm", picture.tobytes()))
