"""COVID-BLUES: lung clips at the six BLUE points of 63 patients. No derivatives may be passed on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, find, matched, read_csv

CARD = Card(
    slug="blues",
    index=5,
    name="BLUES",
    title="COVID-BLUES (COVID Bluepoint Lung Ultrasound dataset)",
    anatomy="lung",
    anatomy_detail=(
        "lung at the six BLUE points (three a side), B-mode clips of COVID-19 suspects (33 PCR positive, 30 negative), "
        "Feb-May 2021, Maastricht UMC+"
    ),
    species="human",
    subject="in-vivo",
    media=("mp4",),
    licence=Licence("CC-BY-NC-ND-4.0", commercial_use=False, redistribution=False, derivatives=False),
    access=Access(
        kind="github",
        url="https://github.com/NinaWie/COVID-BLUES",
        ids={
            "repo": "NinaWie/COVID-BLUES",
            "commit": "1857a6fba9b8d00614f133fe8ffb7bc1f1a14f78",
            "doi_paper": "10.1109/JBHI.2025.3543686",
            "huggingface": "jannisborn/COVID-BLUES",
        },
        steps=(
            "Clone https://github.com/NinaWie/COVID-BLUES or take the archive of commit 1857a6f (plain files, 73 MB).",
            "lus_videos/ and the three CSV files lie at its top.",
        ),
    ),
    files=(
        RemoteFile(
            name="severity.csv",
            size_bytes=10730,
            sha256="ef82e6b9d0abec00c27a31875287830f5952211c0e023b64994e0bfaabe61717",
        ),
        RemoteFile(
            name="clinical_variables.csv",
            size_bytes=24082,
            sha256="e0a351805cc77dab96595dad82ea23f04c5bb662a1f04079659b0eede6e33502",
        ),
        RemoteFile(
            name="variable_explanations.csv",
            size_bytes=9072,
            sha256="5a67c755fde8b447aaea6292046cf8b4b47bf0c1b7d5bd9820491ce586bf2e4a",
        ),
    ),
    size_bytes=73_064_643,
    expected_images=362,
    counted="clips",
    expected_patients=63,
    citation=r"""@article{wiedemann2025covid,
  author={Wiedemann, Nina and Boer, Dianne de Korte-de and Richter, Matthias and van de Weijer, Sjors and
    Buhre, Charlotte and Eggert, Franz A. M. and Aarnoudse, Sophie and Grevendonk, Lotte and R\"ober, Steffen and
    Remie, Carlijn M. E. and Buhre, Wolfgang and Henry, Ronald and Born, Jannis},
  title={COVID-BLUeS - A Prospective Study on the Value of AI in Lung Ultrasound Analysis},
  journal={IEEE Journal of Biomedical and Health Informatics}, year={2025}, volume={29}, number={9},
  pages={6301-6310}, doi={10.1109/JBHI.2025.3543686}
}""",
    notes=(
        "No derivatives: frames, crops and shards made from it stay local and are never passed on.",
        "images counts clips (362, 31,746 frames); an older news line says 371: do not use it.",
        "Label: column Severity Score of severity.csv (0.0 to 3.0, one a clip). The PCR result of a patient stands in "
        "clinical_variables.csv, column cov_test (0 negative, 1 positive), and is not the label.",
        "25 clips of five patients (2, 6, 26, 39, 50) begin with two black frames, byte-equal across patients.",
        "Same authors as pocus; the recordings differ.",
    ),
    layout="real files",
)

IMAGES = WRAPPER + (r"(?P<id>lus_videos/(?P<video>patient_(?P<patient>\d+)_(?P<view>[LR][123])(?:_2)?)\.mp4)")
IGNORED = (("sample", r"(?:^|/)sample_video\.gif$"),)


def items(root: Path) -> Iterator[Item]:
    """Patient: the number in the name. Video: the stem. View: the BLUE point. Label: Severity Score of the clip."""
    severity = read_csv(find(root, WRAPPER + r"severity\.csv"), key="video_file")
    for item, found in matched(root, IMAGES, IGNORED):
        yield replace(item, label=severity.get(found["video"], {}).get("Severity Score") or None)
