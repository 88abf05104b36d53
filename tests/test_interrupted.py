"""What an interrupt or a kill leaves at the points where it would hurt most."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

import pytest
from conftest import openus

from openus import manifest
from openus.build.staging import Segments


def interrupted(*_: Any, **__: Any) -> NoReturn:
    raise KeyboardInterrupt


@pytest.mark.parametrize("whole", [0, 1])
def test_a_unit_interrupted_half_way_is_not_staged(tmp_path: Path, whole: int) -> None:
    def pictures() -> Iterator[bytes]:
        yield b"picture"
        raise KeyboardInterrupt

    segments = Segments(tmp_path)
    for number in range(whole):
        segments.append(f"{number:032}", [{"unit": f"{number:032}", "position": 0, "extension": "png"}], [b"picture"])
    rows = [{"unit": "f" * 32, "position": position, "extension": "png"} for position in range(2)]
    with pytest.raises(KeyboardInterrupt):
        segments.append("f" * 32, rows, pictures())
    segments.commit()
    assert list(chain(*segments.units().values())) == [f"{number:032}" for number in range(whole)]
    assert len(list(tmp_path.iterdir())) == 2 * whole


def test_a_commit_that_was_interrupted_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segments = Segments(tmp_path, max_bytes=1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(manifest, "write", interrupted)
        segments.append("f" * 32, [{"unit": "f" * 32, "position": 0, "extension": "png"}], [b"picture"])
    segments.commit()
    assert segments.units() == {}


@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_a_pack_killed_between_its_renames_goes_on(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renamed: int
) -> None:
    words = ["build-shards", "hc18", "--root", sample, "--out", tmp_path / "o"]
    assert openus(*words, "busi").exit_code == 0  # whose manifest must not vouch for other shards
    rename, done = Path.rename, []

    class Killed(BaseException):
        pass

    def dying(self: Path, target: Path) -> Path:
        if self.parent.name == ".openus.part":
            if len(done) == renamed:
                raise Killed
            done.append(self.name)
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", dying)
        with pytest.raises(Killed):
            openus(*words)
    assert not (tmp_path / "o" / "manifest.parquet").exists()
    with monkeypatch.context() as patch:  # and once more, before there are shards again
        patch.setattr("openus.shards.write.atomic", interrupted)
        assert openus(*words).exit_code == 130
    assert openus(*words).exit_code == 0
    assert openus("verify", tmp_path / "o").exit_code == 0
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == [
        "build.json", "manifest.parquet", "rejected.parquet", "shards",
    ]  # fmt: skip


def test_a_corpus_never_has_the_summary_of_another(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "o"
    assert openus("build-shards", "hc18", "--root", sample, "--out", out).exit_code == 0
    (out / ".build.json.01234567.part").touch()  # as a killed build leaves it
    with monkeypatch.context() as patch:
        patch.setattr("openus.build.write_summary", interrupted)
        assert openus("build-shards", "busi", "--root", sample, "--out", out).exit_code == 130
    assert (
        set(manifest.read(out / "manifest.parquet")["source"].to_pylist()) == {"busi"}
        and not (out / "build.json").exists()
    )
    assert openus("build-shards", "busi", "--root", sample, "--out", out, "--json").json["sources"].keys() == {"busi"}
    assert (out / "build.json").exists() and not list(out.glob(".*"))
