"""The guide's example is a source that works."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from openus.data import Item

GUIDE = Path(__file__).parents[2] / "docs" / "add-a-source.md"


def test_the_example_of_the_guide(tmp_path: Path) -> None:
    blocks = re.findall(r"(?ms)^    ```python\n(.*?)^    ```$", GUIDE.read_text(encoding="utf-8"))
    adapter, declared = ({"__name__": "example"} for _ in blocks)
    exec(textwrap.dedent(blocks[0]), adapter)
    exec(textwrap.dedent(blocks[1]), declared)
    layout = declared["LAYOUT"]
    layout.build(tmp_path, "example-main/")
    wanted = [Item(path=f"example-main/{path}", **fields) for path, fields in layout.images.items()]
    assert list(adapter["items"](tmp_path)) == wanted
    for path, rule in layout.decoys.items():
        fitting = [name for name, pattern in adapter["IGNORED"] if re.search(pattern, path)]
        assert fitting == ([rule] if rule == "mask" else [])
