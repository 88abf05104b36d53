from __future__ import annotations

from pixels import metaimage, pictures

from layouts import Layout
from openus.data import Reading

# The NIfTI release, and the one before it, whose test numbers begin again at patient0001.
_N = "CAMUS_public/database_nifti"
_CLIP = Reading(clip=True)


def _nifti(patient: str, view: str, split: str | None, masked: bool = True) -> tuple[str, dict[str, object]]:
    path = f"{_N}/{patient}/{patient}_{view}_half_sequence"
    fields = {"patient": patient, "video": f"{patient}_{view}", "view": view, "split": split, "reading": _CLIP}
    masks = (f"{path}_gt.nii.gz",) if masked else ()
    return f"{path}.nii.gz", fields | {"id": f"{path}.nii.gz".removeprefix(f"{_N}/"), "masks": masks}


def _old(part: str, patient: str, view: str) -> tuple[str, dict[str, object]]:
    path = f"{part}/{patient}/{patient}_{view}_sequence.mhd"
    owner = f"{part}/{patient}"
    return path, {"id": path, "patient": owner, "video": f"{owner}_{view}", "view": view, "reading": _CLIP}


def _header(path: str) -> bytes:
    head = metaimage(pictures(path)).partition(b"LOCAL\n")[0]
    return head + path.rpartition("/")[2].replace(".mhd", ".raw\n").encode()


def _values(path: str) -> bytes:
    return metaimage(pictures(path)).partition(b"LOCAL\n")[2]


_ITEMS = (
    _nifti("patient0001", "2CH", "training"),
    _nifti("patient0001", "4CH", "training"),
    _nifti("patient0070", "4CH", "testing"),  # whatever its number, the list counts
    _nifti("patient0450", "2CH", "validation"),
    _nifti("patient0500", "4CH", None, masked=False),  # on no list, without masks
    _old("training", "patient0001", "2CH"),
    _old("training", "patient0001", "4CH"),
    _old("testing", "patient0001", "2CH"),  # another person
    _old("testing", "patient0070", "4CH"),  # on no list: the lists are the new release's
)
_SINGLE = [f"{_N}/patient0001/patient0001_{view}_{phase}" for view in ("2CH", "4CH") for phase in ("ED", "ES")]
_INFO = "ED: 1\nES: 18\nNbFrame: 18\nSex: F\nAge: 56\nImageQuality: Good\nEF: 54\nFrameRate: 48.4\n"

LAYOUT = Layout(
    images=dict(_ITEMS),
    decoys={mask: "mask" for _, fields in _ITEMS for mask in fields.get("masks", ())}  # type: ignore[attr-defined]
    | {f"{path}.nii.gz": "second copy" for path in _SINGLE}
    | {f"{path}_gt.nii.gz": "mask" for path in _SINGLE}
    | {f"training/patient0001/patient0001_2CH_{phase}.mhd": "second copy" for phase in ("ED", "ES")}
    | {f"training/patient0001/patient0001_2CH_{phase}_gt.mhd": "mask" for phase in ("ED", "ES")}
    | {path.replace(".mhd", ".raw"): "data part of a header/data pair" for path, _ in _ITEMS if path.endswith("mhd")}
    | {
        "training/patient0001/patient0001_2CH_ED.raw": "data part of a header/data pair",
        "training/patient0001/patient0001_2CH_ED_gt.zraw": "data part of a header/data pair",  # compressed
        "testing/patient0001/patient0001_2CH_ED.mhd": "second copy",  # no masks in the old test part
        "listSubGroups/subGroup1_training.txt": "table",  # ten folds of the old release
        "CAMUS_public/database_split/information.txt": "table",
        "CAMUS_public/overview.png": "unlisted medium",
    },
    tables={
        f"{_N}/patient0001/Info_2CH.cfg": _INFO,
        f"{_N}/patient0001/Info_4CH.cfg": _INFO,
        "training/patient0001/Info_2CH.cfg": _INFO.replace("EF:", "LVef:"),
        "CAMUS_public/database_split/subgroup_training.txt": "patient0001\npatient0002\n",
        "CAMUS_public/database_split/subgroup_validation.txt": "patient0450\r\n",
        "CAMUS_public/database_split/subgroup_testing.txt": "patient0070\npatient0451",  # no end of line
    },
    from_tables=("split",),
    full=(1000, 500),
    archives={"CAMUS_public.zip": ["CAMUS_public/"], "training.zip": ["training/"], "testing.zip": ["testing/"]},
    content={path: _header for path, _ in _ITEMS if path.endswith("mhd")}
    | {path.replace(".mhd", ".raw"): _values for path, _ in _ITEMS if path.endswith("mhd")},
)
