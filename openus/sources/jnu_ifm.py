"""JNU-IFM: fetal heads and pubic symphyses during birth, frames of 78 recordings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence
from openus.sources._layout import WRAPPER, existing, matched, read_csv, swapped

CARD = Card(
    slug="jnu-ifm",
    index=29,
    name="JNU-IFM",
    title="The JNU-IFM dataset for segmenting pubic symphysis-fetal head",
    anatomy="fetal-head",
    anatomy_detail="intrapartum transperineal view: pubic symphysis (SP) and fetal head; Youkey D8, convex, 3.53 MHz",
    species="human",
    subject="in-vivo",
    media=("png",),
    licence=Licence("CC-BY-4.0", commercial_use=True, redistribution=True, derivatives=True),
    access=Access(
        kind="figshare",
        url="https://figshare.com/articles/dataset/JNU-IFM/14371652",
        ids={"article": "14371652", "version": "2", "doi": "10.6084/m9.figshare.14371652"},
        steps=(
            "Open the page and press 'Download all'; api.figshare.com/v2/articles/14371652 names sizes and MD5.",
            "Unpack each file: folders named by a time, each with image/, mask/ and frame_label.csv.",
        ),
    ),
    expected_images=6224,
    expected_patients=51,
    citation=r"""@article{lu2022jnuifm, journal={Data in Brief}, volume={41}, pages={107904}, year={2022},
  title={The JNU-IFM dataset for segmenting pubic symphysis-fetal head}, doi={10.1016/j.dib.2022.107904},
  author={Lu, Yaosheng and Zhou, Mengqiang and Zhi, Dengjiang and others}}""",
    notes=(
        "51 women, 78 recordings, and no table that joins them: split by recording at the least. Recordings of one day "
        "may be one woman.",
        "With fh-ps-aop and psfhs it is one patient group; other code calls fh-ps-aop JNU-IFM.",
        "Frames of one recording are near copies. Masks have the values 7 (SP) and 8 (head).",
    ),
    layout="public code",
    unverified=("The folder us_data/ above the recordings: one project.", "Names and sizes of the files on figshare."),
)

IMAGES = WRAPPER + r"(?P<id>(?P<video>\d{8}T\d{6})/image/(?P=video)_(?P<frame>\d+)\.png)"
IGNORED = (("mask", r"(?:^|/)mask/[^/]*_mask\.png$"), ("overlay", r"(?:^|/)mask_enhance/[^/]*\.png$"))

LABELS = {"3": "None", "4": "OnlySP", "5": "OnlyHead", "6": "SP+Head"}
"""frame_label -> the authors' word (config.json of JNU-IFM-config-and-code)."""


def items(root: Path) -> Iterator[Item]:
    """Video: the recording's time. Label: frame_label of its table, as the authors' word. No patient is told."""
    tables: dict[Path, dict[str, str]] = {}
    for item, found in matched(root, IMAGES, IGNORED):
        table = (root / item.path).parents[1] / "frame_label.csv"
        if table not in tables:
            rows = read_csv(table if table.is_file() else None, key="frame_id")
            tables[table] = {n: LABELS.get(row.get("frame_label", ""), "") for n, row in rows.items()}
        masks = existing(root, swapped(item, "/image/", "/mask/").removesuffix(".png") + "_mask.png")
        label = tables[table].get(found["frame"]) or None
        yield replace(item, view="transperineal, mid-sagittal", label=label, masks=masks)
