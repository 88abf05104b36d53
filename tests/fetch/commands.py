"""`openus fetch` as a person runs it, on sources in miniature and servers of their sites' shape: what its tests share.

A test module takes the fixtures by assigning them to names of its own; a second conftest.py would stand in the way of
tests/conftest.py, whose functions are imported by that name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import miniature
import pytest
import sites
from conftest import Ran, openus
from layouts import layouts
from server import Server

from openus import sources
from openus.data import Card
from openus.fetch import intake, listing

LAYOUTS = layouts()
SLUGS = sources.slugs()
BY_HAND = {slug for slug in SLUGS if listing.by_hand(sources.load(slug).card)}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "GITHUB_TOKEN", "GH_TOKEN", "ZENODO_TOKEN",
                 "HF_TOKEN", "GIRDER_API_KEY", "OPENUS_MIRRORS", "KAGGLE_CONFIG_DIR", "HUGGING_FACE_HUB_TOKEN",
                 "HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "OPENUS_AIMI_SAS_URL"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], sites.Files]:
    """A source in miniature as its publisher uploaded it; the card's sizes and checksums are those of the whole set."""

    def make(slug: str) -> sites.Files:
        module = import_module(f"openus.sources.{slug.replace('-', '_')}")
        files = tuple(replace(file, size_bytes=None, md5=None, sha256=None) for file in module.CARD.files)
        monkeypatch.setattr(module, "CARD", replace(module.CARD, files=files))
        miniature.write(LAYOUTS[slug], tmp_path / "published" / slug)
        return sites.uploaded(tmp_path / "published" / slug)

    return make


@pytest.fixture
def site(
    server: Server, published: Callable[[str], sites.Files], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., sites.Files]:
    """The source's site, reached through OPENUS_MIRRORS."""

    def make(slug: str) -> sites.Files:
        files = sites.offered(sources.load(slug).card, published(slug))
        mirrors = sites.serve(server, sources.load(slug).card, files)
        monkeypatch.setenv("OPENUS_MIRRORS", json.dumps(mirrors))
        return files

    return make


def card_of(slug: str) -> Card:
    return sources.load(slug).card


def ids(slug: str, root: Path) -> list[str]:
    return sorted(item.id for item in sources.load(slug).items(root / slug))


def declared(slug: str) -> list[str]:
    return sorted(str(fields["id"]) for _, fields in LAYOUTS[slug].items())


def fetch(*args: object) -> Ran:
    return openus("fetch", *args)


def adopted(slug: str, origin: Path, root: Path, *more: object) -> Ran:
    return fetch(slug, "--root", root, "--from", origin, "--accept-licence", *more)


def interrupted(*args: object) -> None:
    """A fetch that dies after all was received and before it is unpacked."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(intake, "unpack_all", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        assert fetch(*args).exit_code == 130
