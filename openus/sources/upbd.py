"""UPBD: stills of the brachial plexus at the neck with artery, vein and muscle, taken from clips of 88 patients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from openus.data import Access, Card, Item, Licence
from openus.sources._layout import WRAPPER, listed

CARD = Card(
    slug="upbd",
    index=46,
    name="UPBD",
    title="UBPD: Ultrasound Brachial Plexus Dataset",
    anatomy="brachial-plexus",
    anatomy_detail="neck, transverse: plexus with artery, vein and muscle (a copied table says 'Bladder': wrong)",
    species="human",
    subject="in-vivo",
    media=("jpg", "tiff"),
    licence=Licence(),
    access=Access(
        kind="http",
        url="https://ubpd.worldwidetracing.com:9443/",
        ids={
            "paper_1": "arXiv:2012.12012",
            "paper_2": "Medical Image Analysis 80 (2022) 102511",
            "copy": "Dylanyves/UBPD",
        },
        gated=None,
        steps=(
            "Open the site (a firewall may block the odd port 9443) and follow its download page.",
            "Unpack so that JPEGImages/ and json_train/ lie side by side.",
            "If the site is down, ask the authors: yi.ding@uestc.edu.cn, anesthesiology@zju.edu.cn.",
        ),
    ),
    expected_images=955,
    expected_patients=88,
    citation=r"""@article{ding2022mallesnet,
  title={MallesNet: A multi-object assistance based network for brachial plexus segmentation in ultrasound images},
  author={Ding, Yi and Yang, Qiqi and Wang, Yiqian and Chen, Dajiang and Qin, Zhiguang and Zhang, Jian},
  journal={Medical Image Analysis}, volume={80}, pages={102511}, year={2022}}
@article{ding2020bpmsegnet, author={Ding, Yi and Yang, Qiqi and Wu, Guozheng and Zhang, Jian and Qin, Zhiguang},
  title={Multiple Instance Segmentation in Brachial Plexus Ultrasound Image Using BPMSegNet},
  journal={arXiv preprint arXiv:2012.12012}, year={2020}}""",
    notes=(
        "No licence was found: whether the pictures may be passed on is unknown.",
        "The 2 to 30 pictures of a patient are mostly frames of one clip; nine pairs are equal pixel for pixel.",
        "31 files named .jpg are TIFF. 1_0.jpg and 1_00.jpg are two pictures: a number is text.",
        "json_train/ holds polygons: shenjing nerve, jirouzuzhi muscle, dongmai artery, jingmai vein, jizhu spine, "
        "zhifang fat. Its imageData is the picture with contours drawn in. 7_4 and 100_110 show another frame there.",
        "Many pictures have a grey-blue tint, a third has small coloured marks of the machine.",
    ),
    layout="public code",
    unverified=("Counts and names: of a student's copy.",),
)

IMAGES = WRAPPER + r"(?:JPEGImages|images)/(?P<id>(?P<patient>\d+)_\d+(?:_\d+)?\.jpg)"
IGNORED = (("annotation", r"(?:^|/)json_train/"),)


def items(root: Path) -> Iterator[Item]:
    """Patient: the number before the first `_`. No label, no split. The folder, of two names, is not in the id."""
    return listed(root, IMAGES, IGNORED)
