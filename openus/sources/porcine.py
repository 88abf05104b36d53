"""Porcine: the spinal cord of pigs before and after a contusion injury, in a detection and a segmentation part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, existing, matched, read_text

_SHA_DETECTION = "8bdf07250c02376feac7a635f9e095125922a4935ac0c4c822e4bcb11f733fa1"
_SHA_SEGMENTATION = "8842d153b887c8ef8bf2e1c687b26b92a0fc91b37f118ac04865d15b8bffe057"

CARD = Card(
    slug="porcine",
    index=36,
    name="Porcine",
    title="JHU HEPIUS ultrasound spinal cord dataset (porcine, contusion injury)",
    anatomy="spine",
    anatomy_detail="spinal cord, sagittal, through a laminectomy window (bone removed), 690x275 pixels",
    species="porcine",
    subject="in-vivo",
    media=("png",),
    licence=Licence(redistribution=False),
    access=Access(
        kind="gdrive",
        url="https://github.com/HEPIUSLAB/ultrasound_spinal_cord_dataset",
        ids={
            "gdrive_localization": "1C3NgTmC8gBNG8mL632Oz2i1j156zhSXk",
            "gdrive_segmentation": "1r3UNudTpPJyO1kJdVfQqPsBDduAWp2iS",
            "gdrive_localization_readme_2024": "1r-r0dcXePMyXiXuVEUhtUgARw-Ktp_O1",
            "gdrive_segmentation_readme_2024": "1JUKakYg10ZsHVDORsv9XvDkx86WVKaFO",
            "repo": "HEPIUSLAB/ultrasound_spinal_cord_dataset",
        },
        steps=(
            "Run `gdown 1C3NgTmC8gBNG8mL632Oz2i1j156zhSXk` and `gdown 1r3UNudTpPJyO1kJdVfQqPsBDduAWp2iS`, or follow "
            "the two Drive links in the README of the repository (of 2024: other ids) and press 'Download anyway'.",
            "Unpack both: 'Final dataset for object detection' and 'SegmentationDataset'.",
        ),
    ),
    files=(
        RemoteFile(
            "jhu_injury_localization.zip",
            url="https://drive.google.com/uc?id=1C3NgTmC8gBNG8mL632Oz2i1j156zhSXk",
            size_bytes=224279362,
            sha256=_SHA_DETECTION,
            archive="zip",
        ),
        RemoteFile(
            "jhu_segmentation.zip",
            url="https://drive.google.com/uc?id=1r3UNudTpPJyO1kJdVfQqPsBDduAWp2iS",
            size_bytes=1079559546,
            sha256=_SHA_SEGMENTATION,
            archive="zip",
        ),
    ),
    size_bytes=1_303_838_908,
    expected_images=12468,
    expected_patients=25,
    citation=r"""@article{kumar2025novel, journal={Scientific Reports}, year={2025}, note={arXiv:2409.16441},
  title={A novel open-source ultrasound dataset with deep learning benchmarks for spinal cord injury localization and
    anatomical segmentation}, doi={10.1038/s41598-025-16275-z}, author={Kumar, Avisha and Kotkar, Kunal and Jiang,
    Kelly and Bhimreddy, Meghana and Davidar, Daniel and Weber-Levine, Carly and Krishnan, Siddharth and Kerensky, Max
    J. and Liang, Ruixing and Leadingham, Kelley Kempski and Routkevitch, Denis and Hersh, Andrew M. and Ashayeri,
    Kimberly and Tyler, Betty and Suk, Ian and Son, Jennifer and Theodore, Nicholas and Thakor, Nitish and Manbachi,
    Amir}}""",
    notes=(
        "No licence is declared, in the repository or in the archives: do not pass the pictures on.",
        "images: 10,223 for segmentation and 2,245 for detection, of the same 25 pigs; whether frames stand "
        "in both parts is unknown. Names do not tell the pig, and the split is not proved to be by pig.",
        "Frames of one recording are near copies. One picture shows about 25 x 8 mm, too rough for a spacing.",
        "Masks are RGB in the PASCAL-VOC palette, 10 classes: map by colour, never by number.",
    ),
    layout="public code",
    unverified=(
        "Both top folders: one code base. The names of the zip files are local ones; the Drive's are unknown.",
        "That predict<n> and A<n> in a name are a batch and a recording; some names have another, unseen form.",
    ),
)

IMAGES = WRAPPER + (
    r"(?P<id>(?P<detection>Final dataset for object detection/)?(?P<split>train|val|test)(?(detection)|_images)/"
    r"(?:(?P<video>predict\d+_scaled-A\d+)_frame\d+|[^/]+)\.png)"
)
IGNORED = (("mask", r"(?:^|/)(?:train|val|test)_masks/"),)


def items(root: Path) -> Iterator[Item]:
    """Video: batch and recording in the name, where it has them. View: sagittal. Split: train, val or test.

    Label: in the detection part, post-injury where the XML beside the picture has a box, pre-injury where it has none.
    """
    for item, found in matched(root, IMAGES, IGNORED):
        above, _, name = item.path.rpartition("/")
        if found["detection"]:
            xml = "".join(read_text(root / path) for path in existing(root, item.path.removesuffix("png") + "xml"))
            injury = "post-injury" if "<object>" in xml else "pre-injury"
            yield replace(item, view="sagittal", label=injury if "<annotation" in xml else None)
        else:
            mask = existing(root, f"{above.removesuffix('_images')}_masks/{name}")
            yield replace(item, view="sagittal", masks=mask)
