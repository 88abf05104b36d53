from __future__ import annotations

from layouts import Layout
from openus.data import Licence

# Extensions differ in case, brackets and pluses occur, one stem begins in lower case; licences stand per file.
_V = "pocus_videos"
_BY = Licence("CC-BY-4.0", commercial_use=True, redistribution=True, derivatives=True)
_NC = Licence("CC-BY-NC-4.0", commercial_use=False, redistribution=True, derivatives=True)
_CASES = (  # path, stem, published patient id, label, licence of the table, patient group, licence
    (f"{_V}/convex/Reg_pat1Image_132943.mpeg", "4", "regular", "CC BY 4.0", "4", _BY),
    (f"{_V}/convex/Reg_Avi_lung-sliding.MP4", "4", "regular", "CC BY-NC 4.0", "4", _NC),
    (f"{_V}/convex/Pneu_northumbria_0409_set3_vid1.avi", "190", "Bacterial pneumonia", "CC BY-NC 4.0", "S3", _NC),
    (f"{_V}/convex/Reg_northumbria_0409_set3_vid2.avi", "207", "regular", "CC BY-NC 4.0", "S3", _NC),
    (f"{_V}/convex/Reg_northumbria_1009_vid2.avi", "212", "regular", "CC BY-NC 4.0", "northumbria_1009", _NC),
    (f"{_V}/convex/Cov-Atlas+(44).gif", "207", "COVID-19", "CC BY 4.0", "S3", _BY),
    (f"{_V}/linear/label_uncertain/Vir_or_Pneu_prospective_file4.mp4", "", "Viral pneumonia", "CC BY 2.0", None,
     Licence("CC-BY-2.0", commercial_use=True, redistribution=True, derivatives=True)),
    (f"{_V}/convex/Cov_denault_proposedUS_vid1.mov", "9", "COVID-19", "COVID-19 emergency license", "9",
     Licence("COVID-19 emergency license", commercial_use=False, redistribution=False)),
    ("pocus_images/convex/Cov_severe_acutemedicine.png", "30", "COVID-19", "None", "30",
     Licence(None, commercial_use=False, redistribution=False)),
    ("pocus_images/linear/Cov_x.JPG", "31", "COVID-19", "CC BY-NC -SA 4.0", "31",
     Licence("CC-BY-NC-SA-4.0", commercial_use=False, redistribution=True, derivatives=True)),
)  # fmt: skip


def _stem(path: str) -> str:
    return path.rpartition("/")[2].rpartition(".")[0]


def _item(path: str, label: str | None, group: str | None, licence: Licence) -> dict[str, object]:
    return {
        "id": path,
        "patient": "northumbria_0409_set3" if group == "S3" else group,
        "video": _stem(path) if path.startswith(_V) else None,
        "label": label,
        "view": path.split("/")[1],
        "licence": licence,
    }


LAYOUT = Layout(
    images={f"data/{path}": _item(path, label, group, terms) for path, _, label, _, group, terms in _CASES}
    | {
        f"data/{_V}/convex/pneu-Radiopaeda.mp4": _item(
            f"{_V}/convex/pneu-Radiopaeda.mp4", None, None, Licence(None, commercial_use=False, redistribution=False)
        )
    },
    decoys={
        "pocovidnet/assets/precision_overlays/a.png": "overlay",
        "pocovidscreen/public/img/lung.jpg": "web page",
        "data/image_dataset/covid/Cov-Atlas-Day+1.gif_frame0.jpg": "derived frame",
        "data/cross_validation/split0/covid/a_frame1.jpg": "derived frame",
        "data/pocus/convex/Cov_x.jpg": "older state",
        "data/ct/a.png": "older state",
        "data/data_with_artifacts/pocus_videos/convex/a.mp4": "older state",
        "data/crop.json": "table",
    },
    tables={
        "data/dataset_metadata.csv": "Date added,Current location,Filename,Label,License,Patient ID / Name,\n"
        + "".join(f'20.04.20,Convex,{_stem(p)},{label},{terms},{pid},"a, b"\n' for p, pid, label, terms, _, _ in _CASES)
        + "20.04.20,butterfly,Cov-Butterfly-Coalescing,COVID-19,None,,\n"
        + "20.04.20,x,pneu-radiopaeda,Bacterial pneumonia,CC BY 4.0,77,\n"
    },
    from_tables=("label", "licence", "patient"),
    top_folders=("", "covid19_ultrasound-master/", "twice/twice/"),
    real=(49, 28),
    archives={"covid19_ultrasound-master.zip": [""]},
    full=(167, None),
)
