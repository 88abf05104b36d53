"""Dataset B (UDIAT): breast lesions under a release agreement that forbids passing anything on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence
from openus.sources._layout import WRAPPER, existing, find, matched, read_xlsx

CARD = Card(
    slug="bus-b",
    index=9,
    name="BUS (Dataset B)",
    title="Breast Ultrasound Lesions Dataset (Dataset B), also UDIAT or Yap2018",
    anatomy="breast",
    anatomy_detail="breast lesions; UDIAT, Parc Tauli, Sabadell, 2012; Siemens ACUSON Sequoia C512, 17L5 linear probe",
    species="human",
    subject="in-vivo",
    media=("png",),
    licence=Licence("custom research licence agreement", commercial_use=False, redistribution=False),
    access=Access(
        kind="form",
        url="https://helward.mmu.ac.uk/STAFF/M.Yap/dataset.php",
        ids={
            "agreement": "https://www2.docm.mmu.ac.uk/STAFF/m.yap/files/BUS_ReleaseAgreement.pdf",
            "old_page": "http://www2.docm.mmu.ac.uk/STAFF/M.Yap/dataset.php",
        },
        gated="application",
        steps=(
            "Read the page and the release agreement, and sign it; an institution's e-mail address is needed.",
            "Send it to the contact named there (Moi Hoon Yap, Manchester Metropolitan University).",
            "A person approves and mails a link: download the archive and unpack it. Its name is unknown.",
        ),
    ),
    expected_images=163,
    expected_patients=163,
    citation=r"""@article{yap2018automated, journal={IEEE Journal of Biomedical and Health Informatics}, number={4},
  title={Automated Breast Ultrasound Lesions Detection Using Convolutional Neural Networks}, pages={1218--1226},
  author={Yap, Moi Hoon and Pons, Gerard and Mart{\'i}, Joan and Ganau, Sergi and Sent{\'i}s, Melcior and Zwiggelaar,
    Reyer and Davison, Adrian K. and Mart{\'i}, Robert}, doi={10.1109/JBHI.2017.2731873}, year={2018}, volume={22}}""",
    notes=(
        "Label: column Type of DatasetB.xlsx (109 benign, 54 malignant); column Diagnosis is finer.",
        "Four pictures stand twice: 32 = 40, 33 = 42, 53 = 309, 54 = 310 (the last under two diagnoses).",
        "Full copies in public repositories break the agreement: take none. Numbers are 1 to 147 and 295 to 310.",
    ),
    layout="public code",
    unverified=("One picture a woman.", "The terms: the agreement itself was not read.", "Whom to mail."),
)

IMAGES = WRAPPER + r"(?P<id>original/(?P<n>\d{6})\.png)"
IGNORED = (("mask", r"(?:^|/)GT/\d{6}\.png$"),)


def items(root: Path) -> Iterator[Item]:
    """Patient: the picture's number, one a woman. Label: Type of DatasetB.xlsx."""
    rows = read_xlsx(find(root, WRAPPER + r"DatasetB\.xlsx"), "Image")
    labels = {name.zfill(6): row.get("Type") for name, row in rows.items()}
    for item, found in matched(root, IMAGES, IGNORED):
        masks = existing(root, f"{item.path.removesuffix(item.id)}GT/{found['n']}.png")
        yield replace(item, patient=found["n"], label=labels.get(found["n"]) or None, masks=masks)
