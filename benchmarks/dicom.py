"""JPEG-compressed multi-frame DICOM: ours beside pydicom with its Pillow plugin, in one process and one run.

    python benchmarks/dicom.py --real ROOT [--frames 100]

The clip is synthesised from real frames below ROOT: RGB, 960 x 720, JPEG baseline 4:2:0, quality 90, encapsulated.
Prints frames/s of each (best of three, alternating) and their ratio, and the peak memory of each in its own process.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROWS, COLUMNS = 720, 960
BASELINE = "1.2.840.10008.1.2.4.50"


def real_frames(root: Path) -> Iterator[np.ndarray]:
    """Frames of the largest real clip, over and over, as BGR on a 960 x 720 screen with a coloured bar."""
    import av

    clips = sorted(root.rglob("*.mp4"), key=lambda path: (-path.stat().st_size, path.name))
    if not clips:
        raise SystemExit(f"no .mp4 below {root}")
    with av.open(str(clips[0])) as container:
        pictures = [frame.to_ndarray(format="bgr24") for frame in itertools.islice(container.decode(video=0), 100)]
    bar = cv2.applyColorMap(np.linspace(255, 0, 640).astype(np.uint8)[:, None], cv2.COLORMAP_JET)
    for number, picture in enumerate(itertools.cycle(pictures)):
        screen = np.zeros((ROWS, COLUMNS, 3), np.uint8)
        screen[:, 120:840] = cv2.resize(picture, (ROWS, ROWS), interpolation=cv2.INTER_AREA)
        screen[40:680, 880:910] = bar
        cv2.putText(screen, f"{number:05d} 12 cm", (10, 700), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 1)
        yield screen


def write_clip(root: Path, path: Path, count: int) -> None:
    """A US Multi-frame object of `count` frames."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, generate_uid

    streams = [
        cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        for frame in itertools.islice(real_frames(root), count)
    ]
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = UID(BASELINE), UID("1.2.840.10008.5.1.4.1.1.3.1")
    meta.MediaStorageSOPInstanceUID = generate_uid()
    made = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128, is_implicit_VR=False, is_little_endian=True)
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    made.Modality, made.Rows, made.Columns, made.SamplesPerPixel, made.NumberOfFrames = "US", ROWS, COLUMNS, 3, count
    made.PhotometricInterpretation, made.PlanarConfiguration, made.PixelRepresentation = "YBR_FULL_422", 0, 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
    made.PixelData = encapsulate(streams)
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    made.save_as(path, enforce_file_format=True)


def ours(path: Path) -> tuple[int, Any]:
    """Frames and the last picture by `openus.decode.frames`."""
    from openus.decode import frames
    from openus.params import DecodeParams

    count, last = 0, None
    for frame in frames(path, DecodeParams()):
        count, last = count + 1, frame.pixels
    return count, last


def streamed(path: Path) -> tuple[int, Any]:
    """The same by pydicom's `iter_pixels` with its Pillow plugin."""
    from pydicom.pixels.utils import iter_pixels

    count, last = 0, None
    for pixels in iter_pixels(path, decoding_plugin="pillow"):
        count, last = count + 1, pixels
    return count, last


def whole(path: Path) -> tuple[int, Any]:
    """The same by pydicom's `pixel_array`: what most code does."""
    from pydicom import dcmread

    dataset = dcmread(path)
    dataset.pixel_array_options(decoding_plugin="pillow")
    pixels = dataset.pixel_array
    return len(pixels), pixels[-1]


CONTENDERS: dict[str, Callable[[Path], tuple[int, Any]]] = {
    "openus": ours, "pydicom iter_pixels": streamed, "pydicom pixel_array": whole,
}  # fmt: skip


def own_peak() -> float:
    """Peak resident megabytes of this process. Linux's ru_maxrss starts at the parent's, VmHWM does not."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peak_memory(name: str, path: Path) -> float:
    """Peak resident megabytes of one contender alone in a process."""
    command = [sys.executable, __file__, "--alone", name, "--clip", str(path)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, help="folder of real ultrasound files")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    parser.add_argument("--clip", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        CONTENDERS[asked.alone](asked.clip)
        print(own_peak())
        return
    if asked.real is None:
        parser.error("--real ROOT is needed")
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.dcm"
        write_clip(asked.real, path, asked.frames)
        print(f"{asked.frames} frames of {COLUMNS} x {ROWS} RGB, JPEG baseline, {path.stat().st_size / 2**20:.1f} MiB")
        report(path, asked.frames)


def report(path: Path, expected: int) -> None:
    """Time all contenders in turn, three rounds, and print the table."""
    best = dict.fromkeys(CONTENDERS, 0.0)
    pictures: dict[str, Any] = {}
    for _ in range(3):
        for name, contender in CONTENDERS.items():
            start = time.perf_counter()
            count, pictures[name] = contender(path)
            best[name] = max(best[name], count / (time.perf_counter() - start))
            assert count == expected
    difference = int(np.abs(pictures["openus"].astype(int) - pictures["pydicom iter_pixels"]).max())
    print(f"{'':22}{'frames/s':>10}{'ratio':>8}{'peak MiB':>10}")
    for name, speed in best.items():
        print(f"{name:22}{speed:10.1f}{best['openus'] / speed:8.1f}{peak_memory(name, path):10.0f}")
    print(f"largest difference of a sample between openus and pydicom: {difference} of 255")


if __name__ == "__main__":
    main()
