"""Whatever happens to a source's folder, in whatever order: a run ends with what the site gives or with one sentence,
nothing that a person made is lost, and nothing is half-done. The states are hypothesis' to find."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import miniature
import pytest
import sites
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from layouts import layouts
from server import Reply, Server
from test_deaths import STEPS, Died, dies_at, left

from openus import sources
from openus.errors import OpenusError
from openus.fetch import adopt as adopting
from openus.fetch import lock as locks
from openus.fetch import source as fetching
from openus.fetch.client import Client
from openus.fetch.folder import WORK, Fetched

SLUGS = ("aul", "buid", "camus", "fast-u-net")
"""With checksums at the site, without any, with an archive made anew each time, with git's."""


def changed(files: sites.Files) -> dict[str, bytes]:
    """The set with another picture of the same size in its first archive and in its last, or with another table."""
    names = sorted(files)
    return changed_at(changed_at(files, names[0]), names[-1]) if len(names) > 1 else changed_at(files, names[0])


def changed_at(files: sites.Files, name: str) -> dict[str, bytes]:
    if not zipfile.is_zipfile(io.BytesIO(files[name])):
        return {**files, name: bytes([files[name][0] ^ 1]) + files[name][1:]}
    with zipfile.ZipFile(io.BytesIO(files[name])) as archive:
        members = {one.filename: archive.read(one) for one in archive.infolist() if not one.is_dir()}
    last = max(path for path, data in members.items() if data)
    members[last] = members[last][:-1] + bytes([members[last][-1] ^ 1])
    return {**files, name: sites.zipped(members)}


class Site:
    """A source's site, of which there are two states, and what a fetch of each comes to. Made once."""

    def __init__(self, slug: str, place: Path) -> None:
        self.server = Server()
        self.server.__enter__()
        one = sources.load(slug)
        plain = tuple(replace(file, size_bytes=None, md5=None, sha256=None) for file in one.card.files)
        self.source = replace(one, card=replace(one.card, files=plain))
        self.published = place / "published"
        miniature.write(layouts()[slug], self.published)
        first = sites.offered(self.source.card, sites.uploaded(self.published))
        self.states = (first, changed(first))
        self.whole = []
        for state in (0, 1):
            self.turn(state)
            self.fetch(place / str(state))
            lock = locks.read(place / str(state) / slug)
            assert lock is not None and lock.due()
            self.whole.append(lock.due())
        assert self.whole[0] != self.whole[1]

    def turn(self, state: int) -> None:
        """Give what is given in that state."""
        self.state = state
        self.server.asked.clear()
        self.server._routes.clear()
        self.mirrors = sites.serve(self.server, self.source.card, self.states[state])

    def fetch(self, root: Path, keep: bool = False) -> Fetched:
        """A fetch from it."""
        with Client(self.mirrors, sleep=lambda _: None) as client:
            return fetching.fetch(self.source, root, client, accepted=True, keep=keep, jobs=2)


SITES: dict[str, Site] = {}


@pytest.fixture(autouse=True, scope="module")
def _sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    for slug in SLUGS:
        SITES[slug] = Site(slug, tmp_path_factory.mktemp(slug))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("os.sync", lambda: None)  # no disk fails here
        patched.setattr("os.fsync", lambda _: None)
        yield
    for site in SITES.values():
        site.server.__exit__()


