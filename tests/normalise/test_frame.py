"""A frame on its way: crop, colour, size, quality, bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import screens
from hypothesis import given, settings
from hypothesis import strategies as st

from openus.data import Crop, Frame
from openus.normalise import Geometry, apply, encode, fit, quality
from openus.params import NormaliseParams

PARAMS = NormaliseParams()


def whole(pixels: screens.Pixels) -> Geometry:
    return Geometry(Crop(0, 0, pixels.shape[1], pixels.shape[0]), None, None)


@settings(max_examples=80, deadline=None)
@given(rows=st.integers(1, 900), columns=st.integers(1, 900), longest=st.integers(1, 600))
def test_reduced_to_the_longest_side_and_never_enlarged(rows: int, columns: int, longest: int) -> None:
    pixels = np.zeros((rows, columns), np.uint8)
    height, width = apply(Frame(pixels), whole(pixels), replace(PARAMS, longest_side=longest)).pixels.shape
    assert 1 <= height <= rows and 1 <= width <= columns
    scale = min(1.0, longest / max(rows, columns))
    assert max(height, width) == min(longest, max(rows, columns))
    assert all(abs(n - full * scale) <= 0.5 or n == 1 for n, full in ((height, rows), (width, columns)))


def test_area_interpolation_keeps_the_mean() -> None:
    pixels = screens.speckle(1024, 1024, 0)
    small = apply(Frame(pixels), whole(pixels), PARAMS).pixels
    assert small.shape == (512, 512)
    assert np.array_equal(small, cv2.resize(pixels, (512, 512), interpolation=cv2.INTER_AREA))


def test_colour_is_settled_before_the_picture_is_reduced() -> None:
    pixels = rgb(screens.speckle(1024, 1024, 0))
    pixels[..., 1] = np.maximum(pixels[..., 1], screens.speckle(1024, 1024, 1))
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = apply(Frame(pixels), whole(pixels), PARAMS).pixels
    assert np.array_equal(small, cv2.resize(gray, (512, 512), interpolation=cv2.INTER_AREA))


def test_fields_that_apply_fills_and_leaves() -> None:
    pixels = screens.speckle(200, 300, 1)
    frame = Frame(pixels, index=7, spacing_mm=(0.1, 0.2))
    out = apply(frame, Geometry(Crop(10, 20, 100, 80), "linear", True), PARAMS)
    assert np.array_equal(out.pixels, pixels[20:100, 10:110])
    assert (out.crop, out.sector_kind, out.has_text, out.quality) == (Crop(10, 20, 100, 80), "linear", True, None)
    assert (out.index, out.spacing_mm) == (7, (0.1, 0.2))
    assert out.pixels.flags.c_contiguous


@pytest.mark.parametrize(
    ("shape", "crop"),
    [((50, 60), Crop(10, 20, 50, 30)), ((15, 300), Crop(0, 0, 300, 15)), ((200, 5), Crop(0, 0, 5, 200))],
)
def test_a_frame_smaller_than_the_clip_is_cut_within_itself(shape: tuple[int, int], crop: Crop) -> None:
    frame = Frame(screens.speckle(*shape, 2))
    out = apply(frame, Geometry(Crop(10, 20, 100, 80), None, None), PARAMS)
    assert out.crop == crop
    assert out.pixels.shape == (crop.h, crop.w)


def rgb(gray: screens.Pixels) -> screens.Pixels:
    return np.stack([gray] * 3, axis=2)


def test_doppler_stays_rgb() -> None:
    pixels = rgb(screens.speckle(300, 400, 3))
    pixels[100:130, 100:150] = (220, 40, 20)
    pixels[150:180, 200:250] = (20, 60, 230)
    assert apply(Frame(pixels), whole(pixels), PARAMS).pixels.shape == (300, 400, 3)


@pytest.mark.parametrize("what", ["tint", "caliper", "letters"])
def test_tints_and_annotations_become_gray(what: str) -> None:
    pixels = rgb(screens.speckle(300, 400, 4))
    if what == "tint":
        pixels = np.clip(pixels.astype(int) + np.array([24, 10, 0]), 0, 255).astype(np.uint8)
    elif what == "caliper":
        pixels[150, 50:350:2] = (255, 0, 0)
    else:
        cv2.putText(pixels, "Rt OVARY 3.6 cm", (40, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (255, 255, 0), 2)
    out = apply(Frame(pixels), whole(pixels), PARAMS).pixels
    assert np.array_equal(out, cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))


def test_colour_outside_the_crop_does_not_count() -> None:
    pixels = rgb(screens.speckle(300, 400, 5))
    pixels[:, :40] = (255, 0, 0)
    assert apply(Frame(pixels), Geometry(Crop(60, 0, 340, 300), None, None), PARAMS).pixels.ndim == 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (40, 40), (480, 640), (480, 640, 3)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_one_value_is_blank(shape: tuple[int, ...], level: int) -> None:
    pixels = np.full(shape, level, np.uint8)
    assert quality(pixels) == "blank"
    assert apply(Frame(pixels), whole(pixels), PARAMS).quality == "blank"


@pytest.mark.parametrize(("levels", "rule"), [(8, "blank"), (9, None)])
def test_a_picture_of_nine_levels_is_blank_and_of_ten_is_not(levels: int, rule: str | None) -> None:
    pixels = np.full((64, 64), 100, np.uint8)
    pixels[20:40, 20:40] += np.uint8(levels)
    assert quality(pixels) == rule


def test_sensor_noise_is_blank_but_a_faint_echo_is_not() -> None:
    noise = np.random.default_rng(0).integers(0, 5, (480, 640)).astype(np.uint8)
    assert quality(noise) == "blank"
    noise[200:240, 300:340] += 30
    assert quality(noise) is None


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (1, 5000), (64, 64), (480, 640), (480, 640, 3)])
def test_speckle_is_no_reject(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    pixels.flat[0], pixels.flat[-1] = 0, 255
    if shape != (1, 5000):  # one row of noise averages out
        assert quality(pixels) is None
    apply(Frame(pixels), whole(pixels), PARAMS)


def test_ring_down_above_silence_is_no_contact_but_tissue_above_a_shadow_is_not() -> None:
    ringing = np.zeros((400, 400), np.uint8)
    ringing[:90] = (np.arange(90) // 8 % 2 * 150 + 20)[:, None]
    assert quality(ringing) == "no-contact"
    shadow = np.zeros((400, 400), np.uint8)
    shadow[:130] = screens.speckle(130, 400, 6)
    assert quality(shadow) is None
    ringing[250:290, 100:300] = screens.speckle(40, 200, 7)
    assert quality(ringing) is None


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("channels", [1, 3])
def test_encoding_is_repeatable_and_comes_back(suffix: str, channels: int) -> None:
    pixels = screens.speckle(100, 120, 8)
    if channels == 3:
        pixels = np.stack([pixels, pixels // 2, 255 - pixels], axis=2)
    data, named = encode(pixels, NormaliseParams(format=suffix))  # type: ignore[arg-type]
    assert named == suffix
    assert data == encode(pixels.copy(), NormaliseParams(format=suffix))[0]  # type: ignore[arg-type]
    back = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    back = back if channels == 1 else back[..., ::-1]
    assert back.shape == pixels.shape
    if suffix == "png":
        assert np.array_equal(back, pixels)
    elif channels == 1:
        assert np.abs(back.astype(int) - pixels).mean() < 3


def test_jpeg_quality_counts() -> None:
    pixels = screens.speckle(200, 200, 9)
    assert len(encode(pixels, NormaliseParams(jpeg_quality=50))[0]) < len(encode(pixels, PARAMS)[0])


def test_letters_are_found_within_the_crop_only() -> None:
    mask = screens.rectangle(480, 640, (140, 60, 500, 400))
    clean = screens.screen(mask, 10) // 2
    assert fit([clean], PARAMS).has_text is False
    outside = clean.copy()
    screens.write(outside, "MAMA DIR", (200, 460))
    assert fit([outside], PARAMS).has_text is False
    inside = clean.copy()
    screens.write(inside, "MAMA DIR", (200, 350))
    assert fit([inside], PARAMS).has_text is True


def test_same_pixels_same_answer() -> None:
    mask = screens.sector(600, 800, (400, 20), (80, 520), 0.6)
    frame = Frame(screens.screen(mask, 11))
    twice = [apply(frame, fit([frame.pixels], PARAMS), PARAMS) for _ in range(2)]
    assert twice[0].crop == twice[1].crop
    assert encode(twice[0].pixels, PARAMS) == encode(twice[1].pixels, PARAMS)


def picture(path: Path) -> screens.Pixels:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert pixels is not None, path
    return np.asarray(pixels[..., ::-1], dtype=np.uint8)


def normalised(path: Path) -> Frame:
    pixels = picture(path)
    return apply(Frame(pixels), fit([pixels], PARAMS), PARAMS)


def test_real_probe_in_air(real: Path) -> None:
    """Study 202101 of the Philips export: two pictures of a probe in air, six of a nerve plexus."""
    import pydicom
    from pydicom.pixels import apply_color_lut

    found = {}
    for path in sorted((real / "archives/philips-sparq-plexus/DICOM 12-08").glob("2*/*")):
        data = pydicom.dcmread(path)
        pixels = (apply_color_lut(data.pixel_array, data) >> 8).astype(np.uint8)
        found[f"{path.parent.name}/{path.name}"] = apply(Frame(pixels), fit([pixels], PARAMS), PARAMS)
    assert {k for k, f in found.items() if f.quality == "no-contact"} == {"202101/20210100", "202101/20210102"}
    assert {f.quality for k, f in found.items() if not k.startswith("202101")} == {None}
    assert {f.pixels.ndim for f in found.values()} == {2}


@pytest.mark.parametrize("number", [1290, 1294, 1296, 1297, 1462])
def test_real_doppler_stays_rgb(real: Path, number: int) -> None:
    assert normalised(real / f"sources/mmotu-2d/OTU_2d/images/{number}.JPG").pixels.ndim == 3


@pytest.mark.parametrize(
    "name",
    [
        "sources/mmotu-2d/OTU_2d/images/1020.JPG",  # yellow letters and calipers
        "sources/mmotu-2d/OTU_2d/images/1190.JPG",  # yellow and violet letters
        "sources/busi/Dataset_BUSI_with_GT/benign/benign (6).png",  # a yellow frame and calipers
        "sources/ccaui/Common Carotid Artery Ultrasound Images/US images/202201121748100022VAS_slice_1128.png",
    ],
)
def test_real_annotations_and_tints_become_gray(real: Path, name: str) -> None:
    assert normalised(real / name).pixels.ndim == 2


def test_no_real_picture_is_a_quality_reject(real: Path) -> None:
    for folder in ("busi", "mmotu-2d", "ddti", "hc18", "bus-bra"):
        paths = sorted(p for p in (real / "sources" / folder).rglob("*") if p.suffix.lower() in (".png", ".jpg"))
        wanted = [p for p in paths if not any(m in p.as_posix() for m in ("_mask", "Masks", "annotations", "_Annot"))]
        assert wanted
        for path in wanted[::6]:
            assert normalised(path).quality is None, path.name
