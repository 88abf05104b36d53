"""Brachial Plexus: neck clips of three machines, one a subject, with a mask for every frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence
from openus.sources._layout import WRAPPER, find, matched, read_csv

CARD = Card(
    slug="brachial-plexus",
    index=7,
    name="Brachial Plexus",
    title="Brachial plexus nerve segmentation dataset (Regional-US/brachial_plexus): neck clips of three machines",
    anatomy="brachial-plexus",
    anatomy_detail="neck, supraclavicular and interscalene, moving B-mode; a needle in six clips; 20 frames/s (eSaote)",
    species="human",
    subject="in-vivo",
    media=("mp4",),
    licence=Licence("non-commercial data use agreement (text not seen)", commercial_use=False),
    access=Access(
        kind="github",
        url="https://github.com/Regional-US/brachial_plexus",
        ids={"repo": "Regional-US/brachial_plexus", "commit": "16c3581a7724a638b1c9cccde8bb411ceb396483"},
        steps=(
            "Run `git clone --depth 1 https://github.com/Regional-US/brachial_plexus` (about 565 MB).",
            "Read the README: non-commercial use only. Ask the authors for the agreement before you pass the data on.",
        ),
    ),
    expected_images=226,
    counted="clips",
    expected_patients=227,
    citation="""@article{regional_us_brachial_plexus, title={Automated Real Time Delineation of Supraclavicular Brachial
  Plexus in Neck Ultrasonography Videos: A Deep Learning Approach}}""",
    notes=(
        "images: clips, 226 by the tables (eSaote 196, Butterfly 15, Sonosite 15). The paper says 227 of "
        "227 subjects, about 41,000 frames; the 227th may be data/demo, of an unknown machine: left out.",
        "Neighbouring frames are near copies. Six eSaote clips (neg) show no plexus. The side is in the eSaote table.",
        "Masks: one of the plexus a frame (JPEG, threshold at 100), of the needle with gaps: pair by the number.",
        "Older copies (abhi25t/nerve_segmentation, data/us_videos/) are not read: take this repository.",
    ),
    layout="published tables",
    unverified=(
        "The authors, year and journal of the paper were not seen. That one clip is one subject: the paper.",
        "That the commit told here holds the needle's masks: those were seen in earlier ones.",
    ),
)

IMAGES = WRAPPER + r"(?P<id>data/(?P<machine>eSaote|Butterfly|Sonosite)/videos/(?P<video>[bs]?\d{3,4})\.mp4)"
IGNORED = (
    ("mask", r"(?:^|/)data/[^/]+/(?:ac_masks|needle/needle_masks)/.*\.jpg$"),
    ("demo", r"(?:^|/)data/demo/"),
    ("older state", r"(?:^|/)data/us_videos/"),
    ("overlay", r"(?:^|/)other/[^/]+\.gif$"),
)
_MACHINES = ("eSaote", "Butterfly", "Sonosite")


def items(root: Path) -> Iterator[Item]:
    """Patient and video: the clip's name. Label: column nerve (sc, isc, neg). View: the same, none for neg."""
    paths = {machine: find(root, WRAPPER + rf"data/{machine}/subjects_data\.csv") for machine in _MACHINES}
    tables = {machine: read_csv(path, key="vid_name") for machine, path in paths.items()}
    for item, found in matched(root, IMAGES, IGNORED):
        nerve = tables[found["machine"]].get(found["video"], {}).get("nerve") or None
        above, name = (root / item.path).parent.parent, found["video"]
        masks = [*above.glob(f"ac_masks/{name}/{name}_*.jpg"), *above.glob(f"needle/needle_masks/{name}/{name}_*.jpg")]
        paths_of_masks = tuple(sorted(mask.relative_to(root).as_posix() for mask in masks))
        yield replace(item, patient=name, label=nerve, view=nerve if nerve != "neg" else None, masks=paths_of_masks)
