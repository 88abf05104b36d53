"""What a sample shows of its picture: drawn by the seed alone, as torchvision draws it, and shown without a shift."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from model.augment import (
    WORDS,
    SampleRandom,
    View,
    augmented,
    draw_views,
    fit_square,
    mask_noise,
    mask_words,
    philox_key,
    show,
    uniform,
)
from model.params import AugmentParams
from openus.data import Pixels


def words(seed: int = 0, epoch: int = 0, position: int = 0, count: int = WORDS) -> np.ndarray:
    return SampleRandom(seed, "view", count).words(epoch, position)


def draw_view(width: int, height: int, params: AugmentParams, words: np.ndarray) -> View:
    [view] = draw_views(np.array([width]), np.array([height]), params, uniform(words[None]))
    return view


def gradient(height: int, width: int) -> Pixels:
    """Each pixel tells where it lies: smooth, and no two flips or turns of it are alike."""
    y, x = np.mgrid[:height, :width]
    return (20 + 100 * x / width + 120 * (y / height) ** 2).astype(np.uint8)


# ---- randomness


def test_the_words_of_a_sample_are_those_of_philox_and_never_change() -> None:
    key = philox_key("sample", 7, "view")
    assert key.tolist() == [784455029435885446, 11099460948215364852]
    reference = np.random.Philox(key=key, counter=[5 * 50, 0, 0, 3])  # fifty blocks of four words a sample
    assert words(7, 3, 5, 200).tolist() == reference.random_raw(200).tolist()
    assert words(7, 3, 5, 200)[:2].tolist() == [12916712384604571261, 7496174334049388445]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), min_size=1, max_size=12), st.integers(1, 9))
def test_samples_do_not_depend_on_what_they_are_drawn_with(names: list[tuple[int, int]], count: int) -> None:
    random = SampleRandom(1, "view", count)
    together = random.batch(*zip(*names, strict=True)).tolist()
    assert together == [SampleRandom(1, "view", count).words(*name).tolist() for name in names]


def test_words_differ_by_seed_purpose_epoch_and_position() -> None:
    names = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0), (-1, 0, 0)]
    assert len({tuple(words(*name)) for name in names}) == len(names)
    assert words().tolist() != SampleRandom(0, "mask", WORDS).words(0, 0).tolist()


def test_uniform_numbers_are_uniform() -> None:
    numbers = uniform(words(count=40_000))
    assert numbers.min() >= 0 and numbers.max() < 1
    assert np.abs(np.histogram(numbers, 10, (0, 1))[0] - 4000).max() < 250


@pytest.mark.parametrize("patches", [1, 4, 196, 256, 1024])
def test_mask_noise_is_distinct_and_hides_every_patch_equally_often(patches: int) -> None:
    noise = mask_noise(SampleRandom(0, "mask", mask_words(patches)).batch([0] * 400, range(400)), patches)
    assert noise.dtype == np.float32 and noise.min() >= 0 and noise.max() < 1
    assert all(len(set(row)) == patches for row in noise.tolist())
    if patches == 196:
        kept = Counter(np.argsort(noise, axis=1)[:, :49].ravel().tolist())
        assert len(kept) == 196 and max(abs(n - 100) for n in kept.values()) < 45


# ---- the view


@settings(max_examples=200)
@given(st.integers(1, 600), st.integers(1, 600), st.integers(0, 2**32), st.booleans())
@example(600, 1, 278, True)
@example(600, 1, 319, True)
def test_the_box_lies_in_the_picture(width: int, height: int, seed: int, squash: bool) -> None:
    view = draw_view(width, height, AugmentParams(squash=squash), words(seed))
    assert view.x >= 0 and view.w >= 1 and view.x + view.w <= width
    assert view.y >= 0 and view.h >= 1 and view.y + view.h <= height


def test_boxes_are_distributed_as_torchvision_draws_them() -> None:
    import torch
    from torchvision.transforms import RandomResizedCrop

    params = AugmentParams()
    ours = [draw_view(300, 200, params, words(0, 0, n))[1:5] for n in range(4000)]
    torch.manual_seed(0)
    picture = torch.zeros(1, 200, 300)
    theirs = [RandomResizedCrop.get_params(picture, [0.2, 1.0], [3 / 4, 4 / 3]) for _ in range(4000)]
    theirs_xywh = np.array([(left, top, w, h) for top, left, h, w in theirs])
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        difference = np.quantile(np.array(ours), share, axis=0) - np.quantile(theirs_xywh, share, axis=0)
        assert np.abs(difference).max() <= 7, share
    as_high = [np.mean(boxes[:, 3] == 200) for boxes in (np.array(ours), theirs_xywh)]
    assert 0.004 < as_high[0] < 0.03 and abs(as_high[0] - as_high[1]) < 0.008  # the fallback among them


def test_a_crop_that_never_fits_is_the_largest_centred_one() -> None:
    params = AugmentParams(crop_area=(1.5, 2.0))
    random = words()
    assert draw_view(400, 100, params, random)[1:5] == ((400 - 133) // 2, 0, 133, 100)
    assert draw_view(100, 400, params, random)[1:5] == (0, (400 - 133) // 2, 100, 133)
    assert draw_view(100, 110, params, random)[1:5] == (0, 0, 100, 110)


def test_every_place_of_the_box_is_as_likely_to_the_last() -> None:
    params = AugmentParams(crop_area=(0.25, 0.25), crop_ratio=(1.0, 1.0))
    found = Counter(draw_view(4, 4, params, words(position=n))[1:5] for n in range(2000))
    assert set(found) == {(x, y, 2, 2) for x in range(3) for y in range(3)}
    assert all(abs(count / 2000 - 1 / 9) < 0.03 for count in found.values())


def test_flips_do_not_move_the_crop() -> None:
    never = replace(AugmentParams(), flip_horizontal=0.0)
    for position in range(50):
        random = words(position=position)
        with_flip, without = draw_view(300, 200, AugmentParams(), random), draw_view(300, 200, never, random)
        assert with_flip[:5] == without[:5] and without.flip is None
    flips = [draw_view(9, 9, AugmentParams(), words(position=n)) for n in range(2000)]
    assert 900 < sum(view.flip == 1 for view in flips) < 1100
    assert {view.flip for view in flips} == {None, 1}
    both = replace(AugmentParams(), flip_horizontal=0.5, flip_vertical=0.25)
    found = Counter(draw_view(9, 9, both, words(position=n)).flip for n in range(2000))
    for flip, share in {None: 0.375, 1: 0.375, 0: 0.125, -1: 0.125}.items():
        assert abs(found[flip] / 2000 - share) < 0.05, flip


def test_show_cuts_the_box_out_and_flips_it() -> None:
    picture = gradient(60, 80)
    out = np.empty((20, 20), np.uint8)
    box = picture[10:30, 30:50]
    for flip, expected in {None: box, 1: box[:, ::-1], 0: box[::-1], -1: box[::-1, ::-1]}.items():
        show(picture, View(None, 30, 10, 20, 20, flip), AugmentParams(), out)
        assert np.array_equal(out, expected), flip


def test_show_needs_no_rows_below_the_view() -> None:
    picture = gradient(60, 80)
    view = View(None, 5, 3, 40, 30, 1)
    whole, part = np.empty((16, 16), np.uint8), np.empty((16, 16), np.uint8)
    show(picture, view, AugmentParams(), whole)
    assert view.rows == 33
    show(picture[:33], view, AugmentParams(), part)
    assert np.array_equal(whole, part)


def test_a_turn_turns_about_the_centre_and_leaves_black() -> None:
    picture = np.full((41, 41), 200, np.uint8)
    picture[20, 35] = 0
    params = AugmentParams(flip_horizontal=0, crop_area=(1, 1), crop_ratio=(1, 1), rotate_degrees=(90, 90))
    out = augmented(picture, params, 41, words())
    assert out[5, 20] < 60 and out[20, 20] == 200  # to the right of the centre, now above it
    turned = augmented(picture, replace(params, rotate_degrees=(45, 45)), 41, words())
    assert [int(turned[y, x]) for y, x in ((0, 0), (0, 40), (40, 0), (40, 40))] == [0, 0, 0, 0]
    assert draw_view(41, 41, params, words()).rows is None
    assert View(0.0, 0, 0, 9, 9, None).rows is None, "a turn by nothing is a turn"


def test_squash_is_a_crop_of_the_stretched_picture() -> None:
    picture = gradient(100, 300)
    params = AugmentParams(squash=True, flip_horizontal=0, crop_area=(1, 1), crop_ratio=(1, 1))
    assert draw_view(300, 100, params, words())[1:5] == (0, 0, 300, 100)
    out = augmented(picture, params, 50, words())
    expected = cv2.resize(picture, (50, 50), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(out, expected)
    for position in range(20):
        flat = replace(params, crop_area=(0.2, 0.9))
        direct = augmented(picture, flat, 40, words(position=position)).astype(int)
        turned = augmented(picture, replace(flat, rotate_degrees=(0, 1e-9)), 40, words(position=position)).astype(int)
        assert np.abs(direct - turned).mean() < 3  # the way by way of a stretched picture


@pytest.mark.parametrize("how", ["area", "bilinear", "bicubic", "nearest"])
def test_interpolations_agree_on_what_is_smooth(how: str) -> None:
    picture = gradient(120, 160)
    params = AugmentParams(interpolation=how)  # type: ignore[arg-type]
    for position in range(5):
        first = augmented(picture, params, 32, words(position=position)).astype(int)
        second = augmented(picture, AugmentParams(), 32, words(position=position)).astype(int)
        assert np.abs(first - second).max() <= 8


def test_area_takes_the_mean_where_bilinear_skips() -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::4] = 200
    whole = AugmentParams(flip_horizontal=0, crop_area=(1, 1), crop_ratio=(1, 1), interpolation="area")
    assert set(augmented(stripes, whole, 16, words()).ravel().tolist()) == {50}
    assert augmented(stripes, replace(whole, interpolation="bilinear"), 16, words()).max() < 50


def test_area_is_bilinear_where_either_side_is_enlarged() -> None:
    picture = gradient(10, 90)
    whole = AugmentParams(flip_horizontal=0, crop_area=(1, 1), crop_ratio=(9, 9), interpolation="area")
    out = augmented(picture, whole, 32, words())
    assert np.array_equal(out, cv2.resize(picture, (32, 32), interpolation=cv2.INTER_LINEAR))
    assert not np.array_equal(out, cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA))


def test_colour_keeps_its_channels() -> None:
    picture = np.stack([gradient(50, 60), gradient(50, 60) // 2, np.full((50, 60), 7, np.uint8)], axis=2)
    out = augmented(picture, AugmentParams(), 24, words())
    assert out.shape == (24, 24, 3)
    assert np.array_equal(out[..., 0], augmented(np.ascontiguousarray(picture[..., 0]), AugmentParams(), 24, words()))
    assert set(out[..., 2].ravel().tolist()) == {7}


# ---- squares for evaluation


def test_pad_keeps_the_aspect_and_centres() -> None:
    out = fit_square(np.full((100, 200), 90, np.uint8), 64, "pad")
    assert out.shape == (64, 64)
    assert (out[16:48] == 90).all() and not out[:16].any() and not out[48:].any()
    assert (fit_square(np.full((200, 100), 90, np.uint8), 64, "pad")[:, 16:48] == 90).all()
    assert fit_square(np.full((300, 1), 90, np.uint8), 64, "pad").any(), "a line stays a line"


def test_squash_and_crop() -> None:
    picture = gradient(100, 200)
    squashed, cropped = fit_square(picture, 50, "squash"), fit_square(picture, 50, "crop")
    assert np.abs(squashed.astype(int) - picture[::2, ::4]).max() <= 4
    assert np.abs(cropped.astype(int) - picture[::2, 50:150:2]).max() <= 4
    assert fit_square(np.zeros((10, 20, 3), np.uint8), 30, "crop").shape == (30, 30, 3)


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    picture = gradient(64, 64)
    for how in ("pad", "squash", "crop"):
        assert np.array_equal(fit_square(picture, 64, how), picture)  # type: ignore[arg-type]
