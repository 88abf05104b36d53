"""CAMUS: apical echocardiography of 500 patients, half a cycle in each of two views, every frame with masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, Reading, RemoteFile
from openus.sources._layout import WRAPPER, existing, find, matched, read_text

_DATABASE, _COLLECTION = "https://humanheart-project.creatis.insa-lyon.fr/database", "6373703d73e9f0047faa1bc8"
_FOLDERS = {"folder_nifti": "63fde55f73e9f004868fb7ac", "folder_legacy_mhd": "6373727d73e9f0047faa1bca"}
_ZIP = f"{_DATABASE}/api/v1/collection/{_COLLECTION}/download"
CARD = Card(
    slug="camus",
    index=14,
    name="CAMUS_public",
    title="CAMUS: Cardiac Acquisitions for Multi-structure Ultrasound Segmentation",
    anatomy="heart",
    anatomy_detail="apical two-chamber (2CH) and four-chamber (4CH), ED to ES; Saint-Etienne; cone on black, no text",
    species="human",
    subject="in-vivo",
    media=("nifti",),
    licence=Licence("CC-BY-NC-SA-4.0", commercial_use=False, redistribution=True, derivatives=True),
    access=Access(
        kind="girder",
        url=f"{_DATABASE}/#collection/{_COLLECTION}",
        ids={"girder_api": f"{_DATABASE}/api/v1", "collection": _COLLECTION} | _FOLDERS,
        steps=(
            f"Fetch {_ZIP}, or open the page, tick CAMUS_public and press Download. If asked, make a free account.",
            "Unpack the saved file: CAMUS_public/ with database_nifti/ and database_split/.",
        ),
    ),
    files=(RemoteFile(name="CAMUS_public.zip", url=_ZIP, archive="zip"),),
    expected_images=1000,
    counted="sequences",
    expected_patients=500,
    citation=r"""@article{leclerc2019camus, author={Leclerc, Sarah and Smistad, Erik and Pedrosa, Jo{\~a}o and
    {\O}stvik, Andreas and Cervenansky, Frederic and Espinosa, Florian and Espeland, Torvald and Berg, Erik Andreas Rye
    and Jodoin, Pierre-Marc and Grenier, Thomas and others}, title={Deep Learning for Segmentation using an Open
    Large-Scale Dataset in 2D Echocardiography}, journal={IEEE Transactions on Medical Imaging}, volume={38},
    number={9}, pages={2198--2210}, year={2019}, doi={10.1109/TMI.2019.2900516}}""",
    notes=(
        "images: sequences (19,232 frames). Files of end-diastole (ED) or end-systole (ES) alone repeat frames of them "
        "and are left out.",
        "The zip is made anew for each download, so no checksum holds: count 500 patients with 14 files each.",
        "The split (400, 50, 50 patients) stands in database_split/, which database_nifti downloaded alone lacks: do "
        "not cut by number.",
        "Info_2CH.cfg and Info_4CH.cfg tell sex, age, image quality, EF and the frames of ED and ES, counted from 1; "
        "in a few sequences ED is last. Masks: 1 left ventricle, 2 myocardium, 3 left atrium.",
        "Of the release before 2023 (training.zip, testing.zip) the .mhd sequences are read, without a split, where "
        "each zip has a folder of its name: its test numbers begin again at 1. Take one of the two releases.",
    ),
    layout="public code",
    unverified=("The licence; that ED and ES files equal frames bit for bit; that old test numbers begin again.",),
)

IMAGES = WRAPPER + (
    r"(?P<id>(?P<patient>patient\d{4})/(?P=patient)_(?P<view>2CH|4CH)_half_sequence\.nii\.gz"
    r"|[^/]*(?P<part>training|testing)[^/]*/(?P<old>patient\d{4})/(?P=old)_(?P<old_view>2CH|4CH)_sequence\.mhd)"
)
IGNORED = (("mask", r"_gt\.(?:nii\.gz|mhd)$"), ("second copy", r"_E[DS]\.(?:nii\.gz|mhd)$"), ("table", r"\.cfg$"))


def items(root: Path) -> Iterator[Item]:
    """Patient: the folder, with its part in the old release. Video: with the view. Split: the lists of the new one."""
    splits: dict[str, str] = {}
    for part in ("training", "validation", "testing"):
        splits |= dict.fromkeys(read_text(find(root, WRAPPER + rf"subgroup_{part}\.txt")).split(), part)
    for item, found in matched(root, IMAGES, IGNORED):
        patient = f"{found['part']}/{found['old']}" if found["part"] else found["patient"]
        view = found["view"] or found["old_view"]
        yield replace(
            item,
            patient=patient,
            video=f"{patient}_{view}",
            view=view,
            split=splits.get(patient),
            masks=existing(root, item.path.replace("_sequence.", "_sequence_gt.")),
            reading=Reading(clip=True),
        )
