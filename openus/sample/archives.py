"""A person's own archives in miniature: DICOM exports, a teaching folder, volumes, each with its decoys."""

from __future__ import annotations

import numpy as np

from openus.data import Pixels
from openus.sample import encode, layouts, scenes
from openus.sample import phantom as us
from openus.sample.layouts import Files

LEAKED = tuple(image for image in layouts.bus_bra_images() if image.case in (3, 7))
"""The BUS-BRA pictures that lie in the teaching folder: the first reduced and as a JPEG, the second as it is."""


def dicom(seed: int) -> Files:
    """A scanner's export: names without suffix, two patients, and what is no ultrasound beside them."""
    probes = {"neck": us.linear(240, 320), "liver": us.convex(240, 320), "heart": us.phased(240, 320)}
    rngs = {name: us.rng_of(seed, f"dicom/{name}") for name in probes}
    neck = us.still(probes["neck"], scenes.neck(us.grid(probes["neck"]), rngs["neck"]), rngs["neck"])
    liver = us.still(probes["liver"], scenes.liver(us.grid(probes["liver"]), rngs["liver"]), rngs["liver"])
    files = ("P1/IM000001", "P1/IM000002", "P2/IM000001", "P2/MR000001")
    yield files[0], encode.dicom_still(neck, f"{seed}/neck", "SYN-0001", "THYROID", rle=True)
    yield files[1], encode.dicom_clip(_heart_clip(probes["heart"], rngs["heart"]), f"{seed}/heart", "SYN-0001", "HEART")
    yield files[2], encode.dicom_still(liver, f"{seed}/liver", "SYN-0002", "LIVER", rle=False)
    yield files[3], encode.dicom_mr(liver[::2, ::2], f"{seed}/mr", "SYN-0002")
    yield "P2/notes.dcm", b"Synthetic: openus sample. This is a text, whatever its suffix says.\n"
    yield "DICOMDIR", encode.dicomdir(files)


def _heart_clip(probe: us.Probe, rng: us.Rng) -> list[Pixels]:
    """A contraction in five frames, with a coloured bar that grows below the field, as scanners show time."""
    grid = us.grid(probe)
    phases = [k / 4 for k in range(5)]
    pictures = []
    for k, gray in enumerate(us.clip(probe, scenes.heart(grid, rng), rng, scenes.beat(grid, phases, 0.35, 17))):
        picture = np.repeat(gray[..., None], 3, axis=2)
        picture[-6:-3, 20 : 30 + 8 * k] = (40, 220, 90)
        pictures.append(picture)
    return pictures


def ward(seed: int) -> Files:
    """A second folder: a patient of the first, and two pictures of a held-out benchmark, as lectures hold them."""
    rng, probe = us.rng_of(seed, "ward"), us.linear(260, 300)
    level, _ = scenes.breast(us.grid(probe), rng, [scenes.lesion(rng, malignant=False)])
    yield "scan.dcm", encode.dicom_still(us.still(probe, level, rng), f"{seed}/scan", "SYN-0001", "BREAST", rle=True)
    reduced, plain = (layouts.bus_bra_picture(seed, image)[0] for image in LEAKED)
    yield "lecture/slide_07.jpg", layouts.smaller_jpeg(reduced, 0.9)
    yield "lecture/slide_08", encode.dicom_still(plain, f"{seed}/slide_08", "SYN-0003", "BREAST", rle=False)


def volumes(seed: int) -> Files:
    """A transrectal volume with its label volume, and a tracked sweep."""
    pictures, labels = _prostate(seed, "case01", us.linear(96, 112), 20)
    yield "case01/us.nii.gz", encode.nifti(pictures, (0.5, 0.5, 1.5))
    yield "case01/us_label.nii.gz", encode.nifti(labels, (0.5, 0.5, 1.5))
    yield "case02/sweep.mha", encode.tracked_sequence(_prostate(seed, "case02", us.convex(150, 180), 12)[0], 0.3)


def _prostate(seed: int, name: str, probe: us.Probe, planes: int) -> tuple[Pixels, Pixels]:
    """Planes (n, rows, columns) from one end of a gland to the other, and where the gland is (0 or 1, beams' grid)."""
    grid = us.grid(probe)
    shares = [float(share) for share in np.linspace(-0.95, 0.95, planes)]
    scene = [scenes.prostate(grid, us.rng_of(seed, f"volumes/{name}"), share) for share in shares]
    pictures = us.sweep(probe, (level for level, _ in scene), us.rng_of(seed, f"volumes/{name}/speckle"), 0.5)
    return np.stack(list(pictures)), np.stack([mask for _, mask in scene]).astype(np.uint8)
