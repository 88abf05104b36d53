from __future__ import annotations

from layouts import Layout

# Zips within zips, spelled in several ways; masks and second copies are PNG under the same names; blanks in folders.
_T, _V, _D = "Trans-thalamic/Trans-thalamic", "Trans-ventricular/Trans-ventricular", "Diverse Fetal Head Images"
_S = "Trans-thalamic/Trans-thalamic-Segmentation/SegmentationClass"
_O = "Orginal_train_images_to_959_661"

LAYOUT = Layout(
    images={
        f"{_T}/Patient00168_Plane3_1_of_3.png": {
            "id": "Trans-thalamic/Patient00168_Plane3_1_of_3.png",
            "patient": "168",
            "view": "Trans-thalamic",
            "spacing_mm": (0.11, 0.11),
            "masks": (f"{_S}/Patient00168_Plane3_1_of_3.png",),
        },
        f"{_V}/Patient00002_Plane3_1_of_2.png": {
            "id": "Trans-ventricular/Patient00002_Plane3_1_of_2.png",
            "patient": "2",
            "view": "Trans-ventricular",
        },
        f"{_D}/{_O}/000_HC.png": {"id": f"{_O}/000_HC.png", "study": "000", "view": "Diverse fetal head"},
        f"{_D}/{_O}/010_2HC.png": {
            "id": f"{_O}/010_2HC.png",
            "study": "010",
            "view": "Diverse fetal head",
            "masks": (f"{_D}/Test-Dataset-Segmentation/SegmentationClass/010_2HC.png",),
        },
    },
    decoys={
        f"{_S}/Patient00168_Plane3_1_of_3.png": "mask",
        "Trans-thalamic/Trans-thalamic-Segmentation/labelmap.txt": "table",
        "Trans-thalamic/Trans-thalamic-Cityscapes/gtFine/default/Patient00168_Plane3_1_of_3_gtFine_color.png": "mask",
        "Trans-thalamic/annotations/instances_default.json": "table",
        f"{_D}/Test-Dataset-Segmentation/SegmentationClass/010_2HC.png": "mask",
        f"{_D}/Test-Dataset-CitySpaces/gtFine/default/000_HC_gtFine_color.png": "mask",
        "Trans-thalamic-orginal-size/Trans-thalamic/Patient00168_Plane3_1_of_3.png": "second copy",
        f"{_D}-orginal-image/000_HC.png": "second copy",
    },
    tables={
        "Trans-thalamic/Trans-Thalamic-Pixel-Size.csv": "Label,Pixel  in mm\nPatient00168_Plane3_1_of_3.png,0.11\n",
        "Trans-ventricular/Trans-ventricular-Pixel-Size.csv": "Label,Pixel in mm\nPatient09999_Plane3_1_of_1,0.2\n",
    },
    from_tables=("spacing_mm",),
    top_folders=("", "some-archive-main/", "twice/twice/"),
    archives={
        "Trans-thalamic.zip": ["Trans-thalamic/"],
        "Trans-thalamic/Trans-thalamic-Segmentation.zip": ["Trans-thalamic/Trans-thalamic-Segmentation/"],
        "Trans-ventricular.zip": ["Trans-ventricular/"],
        f"{_D}.zip": [f"{_D}/"],
        f"{_D}/Test-Dataset-Segmentation.zip": [f"{_D}/Test-Dataset-Segmentation/"],
        f"{_D}-orginal-image.zip": [f"{_D}-orginal-image/"],
    },
    full=(3832, None),
)
