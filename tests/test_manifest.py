"""Tables of the manifest: rows in any order, columns that come later."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from openus import manifest

COLUMNS = (("key", "string", "A key."), ("size", "int64", "A size."), ("cluster", "string", "A cluster."))


def numbered(count: int) -> pa.Table:
    return pa.table({"n": pa.array(range(count), pa.int64())})


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), max_size=6), st.data())
def test_rows_are_gathered_in_any_order_from_any_chunks(chunks: list[int], data: st.DataObject) -> None:
    table = pa.concat_tables([numbered(0), *map(numbered, chunks)])
    rows = data.draw(st.lists(st.integers(0, len(table) - 1), max_size=20)) if len(table) else []
    pieces = list(manifest.gather(table, rows, at_once=data.draw(st.integers(1, 7))))
    values = table["n"].to_pylist()
    assert [n for piece in pieces for n in piece["n"].to_pylist()] == [values[row] for row in rows]


def test_texts_of_more_than_two_gigabytes_are_gathered() -> None:
    """Arrow leaves such a column in several chunks, as this stand-in of a table does."""

    class Large:
        def __init__(self, table: pa.Table) -> None:
            self.table = table

        def combine_chunks(self) -> pa.Table:
            return self.table

    table = pa.concat_tables([pa.table({"n": range(start, start + 10)}) for start in (0, 10, 20)])
    order = np.random.default_rng(0).permutation(30)
    assert table.to_batches()[1:], "several chunks"
    found = pa.concat_tables(manifest.gather(Large(table), order, at_once=7))  # type: ignore[arg-type]
    assert found["n"].to_pylist() == order.tolist()


def test_columns_come_later_or_are_null() -> None:
    table = pa.table({"key": ["a", "b"], "extra": [1, 2]})
    found = manifest.with_columns(table, {"size": [3, None]}, COLUMNS, {"openus": "1"})
    assert found.to_pylist() == [{"key": "a", "size": 3, "cluster": None}, {"key": "b", "size": None, "cluster": None}]
    assert found.schema.equals(manifest.schema(COLUMNS, {"openus": "1"}), check_metadata=True)
