"""STU-Hospital: 42 breast lesions, the external test pictures of RDAU-NET, with masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence
from openus.sources._layout import WRAPPER, existing, listed

CARD = Card(
    slug="stu-hospital",
    index=42,
    name="STU-Hospital",
    title="STU-Hospital (breast lesion test images of RDAU-NET)",
    anatomy="breast",
    anatomy_detail=(
        "breast lesions (OpenUS-46 gives 'N/A', ultatron 'multi': the paper says breast); Imaging Department, First "
        "Affiliated Hospital of Shantou University; GE Voluson E10, L11-5 linear probe (second hand)"
    ),
    species="human",
    subject="in-vivo",
    media=("png",),
    licence=Licence(),
    access=Access(
        kind="github",
        url="https://github.com/xbhlk/STU-Hospital",
        ids={
            "repo": "xbhlk/STU-Hospital",
            "commit": "ba4a898d6c42fdfb5aa2b122742fd4cf6195349b",
            "branch": "master",
        },
        steps=(
            "Download https://github.com/xbhlk/STU-Hospital/archive/ba4a898.zip and unpack it: Hospital/ is inside.",
        ),
    ),
    size_bytes=584_448,
    expected_images=42,
    citation=r"""@article{zhuang2019rdau,
  title={An RDAU-NET model for lesion segmentation in breast ultrasound images},
  author={Zhuang, Zhemin and others}, journal={PLOS ONE}, year={2019}, doi={10.1371/journal.pone.0221535}
}""",
    notes=(
        "128x128 pixels, squeezed to squares before publication: the aspect ratio is lost.",
        "Masks have other sizes than their pictures (36 of 42) and 2 to 114 gray values: threshold at 128.",
        "No licence, no labels, no patients; 84 files of 584,448 bytes at the commit.",
    ),
    layout="real files",
    unverified=("Hospital, scanner and probe: one place, second hand.",),
)

IMAGES = WRAPPER + r"(?P<id>Hospital/Test_Image_\d+\.png)"
IGNORED = (("mask", r"(?:^|/)Hospital/mask_\d+\.png$"),)


def items(root: Path) -> Iterator[Item]:
    """The 42 pictures; nothing else is known of them."""
    for item in listed(root, IMAGES, IGNORED):
        yield replace(item, masks=existing(root, item.path.replace("Hospital/Test_Image_", "Hospital/mask_")))
