"""Frames of a clip: repetitions go, the cap thins evenly, every frame has a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phantoms import phantom

from openus.dedup.fingerprint import thumbnail
from openus.dedup.select import Selection, Selector, select
from openus.params import SelectParams

THUMBS = [thumbnail(phantom(seed)) for seed in range(12)]
BLACK = np.zeros((64, 64), np.uint8)


def test_a_repetition_names_the_last_kept_frame() -> None:
    a, b = THUMBS[:2]
    assert select([a, a, b, b, a], SelectParams()) == [
        Selection("keep"),
        Selection("redundant-frame", 0),
        Selection("keep"),
        Selection("redundant-frame", 2),
        Selection("keep"),
    ]


def test_noise_is_a_repetition_and_a_darker_frame_too() -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(THUMBS[0] + rng.normal(0, 1.5, (64, 64)), 0, 255).astype(np.uint8)
    darker = np.rint(255 * (THUMBS[0] / 255) ** 1.2).astype(np.uint8)
    assert [d.choice for d in select([THUMBS[0], noisy, darker], SelectParams())] == [
        "keep",
        "redundant-frame",
        "redundant-frame",
    ]


def test_black_frames_repeat_each_other() -> None:
    assert [d.choice for d in select([BLACK, BLACK, THUMBS[0]], SelectParams())] == ["keep", "redundant-frame", "keep"]


@given(
    st.lists(st.integers(0, len(THUMBS) - 1), max_size=120), st.one_of(st.none(), st.integers(1, 9)), st.integers(0, 50)
)
def test_every_frame_has_its_reason(order: list[int], cap: int | None, offset: int) -> None:
    params = SelectParams(max_per_clip=cap)
    selector = Selector(params)
    held: set[int] = set()
    most = 0
    for index, number in enumerate(order, start=offset):
        if selector.offer(index, THUMBS[number]) == "keep":
            held.add(index)
        held -= set(selector.released())
        most = max(most, len(held))
    decisions = selector.finish()
    kept = [index for index, decision in decisions.items() if decision.choice == "keep"]
    assert list(decisions) == list(range(offset, offset + len(order)))
    assert set(kept) <= held
    if cap is not None:
        assert len(kept) <= cap
        assert most <= 2 * cap
    for index, decision in decisions.items():
        if decision.choice == "redundant-frame":
            assert decision.repeats in kept
            assert decision.repeats < index
            assert order[decision.repeats - offset] == order[index - offset]
        else:
            assert decision.repeats is None
        if cap is None:
            assert decision.choice != "over-cap"


@pytest.mark.parametrize(("length", "cap"), [(100, 8), (17, 8), (1000, 5), (64, 64), (65, 64), (9, 1)])
def test_the_cap_thins_evenly(length: int, cap: int) -> None:
    decisions = select((THUMBS[i % 12] for i in range(length)), SelectParams(max_per_clip=cap))
    kept = [index for index, decision in enumerate(decisions) if decision.choice == "keep"]
    assert len(kept) == min(cap, length)
    assert kept[0] == 0
    if cap > 1:
        gaps = np.diff(kept)
        assert gaps.max() <= 2 * gaps.min() + 1
        assert kept[-1] >= length - 1 - gaps.max()


def test_a_real_clip_keeps_its_variety(real: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(real / "sources/blues/lus_videos/patient_13_L1.mp4")) as clip:
        thumbs = [thumbnail(frame.to_ndarray(format="gray")) for frame in clip.decode(video=0)]
    choices = [decision.choice for decision in select(thumbs, SelectParams())]
    assert 5 <= choices.count("keep") <= 50
    assert choices.count("keep") + choices.count("redundant-frame") == len(thumbs) > 90
