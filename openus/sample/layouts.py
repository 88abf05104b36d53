"""Miniatures of published sources: the same folders, names, tables and quirks, filled with phantoms.

Each function yields (path relative to the source's folder, bytes). Names never depend on the seed.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from openus.data import Pixels
from openus.sample import encode, scenes
from openus.sample import phantom as us

Files = Iterator[tuple[str, bytes]]

LICENCE = "Synthetic pictures made by `openus sample`. No person or animal was scanned. CC0-1.0.\n"
LEFT_OUT = "NaN"


@dataclass(frozen=True, slots=True)
class BusBraImage:
    """One picture of the BUS-BRA miniature. `number` counts pictures, `case` patients, both from 1."""

    number: int
    case: int
    side: str

    @property
    def stem(self) -> str:
        """The file name after `bus_` or `mask_`."""
        return f"{self.case:04d}-{self.side}"

    @property
    def malignant(self) -> bool:
        """Every other case."""
        return self.case % 2 == 0

    def fold(self, folds: int) -> int:
        """The fold, 1 to `folds`, in which its case is test: cases of both kinds in every fold."""
        return (self.case - 1) // 2 % folds + 1

    def use(self, folds: int, k: int) -> str:
        """Column valid_k: NaN in test, else 1 train or 0 validation, drawn by picture as the authors did.

        So both pictures of a case may stand on different sides: the flaw of the published files.
        """
        return LEFT_OUT if self.fold(folds) == k else str(int((self.number + k) % 5 != 0))


def bus_bra_images() -> tuple[BusBraImage, ...]:
    """30 pictures of 20 cases, half of each kind; half of the cases have a left and a right picture."""
    sides = [(case, side) for case in range(1, 21) for side in ("lr" if case % 4 in (1, 2) else "s")]
    return tuple(BusBraImage(number, case, side) for number, (case, side) in enumerate(sides, start=1))


def bus_bra_picture(seed: int, image: BusBraImage) -> tuple[Pixels, Pixels]:
    """The picture and its mask (0 or 255), both (rows, columns) uint8."""
    rng = us.rng_of(seed, f"bus-bra/{image.stem}")
    probe = us.linear(280, 210 + 7 * (image.case % 5))
    grid = us.grid(probe)
    level, masks = scenes.breast(grid, rng, [scenes.lesion(rng, image.malignant)])
    return us.still(probe, level, rng), masks[0].astype(np.uint8) * 255


def bus_bra(seed: int) -> Files:
    """BUSBRA/: pictures, masks, one table of all, two of folds."""
    table, images = [], bus_bra_images()
    for image in images:
        picture, mask = bus_bra_picture(seed, image)
        yield f"BUSBRA/Images/bus_{image.stem}.png", encode.png(picture)
        yield f"BUSBRA/Masks/mask_{image.stem}.png", encode.png(mask, "1")
        x, y, w, h = cv2.boundingRect(mask)
        kind = ("invasive ductal carcinoma", "malignant", 5) if image.malignant else ("fibroadenoma", "benign", 3)
        side = {"l": "left", "r": "right", "s": "single"}[image.side]
        box = f"[{x + 1},{y + 1},{w - 1},{h - 1}]"  # 1-based corner, as MATLAB has it
        table.append([f"bus_{image.stem}", image.case, *kind, "synthetic", *reversed(mask.shape), side, box])
    header = ["ID", "Case", "Histology", "Pathology", "BIRADS", "Device", "Width", "Height", "Side", "BBOX"]
    yield "BUSBRA/bus_data.csv", _csv(header, table)
    for folds in (5, 10):
        ks = range(1, folds + 1)
        rows = [
            [f"bus_{i.stem}", "malignant" if i.malignant else "benign", i.fold(folds), *(i.use(folds, k) for k in ks)]
            for i in images
        ]
        yield f"BUSBRA/{folds}-fold-cv.csv", _csv(["ID", "Pathology", "kFold", *(f"valid_{k}" for k in ks)], rows)
    yield "BUSBRA/LICENSE.txt", LICENCE.encode()


def busi(seed: int) -> Files:
    """Dataset_BUSI_with_GT/: RGB pictures with masks beside them; duplicates and a second lesion as the set has."""
    pictures = {}
    for label, count in (("benign", 5), ("malignant", 3), ("normal", 2)):
        for number in range(1, count + 1):
            name = f"{label} ({number})"
            lesions = 0 if label == "normal" else 1 + (name == "benign (4)")
            pictures[name] = _busi_picture(seed, name, label == "malignant", lesions)
    pictures["malignant (4)"] = pictures["benign (2)"]
    pictures["benign (6)"] = _republished(*pictures["benign (3)"])
    for name, (picture, masks) in sorted(pictures.items()):
        stem = f"Dataset_BUSI_with_GT/{name.partition(' ')[0]}/{name}"
        colour = np.repeat(picture[..., None], 3, axis=2)
        if name == "malignant (2)":
            for at in ((60, 90), (170, 130)):
                cv2.drawMarker(colour, at, (0, 220, 90), cv2.MARKER_CROSS, 9)
        yield f"{stem}.png", encode.png(colour)
        if not masks:
            yield f"{stem}_mask.png", encode.png(np.zeros_like(colour))
        for number, mask in enumerate(masks):
            suffix = f"_mask_{number}" if number else "_mask"
            alpha = np.dstack([mask, mask, mask, np.full_like(mask, 255)])
            yield f"{stem}{suffix}.png", encode.png(alpha) if number else encode.png(mask, "1")


def _busi_picture(seed: int, name: str, malignant: bool, lesions: int) -> tuple[Pixels, list[Pixels]]:
    rng = us.rng_of(seed, f"busi/{name}")
    probe = us.linear(230, 270)
    places = [0.0] if lesions == 1 else [-0.33, 0.33][:lesions]
    level, masks = scenes.breast(us.grid(probe), rng, [scenes.lesion(rng, malignant, x) for x in places])
    return us.still(probe, level + 3, rng), [mask.astype(np.uint8) * 255 for mask in masks]


def _republished(picture: Pixels, masks: Sequence[Pixels]) -> tuple[Pixels, list[Pixels]]:
    """The same picture as a second publication has it: smaller, through JPEG."""
    smaller = np.frombuffer(smaller_jpeg(picture, 0.85), np.uint8)
    again = np.asarray(cv2.imdecode(smaller, cv2.IMREAD_GRAYSCALE), np.uint8)
    size = (again.shape[1], again.shape[0])
    return again, [np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8) for mask in masks]


def smaller_jpeg(picture: Pixels, scale: float) -> bytes:
    """The picture reduced by `scale`, as a JPEG of quality 85."""
    reduced = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return encode.jpeg(np.asarray(reduced, np.uint8), quality=85)


def hc18(seed: int) -> Files:
    """Training and test pictures of fetal heads, outlines of the training heads, two tables of pixel sizes."""
    training: list[list[object]] = []
    test: list[list[object]] = []
    for name in ("000_HC", "001_HC", "001_2HC", "002_HC", "003_HC"):
        picture, outline, hc_pixels = _head_picture(seed, "training", name)
        yield f"training_set/{name}.png", encode.png(picture)
        yield f"training_set/{name}_Annotation.png", encode.png(outline)
        spacing = 0.14 + 0.01 * len(training)
        training.append([f"{name}.png", f"{spacing:.4f}", f"{hc_pixels * spacing:.2f}"])
    for name in ("000_HC", "001_HC", "002_HC"):
        yield f"test_set/{name}.png", encode.png(_head_picture(seed, "test", name)[0])
        test.append([f"{name}.png", f"{0.15 + 0.01 * len(test):.4f}"])
    header = ["filename", "pixel size(mm)", "head circumference (mm)"]
    yield "training_set_pixel_size_and_HC.csv", _csv(header, training)
    yield "test_set_pixel_size.csv", _csv(header[:2], test)


def _head_picture(seed: int, part: str, name: str) -> tuple[Pixels, Pixels, float]:
    """Picture, outline (0 or 255), and circumference in pixels. Pictures of one examination show the same head."""
    examination, rng = us.rng_of(seed, f"hc18/{part}/{name[:3]}"), us.rng_of(seed, f"hc18/{part}/{name}")
    probe = us.convex(270, 400)
    head = scenes.Head(
        examination.uniform(-0.05, 0.05), examination.uniform(0.48, 0.54), examination.uniform(0.36, 0.43),
        examination.uniform(0.28, 0.34), examination.uniform(-0.5, 0.5),
    )  # fmt: skip
    if name[4:] != "HC":
        head = replace(head, tilt=head.tilt + 0.25, x=head.x - 0.04)
    picture = us.still(probe, scenes.fetal_head(us.grid(probe), rng, head), rng)
    outline = np.zeros_like(picture)
    centre, axes = us.to_pixels(probe, head.x, head.z), (head.a * probe.depth, head.b * probe.depth)
    box = (centre, (2 * axes[0], 2 * axes[1]), math.degrees(head.tilt))
    cv2.ellipse(outline, box, 255, 2)
    # S. Ramanujan's second approximation of an ellipse's circumference, 1914
    h = ((axes[0] - axes[1]) / (axes[0] + axes[1])) ** 2
    return picture, outline, math.pi * sum(axes) * (1 + 3 * h / (10 + math.sqrt(4 - 3 * h)))


BLACK_START = 2
"""Frames of black that some clips begin with."""
HELD = 6
"""Frames for which the probe rests in one clip."""

_BLUES = (
    ("patient_1_L1", 0, True, False), ("patient_1_R2", 2, False, True), ("patient_2_L1", 4, True, False),
    ("patient_2_R1", 0, False, False), ("patient_2_R1_2", 3, False, False),
)  # fmt: skip
"""Clip, B-lines, whether it begins in black, whether the probe rests."""


def blues(seed: int) -> Files:
    """lus_videos/: H.264 clips of two patients at BLUE points, three tables at the top."""
    severity = []
    for video, b_lines, black, held in _BLUES:
        pictures = _lung_clip(seed, video, b_lines, 14, HELD if held else 0)
        blank = [np.zeros((240, 240), np.uint8)] * (BLACK_START if black else 0)
        yield f"lus_videos/{video}.mp4", encode.clip([*blank, *pictures], "mp4", "libx264")
        a_lines, b = ("no", "yes") if b_lines else ("yes", "no ")  # the blank is the table's own
        severity.append([video, f"{min(b_lines, 3):.1f}", a_lines, b, "synthetic"])
    yield "severity.csv", _csv(["video_file", "Severity Score", "A-lines", "B-lines", "comments"], severity)
    columns = ["patient_id", "cov_test", "number_video_files", "pat_sex", "pat_height", "pat_age"]
    yield "clinical_variables.csv", _csv(columns, [[1, 0, "2.0", "0.0", -99, "50.0"], [2, 1, "3.0", "1.0", "", "60.0"]])
    words = [[column, "Patient characteristics", "", "synthetic"] for column in columns]
    yield "variable_explanations.csv", _csv(["variable", "variable_type", "unit", "explanation"], words)
    yield "LICENSE", LICENCE.encode()


def _lung_clip(seed: int, name: str, b_lines: int, frames: int, held: int = 0) -> list[Pixels]:
    """Breathing; the probe rests for the first `held` frames."""
    rng = us.rng_of(seed, f"lung/{name}")
    probe = us.convex(240, 240, margin=0)
    grid = us.grid(probe)
    breath = [2 * math.pi * max(0, k + 1 - held) / (frames - held) for k in range(frames)]
    return list(us.clip(probe, scenes.lung(grid, rng, b_lines), rng, scenes.sway(grid, breath, 18, 16)))


_POCUS_HEADER = (
    "Date added,Current location,Filename,URL (Video Name),Label,License,LinkToLicense,ChangesMade,InThisRepo,Type,"
    "Probe,DOI,Source ID,Comments from web site,Title,Comments first medical doctor (MD1),MD2,MD3,Framerate,Resolution,"
    "Length (frames),Gender,Age,Patient ID / Name,Lung /abdomen interface,Preconditions / Comments about patient,"
    "Area according to DEGUM,,Effusion,Consolidations,B-lines,A-lines,Pleural line irregularities,Air bronchogram,"
    "Healthy,Fever,Cough,Respiratory problems,Headache,Loss of smell/taste,Fatigue,Sore throat,Asymptomatic,Other"
)

_POCUS = (
    ("pocus_videos/convex/Cov-Sample-+(1).gif", "COVID-19", "CC BY-NC -SA 4.0", "1"),
    ("pocus_videos/convex/Pneu_northumbria_0101_set1_vid1.avi", "Bacterial pneumonia", "CC BY-NC 4.0", "2"),
    ("pocus_images/convex/Pneu_northumbria_0101_set1_img2.jpg", "Bacterial pneumonia", "CC BY-NC 4.0", "3"),
    ("pocus_images/convex/Reg_sample_image1.JPG", "regular", "CC BY 4.0", "4"),
)


def pocus(seed: int) -> Files:
    """data/: an animated GIF, an MPEG-4 clip in AVI, stills; the metadata name licence and patient of each file."""
    rows, columns = [], _POCUS_HEADER.split(",")
    for b_lines, (path, label, licence, patient) in enumerate(_POCUS):
        stem = path.rpartition("/")[2].rpartition(".")[0]
        suffix = path.rpartition(".")[2].lower()
        pictures = _lung_clip(seed, f"pocus/{stem}", b_lines, 1 if suffix == "jpg" else 8)
        yield f"data/{path}", _pocus_file(suffix, pictures)
        kind = "image" if suffix == "jpg" else "video"
        rows.append({"Filename": stem, "Label": label, "License": licence, "Patient ID / Name": patient, "Type": kind,
                     "Probe": "convex", "InThisRepo": "Yes", "Title": "synthetic"})  # fmt: skip
    cells = [[row.get(column, "") for column in columns] for row in rows]
    yield "data/dataset_metadata.csv", _csv(columns, cells)


def _pocus_file(suffix: str, pictures: Sequence[Pixels]) -> bytes:
    if suffix == "gif":
        return encode.gif(pictures)
    if suffix == "avi":
        return encode.clip(pictures, "avi", "mpeg4", rate=10)
    return encode.jpeg(np.repeat(pictures[0][..., None], 3, axis=2))


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue().encode()
