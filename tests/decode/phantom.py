"""One asymmetric picture, the letter F on a speckled ramp, written in every format that is decoded."""

from __future__ import annotations

import fractions
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from openus.data import Pixels
from openus.decode import frames as decoded
from openus.params import DecodeParams

ROWS, COLUMNS = 48, 64
US_IMAGE, US_CLIP = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.3.1"


def letter_f(rows: int = ROWS, columns: int = COLUMNS, seed: int = 0) -> np.ndarray:
    """An upright F: its stem at the left, its long arm at the top. Gray, smooth enough for lossy codecs."""
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 30, (rows, columns)), (7, 7), 2)
    picture = np.linspace(60, 110, rows)[:, None] + np.linspace(-15, 15, columns)[None] + noise
    r, c = rows // 8, columns // 8
    for top, bottom, left, right in ((r, 7 * r, 2 * c, 3 * c), (r, 2 * r, 2 * c, 7 * c), (3 * r, 4 * r, 2 * c, 5 * c)):
        picture[top:bottom, left:right] = 220
    return np.clip(picture, 0, 255).astype(np.uint8)


def coloured(gray: np.ndarray) -> np.ndarray:
    """RGB with a red patch at the top left and a blue one at the bottom right."""
    rgb = np.repeat(gray[..., None], 3, axis=2)
    rgb[:8, :16] = (230, 30, 30)
    rgb[-8:, -16:] = (30, 30, 230)
    return rgb


def ybr(rgb: np.ndarray) -> np.ndarray:
    """PS3.3 C.7.6.3.1.2, YBR_FULL."""
    matrix = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
    return np.clip(np.rint(rgb @ matrix.T + [0, 128, 128]), 0, 255).astype(np.uint8)


def clip(count: int = 12) -> list[np.ndarray]:
    """F's that differ from frame to frame."""
    return [letter_f(seed=seed) for seed in range(count)]


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two pictures of one shape."""
    assert a.shape == b.shape, (a.shape, b.shape)
    return float(np.corrcoef(a.astype(float).ravel(), b.astype(float).ravel())[0, 1])


def dataset(pixels: np.ndarray, syntax: str = ExplicitVRLittleEndian, frames: int | None = None) -> FileDataset:
    """An ultrasound object around `pixels` (rows, columns[, 3]); its Pixel Data are for the caller to set."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID = UID(US_CLIP if frames else US_IMAGE)
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["openus"])
    kind = UID(syntax)
    made = FileDataset(
        "", {}, file_meta=meta, preamble=b"\0" * 128,
        is_implicit_VR=kind.is_implicit_VR, is_little_endian=kind.is_little_endian,
    )  # fmt: skip
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    made.Modality, made.PatientID, made.StudyInstanceUID = "US", " P-1 ", "1.2.3"
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    made.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    made.BitsAllocated = made.BitsStored = pixels.dtype.itemsize * 8
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, 0
    if pixels.ndim == 3:
        made.PlanarConfiguration = 0
    if frames:
        made.NumberOfFrames = frames
    return made


def save(made: Dataset, path: Path, data: bytes, *, packed: Sequence[bytes] | None = None) -> Path:
    """Write an object with native `data`, or with the streams `packed` encapsulated."""
    made.PixelData = encapsulate(list(packed)) if packed is not None else data + b"\0" * (len(data) % 2)
    made["PixelData"].VR = "OB" if packed is not None or made.BitsAllocated == 8 else "OW"
    if packed is not None:
        made["PixelData"].is_undefined_length = True
    made.save_as(path, enforce_file_format=True)
    return path


def jpeg(picture: np.ndarray, quality: int = 95) -> bytes:
    """A baseline JPEG of a gray or RGB picture."""
    bgr = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())


def write_dicom(path: Path, pictures: Sequence[np.ndarray]) -> Path:
    """Native explicit little endian."""
    made = dataset(pictures[0], frames=len(pictures) if len(pictures) > 1 else None)
    return save(made, path, b"".join(p.tobytes() for p in pictures))


def write_dicom_compressed(syntax: str) -> Callable[[Path, Sequence[np.ndarray]], Path]:
    """A writer in a transfer syntax that pydicom encodes (RLE, JPEG-LS, JPEG 2000)."""

    def write(path: Path, pictures: Sequence[np.ndarray]) -> Path:
        made = dataset(pictures[0], frames=len(pictures) if len(pictures) > 1 else None)
        made.PixelData = b"".join(p.tobytes() for p in pictures)
        made["PixelData"].VR = "OB"
        made.compress(UID(syntax), generate_instance_uid=False)
        made.save_as(path, enforce_file_format=True)
        return path

    return write


def write_dicom_jpeg(path: Path, pictures: Sequence[np.ndarray]) -> Path:
    """JPEG baseline."""
    made = dataset(pictures[0], "1.2.840.10008.1.2.4.50", frames=len(pictures) if len(pictures) > 1 else None)
    if pictures[0].ndim == 3:
        made.PhotometricInterpretation = "YBR_FULL_422"
    return save(made, path, b"", packed=[jpeg(p) for p in pictures])


