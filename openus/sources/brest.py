"""BrEaST (Breast-Lesions-USG): 256 breast scans of 256 patients, with a clinical table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, existing, find, matched, number, read_xlsx

CARD = Card(
    slug="brest",
    index=8,
    name="BrEaST",
    title=("Breast-Lesions-USG: A Curated Benchmark Dataset for Ultrasound Based Breast Lesion Analysis (BrEaST)"),
    anatomy="breast",
    anatomy_detail="256 breast scans with benign or malignant lesions (and 4 normal)",
    species="human",
    subject="in-vivo",
    media=("png",),
    licence=Licence("CC-BY-4.0", commercial_use=True, redistribution=True, derivatives=True),
    access=Access(
        kind="tcia",
        url="https://www.cancerimagingarchive.net/collection/breast-lesions-usg/",
        ids={"doi": "10.7937/9WKK-Q141", "collection": "Breast-Lesions-USG"},
        gated="licence-click",
        steps=("Accept TCIA's data usage policy on the page, download the zip and the xlsx; unpack the zip.",),
    ),
    files=(
        RemoteFile(
            name="BrEaST-Lesions_USG-images_and_masks-Dec-15-2023.zip",
            url="https://www.cancerimagingarchive.net/wp-content/uploads/BrEaST-Lesions_USG-images_and_masks-Dec-15-2023.zip",
            archive="zip",
        ),
        RemoteFile(
            name="BrEaST-Lesions-USG-clinical-data-Dec-15-2023.xlsx",
            url="https://www.cancerimagingarchive.net/wp-content/uploads/BrEaST-Lesions-USG-clinical-data-Dec-15-2023.xlsx",
        ),
    ),
    expected_images=256,
    expected_patients=256,
    citation=r"""@article{pawlowska2024breast,
  title={Curated benchmark dataset for ultrasound based breast lesion analysis},
  author={Paw{\l}owska, Anna and {\'C}wierz-Pie{\'n}kowska, Anna and Domalik, Agnieszka and Jagu{\'s}, Dominika and
    Kasprzak, Piotr and Matkowski, Rafa{\l} and Fura, {\L}ukasz and Nowicki, Andrzej and {\.Z}o{\l}ek, Norbert},
  journal={Scientific Data}, year={2024}, doi={10.1038/s41597-024-02984-z}
}
@misc{breast_lesions_usg_tcia, title={Breast-Lesions-USG}, publisher={The Cancer Imaging Archive}, year={2023},
  doi={10.7937/9WKK-Q141}}""",
    notes=(
        "Label: column Classification of the xlsx (benign 154, malignant 98, normal 4). Spacing: Pixel_size, "
        "centimetres a pixel, turned into millimetres.",
        "images: 256; lists that say 252 count only pictures with a tumour mask.",
        "The natural external test of BUS-BRA classifiers: leave it out of pre-training whenever it is used so.",
        "RGBA; in 31 pictures transparent corners lie over black and, in seven, over white strokes: flatten on black.",
        "No published checksums (the xlsx of two public copies: 40,381 bytes, "
        "sha256 ac7c1d61c2d76fed7dcec57d6be6f04248c087c0ae700f5cf9c3f1aff76720fd).",
    ),
    layout="real files",
    unverified=(
        "Bytes and checksums of the zip.",
        "A click on the usage policy before the download: one script says so, others fetch directly.",
    ),
)

IMAGES = WRAPPER + r"(?P<id>case(?P<n>\d{3})\.png)"
IGNORED = (("mask", r"(?:^|/)case\d{3}_(?:tumor|other)\d*\.png$"),)


def items(root: Path) -> Iterator[Item]:
    """Patient: CaseID, the number in the name. Label: Classification. Spacing from Pixel_size."""
    rows = read_xlsx(find(root, WRAPPER + r"BrEaST-Lesions-USG-clinical-data[^/]*\.xlsx"), "CaseID")
    for item, found in matched(root, IMAGES, IGNORED):
        row = rows.get(str(int(found["n"])), {})
        centimetres = number(row.get("Pixel_size"))
        spacing = round(10 * centimetres, 9) if centimetres else None
        stem = item.path.removesuffix(".png")
        yield replace(
            item,
            patient=str(int(found["n"])),
            label=row.get("Classification") or None,
            spacing_mm=(spacing, spacing),
            masks=existing(root, f"{stem}_tumor.png", *(f"{stem}_other{k}.png" for k in ("", 1, 2, 3, 4))),
        )
