"""FALLMUD: lower-leg muscles along the fibres, two older sets of frames with fascicle and aponeurosis masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, existing, matched

CARD = Card(
    slug="fallmud",
    index=21,
    name="FALLMUD",
    title="FALLMUD (CEA Kalisteo): two older lower-leg muscle image sets with fascicle and aponeurosis masks",
    anatomy="muscle",
    anatomy_detail="lower leg, longitudinal; gastrocnemius and soleus in the RyanCunningham part",
    species="human",
    subject="in-vivo",
    media=("tiff", "jpg"),
    licence=Licence(),
    access=Access(
        kind="http",
        url="https://kalisteo.cea.fr/index.php/fallmud/",
        gated=None,
        steps=("Open the page, take the download FALLMUD (one zip) and unpack: NeilCronin/ and RyanCunningham/.",),
    ),
    files=(RemoteFile(name="FALLMUD.zip", archive="zip"),),
    expected_images=813,
    citation=r"""@inproceedings{awnet2021fallmud, year={2021}, booktitle={ACM Conference on Bioinformatics,
    Computational Biology, and Health Informatics (ACM BCB)}, title={AW-Net: Automatic Muscle Structure Analysis on
    B-Mode Ultrasound Images for Injury Prevention}}
@article{cronin2020fully, author={Cronin, Neil J. and Finni, Taija and Seynnes, Olivier}, year={2020},
  title={Fully automated analysis of muscle architecture from B-mode ultrasound images with deep learning},
  journal={arXiv preprint arXiv:2009.04790}}
@article{cunningham2018estimating, author={Cunningham, Ryan and S\'anchez, Mar\'ia B. and May, Gregory and Loram,
    Ian}, title={Estimating Full Regional Skeletal Muscle Fibre Orientation from B-Mode Ultrasound Images Using
    Convolutional, Residual, and Deconvolutional Neural Networks}, journal={Journal of Imaging}, year={2018}}""",
    notes=(
        "The page states no licence. One place says CC BY-NC 4.0 of the RyanCunningham part: no commercial use of it.",
        "No patients are told apart; RyanCunningham shows 8 volunteers. Keep each part on one side of a split.",
        "RyanCunningham's aponeurosis masks lie turned by 90 degrees counter-clockwise. Masks need a threshold.",
        "images: 309 of NeilCronin and 504 of RyanCunningham; the page's text says 812.",
    ),
    layout="public code",
    unverified=("Licence and volunteers of RyanCunningham.",),
)

IMAGES = WRAPPER + r"(?P<id>(?:NeilCronin|RyanCunningham)/images/(?P<stem>img_\d{5}|\d+)\.(?:tiff?|jpg))"
IGNORED = (("mask", r"(?:^|/)(?:aponeurosis|fascicle)_masks/"),)


def items(root: Path) -> Iterator[Item]:
    """View: longitudinal. Numbers start again in each part; nothing tells the patient. Masks: same stem, any suffix."""
    for item, found in matched(root, IMAGES, IGNORED):
        part = item.path.rpartition("images/")[0]
        names = (f"{part}{kind}_masks/{found['stem']}" for kind in ("aponeurosis", "fascicle"))
        masks = existing(root, *(f"{name}.{suffix}" for name in names for suffix in ("jpg", "tif", "tiff")))
        yield replace(item, view="longitudinal", masks=masks)
