"""The crop: holds the whole field, and little else; whole frames where unsure."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import screens
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from openus.data import Crop, Reading
from openus.errors import DecodeError
from openus.normalise import fit
from openus.params import DecodeParams, NormaliseParams
from openus.pictures import pictures

PARAMS = NormaliseParams()


def edges(crop: Crop) -> tuple[int, int, int, int]:
    return crop.x, crop.y, crop.x + crop.w, crop.y + crop.h


def assert_holds(crop: Crop, mask: screens.Mask, generous: int) -> None:
    """The crop holds the mask, and at most `generous` pixels more on each side."""
    left, top, right, bottom = screens.bounds(mask)
    x0, y0, x1, y1 = edges(crop)
    assert x0 <= left and y0 <= top and x1 >= right and y1 >= bottom, f"{crop} cuts into {screens.bounds(mask)}"
    assert max(left - x0, top - y0, x1 - right, y1 - bottom) <= generous, f"{crop} for {screens.bounds(mask)}"


@settings(max_examples=60, deadline=None)
@given(
    left=st.integers(90, 200), top=st.integers(40, 120), width=st.integers(360, 500), height=st.integers(370, 400),
    seed=st.integers(0, 999), background=st.sampled_from([0, 3, 60]),
)  # fmt: skip
def test_linear_field_amid_a_screen(left: int, top: int, width: int, height: int, seed: int, background: int) -> None:
    mask = screens.rectangle(600, 800, (left, top, left + width, top + height))
    pixels = screens.screen(mask, seed, background)
    screens.write(pixels, "L12-4 38Hz", (5, 20))
    screens.write(pixels, "MI 0.5", (700, 30))
    screens.write(pixels, "LT AXILLA", (300, 580))
    pixels[200:350, 10:70] = np.linspace(255, 100, 150, dtype=np.uint8)[:, None]  # a gray bar
    geometry = fit([pixels], PARAMS)
    assert_holds(geometry.crop, mask, generous=12)
    assert geometry.sector_kind == "linear"


@settings(max_examples=60, deadline=None)
@given(
    x=st.integers(330, 470), inner=st.integers(90, 130), depth=st.integers(320, 380),
    angle=st.floats(0.5, 0.75), seed=st.integers(0, 999),
)  # fmt: skip
def test_convex_field_amid_a_screen(x: int, inner: int, depth: int, angle: float, seed: int) -> None:
    mask = screens.sector(600, 800, (x, 60 - inner // 2), (inner, inner + depth), angle)
    pixels = screens.screen(mask, seed)
    screens.write(pixels, "C5-1 11cm", (5, 20))
    screens.write(pixels, "FROZEN", (700, 580))
    geometry = fit([pixels], PARAMS)
    assert_holds(geometry.crop, mask, generous=16)
    assert geometry.sector_kind == "convex"


def test_phased_field() -> None:
    mask = screens.sector(480, 640, (320, 40), (0, 380), 0.7)
    geometry = fit([screens.screen(mask, 1)], PARAMS)
    assert_holds(geometry.crop, mask, generous=16)
    assert geometry.sector_kind == "phased"


def test_trapezoid_field() -> None:
    mask = np.zeros((480, 640), np.uint8)
    cv2.fillConvexPoly(mask, np.array([[220, 40], [420, 40], [540, 440], [100, 440]], np.int32), 1)
    geometry = fit([screens.screen(mask > 0, 1)], PARAMS)
    assert_holds(geometry.crop, mask > 0, generous=16)
    assert geometry.sector_kind == "trapezoid"


def test_white_letterbox_and_panel_around_a_field() -> None:
    mask = screens.rectangle(920, 1660, (520, 100, 1250, 800))
    pixels = np.full((920, 1660), 255, np.uint8)
    pixels[60:830, 150:1510] = 54
    pixels[mask] = screens.speckle(920, 1660, 2)[mask]
    assert_holds(fit([pixels], PARAMS).crop, mask, generous=30)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), rows=st.integers(64, 500), columns=st.integers(64, 500))
def test_field_without_margins_stays_whole(seed: int, rows: int, columns: int) -> None:
    geometry = fit([screens.speckle(rows, columns, seed)], PARAMS)
    assert geometry.crop == Crop(0, 0, columns, rows)
    assert geometry.sector_kind is None


@settings(max_examples=40, deadline=None)
@given(
    down=st.floats(120, 260), across=st.floats(200, 2000), power=st.sampled_from([1, 2]), seed=st.integers(0, 99)
)  # fmt: skip
def test_tissue_that_fades_into_black_is_not_cut(down: float, across: float, power: int, seed: int) -> None:
    """No edge at the bottom or to the right, only less and less echo: both sides stay whole."""
    y, x = np.mgrid[:480, :640]
    fade = np.exp(-((y / down) ** power) - (x / across) ** power)
    pixels = (screens.speckle(480, 640, seed, least=0) * fade).astype(np.uint8)
    assert fit([pixels], PARAMS).crop == Crop(0, 0, 640, 480)


def test_empty_field_one_level_above_the_background_counts() -> None:
    """Scanners paint the field at level 1: echoes near the probe alone do not end it."""
    mask = screens.rectangle(600, 800, (200, 80, 600, 520))
    pixels = mask.astype(np.uint8)
    pixels[80:180, 200:600] = screens.speckle(100, 400, 4)
    assert_holds(fit([pixels], PARAMS).crop, mask, generous=12)


def test_a_dark_part_of_the_field_is_not_cut_off_at_the_sharp_edge_of_a_light_one() -> None:
    """Echo to row 400, and below it sparse levels near black that thin out: they end in no edge and belong to it."""
    pixels = screens.screen(screens.rectangle(600, 800, (200, 80, 600, 400)), 0)
    lit = np.random.default_rng(0).random((15, 50)) < np.linspace(1, 0, 15)[:, None]
    pixels[400:520, 200:600] = 2 * lit.repeat(8, 0).repeat(8, 1)
    assert edges(fit([pixels], PARAMS).crop)[3] == 600


def test_crop_that_would_keep_little_is_no_crop() -> None:
    mask = screens.rectangle(600, 800, (300, 200, 500, 400))
    assert fit([screens.screen(mask, 5)], PARAMS).crop == Crop(0, 0, 800, 600)


@pytest.mark.parametrize("half_angle", [0.5, 0.7])
def test_fit_on_a_crop_keeps_almost_all_of_it(half_angle: float) -> None:
    mask = screens.sector(600, 800, (400, 20), (80, 520), half_angle)
    pixels = screens.screen(mask, 6)
    first = fit([pixels], PARAMS).crop
    cut = pixels[first.y : first.y + first.h, first.x : first.x + first.w]
    second = fit([cut], PARAMS).crop
    assert second.w * second.h >= 0.96 * first.w * first.h


def test_frames_of_a_clip_share_one_crop_that_holds_them_all() -> None:
    """What one frame hides in shadow, another shows; black frames at the start do no harm."""
    mask = screens.rectangle(480, 640, (120, 60, 520, 440))
    frames = [np.zeros((480, 640), np.uint8)] + [screens.screen(mask, seed) for seed in range(3)]
    frames[1][:, 120:300] = frames[3][:, 300:520] = 0
    assert_holds(fit(frames, PARAMS).crop, mask, generous=8)


def mha(path: Path, slices: list[screens.Pixels]) -> Path:
    rows, columns = slices[0].shape
    head = f"ObjectType = Image\nNDims = 3\nDimSize = {columns} {rows} {len(slices)}\nElementType = MET_UCHAR\n"
    path.write_bytes((head + "ElementDataFile = LOCAL\n").encode() + np.stack(slices).tobytes())
    return path


@pytest.mark.parametrize("clip", [False, True])
def test_a_stack_is_whole_and_a_volume_that_is_a_clip_is_cropped(tmp_path: Path, clip: bool) -> None:
    """What a stack shows grows from slice to slice; a clip has one geometry."""
    mask = screens.rectangle(480, 640, (120, 60, 520, 440))
    path = mha(tmp_path / "x.mha", [screens.screen(mask, seed) for seed in range(4)])
    crops = {shown.crop for _, shown in pictures(path, DecodeParams(), PARAMS, Reading(clip=clip))}
    (crop,) = crops
    assert crop is not None and (crop == Crop(0, 0, 640, 480)) == (not clip)


def test_slices_before_a_cut_come_first(tmp_path: Path) -> None:
    path = mha(tmp_path / "x.mha", [screens.speckle(90, 100, seed) for seed in range(4)])
    path.write_bytes(path.read_bytes()[:-10_000])
    found = []
    with pytest.raises(DecodeError, match="2 of 4 declared slices came"):
        for frame, _ in pictures(path, DecodeParams(), PARAMS):
            found.append(frame.index)
    assert found == [0, 1]


def test_pages_of_another_size_have_a_crop_of_their_own(tmp_path: Path) -> None:
    masks = [screens.rectangle(480, 640, (120, 60, 520, 440)), screens.rectangle(600, 800, (260, 30, 760, 570))]
    first, second = (Image.fromarray(screens.screen(mask, 9)) for mask in masks)
    first.save(tmp_path / "x.tif", save_all=True, append_images=[first, second])
    found = [shown.crop for _, shown in pictures(tmp_path / "x.tif", DecodeParams(), PARAMS)]
    for crop, mask in zip(found, [masks[0], *masks], strict=True):
        assert crop is not None
        assert_holds(crop, mask, generous=16)


def test_colour_screens_are_read_as_gray_ones() -> None:
    mask = screens.rectangle(480, 640, (120, 60, 520, 440))
    gray = screens.screen(mask, 7)
    assert fit([np.stack([gray] * 3, axis=2)], PARAMS) == fit([gray], PARAMS)


def test_switched_off() -> None:
    mask = screens.rectangle(480, 640, (120, 60, 520, 440))
    off = NormaliseParams(sector_crop=False)
    assert fit([screens.screen(mask, 8)], off).crop == Crop(0, 0, 640, 480)


def test_no_frames() -> None:
    with pytest.raises(ValueError, match="at least one"):
        fit([], PARAMS)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (63, 63), (64, 64), (64, 5000), (3000, 65)])
@pytest.mark.parametrize("level", [0, 200])
def test_tiny_and_extreme_sizes_stay_whole(shape: tuple[int, int], level: int) -> None:
    assert fit([np.full(shape, level, np.uint8)], PARAMS).crop == Crop(0, 0, shape[1], shape[0])


def read(path: Path) -> screens.Pixels:
    pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert pixels is not None, path
    return np.asarray(pixels, dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("sources/ddti/341_1.jpg", (87, 8, 470, 307)),
        ("sources/ddti/101_1.jpg", (35, 8, 524, 307)),
        ("sources/ddti/317_2.jpg", (87, 64, 471, 307)),
        ("archives/philips-sparq-plexus/IMG 12-08/20210812_090506/20210812_090506_0001.BMP", (226, 74, 692, 508)),
        (
            "archives/timtrack-muscle/Example images/raw/TimTrack paper/dataset 3/030/"
            "p6_isokinetic030_01_push_01_10.jpg",
            (378, 95, 1284, 818),
        ),
        ("sources/hc18/test_set/280_HC.png", (55, 24, 734, 507)),
    ],
)
def test_real_screens(real: Path, name: str, field: tuple[int, int, int, int]) -> None:
    """Fields measured by eye. The crop holds the field and at most 5 % of the picture more on each side."""
    pixels = read(real / name)
    x0, y0, x1, y1 = edges(fit([pixels], PARAMS).crop)
    assert x0 <= field[0] and y0 <= field[1] and x1 >= field[2] and y1 >= field[3], (x0, y0, x1, y1)
    most = 0.05 * max(pixels.shape)
    assert max(field[0] - x0, field[1] - y0, x1 - field[2], y1 - field[3]) <= most, (x0, y0, x1, y1)


@pytest.mark.parametrize("folder", ["bus-bra", "busi", "brest", "stu-hospital", "ccaui"])
def test_real_pictures_cut_to_the_field_stay_whole(real: Path, folder: str) -> None:
    """Checked by eye: none of these has a margin, and much tissue in them fades into black."""
    masks = ("_mask", "mask_", "_tumor", "_other", "Masks", "Expert mask images")
    paths = [
        p
        for p in sorted((real / "sources" / folder).rglob("*.png"))
        if not any(m in p.name or m in p.parts for m in masks)
    ]
    assert paths
    for path in paths[::3]:
        pixels = read(path)
        crop = fit([pixels], PARAMS).crop
        assert crop.w * crop.h >= 0.97 * pixels.size, path.name
