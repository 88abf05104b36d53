"""Which pairs are worth aligning: nearest descriptors, among whole tables or among buckets of large ones.

Up to `BRUTE` stored pictures everything is compared with everything. Beyond that the stored descriptors are parted into
buckets by k-means, and a query looks into its nearest few only (an inverted file). All of it is whole numbers: sums and
products in float32 or int64 are exact, so buckets and candidates are the same whatever the processor, and no matter in
which order the rows come, because the buckets are learnt from the rows in the order of their descriptors.

Source of the method: H. Jégou, M. Douze, C. Schmid, "Product Quantization for Nearest Neighbor Search", IEEE TPAMI
33(1), 2011, section IV (inverted file, without the product quantizer).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from openus.dedup.describe import LENGTH, NORM, Window, describe

BRUTE = 20_000
"""Stored pictures up to which there is one bucket."""
_PER_BUCKET = 200
_BUCKETS = 4096
_PROBES = 12
"""Buckets that a window of a query looks into."""
_LEARN = 32
"""Descriptors a bucket that k-means learns from."""
_ROUNDS = 8
_QUERIES = 256
"""Queries looked up at once with one bucket; four times as many with several."""
_BLOCK = 1 << 22
"""Products held at once: 16 MiB."""


@dataclass(frozen=True, slots=True)
class Index:
    """Stored descriptors, sorted by bucket.

    centres: (k, 64) · rows: of the stored table, in the order of `descriptors` · starts: (k + 1,), where each bucket
    begins in them. Pictures without structure are left out.
    """

    centres: NDArray[np.float32]
    descriptors: NDArray[np.float32]
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Hits:
    """Columns of candidates: row of the query, row of the stored picture, number of the window, product."""

    query: NDArray[np.int64]
    stored: NDArray[np.int64]
    window: NDArray[np.int64]
    product: NDArray[np.float32]

    def take(self, index: NDArray[np.int64]) -> Hits:
        """The hits at `index`."""
        return Hits(self.query[index], self.stored[index], self.window[index], self.product[index])


def build_index(thumbs: NDArray[np.uint8], whole: Window, brute: int = BRUTE) -> Index:
    """The index of stored thumbnails (n, 64, 64), described by their `whole` window."""
    blocks = [describe(thumbs[start : start + 4096], (whole,))[0] for start in range(0, len(thumbs), 4096)]
    every = np.concatenate(blocks) if blocks else np.zeros((0, LENGTH), np.float32)
    rows = np.flatnonzero(every.any(axis=1))
    descriptors = every[rows]
    if len(rows) <= brute:
        return Index(np.zeros((1, LENGTH), np.float32), descriptors, rows, np.array([0, len(rows)]))
    centres = _learn(descriptors, min(_BUCKETS, len(rows) // _PER_BUCKET))
    bucket = _nearest(descriptors, centres)
    order = np.argsort(bucket, kind="stable")
    starts = np.searchsorted(bucket[order], np.arange(len(centres) + 1))
    return Index(centres, descriptors[order], rows[order], starts)


def batch(index: Index) -> int:
    """How many queries are looked up at once."""
    return _QUERIES if len(index.centres) == 1 else 4 * _QUERIES


def look_up(
    thumbs: NDArray[np.uint8],
    start: int,
    index: Index,
    every: Sequence[Window],
    least: float,
    count: int,
    group: NDArray[np.int64] | None = None,
) -> Hits:
    """For each query of the batch from `start` on the `count` best stored pictures whose product is at least `least`.

    A query is looked for by all its windows, and the best counts. What ties with the last of them comes too, so that
    the order of rows does not matter. With `group` (n,) the queries are the stored pictures themselves: no row meets
    itself or one of its own, non-negative group.
    """
    described = describe(thumbs[start : start + batch(index)], every)
    vectors = described.reshape(-1, LENGTH)
    wanted = _Wanted(least, count, start, described.shape[1], group)
    found = [
        part for bucket, asking in _probes(vectors, index) for part in _scan(vectors, asking, index, bucket, wanted)
    ]
    asking, place, product = (np.concatenate(column) for column in zip(*found, strict=True)) if found else _NOTHING
    window, query = np.divmod(asking, described.shape[1])
    hits = Hits(query + start, index.rows[place], window, product)
    return _best(hits.take(np.flatnonzero(wanted.apart(asking, hits.stored))), count)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What counts as a hit: the product that it needs, how many a query, and that it is of another group.

    start, queries: the batch of queries; query vector v belongs to row `start + v % queries`.
    """

    least: float
    count: int
    start: int
    queries: int
    group: NDArray[np.int64] | None

    def apart(self, asking: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether query vectors and stored rows may match at all; the two broadcast."""
        if self.group is None:
            return np.ones(np.broadcast_shapes(asking.shape, rows.shape), dtype=bool)
        query = asking % self.queries + self.start
        of_query = self.group[query]
        return np.asarray((query != rows) & ((of_query < 0) | (of_query != self.group[rows])), dtype=bool)


_NOTHING = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))


def _probes(vectors: NDArray[np.float32], index: Index) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """(bucket, the query vectors that look into it)."""
    live = np.flatnonzero(vectors.any(axis=1)).astype(np.int64)
    k = len(index.centres)
    if k <= _PROBES:
        yield from ((bucket, live) for bucket in range(k))
        return
    buckets, askings = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for start in range(0, len(live), 4096):
        some = live[start : start + 4096]
        products = vectors[some] @ index.centres.T
        last = np.partition(products, k - _PROBES, axis=1)[:, k - _PROBES, None]
        row, near = np.nonzero(products >= last)
        buckets.append(near)
        askings.append(some[row])
    bucket_of, asking = np.concatenate(buckets), np.concatenate(askings)
    order = np.argsort(bucket_of, kind="stable")
    ends = np.searchsorted(bucket_of[order], np.arange(k + 1)).tolist()
    for bucket, (low, high) in enumerate(pairwise(ends)):
        if low < high:
            yield bucket, asking[order[low:high]]


def _scan(
    vectors: NDArray[np.float32], asking: NDArray[np.int64], index: Index, bucket: int, wanted: _Wanted
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]]:
    """(query vector, place in the index, product) of what may be among the best of a query in a bucket."""
    first, last = int(index.starts[bucket]), int(index.starts[bucket + 1])
    for low in range(first, last, 4096):
        high = min(low + 4096, last)
        stored = index.descriptors[low:high]
        step = max(1, _BLOCK // len(stored))
        for start in range(0, len(asking), step):
            some = asking[start : start + step]
            products = vectors[some] @ stored.T
            flat = np.flatnonzero(products >= wanted.least)
            if len(flat) > 2 * wanted.count * len(some):
                flat = _crowded(products, wanted, wanted.apart(some[:, None], index.rows[None, low:high]))
            a, b = np.divmod(flat, high - low)
            yield some[a], b + low, products.ravel()[flat]


def _crowded(products: NDArray[np.float32], wanted: _Wanted, apart: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Flat places of the `wanted.count` best products of each query vector (and ties), which bounds the memory.

    Nothing is lost: what is beaten by so many under its own best window is beaten by them for the query as a whole.
    """
    open_ = np.where(apart, products, -np.inf)
    limit = np.float32(wanted.least)
    if products.shape[1] > wanted.count:
        limit = np.maximum(np.partition(open_, -wanted.count, axis=1)[:, -wanted.count, None], limit)
    return np.flatnonzero(open_ >= limit)


def _best(hits: Hits, count: int) -> Hits:
    """One hit a pair, by its best window; of each query the `count` best and what ties with the last of them."""
    hits = hits.take(np.lexsort((hits.window, -hits.product, hits.stored, hits.query)))
    fresh = np.ones(len(hits.query), dtype=bool)
    fresh[1:] = (hits.query[1:] != hits.query[:-1]) | (hits.stored[1:] != hits.stored[:-1])
    hits = hits.take(np.flatnonzero(fresh))
    hits = hits.take(np.lexsort((hits.stored, -hits.product, hits.query)))
    first = np.searchsorted(hits.query, hits.query, side="left")
    last = np.searchsorted(hits.query, hits.query, side="right") - 1
    limit = hits.product[np.minimum(first + count - 1, last)]
    return hits.take(np.flatnonzero(hits.product >= limit))


def _learn(descriptors: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """k centres by k-means over a sample, rounded to whole numbers of a descriptor's length after every round."""
    order = np.lexsort(descriptors.T[::-1])
    sample = descriptors[order[np.linspace(0, len(order) - 1, min(len(order), _LEARN * k)).astype(np.int64)]]
    centres = sample[np.linspace(0, len(sample) - 1, k).astype(np.int64)]
    for _ in range(_ROUNDS):
        bucket = _nearest(sample, centres)
        sums = np.zeros((k, LENGTH), dtype=np.int64)
        np.add.at(sums, bucket, sample.astype(np.int64))
        length = np.sqrt((sums * sums).sum(axis=1, keepdims=True).astype(np.float64))
        moved = np.rint(sums * (NORM / np.maximum(length, 1.0))).astype(np.float32)
        centres = np.where(length > 0, moved, centres)
    return centres


def _nearest(descriptors: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.int64]:
    """The centre with the largest product, the first of equals."""
    blocks = [
        (descriptors[start : start + 4096] @ centres.T).argmax(axis=1) for start in range(0, len(descriptors), 4096)
    ]
    return np.concatenate(blocks).astype(np.int64)
