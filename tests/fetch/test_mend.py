"""What is missing or damaged comes again, from the site or from archives that were kept, and what a person changed is
set aside."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import commands
import pytest
import sites
from commands import declared, fetch, ids
from conftest import openus
from layouts import write
from server import Reply, Request, Server

server, no_account, published, site = commands.server, commands.no_account, commands.published, commands.site


def test_damage_is_found_and_mended(site: Callable[..., sites.Files], server: Server, tmp_path: Path) -> None:
    site("hc18")
    root = tmp_path / "raw"
    fetch("hc18", "--root", root)
    inside = root / "hc18/training_set.zip.unpacked"
    victim = next(path for path in sorted(inside.rglob("*.png")))
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-1] + b"x")
    (root / "hc18/mine.txt").write_text("a note")
    ran = openus("verify-raw", root / "hc18")
    assert (
        ran.exit_code == 1 and "is not what was received" in ran.stdout and "mine.txt came from elsewhere" in ran.stdout
    )
    assert "NOT as they came" in ran.stdout
    victim.unlink()
    server.asked.clear()
    assert fetch("hc18", "--root", root).exit_code == 0
    assert victim.read_bytes() == whole and (root / "hc18/mine.txt").exists()
    assert [request.path.split("/")[-2] for request in server.asked if "content" in request.path] == [
        "training_set.zip"
    ]


def test_damage_of_the_same_size_is_mended_with_what_is_missing(
    site: Callable[..., sites.Files], tmp_path: Path
) -> None:
    site("aul")
    args = ("aul", "--root", tmp_path / "raw")
    assert fetch(*args).exit_code == 0
    first, second = (sorted((tmp_path / f"raw/aul/{n}.zip.unpacked").rglob("*.jpg"))[0] for n in ("Benign", "Normal"))
    whole = first.read_bytes()
    first.write_bytes(whole[:-1] + b"x")
    assert "by names and sizes" in fetch(*args).stdout
    second.unlink()
    assert fetch(*args).exit_code == 0
    assert first.read_bytes() == whole and second.exists()


def test_an_archive_that_came_damaged_comes_anew(
    site: Callable[..., sites.Files], server: Server, tmp_path: Path
) -> None:
    site("camus")
    routes = list(server._routes)
    (place,) = (path for _, path, _ in routes if path.endswith("/download"))
    whole = next(handler for _, path, handler in routes if path == place)
    data = whole(Request("GET", "", {}, {})).body
    broken = data[: len(data) // 2] + bytes(100) + data[len(data) // 2 + 100 :]
    server.route(place, Reply(200, broken, chunked=True))
    assert "damaged" in fetch("camus", "--root", tmp_path / "raw", "--accept-licence").stderr
    server.route(place, whole)
    assert fetch("camus", "--root", tmp_path / "raw", "--accept-licence").exit_code == 0


def test_what_is_good_stays_until_the_rest_has_come(
    site: Callable[..., sites.Files], server: Server, tmp_path: Path
) -> None:
    site("hc18")
    folder, args = tmp_path / "raw/hc18", ("hc18", "--root", tmp_path / "raw")
    assert fetch(*args).exit_code == 0
    inside = sorted((folder / "training_set.zip.unpacked").rglob("*.png"))
    inside[0].unlink()
    (folder / "training_set.zip.unpacked/labels.csv").write_bytes(b"mine")
    there = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    server.route("/zenodo/.*", Reply(410, b"{}"))
    assert fetch(*args).exit_code == 1
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == there
    server._routes.pop(0)
    assert fetch(*args).exit_code == 0
    assert inside[0].is_file() and list(folder.glob(".set-aside-*/*/labels.csv"))


def test_what_somebody_changed_is_set_aside_and_comes_again(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    site("hc18")
    folder, args = tmp_path / "raw/hc18", ("hc18", "--root", tmp_path / "raw")
    assert fetch(*args).exit_code == 0
    table, inside = folder / "test_set_pixel_size.csv", folder / "test_set.zip.unpacked"
    whole, image = table.read_bytes(), next(path for path in sorted(inside.rglob("*.png")))
    table.write_bytes(whole + b"my correction\n")
    write(inside / "my notes.txt", b"mine")
    image.unlink()
    ran = fetch(*args)
    assert ran.exit_code == 0 and "not as it came is kept in" in ran.stdout and "and 1 more." in ran.stdout, ran.stderr
    (aside,) = (path for path in folder.iterdir() if path.name.startswith("."))
    assert str(aside) in ran.stdout and (aside / table.name).read_bytes() == whole + b"my correction\n"
    assert (aside / inside.name / "my notes.txt").read_bytes() == b"mine"
    assert table.read_bytes() == whole and image.is_file()
    assert openus("verify-raw", folder).exit_code == 0


def test_archives_are_kept_where_that_is_asked(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    files = site("hc18")
    fetch("hc18", "--root", tmp_path / "raw", "--keep-archives")
    assert (tmp_path / "raw/hc18/training_set.zip").read_bytes() == files["training_set.zip"]
    assert openus("verify-raw", tmp_path / "raw/hc18").exit_code == 0


def test_kept_archives_mend_without_the_site(site: Callable[..., sites.Files], server: Server, tmp_path: Path) -> None:
    site("hc18")
    folder, args = tmp_path / "raw/hc18", ("hc18", "--root", tmp_path / "raw")
    assert fetch(*args, "--keep-archives").exit_code == 0
    shutil.rmtree(folder / "training_set.zip.unpacked")
    server.asked.clear()
    assert fetch(*args).exit_code == 0 and server.asked == []
    assert ids("hc18", tmp_path / "raw") == declared("hc18")


@pytest.mark.parametrize("slug", ["aul", "camus"])
@pytest.mark.parametrize("then", [(), ("--keep-archives",)])
def test_kept_archives_may_go_and_come_back(
    slug: str, then: tuple[str, ...], site: Callable[..., sites.Files], tmp_path: Path
) -> None:
    site(slug)
    folder, args = tmp_path / "raw" / slug, (slug, "--root", tmp_path / "raw", "--accept-licence")
    assert fetch(*args, "--keep-archives").exit_code == 0
    kept = [path for path in folder.iterdir() if path.suffix == ".zip"]
    assert kept
    kept[0].unlink()
    assert openus("verify-raw", folder).exit_code == 0
    again = fetch(*args, *then).stdout
    assert "there already" in again and ("not all kept" in again) == bool(then)
    next(path for path in sorted(folder.rglob("*.unpacked/**/*")) if path.is_file()).unlink()
    ran = fetch(*args, *then)
    assert ran.exit_code == 0, ran.stderr
    assert openus("verify-raw", folder).exit_code == 0
    assert ids(slug, tmp_path / "raw") == declared(slug)


def test_of_a_damaged_archive_that_was_kept_the_contents_count(
    site: Callable[..., sites.Files], server: Server, tmp_path: Path
) -> None:
    files = site("aul")
    args = ("aul", "--root", tmp_path / "raw", "--keep-archives")
    assert fetch(*args).exit_code == 0
    kept = tmp_path / "raw/aul/Benign.zip"
    kept.write_bytes(files["Benign.zip"][:-9])
    assert "there already" in fetch(*args).stdout
    assert "Benign.zip is not what was received" in openus("verify-raw", tmp_path / "raw/aul").stdout
    sorted((tmp_path / "raw/aul/Benign.zip.unpacked").rglob("*.jpg"))[0].unlink()
    assert fetch(*args).exit_code == 0 and kept.read_bytes() == files["Benign.zip"]
    assert openus("verify-raw", tmp_path / "raw/aul").exit_code == 0
