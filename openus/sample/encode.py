"""Files of a synthetic picture in the media that sources come in, as bytes that depend on their content alone.

No clock, host or random id gets in: DICOM objects have unique identifiers made of their name, containers and gzip
carry no time. Every format that has a place for it says that it is synthetic.
"""

from __future__ import annotations

import gzip
import io
import struct
import uuid
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from openus.data import Pixels

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileMetaDataset

MARK = "Synthetic: openus sample"
PATIENT_NAME = "SYNTHETIC^OPENUS"
_DATE = "20000101"
_ULTRASOUND, _ULTRASOUND_CLIP, _MR = "1.1.6.1", "1.1.3.1", "1.1.4"
"""Storage SOP classes below 1.2.840.10008.5.1.4 (PS3.4 B.5)."""
_RLE, _JPEG, _PLAIN = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.1"


def png(pixels: NDArray[Any], mode: str | None = None) -> bytes:
    """A PNG of gray, RGB or RGBA pixels; mode "1" stores a mask in one bit a pixel."""
    from PIL import Image, PngImagePlugin

    info = PngImagePlugin.PngInfo()
    info.add_text("Description", MARK)
    image = Image.fromarray(pixels)
    out = io.BytesIO()
    (image.convert(mode) if mode else image).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def jpeg(pixels: Pixels, quality: int = 90) -> bytes:
    """A baseline JPEG; three channels are stored with chroma halved across (4:2:2)."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality, subsampling=1, comment=MARK)
    return out.getvalue()


def gif(pictures: Sequence[Pixels], frame_ms: int = 100) -> bytes:
    """An animated GIF of gray pictures."""
    from PIL import Image

    first, *rest = (Image.fromarray(picture) for picture in pictures)
    out = io.BytesIO()
    first.save(out, "GIF", save_all=True, append_images=rest, duration=frame_ms, loop=0, comment=MARK.encode())
    return out.getvalue()


def clip(pictures: Sequence[Pixels], container: str, codec: str, rate: int = 25) -> bytes:
    """A clip of gray pictures with even sides, `container` being mp4 or avi. H.264 falls back to MPEG-4 Part 2."""
    import av

    codec = codec if codec in av.codecs_available else "mpeg4"
    quality = {"qscale": "3"}
    if codec == "libx264":  # with AVX-512, x264's mbtree writes other bytes in each run
        quality = {"crf": "20", "preset": "veryfast", "x264-params": "mbtree=0"}
    out = io.BytesIO()
    with av.open(out, "w", format=container, options={"fflags": "+bitexact"}) as target:
        target.metadata["comment"] = MARK
        stream = target.add_stream(codec, rate=rate, options={**quality, "flags": "+bitexact"})
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = pictures[0].shape
        stream.pix_fmt, stream.codec_context.thread_count = "yuv420p", 1
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="gray")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            target.mux(stream.encode(frame))
        target.mux(stream.encode())
    return out.getvalue()


def dicom_still(pixels: Pixels, name: str, patient: str, body_part: str, *, rle: bool) -> bytes:
    """A gray ultrasound image object, run-length encoded or uncompressed."""
    dataset = _dataset(name, patient, _ULTRASOUND, "US")
    dataset.BodyPartExamined = body_part
    _describe(dataset, pixels, "MONOCHROME2")
    _regions(dataset, pixels)
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.size % 2)
    dataset["PixelData"].VR = "OB"
    if rle:
        dataset.compress(_RLE, generate_instance_uid=False)
    return _written(dataset)


def dicom_clip(pictures: Sequence[Pixels], name: str, patient: str, body_part: str) -> bytes:
    """A multi-frame ultrasound object of gray or RGB pictures, stored as baseline JPEG in YBR_FULL_422."""
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    colour = [np.repeat(p[..., None], 3, axis=2) if p.ndim == 2 else p for p in pictures]
    dataset = _dataset(name, patient, _ULTRASOUND_CLIP, "US")
    dataset.BodyPartExamined = body_part
    _describe(dataset, colour[0], "YBR_FULL_422")
    _regions(dataset, colour[0])
    dataset.NumberOfFrames = len(colour)
    dataset.FrameTime = "40"
    dataset.FrameIncrementPointer = 0x00181063
    dataset.LossyImageCompression = "01"
    dataset.PixelData = encapsulate([jpeg(picture) for picture in colour])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = UID(_JPEG)
    return _written(dataset)


def dicom_mr(pixels: Pixels, name: str, patient: str) -> bytes:
    """An MR image object: a decoy beside ultrasound."""
    dataset = _dataset(name, patient, _MR, "MR")
    _describe(dataset, pixels.astype(np.uint16) * 8, "MONOCHROME2")
    dataset.PixelData = (pixels.astype(np.uint16) * 8).tobytes()
    dataset["PixelData"].VR = "OW"
    return _written(dataset)


def dicomdir(files: Sequence[str]) -> bytes:
    """A media directory that names `files` (relative paths, at most eight characters a component)."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence as Items

    dataset = Dataset()
    dataset.file_meta = _file_meta("DICOMDIR", "1.2.840.10008.1.3.10")
    dataset.FileSetID = "SYNTHETIC"
    records = []
    for file in files:
        record = Dataset()
        record.DirectoryRecordType = "IMAGE"
        record.ReferencedFileID = file.split("/")
        records.append(record)
    dataset.DirectoryRecordSequence = Items(records)
    return _written(dataset)


