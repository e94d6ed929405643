"""Overlay: a copy of the video with boxes, labels and bars."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from fer3d.atomic_folder import work_folder
from fer3d.clips.detectors import Box, Image
from fer3d.prediction.pictures.drawing import Area, BarsPlace, draw_bars, draw_box, draw_caution, draw_tag, place_bars
from fer3d.prediction.pictures.style import PictureInfo, face_colour, short
from fer3d.prediction.pictures.video_writer import H264, Fit, VideoWriter, VideoWriterError
from fer3d.prediction.steps import Prediction, Step


class Overlay:
    """Writes an MP4 for browsers with the source's frame times, boxes, labels and bars; without sound.

    The size is that of the first frame, rounded to even numbers, and at most 1920 x 1080 or 1080 x 1920 pixels. Labels
    and bars show a face's latest prediction; a face that returns starts without one. If the shorter side has fewer than
    160 pixels, only boxes are drawn.

    A context manager. The file appears after the block, and only if it ended without an exception.

    Args:
        path: The file.
        info: What to show; the file's metadata contain the title, the caution and the checkpoint.
        rate: Approximate frames per second; frames keep their own times.

    Raises:
        VideoWriterError: FFmpeg cannot encode the video, or no frame was added.
        DiskError: The disk is full or not writable.
    """

    def __init__(self, path: Path, info: PictureInfo, *, rate: float = 25.0) -> None:
        self._path, self._info, self._rate = path, info, rate
        checkpoint = f"checkpoint {info.source.get('checkpoint', '')}".strip()
        comment = "; ".join(filter(None, (info.caution, checkpoint)))
        self._metadata = {"title": info.title, "comment": comment}
        self._fit: Fit | None = None
        # Of the faces in the last frame.
        self._latest: dict[int, Prediction | None] = {}
        self._places: dict[int, BarsPlace] = {}
        self._block = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            work = stack.enter_context(work_folder(self._path))
            # Runs after the writer is closed; skipped after an exception.
            stack.push(lambda kind, error, trace: self._finish(work) if kind is None else None)
            self._writer = stack.enter_context(VideoWriter(work / "video.mp4", self._rate, H264, self._metadata))
            self._block = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._block.__exit__(kind, error, trace)

    def add(self, step: Step) -> None:
        """Draws and writes one frame."""
        self._fit = self._fit.again(step.frame.pixels) if self._fit else Fit.of(step.frame.pixels, H264)
        picture = self._fit.picture(step.frame.pixels)
        found = {prediction.face: prediction for prediction in step.predictions if prediction.face is not None}
        self._latest = {face.face: (self._latest | found).get(face.face) for face in step.faces}
        boxes = {face.face: self._fit.box(face.box) for face in step.faces}
        # Draw the largest face last, on top of the others.
        order = sorted(boxes, key=lambda face: _size(boxes[face]))
        for face in order:
            draw_box(picture, boxes[face], face_colour(face))
        tags = [draw_tag(picture, boxes[face], self._tag(face), face_colour(face)) for face in order]
        caution = draw_caution(picture, self._info.caution)
        taken = [_area(box) for box in boxes.values()] + [area for area in (*tags, caution) if area]
        self._draw_bars(picture, [(face, boxes[face]) for face in reversed(order)], taken)
        self._writer.add(picture, step.frame.time)

    def _draw_bars(self, picture: Image, boxes: Iterable[tuple[int, Box]], taken: list[Area]) -> None:
        """Draws the bars of each face where there is room, in the order given."""
        before, self._places = self._places, {}
        for face, box in boxes:
            prediction = self._latest[face]
            if prediction is None or prediction.smoothed is None:
                continue
            place = place_bars(picture, box, self._info.emotions, taken, before.get(face))
            if place is not None:
                draw_bars(picture, place, self._info.emotions, prediction.smoothed)
                self._places[face] = place
                taken.append(place.area)

    def _tag(self, face: int) -> str:
        prediction = self._latest[face]
        return f"{face}  {prediction.label or short(prediction.why)}" if prediction else f"{face}"

    def _finish(self, work: Path) -> None:
        if self._fit is None:
            raise VideoWriterError(f"{self._path.name} was not written: no frame was read")
        (work / "video.mp4").replace(self._path)


def _size(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _area(box: Box) -> Area:
    return round(box[0]), round(box[1]), round(box[2]), round(box[3])
