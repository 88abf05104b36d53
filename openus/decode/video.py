"""Clips by PyAV (FFmpeg): every decoded frame is a frame, nothing is resampled to a constant rate.

Colours go through FFmpeg's scaler with its bit-exact C path, since its fast paths differ between processors. Where
both chroma planes are practically neutral all over, as in most scanners' clips, the conversion is the scaler's own
table of 256 gray levels.

When a tail is lost: `_shortfall`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from openus.data import Frame, Pixels
from openus.decode.container import missing_bytes
from openus.decode.pixels import collapse, is_label, over_black
from openus.errors import DecodeError, NotUltrasound
from openus.params import DecodeParams

SLACK = 2
"""Headers of whole files state one or two frames too many or too few (POCUS)."""
NEUTRAL = 3
"""A picture whose chroma is nowhere further from neutral (128) is gray: its luma counts. So much is noise of the codec
(0 to 3 over a whole clip; colour bars and markers 8 and more) and would show as up to 6 levels between channels."""
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_PLANAR_8_BIT = ("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "yuv411p", "yuv410p", "yuv440p")
_WITH_ALPHA = ("bgra", "rgba", "argb", "abgr", "yuva420p", "yuva422p", "yuva444p", "ya8", "gbrap", "pal8")
_CUT = "its end is cut off ({:,} or more bytes)"
_DEMUXER = {"mp4": "mov", "mov": "mov", "avi": "avi", "webm": "matroska", "wmv": "asf", "gif": "gif"}


def frames(path: Path, kind: str, params: DecodeParams) -> Iterator[Frame]:
    """The frames of a clip, indexed; a GIF of one frame is a still. Display rotation applied, alpha onto black.

    Raises DecodeError when the file does not open, holds no picture, or has lost its tail (after the frames before
    it), NotUltrasound when it has no video stream.
    """
    missing = missing_bytes(path, kind)
    try:  # without `file:` FFmpeg takes what stands before a colon for a protocol, `concat` among them
        container = av.open(f"file:{path}", format=_DEMUXER.get(kind), metadata_errors="ignore")
    except (av.FFmpegError, ValueError) as error:
        raise DecodeError(
            f"{path.name} does not open as {kind} ({_words(error)}).", "It is probably cut: fetch or copy it again."
        ) from error
    with container:
        if not container.streams.video:
            raise NotUltrasound(f"{path.name} has no video stream.")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise DecodeError(f"{path.name}: its header names no codec.", "It is probably cut: fetch or copy it again.")
        missing = _missing_samples(path, stream, missing)
        if missing == 0 and kind == "gif" and stream.frames == 1:
            yield _still(path, _pictures(path, container, stream, params, missing))
            return
        count, fault = 0, ""
        try:
            for pixels in _pictures(path, container, stream, params, missing):
                yield Frame(pixels, index=count)
                count += 1
        except MemoryError:
            raise
        except FAULTS as error:
            fault = _words(error)
        _check_whole(path, stream, count, missing, fault)


class _CorruptError(Exception):
    """The decoder itself says that this picture is damaged."""


FAULTS = (av.FFmpegError, _CorruptError)
"""What `pictures_of` raises when a stream goes bad."""


def pictures_of(path: Path, source: IO[bytes] | io.RawIOBase, params: DecodeParams) -> Iterator[Pixels]:
    """Pictures of a stream inside a file, `path` naming it in messages. Raises `FAULTS` and DecodeError."""
    with av.open(source, mode="r", metadata_errors="ignore") as container:
        if not container.streams.video:
            raise NotUltrasound(f"{path.name} has no video stream.")
        yield from _pictures(path, container, container.streams.video[0], params, 0)


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).strip().rstrip(".").lower()


def _still(path: Path, pictures: Iterator[Pixels]) -> Frame:
    for pixels in pictures:
        if is_label(pixels):
            raise NotUltrasound(f"{path.name} is a label map: practically all of its pixels have one of a few values.")
        return Frame(pixels)
    raise DecodeError(f"{path.name} holds no picture.")


def _pictures(
    path: Path, container: InputContainer, stream: VideoStream, params: DecodeParams, missing: int
) -> Iterator[Pixels]:
    """Decoded pictures in display order. One thread: parallelism is the engine's business."""
    codec = stream.codec_context
    codec.thread_count, codec.thread_type = 1, "NONE"
    if codec.width * codec.height > params.max_pixels:
        raise DecodeError(
            f"{path.name} claims {codec.width} x {codec.height} pixels.", f"decode.max_pixels is {params.max_pixels:,}."
        )
    codec.options = {**codec.options, "max_pixels": str(params.max_pixels)}
    converter = Converter(VideoReformatter(), {})
    count = 0
    for packet in _whole_packets(container, stream, missing):
        for frame in packet.decode():
            if frame.is_corrupt:
                raise _CorruptError(f"picture {count} is damaged")
            if count >= params.max_frames:
                raise DecodeError(
                    f"{path.name} holds more frames than that.", f"decode.max_frames is {params.max_frames}."
                )
            yield converter.pixels(frame)
            count += 1


def _whole_packets(container: InputContainer, stream: VideoStream, missing: int) -> Iterator[Any]:
    """Packets in file order.

    Of a cut file the packet at the cut is left out, since it holds half a picture, and so is the flush at the end:
    pictures that still wait in the decoder for their turn may follow ones that were cut off, and would get their index.
    """
    packets = container.demux(stream)
    if not missing:
        yield from packets
        return
    held = None
    for packet in packets:
        if packet.is_corrupt or packet.size == 0:
            continue
        if held is not None:
            yield held
        held = packet


