"""A person's word on pairs: read strictly, since what is misread opens or shuts the gate."""

from __future__ import annotations

from pathlib import Path

import pytest

from openus.dedup.adjudicate import adjudications
from openus.errors import UsageError


def test_pairs_have_no_order_and_may_be_told_twice(tmp_path: Path) -> None:
    (tmp_path / "judged.csv").write_text("why,b,a,verdict\n,y,x,same\ntwins,p,q,different\n,x,y,same\n", "utf-8-sig")
    assert adjudications(tmp_path / "judged.csv") == {frozenset("xy"): True, frozenset("pq"): False}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no column a; its first line is empty"),
        ("x,y,different\n", "no column a; its first line is x,y,different"),
        ("a,b\nx,y\n", "no column verdict"),
        ("a,b,verdict\nx,x,same\n", "line 2: it needs two keys"),
        ("a,b,verdict\nx,,same\n", "line 2: it needs two keys"),
        ("a,b,verdict\nx,y\n", "line 2: it needs two keys"),
        ("a,b,verdict\nx,y,same\nx,z,Same\n", "line 3: it needs two keys"),
        ("a,b,verdict\nx,y,same\ny,x,different\n", "line 3: y and x were judged otherwise"),
    ],
)
def test_what_cannot_be_meant_is_an_error(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "judged.csv").write_text(text)
    with pytest.raises(UsageError, match=told) as caught:
        adjudications(tmp_path / "judged.csv")
    assert caught.value.exit_code == 2