def write_video(codec: str, form: str, container: str | None = None, **options: str) -> Callable[..., Path]:
    """A writer of clips by PyAV."""

    def write(path: Path, pictures: Sequence[np.ndarray], pts: Sequence[int] | None = None, rotate: int = 0) -> Path:
        with av.open(str(path), "w", format=container) as out:
            stream: Any = out.add_stream(codec, rate=25, options=options)
            stream.width, stream.height, stream.pix_fmt = pictures[0].shape[1], pictures[0].shape[0], form
            if codec == "mpeg2video":
                stream.bit_rate = 4_000_000
            if rotate:
                stream.set_display_rotation(rotate)
            if pts:
                stream.codec_context.time_base = fractions.Fraction(1, 100)
            for number, picture in enumerate(pictures):
                rgb = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
                frame.pts = pts[number] if pts else number
                frame.time_base = fractions.Fraction(1, 100 if pts else 25)
                for packet in stream.encode(frame.reformat(format=form)):
                    out.mux(packet)
            for packet in stream.encode():
                out.mux(packet)
        return path

    return write


def write_gif(path: Path, pictures: Sequence[np.ndarray]) -> Path:
    """A GIF by Pillow."""
    from PIL import Image

    first, *rest = [Image.fromarray(p) for p in pictures]
    first.save(path, format="GIF", save_all=True, append_images=rest, duration=40)
    return path


def write_volume(path: Path, pictures: Sequence[np.ndarray], spacing: Sequence[float] = (0.2, 0.3, 1.0)) -> Path:
    """MetaImage, NRRD or NIfTI by SimpleITK, array axes (slice, row, column)."""
    import SimpleITK as sitk  # noqa: N813

    values = np.stack(pictures) if len(pictures) > 1 else pictures[0]
    image = sitk.GetImageFromArray(values, isVector=False)
    image.SetSpacing(list(spacing)[: image.GetDimension()])
    sitk.WriteImage(image, str(path), useCompression=path.suffix == ".mha")
    return path


def write_nibabel(path: Path, pictures: Sequence[np.ndarray], **kwargs: Any) -> Path:
    """NIfTI by nibabel, axes (column, row, slice)."""
    import nibabel

    values = np.stack([p.T for p in pictures], axis=-1) if len(pictures) > 1 else pictures[0].T
    image = nibabel.Nifti1Image(values, np.diag([0.2, 0.3, 1.0, 1.0]), **kwargs)
    image.header.set_xyzt_units("mm")
    image.to_filename(str(path))
    return path


def write_image(path: Path, pictures: Sequence[np.ndarray]) -> Path:
    """PNG, JPEG, BMP, TIFF or WebP by Pillow; several pages where the format has them."""
    from PIL import Image

    first, *rest = [Image.fromarray(p) for p in pictures]
    first.save(path, **({"save_all": True, "append_images": rest} if rest else {}))
    return path


JPEG, LOSSLESS = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70"
RLE, JPEG_LS, J2K = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"

STILLS: dict[str, Callable[..., Path]] = {
    "f.png": write_image, "f.jpg": write_image, "f.bmp": write_image, "f.tif": write_image, "f.webp": write_image,
    "f.dcm": write_dicom, "rle.dcm": write_dicom_compressed(RLE), "jpeg.dcm": write_dicom_jpeg,
    "j2k.dcm": write_dicom_compressed(J2K), "jls.dcm": write_dicom_compressed(JPEG_LS), "f.gif": write_gif,
    "f.mha": write_volume, "f.nrrd": write_volume, "f.nii": write_volume, "f.nii.gz": write_nibabel,
}  # fmt: skip
"""Name -> writer of one picture."""

CLIPS: dict[str, Callable[..., Path]] = {
    "c.dcm": write_dicom, "rle.dcm": write_dicom_compressed(RLE), "jpeg.dcm": write_dicom_jpeg,
    "jls.dcm": write_dicom_compressed(JPEG_LS), "c.tif": write_image, "c.webp": write_image, "c.gif": write_gif,
    "c.mha": write_volume, "c.mhd": write_volume, "c.nrrd": write_volume, "c.nii": write_volume,
    "c.nii.gz": write_nibabel, "c.mp4": write_video("libx264", "yuv420p", crf="10"),
    "c.mov": write_video("mpeg4", "yuv420p", qscale="2"), "c.avi": write_video("mpeg4", "yuv420p"),
    "mjpeg.avi": write_video("mjpeg", "yuvj420p"), "c.mpeg": write_video("mpeg2video", "yuv420p", "mpeg"),
    "c.webm": write_video("libvpx-vp9", "yuv420p", crf="15"), "c.wmv": write_video("wmv2", "yuv420p", "asf"),
    "gray.avi": write_video("ffv1", "gray"),
}  # fmt: skip
"""Name -> writer of a sequence."""


def read_dataset(path: Path) -> FileDataset:
    """The object again, for tests that change one element."""
    return pydicom.dcmread(path)


def one(path: Path) -> Pixels:
    """The one frame of a file, decoded."""
    (frame,) = decoded(path, DecodeParams())
    return frame.pixels
