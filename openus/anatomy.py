"""The words for what a picture shows, their codes, and how DICOM's Body Part Examined maps to them.

A word is one region or organ; `parent` is the wider word. Codes are SNOMED CT's where DICOM PS3.16 Annex L names one,
else UBERON's (the Uber-anatomy ontology); None where neither was certain, as for parts of the fetus.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Term:
    """One word of the vocabulary."""

    word: str
    parent: str | None
    code_system: str | None
    code: str | None
    title: str


_TABLE = """
abdomen            | -               | SCT 818981001  | Abdomen
adrenal            | abdomen         | SCT 23451007   | Adrenal gland
ankle              | joint           | SCT 70258002   | Ankle joint
aorta              | artery          | SCT 15825003   | Aorta
appendix           | gastrointestinal| SCT 66754008   | Appendix
artery             | vessel          | SCT 51114001   | Artery
axilla             | -               | SCT 91470000   | Axilla
bladder            | pelvis          | SCT 89837001   | Urinary bladder
bone               | musculoskeletal | UBERON 0001474 | Bone
bowel              | gastrointestinal| UBERON 0000160 | Intestine
brachial-plexus    | nerve           | UBERON 0001814 | Brachial nerve plexus
brain              | head            | SCT 12738006   | Brain
breast             | -               | SCT 76752008   | Breast
carotid-artery     | artery          | SCT 69105007   | Carotid artery
cervix             | uterus          | SCT 71252005   | Cervix of the uterus
chest              | -               | SCT 43799004   | Chest
diaphragm          | chest           | UBERON 0001103 | Diaphragm
elbow              | joint           | SCT 16953009   | Elbow joint
esophagus          | gastrointestinal| SCT 32849002   | Esophagus
extremity          | -               | SCT 66019005   | Extremity
eye                | head            | SCT 81745001   | Eye
femoral-artery     | artery          | SCT 7657000    | Femoral artery
femoral-vein       | vein            | SCT 83419000   | Femoral vein
fetal              | -               | -              | Fetus, any part
fetal-abdomen      | fetal           | -              | Fetal abdomen
fetal-brain        | fetal-head      | -              | Fetal brain
fetal-femur        | fetal           | -              | Fetal femur
fetal-head         | fetal           | -              | Fetal head
fetal-heart        | fetal           | -              | Fetal heart
fetal-spine        | fetal           | -              | Fetal spine
fetal-thorax       | fetal           | -              | Fetal thorax
gallbladder        | abdomen         | SCT 28231008   | Gallbladder
gastrointestinal   | -               | UBERON 0001555 | Digestive tract
head               | -               | SCT 69536005   | Head
heart              | chest           | SCT 80891009   | Heart
hip                | joint           | SCT 24136001   | Hip joint
inferior-vena-cava | vein            | SCT 64131007   | Inferior vena cava
joint              | musculoskeletal | SCT 39352004   | Joint
jugular-vein       | vein            | -              | Jugular vein
kidney             | abdomen         | SCT 64033007   | Kidney
knee               | joint           | SCT 72696002   | Knee
liver              | abdomen         | SCT 10200004   | Liver
lung               | chest           | SCT 39607008   | Lung
lymph-node         | -               | UBERON 0000029 | Lymph node
median-nerve       | nerve           | UBERON 0001148 | Median nerve
muscle             | musculoskeletal | UBERON 0001630 | Muscle
musculoskeletal    | -               | UBERON 0002204 | Musculoskeletal system
neck               | -               | SCT 45048000   | Neck
nerve              | -               | UBERON 0001021 | Nerve
ovary              | pelvis          | SCT 15497006   | Ovary
pancreas           | abdomen         | SCT 15776009   | Pancreas
parathyroid        | neck            | SCT 111002     | Parathyroid
parotid            | salivary-gland  | SCT 45289007   | Parotid gland
pelvis             | -               | SCT 816092008  | Pelvis
penis              | -               | SCT 18911002   | Penis
placenta           | -               | SCT 78067005   | Placenta
pleura             | chest           | UBERON 0000977 | Pleura
portal-vein        | vein            | SCT 32764006   | Portal vein
prostate           | pelvis          | SCT 41216001   | Prostate
rectum             | gastrointestinal| SCT 34402009   | Rectum
salivary-gland     | head            | UBERON 0001044 | Salivary gland
sciatic-nerve      | nerve           | UBERON 0001322 | Sciatic nerve
scrotum            | -               | SCT 20233005   | Scrotum
shoulder           | joint           | SCT 16982005   | Shoulder
skin               | -               | UBERON 0002097 | Skin
spinal-cord        | spine           | UBERON 0002240 | Spinal cord
spine              | musculoskeletal | SCT 421060004  | Spine
spleen             | abdomen         | SCT 78961009   | Spleen
stomach            | gastrointestinal| SCT 69695003   | Stomach
submandibular-gland| salivary-gland  | SCT 54019009   | Submandibular gland
tendon             | musculoskeletal | UBERON 0000043 | Tendon
testis             | scrotum         | SCT 40689003   | Testis
thyroid            | neck            | SCT 69748006   | Thyroid
uterus             | pelvis          | SCT 35039007   | Uterus
vein               | vessel          | SCT 29092000   | Vein
vessel             | -               | SCT 59820001   | Blood vessel
wrist              | joint           | SCT 74670003   | Wrist joint
"""

_SYSTEMS = {"SCT": "SNOMED CT", "UBERON": "UBERON"}


def _terms(table: str) -> dict[str, Term]:
    terms = {}
    for line in table.strip().splitlines():
        word, parent, code, title = (cell.strip() for cell in line.split("|"))
        system, _, number = code.partition(" ")
        terms[word] = Term(
            word=word,
            parent=None if parent == "-" else parent,
            code_system=_SYSTEMS.get(system),
            code={"-": None, "SCT": number, "UBERON": f"UBERON:{number}"}[system],
            title=title,
        )
    return terms


VOCABULARY: dict[str, Term] = _terms(_TABLE)
"""word -> Term."""

_BODY_PARTS = """
ABDOMEN abdomen          ABDOMINALAORTA aorta     ADRENAL adrenal        ANKLE ankle            AORTA aorta
AORTICARCH aorta         APPENDIX appendix        ARTERY artery          ASCAORTA aorta         AXILLA axilla
BLADDER bladder          BRAIN brain              BREAST breast          BULB carotid-artery    CAROTID carotid-artery
CCA carotid-artery       CERVIX cervix            CFA femoral-artery     CFV femoral-vein       CHEST chest
COLON bowel              CSPINE spine             DESCAORTA aorta        ECA carotid-artery     ELBOW elbow
ENDOCARDIAC heart        ENDORECTAL rectum        ESOPHAGUS esophagus    EXTJUGV jugular-vein   EXTREMITY extremity
EYE eye                  FEMORALA femoral-artery  FEMORALV femoral-vein  FETALARM fetal         FETALDIGIT fetal
FETALHEART fetal-heart   FETALLEG fetal           FETALPOLE fetal        GALLBLADDER gallbladder HEAD head
HEART heart              HIP hip                  ICA carotid-artery     INFVENACAVA inferior-vena-cava
INTJUGULARV jugular-vein JOINT joint              KIDNEY kidney          KNEE knee              LARGEINTESTINE bowel
LATRIUM heart            LIVER liver              LOWERLIMB extremity    LSPINE spine           LUNG lung
LVENTRICLE heart         NECK neck                OVARY ovary            PANCREAS pancreas      PARATHYROID parathyroid
PAROTID parotid          PELVIS pelvis            PENIS penis            PLACENTA placenta      PORTALV portal-vein
PROSTATE prostate        RATRIUM heart            RECTUM rectum          RVENTRICLE heart       SCROTUM scrotum
SHOULDER shoulder        SMALLINTESTINE bowel     SPINE spine            SPLEEN spleen          STOMACH stomach
SUBMANDIBULAR submandibular-gland                 TESTIS testis          THORACICAORTA aorta    THORAX chest
THYROID thyroid          TSPINE spine             UPPERLIMB extremity    UTERUS uterus          VEIN vein
WRIST wrist
"""

_tokens = _BODY_PARTS.split()
BODY_PART: dict[str, str] = dict(zip(_tokens[::2], _tokens[1::2], strict=True))
"""Defined term of Body Part Examined (0018,0015) -> word. Source: DICOM PS3.16 Annex L, table L-1."""


def check(word: str) -> str:
    """`word` itself when it is in the vocabulary. Raises ValueError that names the nearest words."""
    if word in VOCABULARY:
        return word
    near = difflib.get_close_matches(word.lower().replace(" ", "-").replace("_", "-"), VOCABULARY, n=3)
    meant = f"did you mean {' or '.join(near)}" if near else f"words are {', '.join(VOCABULARY)}"
    raise ValueError(f"{word!r} is no word of the anatomy vocabulary; {meant}")


def from_body_part(text: str | None) -> str | None:
    """The word for DICOM's Body Part Examined (0018,0015), None where it is absent or not known; never a guess.

    Devices write defined terms with blanks or in small letters, and also plain words: a word of the vocabulary itself
    is taken too.

    >>> from_body_part(" Thyroid "), from_body_part("LYMPH NODE"), from_body_part("PHANTOM"), from_body_part(None)
    ('thyroid', 'lymph-node', None, None)
    """
    words = re.findall(r"[A-Za-z0-9]+", text or "")
    plain = "-".join(words).lower()
    return BODY_PART.get("".join(words).upper()) or (plain if plain in VOCABULARY else None)


def within(word: str | None, ancestor: str) -> bool:
    """Whether `word` is `ancestor` or lies below it.

    >>> within("carotid-artery", "vessel"), within("vessel", "carotid-artery"), within(None, "vessel")
    (True, False, False)
    """
    while word is not None:
        if word == ancestor:
            return True
        word = VOCABULARY[word].parent if word in VOCABULARY else None
    return False
