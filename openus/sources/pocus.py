"""POCUS (POCOVID-Net): lung clips and stills of many origins, each under its own licence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence
from openus.sources._layout import WRAPPER, find, matched, outside, read_csv

CARD = Card(
    slug="pocus",
    index=35,
    name="Pocus",
    title="POCUS / POCOVID-Net lung ultrasound dataset (covid19_ultrasound, BorgwardtLab / jannisborn)",
    anatomy="lung",
    anatomy_detail=(
        "lung point-of-care ultrasound: COVID-19, bacterial pneumonia, viral pneumonia, healthy; clips and stills from "
        "hospitals, education sites and papers"
    ),
    species="human",
    subject="in-vivo",
    media=("mp4", "avi", "mpeg", "mov", "gif", "jpg", "png"),
    licence=Licence("per file"),
    access=Access(
        kind="github",
        url="https://github.com/jannisborn/covid19_ultrasound",
        ids={
            "repo": "jannisborn/covid19_ultrasound",
            "also": "BorgwardtLab/covid19_ultrasound",
            "doi_paper": "10.3390/app11020672",
        },
        steps=(
            "Clone https://github.com/jannisborn/covid19_ultrasound.",
            "Only data/pocus_videos, data/pocus_images and data/dataset_metadata.csv are used.",
            "Do not run data/get_and_process_web_data.sh or data/parse_butterfly.sh: they fetch unlicensed material.",
        ),
    ),
    expected_images=167,
    counted="files",
    expected_patients=110,
    citation=r"""@article{born2021accelerating,
  title={Accelerating Detection of Lung Pathologies with Explainable Ultrasound Image Analysis},
  author={Born, Jannis and Wiedemann, Nina and Cossio, Manuel and Buhre, Charlotte and Br\"andle, Gabriel and
    Leidermann, Konstantin and Aujayeb, Avinash and Moor, Michael and Rieck, Bastian and Borgwardt, Karsten},
  volume={11}, number={2}, pages={672}, journal={Applied Sciences}, publisher={MDPI AG}, year={2021},
  doi={10.3390/app11020672}
}""",
    notes=(
        "Licence per file: column License of data/dataset_metadata.csv, joined by file stem, case-sensitive. A file "
        "without a row has no known terms. Only 55 of 167 files (CC BY) may be used commercially.",
        "images: 167 files (135 clips, 32 stills) in the state of February 2022; the paper counts more.",
        "Patient: groups of the column 'Patient ID / Name' and the Northumbria sets in the file names: 84 groups of "
        "110 published ids. That one Northumbria set is one patient is said by the file names only.",
        "Some patients bear two labels (pid 7, 37, Northumbria sets).",
        "dataset_metadata.csv of 2022-02-06: 162,326 bytes, "
        "sha256 36c7c8fc3f331c0e58cc14a1b87f038245247468be53a0806ab37ce4247cd048; newer states have more columns.",
    ),
    layout="real files",
    unverified=("That the newest commit holds the same 167 files as the state of February 2022.",),
)

IMAGES = (
    r"(?i:"
    + outside("pocovidnet", "pocovidscreen", "image_dataset", "cross_validation", "data/pocus", "data_with_artifacts")
    + r"(?P<id>pocus_(?P<kind>images|videos)/(?P<view>convex|linear)/(?:label_uncertain/)?"
    + r"(?P<stem>[^/]+)\.(?:jpe?g|png|mp4|avi|mpeg|mov|gif)))"
)
IGNORED = (
    ("overlay", r"(?:^|/)pocovidnet/"),
    ("web page", r"(?:^|/)pocovidscreen/"),
    ("derived frame", r"(?:^|/)(?:image_dataset|cross_validation)/"),
    ("older state", r"(?:^|/)(?:data/pocus|data_with_artifacts|data/ct)/"),
)

_TERMS: Mapping[str, Licence] = {
    "CC BY 4.0": Licence("CC-BY-4.0", commercial_use=True, redistribution=True, derivatives=True),
    "CC BY 2.0": Licence("CC-BY-2.0", commercial_use=True, redistribution=True, derivatives=True),
    "CC BY-NC 4.0": Licence("CC-BY-NC-4.0", commercial_use=False, redistribution=True, derivatives=True),
    "CC BY-NC -SA 4.0": Licence("CC-BY-NC-SA-4.0", commercial_use=False, redistribution=True, derivatives=True),
    "CC BY-NC -SA 3.0": Licence("CC-BY-NC-SA-3.0", commercial_use=False, redistribution=True, derivatives=True),
    "CC BY-NC-ND 4.0": Licence("CC-BY-NC-ND-4.0", commercial_use=False, redistribution=False, derivatives=False),
    "CC-BY-NC-ND": Licence(
        "CC-BY-NC-ND (version not stated)", commercial_use=False, redistribution=False, derivatives=False
    ),
    "None": Licence(None, commercial_use=False, redistribution=False),
}
"""Column License -> terms; what is not here is not for commercial use and not passed on."""


def items(root: Path) -> Iterator[Item]:
    """Patient: the group. Video: the stem of a clip. Label: Label. View: the probe. Licence: per file."""
    rows = read_csv(find(root, WRAPPER + r"dataset_metadata\.csv"), key="Filename")
    found_items = list(matched(root, IMAGES, IGNORED))
    pairs = [(stem, row.get("Patient ID / Name", "")) for stem, row in rows.items()]
    pairs += [(found["stem"], "") for _, found in found_items if found["stem"] not in rows]
    groups = patient_groups(pairs)
    for item, found in found_items:
        row = rows.get(found["stem"], {})
        terms = row.get("License", "")
        yield replace(
            item,
            patient=groups.get(found["stem"]),
            video=found["stem"] if found["kind"].lower() == "videos" else None,
            label=row.get("Label") or None,
            view=found["view"].lower(),
            licence=_TERMS.get(terms, Licence(terms or None, commercial_use=False, redistribution=False)),
        )


def patient_groups(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Stem -> patient group, of (stem, published patient id or "").

    Stems with one id belong together, those with one prefix northumbria_<date>[_set<n>] too, and groups that share
    either are one. A group is called by its first prefix, else by its smallest id; a stem with neither has none.
    """
    marks: dict[str, list[tuple[int, int, str]]] = {}
    for stem, patient in pairs:
        prefix = re.search(r"northumbria_\d+(?:_set\d+)?(?=_|$)", stem)
        own = ([(0, 0, prefix[0])] if prefix else []) + ([(1, len(patient), patient)] if patient else [])
        if own:
            marks.setdefault(stem, []).extend(own)
    group = {mark: mark for own in marks.values() for mark in own}
    changed = True
    while changed:
        changed = False
        for own in marks.values():
            lowest = min(group[mark] for mark in own)
            for mark in own:
                changed |= group[mark] != lowest
                group[mark] = lowest
    return {stem: group[own[0]][2] for stem, own in marks.items()}