class Folder(RuleBasedStateMachine):
    """A folder, a site, and a person who does as people do."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.made = 0
        self.mine: set[bytes] = set()
        """What the person wrote and did not remove."""

    @initialize(slug=st.sampled_from(SLUGS))
    def begin(self, slug: str) -> None:
        self.site = SITES[slug]
        self.site.turn(0)
        self.root = self.place / "raw"
        self.folder = self.root / slug

    def files(self) -> list[Path]:
        """All files of the folder that a person would touch."""
        return sorted(p for p in self.folder.rglob("*") if p.is_file() and WORK not in p.parts)

    # what the command does

    @rule(keep=st.booleans())
    def fetch(self, keep: bool) -> None:
        before = locks.read(self.folder)
        try:
            came = self.site.fetch(self.root, keep)
        except OpenusError as error:
            assert len(str(error)) > 20
            return
        lock = locks.read(self.folder)
        assert lock is not None and lock.whole
        assert left(self.folder) == []
        if "there already" in " ".join(came.told):
            assert locks.lost(self.folder, lock, quick=True) == {}
            return
        assert locks.lost(self.folder, lock, quick=False) == {}
        if before is not None and before.whole:
            assert lock.due() == before.due()  # as it came before, whatever the site has now
        else:
            assert lock.due() in self.site.whole

    @rule(step=st.sampled_from(sorted(STEPS)), at=st.integers(1, 6), after=st.booleans(), keep=st.booleans())
    def fetch_and_die(self, step: str, at: int, after: bool, keep: bool) -> None:
        owner, name = STEPS[step]
        with dies_at(owner, name, at, after), contextlib.suppress(OpenusError, Died):
            self.site.fetch(self.root, keep)

    @rule(nth=st.integers(1, 6))
    def fetch_from_a_site_that_breaks(self, nth: int) -> None:
        routes, answer, calls = list(self.site.server._routes), self.site.server._answer, [0]

        def broken(handler: Any) -> None:
            calls[0] += 1
            if calls[0] >= nth:
                self.site.server._routes.insert(0, ("GET", ".*", lambda _: Reply(403, b"no")))
            answer(handler)

        self.site.server._answer = broken  # type: ignore[method-assign]
        try:
            self.site.fetch(self.root)
        except OpenusError:
            pass
        finally:
            self.site.server._answer = answer  # type: ignore[method-assign]
            self.site.server._routes[:] = routes

    @rule(keep=st.booleans(), step=st.sampled_from(["", "with_contents", "rename", "replace"]), at=st.integers(1, 6))
    def adopt(self, keep: bool, step: str, at: int) -> None:
        owner = adopting if step == "with_contents" else Path
        with dies_at(owner, step, at) if step else contextlib.nullcontext():
            try:
                adopting.adopt(self.site.source, self.root, self.site.published, accepted=True, keep=keep)
            except (OpenusError, Died) as error:
                assert isinstance(error, Died) or len(str(error)) > 20
                return
        lock = locks.read(self.folder)
        assert lock is not None and lock.whole and left(self.folder) == []
        assert locks.lost(self.folder, lock, quick=True) == {}

    # what the site does

    @rule(state=st.integers(0, 1))
    def the_site_changes(self, state: int) -> None:
        self.site.turn(state)

    # what the person and the disk do

    @rule(which=st.integers(0, 99))
    def remove_a_file(self, which: int) -> None:
        if files := self.files():
            path = files[which % len(files)]
            self.mine.discard(path.read_bytes())
            path.unlink()

    @rule(which=st.integers(0, 99))
    def remove_what_came_of_an_archive(self, which: int) -> None:
        if tops := sorted(self.folder.glob("*.unpacked")):
            top = tops[which % len(tops)]
            self.mine -= {path.read_bytes() for path in top.rglob("*") if path.is_file()}
            shutil.rmtree(top)

    @rule()
    def remove_the_lock(self) -> None:
        (self.folder / sources.LOCK_NAME).unlink(missing_ok=True)

    @rule(which=st.integers(0, 99), same_size=st.booleans())
    def change_a_file(self, which: int, same_size: bool) -> None:
        files = [path for path in self.files() if path.name != sources.LOCK_NAME and not path.name.startswith(".")]
        if files:
            path = files[which % len(files)]
            old = path.read_bytes()
            self.mine.discard(old)
            self.made += 1
            new = f"change {self.made} ".encode()
            new = new + old[len(new) :] if same_size and len(old) > len(new) else new
            path.write_bytes(new)
            self.mine.add(new)

    @rule(which=st.integers(0, 99), name=st.sampled_from(["notes.txt", "backup.zip", "1.png"]))
    def add_a_file(self, which: int, name: str) -> None:
        places = sorted({self.folder, *(path.parent for path in self.files())})
        path = places[which % len(places)] / name
        if path.exists():
            self.mine.discard(path.read_bytes())
        self.made += 1
        new = sites.zipped({"mine.txt": f"mine {self.made}".encode()}) if name.endswith("zip") else b"%d" % self.made
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(new)
        self.mine.add(new)

    @invariant()
    def nothing_of_a_person_is_lost(self) -> None:
        if self.mine:
            there = {path.read_bytes() for path in self.root.rglob("*") if path.is_file()}
            assert self.mine <= there

    def teardown(self) -> None:
        """A person who does as the sentences say gets there: the folder moved away, the site asked anew."""
        try:
            if hasattr(self, "site"):
                if self.folder.exists():
                    self.folder.rename(self.place / "away")
                self.site.fetch(self.root)
                lock = locks.read(self.folder)
                assert lock is not None and lock.due() == self.site.whole[self.site.state]
        finally:
            shutil.rmtree(self.place)


Folder.TestCase.settings = settings(
    max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
TestFolder = Folder.TestCase
