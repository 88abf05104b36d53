"""Tables and paths as adapters see them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pixels
import pytest
from layouts import xlsx

from openus.sources import _layout
from openus.sources.ddti import MAX_XML_BYTES, xml_text
from openus.sources.pocus import patient_groups


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_a_table_is_read_in_any_of_the_usual_encodings(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("Train , id\r\n1 ,é\r\n2, b \r\n2,again\r\n,é2\r\nshort\r\n".encode(encoding))
    assert _layout.read_csv(path, key="id") == {
        "é": {"Train": "1", "id": "é"},
        "b": {"Train": "2", "id": "b"},
        "again": {"Train": "2", "id": "again"},
        "é2": {"Train": "", "id": "é2"},
    }
    assert _layout.read_csv(path, key="Train")["2"]["id"] == "b"
    assert _layout.read_csv(path, key="absent") == {}


def test_a_missing_table_is_empty(tmp_path: Path) -> None:
    assert _layout.read_csv(None, key="id") == _layout.read_csv(tmp_path / "none.csv", key="id") == {}
    assert _layout.read_xlsx(None, "id") == _layout.read_xlsx(tmp_path / "none.xlsx", "id") == {}
    assert _layout.read_text(tmp_path) == ""


def test_several_columns_make_one_key(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    path.write_bytes(xlsx(["n", "of", "v"], [1, "r", "a"], [1, "v", "b"], ["", "v", "c"], [2], [1, "r", "late"]))
    assert {key: row["v"] for key, row in _layout.read_xlsx(path, "n", "of").items()} == {"1 r": "a", "1 v": "b"}
    assert _layout.read_xlsx(path, "n", "absent") == {}


def test_the_first_table_in_order_counts(tmp_path: Path) -> None:
    for folder in ("b", "a", ".hidden"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "t.csv").write_text("x")
    assert _layout.find(tmp_path, _layout.WRAPPER + r"t\.csv") == tmp_path / "a" / "t.csv"
    assert _layout.find(tmp_path, r"t\.csv") is None


def test_groups_are_a_union_of_ids_and_sets() -> None:
    pairs = [
        ("x_northumbria_1_set2_a", "9"),
        ("b", "9"),
        ("c", "8"),
        ("x_northumbria_1_set2_d", "8"),
        ("e", ""),
        ("f", "7"),
        ("g", "7"),
    ]
    assert patient_groups(pairs) == {stem: "northumbria_1_set2" for stem, pid in pairs if pid in "89" and pid} | {
        "f": "7",
        "g": "7",
    }
    assert patient_groups(reversed(pairs)) == patient_groups(pairs)
    chain = [("x_northumbria_2_a", "2"), ("x_northumbria_1_b", "2"), ("x_northumbria_2_c", "")]
    assert set(patient_groups(chain).values()) == {"northumbria_1"}
    assert patient_groups([("x_northumbria_1_set2", ""), ("x_northumbria_1_set20", "")]) == {
        "x_northumbria_1_set2": "northumbria_1_set2",
        "x_northumbria_1_set20": "northumbria_1_set20",
    }


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("<case><tirads> 4a </tirads></case>", "4a"),
        ("<case><tirads>4<![CDATA[b]]></tirads></case>", "4b"),
        ("<case><tirads/></case>", None),
        ("<case></case>", None),
        ("<case><tirads>2</tirads><tirads>5</tirads></case>", "2"),
        ("<case><tirads>2</tirads>", None),
        ("", None),
        ('<!DOCTYPE c [<!ENTITY a "9">]><case><tirads>&a;</tirads></case>', None),
        ('<!DOCTYPE c SYSTEM "file:///etc/passwd"><case><tirads>1</tirads></case>', None),
        ("<case><tirads>" + "1" * MAX_XML_BYTES + "</tirads></case>", None),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_case_xml(text: str, word: str | None, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "1.xml"
    path.write_bytes(text.encode(encoding))
    assert xml_text(path, "tirads") == word


def test_case_xml_may_be_absent(tmp_path: Path) -> None:
    assert xml_text(tmp_path / "1.xml", "tirads") is None


def test_an_hdf5_index_is_read_as_text_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "d.hdf5"
    path.write_bytes(
        pixels.hdf5({"id": np.array([[b"3_"], [b"\xff"]]), "n": np.array([1.0, 2.5]), "image": np.zeros((2, 9))})
    )
    assert _layout.read_hdf5(path, "id", "n") == [("3_", "1"), ("\ufffd", "2.5")]
    assert _layout.read_hdf5(path, "id", "absent") == []
    path.write_bytes(path.read_bytes()[:900])
    assert _layout.read_hdf5(path, "id") == _layout.read_hdf5(None, "id") == []


def test_damaged_json_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text('{"a": [1]}')
    assert _layout.read_json(path) == {"a": [1]}
    path.write_text('{"a": [1')
    assert _layout.read_json(path) is None
    assert _layout.read_json(None) is None


def test_listed_pairs_masks_by_path_and_gives_all_one_view(tmp_path: Path) -> None:
    for name in ("images/1.png", "masks/1.png", "images/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"-")
    found = list(_layout.listed(tmp_path, r"(?P<id>images/\d\.png)", mask=("images/", "masks/"), view="axial"))
    assert [(item.id, item.masks, item.view) for item in found] == [
        ("images/1.png", ("masks/1.png",), "axial"),
        ("images/2.png", (), "axial"),
    ]
