"""BUS-BRA: biopsy-proven breast tumours of 1,064 patients. A held-out benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, existing, find, matched, read_csv

CARD = Card(
    slug="bus-bra",
    index=12,
    name="BUS-BRA",
    title="BUS-BRA: A Breast Ultrasound Dataset for Assessing Computer-aided Diagnosis Systems",
    anatomy="breast",
    anatomy_detail=(
        "biopsy-proven breast tumours, linear-probe B-mode; cropped to the scan area, many with calipers and "
        "Portuguese text burned in (e.g. 'QSE', 'MAMA ESQUERDA')"
    ),
    species="human",
    subject="in-vivo",
    media=("png",),
    role="held-out",
    licence=Licence(
        "BUS-BRA LICENSE.txt (permissive, citation required)",
        commercial_use=True,
        redistribution=True,
        derivatives=True,
    ),
    access=Access(
        kind="zenodo",
        url="https://zenodo.org/records/8231412",
        ids={"record": "8231412", "doi": "10.5281/zenodo.8231412", "doi_in_older_readme": "10.5281/zenodo.7730709"},
        steps=("Download BUSBRA.zip from the record and unpack; everything lies under BUSBRA/.",),
    ),
    files=(
        RemoteFile(
            name="BUSBRA.zip",
            url="https://zenodo.org/records/8231412/files/BUSBRA.zip?download=1",
            sha256="ba3e6ed19cc37c682d8d39e25435bbf8a555a12cb7e641b5f2117685c95580ff",
            archive="zip",
        ),
    ),
    expected_images=1875,
    expected_patients=1064,
    citation=r"""@article{gomezflores2024busbra,
  title={BUS-BRA: A breast ultrasound dataset for assessing computer-aided diagnosis systems},
  author={G{\'o}mez-Flores, Wilfrido and Gregorio-Calas, Maria Julia and Coelho de Albuquerque Pereira, Wagner},
  journal={Medical Physics}, volume={51}, number={4}, pages={3110--3123}, year={2024}, doi={10.1002/mp.16812}
}""",
    notes=(
        "Label: column Pathology of bus_data.csv. Split: fold-k, where k = kFold of 5-fold-cv.csv, the fold in which "
        "the image is TEST (patient-disjoint).",
        "The valid_k flags are NOT patient-disjoint (201 to 216 cases a fold stand on both sides): "
        "draw train/validation anew by patient.",
        "View left/right is the half of a dual-view screen of one case, not the left and right breast.",
        "Two statements of licence: LICENSE.txt in the archive (read) and, second hand, CC-BY-4.0 on the record.",
        "Every PNG carries the text chunk Description 'BUS-BRA dataset': a sure mark of a re-shared copy. "
        "BUS-CoT (not in the 46) holds pictures of this benchmark.",
    ),
    layout="real files",
    unverified=(
        "CC-BY-4.0 on the record: two places, both second hand.",
        "What 10.5281/zenodo.7730709 is: it stood in an older README of the authors.",
    ),
)

IMAGES = WRAPPER + r"(?P<id>Images/(?P<name>bus_(?P<case>\d{4})-(?P<side>[lrs]))\.png)"
IGNORED = (("mask", r"(?:^|/)Masks/mask_\d{4}-[lrs]\.png$"),)

_SIDES = {"l": "left", "r": "right", "s": "single"}


def items(root: Path) -> Iterator[Item]:
    """Patient: the case number. View: Side. Label: Pathology. Split: `fold-k`."""
    data = read_csv(find(root, WRAPPER + r"bus_data\.csv"), key="ID")
    folds = read_csv(find(root, WRAPPER + r"5-fold-cv\.csv"), key="ID")
    for item, found in matched(root, IMAGES, IGNORED):
        row, fold = data.get(found["name"], {}), folds.get(found["name"], {})
        yield replace(
            item,
            patient=str(int(found["case"])),
            label=row.get("Pathology") or fold.get("Pathology") or None,
            view=_SIDES[found["side"]],
            split=f"fold-{fold['kFold']}" if fold.get("kFold") else None,
            masks=existing(root, item.path.replace("Images/bus_", "Masks/mask_")),
        )
