"""DDTI: thyroid ultrasound of one device, in the original form (case XML and JPG) or repacked (637 PNG with masks)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.parsers import expat

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, existing, matched, swapped

CARD = Card(
    slug="ddti",
    index=None,
    name="DDTI",
    title="DDTI: Digital Database of Thyroid Ultrasound Images (Universidad Nacional de Colombia, CIM@LAB, IDIME)",
    anatomy="thyroid",
    anatomy_detail="thyroid nodules, also thyroiditis, goitre, cancer; one device",
    species="human",
    subject="in-vivo",
    media=("png", "jpg"),
    licence=Licence(),
    access=Access(
        kind="gdrive",
        url="http://cimalab.intec.co/applications/thyroid/",
        ids={
            "repacked_637_in_thyroid_dataset": "inside Drive file 1reHyY5eTZ5uePXMVMzFOq5j3eFOSp50F (see thyroid)",
            "drive_file": "1wwlsEhwfSyvQsJBRjeDLhUjqZh8eaH2R",
            "repacked_637_kaggle": "srivarshachivukula/ddti-dataset",
            "original_kaggle_copy": "dasmehdixtr/ddti-thyroid-ultrasound-images",
        },
        steps=(
            "The original site is said to be unreachable. Original form (XML and JPG a case): "
            "kaggle.com/datasets/dasmehdixtr/ddti-thyroid-ultrasound-images; needs a login.",
            "Repacked form (637 pictures with masks): the Drive file, or unzip the Thyroid Dataset, then 'DDTI "
            "dataset/DDTI.zip'.",
        ),
    ),
    files=(RemoteFile(name="DDTI.zip", archive="zip"),),
    expected_images=480,
    expected_patients=390,
    citation=r"""@inproceedings{pedraza2015open,
  title={An open access thyroid ultrasound image database},
  author={Pedraza, Lina and Vargas, Carlos and Narv{\'a}ez, Fabi{\'a}n and Dur{\'a}n, Oscar and Mu{\~n}oz, Emma and
    Romero, Eduardo},
  booktitle={10th International symposium on medical information processing and analysis}, volume={9287},
  pages={188--193}, year={2015}, organization={SPIE}
}""",
    notes=(
        "images: 480 pictures of 390 cases in the original form; the repacked form has 637, cut from them.",
        "Label: tirads of the case's XML (298 of 390 cases are graded). Repacked pictures have neither case nor label; "
        "their category.csv is not a diagnosis.",
        "One picture stands under five cases (150, 233, 323, 326, 349), another under two (353, 396).",
        "The repacked archive holds every picture three times; only 1_or_data/image is read.",
        "The licence could not be read at the original site.",
    ),
    layout="real files",
    unverified=(
        "That first pictures of cases 1 to 250 are named _1 at the source.",
        "How numbers are padded in the repacked form.",
    ),
)

IMAGES = WRAPPER + r"(?P<id>(?P<case>\d+)(?P<number>_\d+)?\.jpg|1_or_data/image/\d+\.PNG)"
IGNORED = (
    ("mask", r"(?:^|/)1_or_data/mask/|(?:^|/)2_preprocessed_data/stage\d/p_mask/"),
    ("preview", r"(?:^|/)2_preprocessed_data/"),
)

MAX_XML_BYTES = 262_144
"""The largest of the 390 has 6 kB."""


def items(root: Path) -> Iterator[Item]:
    """Patient: the case number. Label: tirads of the case's XML. The repacked form has neither."""
    grades: dict[Path, str | None] = {}
    for item, found in matched(root, IMAGES, IGNORED):
        if found["case"] is None:
            yield replace(item, masks=existing(root, swapped(item, "1_or_data/image/", "1_or_data/mask/")))
            continue
        xml = (root / item.path).with_name(f"{found['case']}.xml")
        if not found["number"] and not xml.is_file():
            continue  # some copies call the first picture of a case by the case alone; any number will not do
        if xml not in grades:
            grades[xml] = xml_text(xml, "tirads")
        yield replace(item, patient=found["case"], label=grades[xml])


def xml_text(path: Path, tag: str) -> str | None:
    """The text of the first element `tag`, None where there is none or the file is not plain XML.

    A document type is refused and the size bounded, so that no entity is ever expanded.
    """
    inside: list[str] = []
    texts: list[str] = []
    parser = expat.ParserCreate()

    def start(name: str, _: object) -> None:
        inside.append(name)
        if name == tag:
            texts.append("")

    def end(_: str) -> None:
        inside.pop()

    def text(data: str) -> None:
        if inside and inside[-1] == tag:
            texts[-1] += data

    def refuse(*_: object) -> None:
        raise ValueError("a document type")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, refuse
    try:
        if path.stat().st_size > MAX_XML_BYTES:
            return None
        parser.Parse(path.read_bytes(), True)
    except (OSError, ValueError, expat.ExpatError):
        return None
    return (texts[0].strip() or None) if texts else None
