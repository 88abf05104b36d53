"""What a person downloaded by hand: which steps lead to it, and how `--from` takes it and mends what it took."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import commands
import pytest
import sites
from commands import BY_HAND, adopted, card_of, declared, fetch, ids
from conftest import openus
from layouts import write

from openus import sources
from openus.fetch import adopt as adopting
from openus.fetch.archive import unpack_all
from openus.fetch.folder import alone

server, no_account, published, site = commands.server, commands.no_account, commands.published, commands.site


@pytest.mark.parametrize("slug", sorted(BY_HAND))
def test_what_needs_a_person_comes_with_its_steps(slug: str, tmp_path: Path) -> None:
    ran = fetch(slug, "--root", tmp_path / "raw", "--accept-licence")
    card = card_of(slug)
    assert ran.exit_code == 1 and not (tmp_path / "raw" / slug).exists()
    assert card.access.url in ran.stderr and f"openus fetch {slug} --from PATH" in ran.stderr
    assert all(" ".join(step.split()) in " ".join(ran.stderr.split()) for step in card.access.steps)
    assert all(file.name in ran.stderr for file in card.files)


def test_an_archive_a_folder_of_parts_and_an_unpacked_folder_end_alike(
    published: Callable[[str], sites.Files], tmp_path: Path
) -> None:
    published("echocp")
    packed = tmp_path / "published/echocp"
    roots = [tmp_path / "parts", tmp_path / "unpacked"]
    assert fetch("echocp", "--root", roots[0], "--from", packed).exit_code == 0
    assert (packed / "EchoCP_dataset.z01").exists()  # what is adopted stays where it was
    assert fetch("echocp", "--root", roots[1], "--from", roots[0] / "echocp").exit_code == 0
    assert ids("echocp", roots[0]) == ids("echocp", roots[1]) == declared("echocp")
    published("bus-b")
    (one,) = (tmp_path / "published/bus-b").iterdir()
    ran = fetch("bus-b", "--root", tmp_path / "one", "--from", one, "--accept-licence")
    assert ran.exit_code == 0 and ids("bus-b", tmp_path / "one") == declared("bus-b")
    assert "lock file pins what came" in ran.stdout


def test_a_raw_folder_with_its_lock_is_adopted_by_that_lock(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    site("hc18")
    assert fetch("hc18", "--root", tmp_path / "raw").exit_code == 0
    args = ("hc18", "--root", tmp_path / "mine", "--from", tmp_path / "raw/hc18")
    assert fetch(*args).exit_code == 0
    copied = [json.loads((tmp_path / f"{r}/hc18/fetch.lock.json").read_text())["files"] for r in ("raw", "mine")]
    assert copied[0] == copied[1]
    shutil.rmtree(tmp_path / "mine")
    victim = sorted((tmp_path / "raw/hc18").rglob("*.png"))[0]
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    ran = fetch(*args)
    assert ran.exit_code == 1 and "by the lock in it" in ran.stderr and not (tmp_path / "mine/hc18").exists()


@pytest.mark.parametrize("slug", ["cardiacudc", "echocp"])
def test_volumes_are_adopted_by_the_card(slug: str, published: Callable[[str], sites.Files], tmp_path: Path) -> None:
    published(slug)
    ran = adopted(slug, tmp_path / "published" / slug, tmp_path / "raw")
    assert ran.exit_code == 0 and ids(slug, tmp_path / "raw") == declared(slug), ran.stderr


def test_volumes_in_a_raw_folder_are_adopted_and_mended(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    site("regpro")
    assert fetch("regpro", "--root", tmp_path / "raw", "--accept-licence").exit_code == 0
    assert adopted("regpro", tmp_path / "raw/regpro", tmp_path / "mine").exit_code == 0
    folder = tmp_path / "mine/regpro"
    names = {one["name"] for one in json.loads((folder / "fetch.lock.json").read_text())["files"]}
    assert not [name for name in names if name.endswith(".nii.gz")]
    sorted(folder.rglob("*.nii.gz"))[0].unlink()
    ran = fetch("regpro", "--root", tmp_path / "mine", "--accept-licence")
    assert ran.exit_code == 0, ran.stderr
    assert openus("verify-raw", folder).exit_code == 0


def test_files_of_one_name_are_told_apart_by_their_folders() -> None:
    card = sources.load("fast-u-net").card
    for file in card.files:
        assert adopting._known(card, f"somewhere/{file.name}") == file
    assert adopting._known(card, "train.txt") is None


def test_an_adoption_takes_nothing_that_it_did_not_look_at(
    published: Callable[[str], sites.Files], tmp_path: Path
) -> None:
    published("bus-b")
    packed = tmp_path / "published/bus-b"
    (tmp_path / "elsewhere").mkdir()
    (packed / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    args = ("bus-b", "--root", tmp_path / "raw", "--from", packed, "--accept-licence")
    assert "was not looked into" in fetch(*args).stderr
    (packed / "link").unlink()
    write(packed / "BUS.zip.unpacked/BUS/original/000999.png", b"")  # beside its archive: the archive counts
    write(tmp_path / "raw/bus-b/.git", b"mine")
    assert "holds something already" in fetch(*args).stderr
    assert (tmp_path / "raw/bus-b/.git").read_bytes() == b"mine"
    shutil.rmtree(tmp_path / "raw/bus-b")
    with alone(tmp_path / "raw/bus-b"):
        assert "Another process fetches" in fetch(*args).stderr
    assert fetch(*args).exit_code == 0
    assert ids("bus-b", tmp_path / "raw") == declared("bus-b")


def test_an_adopted_file_is_verified_as_a_download_is(tmp_path: Path) -> None:
    (tmp_path / "hand").mkdir()
    (tmp_path / "hand/training_set.zip").write_bytes(b"PK\x03\x04 and then something else")
    ran = fetch("hc18", "--root", tmp_path / "raw", "--from", tmp_path / "hand")
    assert ran.exit_code == 1 and "training_set.zip arrived with bytes 28; 132926838 is due" in ran.stderr
    (tmp_path / "hand/training_set.zip").write_bytes(b"<!DOCTYPE html><title>Sign in</title>")
    ran = fetch("hc18", "--root", tmp_path / "raw", "--from", tmp_path / "hand")
    assert ran.exit_code == 1 and "a page 'Sign in' in place of training_set.zip" in ran.stderr


def test_a_part_that_was_not_brought_is_told(published: Callable[[str], sites.Files], tmp_path: Path) -> None:
    files = published("hc18")
    write(tmp_path / "got/training_set (1).zip", sites.offered(sources.load("hc18").card, files)["training_set.zip"])
    ran = adopted("hc18", tmp_path / "got", tmp_path / "raw")
    assert ran.exit_code == 0 and "were not brought: test_set.zip" in ran.stdout, ran.stderr


def test_a_folder_of_two_sources_is_refused(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    site("hc18")
    assert fetch("hc18", "--root", tmp_path / "raw").exit_code == 0
    ran = adopted("aul", tmp_path / "raw", tmp_path / "mine")
    assert ran.exit_code == 1 and "holds hc18 too" in ran.stderr and not (tmp_path / "mine/aul").exists()
    ran = adopted("aul", tmp_path, tmp_path / "raw")
    assert ran.exit_code == 2 and "to which it should go" in ran.stderr


def test_what_is_not_the_source_is_not_adopted(tmp_path: Path, published: Callable[[str], sites.Files]) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/holiday.jpg").write_bytes(b"\xff\xd8\xff")
    ran = fetch("bus-b", "--root", tmp_path / "raw", "--from", tmp_path / "other", "--accept-licence")
    assert ran.exit_code == 1 and "Nothing that bus-b is made of was found" in ran.stderr
    assert list((tmp_path / "raw").iterdir()) == []
    assert fetch("bus-b", "--from", tmp_path / "none", "--accept-licence").exit_code == 2


def test_what_cannot_be_adopted_is_told(published: Callable[[str], sites.Files], tmp_path: Path) -> None:
    published("bus-b")
    os.mkfifo(tmp_path / "pipe")
    ran = adopted("bus-b", tmp_path / "pipe", tmp_path / "raw")
    assert ran.exit_code == 2 and "is no file and no folder" in ran.stderr
    write(tmp_path / "two/a/x.png", b"1")
    write(tmp_path / "two/a.unpacked/x.png", b"2")
    ran = adopted("bus-b", tmp_path / "two", tmp_path / "raw")
    assert ran.exit_code == 1 and "would lie at one place" in ran.stderr
    write(tmp_path / "raw/bus-b/fetch.lock.json", json.dumps({
        "slug": "hc18", "kind": "zenodo", "ids": {}, "licence": None, "accepted": None, "files": [], "whole": False,
        "format": 1,
    }).encode())  # fmt: skip
    ran = adopted("bus-b", tmp_path / "published/bus-b", tmp_path / "raw")
    assert ran.exit_code == 1 and "is hc18's" in ran.stderr


def test_an_adopted_folder_is_mended_by_bringing_it_again(
    published: Callable[[str], sites.Files], tmp_path: Path
) -> None:
    published("bus-b")
    packed, root = tmp_path / "published/bus-b", tmp_path / "raw"
    for origin in (packed, tmp_path / "loose"):
        if origin != packed:
            shutil.copytree(packed, origin)
            unpack_all(origin, keep=False)
            shutil.rmtree(root)
        assert adopted("bus-b", origin, root).exit_code == 0
        assert "there already" in adopted("bus-b", origin, root).stdout
        victim = sorted(root.rglob("*.png"))[0]
        victim.unlink()
        ran = fetch("bus-b", "--root", root, "--accept-licence")
        assert ran.exit_code == 1 and "a person brought it" in ran.stderr and "--from" in ran.stderr
        ran = adopted("bus-b", origin, root)
        assert ran.exit_code == 0 and victim.is_file(), ran.stderr
        assert openus("verify-raw", root / "bus-b").exit_code == 0
        victim.unlink()
        (tmp_path / "empty").mkdir(exist_ok=True)
        ran = adopted("bus-b", tmp_path / "empty", root)
        assert ran.exit_code == 1 and "has no file that is what came before" in ran.stderr


def test_what_is_damaged_of_an_adopted_source_is_named(published: Callable[[str], sites.Files], tmp_path: Path) -> None:
    published("bus-b")
    assert adopted("bus-b", tmp_path / "published/bus-b", tmp_path / "raw").exit_code == 0
    victim = sorted((tmp_path / "raw").rglob("*.png"))[0]
    victim.unlink()
    ran = fetch("bus-b", "--root", tmp_path / "raw", "--accept-licence")
    assert ran.exit_code == 1 and victim.name in ran.stderr and "a person brought it" in ran.stderr