def _check_whole(path: Path, stream: VideoStream, count: int, missing: int, fault: str) -> None:
    """Raise DecodeError when pictures are missing at the end.

    They are when decoding failed, when the container is cut (`container.missing_bytes`) and fewer came than it
    declares, or when more than two fewer came. Frames that an edit list hides are not missing: FFmpeg leaves them
    out of its index, so the index is believed before the header's count.
    """
    declared = _declared(stream)
    if count == 0:
        reason = fault or (_CUT.format(missing) if missing else "nothing to decode")
        raise DecodeError(f"{path.name} holds no picture that decodes: {reason}.", "Fetch or copy it again.")
    short = declared - count if declared else 0
    if fault or (missing and (short > 0 or not declared)) or short > SLACK:
        reason = fault or (_CUT.format(missing) if missing else "the rest is not there")
        of = f" of {declared} declared" if declared else ""
        raise DecodeError(f"{path.name}: {count} frames came{of}: {reason}.", "The frames that came are kept.")


def _missing_samples(path: Path, stream: VideoStream, missing: int) -> int:
    """`missing`, or for MP4 and QuickTime how far their index of samples itself reaches beyond the file's end.

    Whatever else was cut there is no picture. Fragmented files, which state no count, have no whole index.
    """
    if missing and stream.frames and "mov" in stream.container.format.name:
        size = path.stat().st_size
        return max(0, max((entry.pos + entry.size for entry in stream.index_entries), default=0) - size)
    return missing


def _declared(stream: VideoStream) -> int:
    """Frames that the file declares and means to show; 0 where it declares none."""
    if "mov" in stream.container.format.name:
        shown = sum(not entry.is_discard for entry in stream.index_entries)
        return min(shown, stream.frames) if stream.frames else shown
    return stream.frames


@dataclass
class Converter:
    """Turns decoded frames into pixels; keeps the scaler and the gray tables of one clip."""

    scaler: VideoReformatter
    tables: dict[tuple[str, int, int], Pixels]

    def pixels(self, frame: VideoFrame) -> Pixels:
        """(rows, columns) when chroma is practically neutral or red, green and blue are equal, else with 3 channels."""
        name = frame.format.name
        if name == "gray":
            upright = _plane(frame, 0).copy()
        elif name in _PLANAR_8_BIT and _is_neutral(_plane(frame, 1)) and _is_neutral(_plane(frame, 2)):
            upright = np.asarray(cv2.LUT(_plane(frame, 0), self._table(frame)), np.uint8)
        elif name in _WITH_ALPHA:
            rgba = self._convert(frame, "rgba")
            upright = collapse(over_black(rgba[..., :3], rgba[..., 3]))
        else:
            upright = collapse(self._convert(frame, "rgb24"))
        return _displayed(frame, upright)

    def _convert(self, frame: VideoFrame, form: str) -> Pixels:
        shown = self.scaler.reformat(frame, format=form, interpolation=_EXACT, threads=1)
        return np.asarray(shown.to_ndarray(), np.uint8)

    def _table(self, frame: VideoFrame) -> Pixels:
        """Gray level of each luma value at neutral chroma, as the scaler itself converts it."""
        key = (frame.format.name, int(frame.color_range), int(frame.colorspace))
        if key not in self.tables:
            ramp = VideoFrame(256, 16, frame.format.name)
            ramp.color_range, ramp.colorspace = frame.color_range, frame.colorspace
            for index, plane in enumerate(ramp.planes):
                rows = np.full((plane.height, plane.line_size), 128, np.uint8)
                if index == 0:
                    rows[:, :256] = np.arange(256, dtype=np.uint8)
                plane.update(rows.tobytes())
            self.tables[key] = np.ascontiguousarray(self._convert(ramp, "rgb24")[4, :, 0])
        return self.tables[key]


def _is_neutral(chroma: Pixels) -> bool:
    low, high, _, _ = cv2.minMaxLoc(chroma)
    return low >= 128 - NEUTRAL and high <= 128 + NEUTRAL


def _plane(frame: VideoFrame, index: int) -> Pixels:
    plane = frame.planes[index]
    values = np.frombuffer(memoryview(plane), np.uint8)
    return values.reshape(plane.height, plane.line_size)[:, : plane.width]


def _displayed(frame: VideoFrame, pixels: Pixels) -> Pixels:
    """`pixels` as the stream's display matrix says that they are to be shown (quarter turns and mirrors)."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return pixels
    a, b, _, c, d = np.frombuffer(bytes(cast(Any, data)), np.int32)[:5] / 65536.0
    matrix: NDArray[Any] = np.rint([[a, b], [c, d]]).astype(int)
    if abs(int(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0])) != 1:
        return pixels
    # A stored pixel (x, y) is shown at (a x + c y, b x + d y) (ISO/IEC 14496-12, 6.2.2).
    shown = pixels
    if matrix[0, 0] == 0:
        shown = np.swapaxes(shown, 0, 1)
    across, down = matrix[0, 0] + matrix[1, 0], matrix[0, 1] + matrix[1, 1]
    return np.ascontiguousarray(shown[:: int(down), :: int(across)])