def nifti(volume: NDArray[np.uint8], spacing_mm: tuple[float, float, float]) -> bytes:
    """A gzipped NIfTI-1 file of a volume (z, y, x), uint8, with (x, y, z) spacing. https://nifti.nimh.nih.gov"""
    z, y, x = volume.shape
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, x, y, z, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, 2, 8)  # uint8, 8 bits
    struct.pack_into("<8f", header, 76, 1, *spacing_mm, 0, 0, 0, 0)
    struct.pack_into("<ff", header, 108, 352, 1)  # offset of the data, slope
    header[123] = 2  # millimetres
    struct.pack_into("80s", header, 148, MARK.encode())
    struct.pack_into("<hh", header, 252, 0, 1)  # sform only
    for row in range(3):
        struct.pack_into("<f", header, 280 + 20 * row, spacing_mm[row])
    header[344:348] = b"n+1\0"
    return gzip.compress(bytes(header) + volume.tobytes(), mtime=0)


def tracked_sequence(pictures: NDArray[np.uint8], spacing_mm: float) -> bytes:
    """A MetaImage as PLUS writes tracked sweeps: pictures (n, rows, columns) along the last axis, a pose for each."""
    count, rows, columns = pictures.shape
    lines = [
        "ObjectType = Image", "NDims = 3", f"Comment = {MARK}", "AnatomicalOrientation = RAI", "BinaryData = True",
        "BinaryDataByteOrderMSB = False", "CenterOfRotation = 0 0 0", "CompressedData = False",
        f"DimSize = {columns} {rows} {count}", "ElementNumberOfChannels = 1",
        f"ElementSpacing = {spacing_mm} {spacing_mm} 1", "ElementType = MET_UCHAR", "Kinds = domain domain list",
        "Offset = 0 0 0", "TransformMatrix = 1 0 0 0 1 0 0 0 1", "UltrasoundImageOrientation = MFA",
        "UltrasoundImageType = BRIGHTNESS",
    ]  # fmt: skip
    for k in range(count):
        frame = f"Seq_Frame{k:04d}_"
        lines += [f"{frame}ProbeToTrackerTransform = 1 0 0 0 0 1 0 0 0 0 1 {k * 0.5} 0 0 0 1"]
        lines += [f"{frame}ProbeToTrackerTransformStatus = OK", f"{frame}Timestamp = {k * 0.04:.2f}"]
        lines += [f"{frame}ImageStatus = OK"]
    return ("\n".join([*lines, "ElementDataFile = LOCAL"]) + "\n").encode() + pictures.tobytes()


def _uid(name: str) -> str:
    """A unique identifier derived from a name-based UUID (PS3.5 B.2): the same name, the same identifier."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, f'{MARK}/{name}').int}"


def _file_meta(name: str, sop_class: str) -> FileMetaDataset:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(_PLAIN)
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop_class), UID(_uid(name))
    return meta


def _dataset(name: str, patient: str, sop_class: str, modality: str) -> Dataset:
    """An object without a picture; one study a patient, one series an object."""
    from pydicom.dataset import Dataset

    dataset = Dataset()
    dataset.file_meta = _file_meta(name, f"1.2.840.10008.5.1.4.{sop_class}")
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = _uid(f"study of {patient}"), _uid(f"series of {name}")
    dataset.StudyDate = dataset.ContentDate = _DATE
    dataset.Modality, dataset.Manufacturer = modality, "openus sample"
    dataset.PatientName, dataset.PatientID, dataset.IssuerOfPatientID = PATIENT_NAME, patient, "SYNTHETIC"
    dataset.ImageComments = MARK
    return dataset


def _describe(dataset: Dataset, pixels: NDArray[Any], photometric: str) -> None:
    """Image Pixel module (PS3.3 C.7.6.3)."""
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.itemsize
    dataset.HighBit, dataset.PixelRepresentation = 8 * pixels.itemsize - 1, 0


def _regions(dataset: Dataset, pixels: NDArray[Any], centimetres: float = 0.02) -> None:
    """One two-dimensional tissue region over the whole picture (PS3.3 C.8.5.5), `centimetres` a pixel."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence as Items

    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = pixels.shape[1] - 1, pixels.shape[0] - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = centimetres
    dataset.SequenceOfUltrasoundRegions = Items([region])


def _written(dataset: Dataset) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()
