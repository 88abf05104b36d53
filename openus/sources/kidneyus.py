"""The Open Kidney Ultrasound Data Set. Its pictures need a registration; masks bear the same file names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, existing, find, matched, read_csv

CARD = Card(
    slug="kidneyus",
    index=30,
    name="kidneyUS",
    title="The Open Kidney Ultrasound Data Set",
    anatomy="kidney",
    anatomy_detail=(
        "adult native and transplanted kidneys, B-mode stills picked at random from clinical cines (bedside, ICU, "
        "clinic); some pictures were taken for the liver; a few show no kidney"
    ),
    species="human",
    subject="in-vivo",
    media=("png",),
    licence=Licence("CC-BY-NC-SA (version not stated)", commercial_use=False, redistribution=False),
    access=Access(
        kind="form",
        url="https://github.com/rsingla92/kidneyUS",
        ids={
            "form": "https://ubc.ca1.qualtrics.com/jfe/form/SV_1TfBnLm1wwZ9srk",
            "site": "https://rsingla.ca/kidneyUS/",
            "old_site": "https://rsingla92.github.io/kidneyUS/",
            "labels_commit": "becfa9a897df8a4735105a9969432608a206402e",
        },
        gated="application",
        steps=(
            "Fill the form of the University of British Columbia (form below) and accept its terms; a person checks "
            "it.",
            "Wait for the mail with a OneDrive link; download kidneyUS_images_14_june_2022.zip.",
            "Clone or download the GitHub repository for labels/ (masks and CSV need no registration).",
            "Put kidneyUS_images_14_june_2022/ and labels/ side by side into one folder, PATH below.",
        ),
    ),
    files=(RemoteFile(name="kidneyUS_images_14_june_2022.zip", archive="zip"),),
    expected_images=534,
    expected_patients=501,
    citation=r"""@article{singla2022open,
  title={The open kidney ultrasound data set},
  author={Singla, Rohit and Ringstrom, Cailin and Hu, Grace and Lessoway, Victoria and Reid, Janice and
    Nguan, Christopher and Rohling, Robert},
  journal={arXiv preprint arXiv:2206.06657}, year={2022}
}""",
    notes=(
        "images: 534 files, of which 20 are copies of ten pictures under other numbers (intra-rater test) and "
        "are left out: 514 pictures of 501 patients. One list says 487: pictures with a kidney outline.",
        "Masks under labels/ have the names of the pictures; without the registered zip there is nothing to train on.",
        "No label; View is Longitudinal, Transverse or Other. The table's Physical Delta is not taken as spacing: its "
        "unit is not stated.",
        "Not to be passed on without the registration and its research use agreement.",
    ),
    layout="published tables",
    unverified=(
        "The inner folder of the zip: one level or two.",
        "The unit of Physical Delta.",
    ),
)

_COPIES = {
    "IM-0262-0009": (400, 404),
    "IM-0112-0078": (401, 413),
    "IM-0026-0001": (402, 414),
    "IM-0149-0027": (403, 417),
    "IM-0084-0022": (404, 422),
    "IM-0115-17408": (405, 500),
    "IM-0068-0078": (406, 457),
    "IM-0055-0009": (407, 599),
    "IM-0885-0031": (408, 419),
    "IM-0787-0013": (409, 610),
}
"""Image number -> leading numbers of its two copies (the original stands under a third, its patient's)."""

IMAGES = WRAPPER + r"kidneyUS_images[^/]*/(?:.*/)?(?P<id>(?P<patient>\d+)_IM-\d{4}-\d+(?:-\d+)?_anon\.png)"
IGNORED = (
    ("mask", r"(?:^|/)reviewed_masks_\d+/"),
    (
        "intra-rater copy",
        r"(?:^|/)(?:" + "|".join(f"{n}_{image}" for image, copies in _COPIES.items() for n in copies) + r")_anon\.png$",
    ),
    ("logo", r"(?:^|/)kidneyUSlogo\.png$"),
)


def items(root: Path) -> Iterator[Item]:
    """Patient: the number before the first underscore. View: file_attributes of sonographer 1."""
    table = find(root, WRAPPER + r"labels/reviewed_labels_1\.csv")
    rows = read_csv(table, key="filename")
    masks = (table.parent.relative_to(root) / "reviewed_masks_1").as_posix() if table else "labels/reviewed_masks_1"
    for item, _ in matched(root, IMAGES, IGNORED):
        yield replace(
            item,
            view=_view(rows.get(item.id, {}).get("file_attributes")),
            masks=existing(root, f"{masks}/capsule/{item.id}", f"{masks}/regions/{item.id}"),
        )


def _view(attributes: str | None) -> str | None:
    """`View` of the JSON that the VGG Image Annotator writes into a cell."""
    try:
        value = json.loads(attributes or "{}")
    except ValueError:
        return None
    view = value.get("View") if isinstance(value, dict) else None
    return view if isinstance(view, str) and view else None
