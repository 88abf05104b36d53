"""Which frames of a clip, sweep or volume are worth keeping: in order, one look at each, memory bounded.

A frame that repeats the last kept one is `redundant-frame`. When more frames are left than the cap, they are thinned
evenly over the whole clip (`over-cap`). The length of a clip need not be known: at most twice the cap is held, and
when that is full every second held frame goes and from then on only every second new one is taken, and so on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from openus.dedup import align
from openus.params import SelectParams

Choice = Literal["keep", "redundant-frame", "over-cap"]


class Selection(NamedTuple):
    """What becomes of a frame; `repeats` is the kept frame that a redundant one repeats."""

    choice: Choice
    repeats: int | None = None


class Selector:
    """Decides frame by frame while a clip is decoded.

    `offer` each usable frame in order. When it says `keep`, hold the encoded picture; then let go of what `released`
    names. After the last frame `finish` has the selection of every frame; what it keeps is always still held.

        selector = Selector(params)
        for index, frame in enumerate(frames):
            if selector.offer(index, thumb(frame)) == "keep":
                held[index] = encode(frame)
            for gone in selector.released():
                held.pop(gone, None)
        selections = selector.finish()
    """

    def __init__(self, params: SelectParams) -> None:
        self._params = params
        self._seen: list[int] = []
        self._repeats: dict[int, int] = {}
        self._reference: NDArray[np.float32] | None = None
        self._last = -1
        self._held: list[int] = []
        self._stride = 1
        self._distinct = 0
        self._released: list[int] = []

    def offer(self, index: int, thumb: NDArray[np.uint8]) -> Choice:
        """Whether the frame `index` with this thumbnail is, for now, to be kept."""
        self._seen.append(index)
        structure = repetition_structure(thumb)
        if self._reference is not None and _cosine(structure, self._reference) >= self._params.redundant:
            self._repeats[index] = self._last
            return "redundant-frame"
        self._reference, self._last = structure, index
        self._distinct += 1
        if (self._distinct - 1) % self._stride:
            return "over-cap"
        self._held.append(index)
        self._thin()
        return "keep" if self._held[-1] == index else "over-cap"

    def released(self) -> list[int]:
        """The frames that were to be kept and no longer are, since the last call."""
        gone, self._released = self._released, []
        return gone

    def finish(self) -> dict[int, Selection]:
        """What becomes of every offered frame, in the order offered."""
        cap = self._params.max_per_clip
        kept = set(self._held if cap is None else _evenly(self._held, cap))
        return {index: self._selection(index, kept) for index in self._seen}

    def _selection(self, index: int, kept: set[int]) -> Selection:
        if index in kept:
            return Selection("keep")
        repeated = self._repeats.get(index)
        return Selection("redundant-frame", repeated) if repeated in kept else Selection("over-cap")

    def _thin(self) -> None:
        cap = self._params.max_per_clip
        if cap is None or len(self._held) <= 2 * cap:
            return
        self._released += self._held[1::2]
        self._held = self._held[::2]
        self._stride *= 2


def select(thumbs: Iterable[NDArray[np.uint8]], params: SelectParams) -> list[Selection]:
    """What becomes of each frame of one clip, given the thumbnails (64, 64) in order.

    A redundant frame whose like is thinned out is `over-cap` itself, so that `repeats` always names a kept frame.
    """
    selector = Selector(params)
    for index, thumb in enumerate(thumbs):
        selector.offer(index, thumb)
    return list(selector.finish().values())


def repetition_structure(thumb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The local structure of a thumbnail at 32 x 32, unit length, as a vector; all 0 when there is none."""
    structure, mean = align.local_structure(align.reduce(thumb[None], 32), 7)
    lit = np.where(mean > align.DARK, structure, 0).ravel()
    return np.asarray(lit / np.maximum(np.sqrt(lit @ lit), np.float32(1.0)), dtype=np.float32)


def _cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """In thousandths. Two frames without structure are each other's repetition."""
    if not a.any() and not b.any():
        return 1.0
    return round(float(a @ b), 3)


def _evenly(held: list[int], cap: int) -> list[int]:
    """`cap` of the held frames at even distances, first and last among them."""
    if len(held) <= cap:
        return held
    if cap == 1:
        return held[:1]
    return [held[round(step * (len(held) - 1) / (cap - 1))] for step in range(cap)]
