"""Predicts the emotions of all faces in a video, in one pass with bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer3d.clips.measures import frame_measures
from fer3d.corpora.layout import in_synthetic_twin
from fer3d.prediction.faces.face_stream import SeenFrame, face_stream
from fer3d.prediction.networks import Ensemble, load_networks
from fer3d.prediction.own_corpus import has_seen
from fer3d.prediction.sources import Source, find_sources
from fer3d.prediction.steps import Frame, Prediction, Step, TrackedFace
from fer3d.prediction.trained import PredictionError
from fer3d.prediction.verdicts import Verdicts
from fer3d.prediction.video_record import VideoRecord
from fer3d.prediction.windows import FaceWindow, SeenCrop, Window

if TYPE_CHECKING:
    import pandas as pd

RENDERED = "SYNTHETIC: rendered faces"
SEEN = "SEEN IN TRAINING: the networks were trained on clips of this subject"
# Batch size for sources that are not live.
_BATCH = 16
# Limits of the frames that wait for their batch.
_MAX_WAITING_BYTES, _MAX_WAITING = 64_000_000, 256


@dataclass(frozen=True, slots=True)
class PredictionSettings:
    """Settings of a prediction.

    Attributes:
        stride: Frames from one prediction to the next.
        detect_every: Frames from one face detection to the next; faces are tracked in between.
        window: Seconds from the first to the last frame of a clip; None for the median of the training clips.
        smooth: Time constant, in seconds, of the exponential smoothing of the probabilities; 0 for none.
        max_entropy: The largest normalised entropy, in (0, 1], at which a label is given.
        max_faces: Maximum number of faces tracked at a time; None for no limit.
        detector_engine: What runs the face detector, as `faces.detector.engine`; None for that of the training clips.
    """

    stride: int = 5
    detect_every: int = 5
    window: float | None = None
    smooth: float = 0.5
    max_entropy: float = 0.8
    max_faces: int | None = None
    detector_engine: str | None = None

    def __post_init__(self) -> None:
        """Checks the settings.

        Raises:
            PredictionError: A setting is out of range.
        """
        for name in ("stride", "detect_every", "max_faces"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise PredictionError(f"--{name.replace('_', '-')} must be at least 1, got {number}")
        if not (self.window is None or 0 < self.window < float("inf")):
            raise PredictionError(f"--window must be above 0 seconds, got {self.window}")
        if not 0 <= self.smooth < float("inf"):
            raise PredictionError(f"--smooth must be 0 seconds or more, got {self.smooth}")
        if not 0 < self.max_entropy <= 1:
            raise PredictionError(f"--max-entropy must be above 0 and at most 1, got {self.max_entropy}")


class Predictor:
    """Predicts the emotions of all faces of a video over time.

    Args:
        ensemble: The trained networks.
        settings: The settings; None for the defaults.
        trusted: Packages besides fer3d whose code a network's file may name.
    """

    def __init__(
        self, ensemble: Ensemble, settings: PredictionSettings | None = None, trusted: Collection[str] = ()
    ) -> None:
        self.ensemble, self.settings, self.trusted = ensemble, settings or PredictionSettings(), tuple(trusted)
        self.span = self.settings.window or ensemble.trained.span
        self.detector = ensemble.trained.detector(self.settings.detector_engine)

    @classmethod
    def load(
        cls, *paths: Path | str, device: str = "auto", trusted: Collection[str] = (), **settings: Any
    ) -> Predictor:
        """Loads trained networks.

        Args:
            paths: Checkpoints, ONNX files or run folders; predictions are averaged over all networks.
            device: `auto`, `cpu` or `cuda`.
            trusted: Packages besides fer3d whose code a checkpoint may name.
            settings: See `PredictionSettings`.

        Raises:
            PredictionError: A network cannot be used, or a setting is out of range.
        """
        how = PredictionSettings(**settings)
        return cls(load_networks(paths, device=device, trusted=trusted), how, trusted)

    @property
    def emotions(self) -> tuple[str, ...]:
        """The class names."""
        return self.ensemble.trained.emotions

    def __call__(self, video: Path | str) -> pd.DataFrame:
        """Returns a table of a video file or a folder of frame images: one row per face and prediction.

        Raises:
            PredictionError, UnreadableError: It is neither, or cannot be read.
        """
        from fer3d.prediction.table import frame_of

        source = _one(find_sources([str(video)]), video)
        predictor, caution = self.unseen(source)
        predictions = (prediction for step in predictor.steps(source) for prediction in step.predictions)
        return frame_of(predictions, source.name, self.emotions, caution)

    def stream(self, source: Source | Path | str | int) -> Iterator[Prediction]:
        """Yields predictions: of a file as fast as possible, of a camera in real time.

        Args:
            source: A file, a folder of frame images, the number of a camera, or a source of `fer3d.prediction.sources`.

        Raises:
            PredictionError, UnreadableError: The source does not exist or cannot be read.
        """
        found = _one(find_sources([str(source)]), source) if isinstance(source, str | int | Path) else source
        for step in self.unseen(found)[0].steps(found):
            yield from step.predictions

    def unseen(self, source: Source) -> tuple[Predictor, str]:
        """Returns the predictor to use for a source, and the caution to show with its predictions.

        Networks that were trained on a subject in the source are left out, unless all were.

        Raises:
            PredictionError: A network's file names a corpus reader that is not trusted.
        """
        members = self.ensemble.members
        left = [each for each in members if not has_seen(each.trained, each.path, source.path, self.trusted)]
        chosen = self
        if left and len(left) < len(members):
            chosen = Predictor(Ensemble(left), self.settings, self.trusted)
        is_rendered = source.path is not None and in_synthetic_twin(source.path)
        cautions = (chosen.ensemble.caution or (RENDERED if is_rendered else ""), "" if left else SEEN)
        return chosen, ", ".join(filter(None, cautions))

    def steps(self, source: Source, record: VideoRecord | None = None, *, with_pixels: bool = False) -> Iterator[Step]:
        """Yields the result of each frame in temporal order, by all networks, including those that `unseen` leaves out.

        Args:
            source: The source of frames.
            record: Collects statistics of the whole video.
            with_pixels: Whether steps keep the pixels of their frames; otherwise they are freed early.

        Raises:
            UnreadableError: The source cannot be read.
            DetectorError: A file of the face detector is missing.
        """
        return _Pass(self, source, record or VideoRecord(self.ensemble.trained, self.span), with_pixels).run()


@dataclass(slots=True, eq=False)
class _Waiting:
    """A frame whose predictions are pending.

    Attributes:
        step: The step, without predictions.
        windows: The windows to predict, with their faces' numbers.
        is_empty: Whether a prediction is due and the frame shows no face.
    """

    step: Step
    windows: list[tuple[int, Window]] = field(default_factory=list)
    is_empty: bool = False


class _Pass:
    def __init__(self, predictor: Predictor, source: Source, record: VideoRecord, with_pixels: bool) -> None:
        self._ensemble, self._settings = predictor.ensemble, predictor.settings
        self._trained, self._span = predictor.ensemble.trained, predictor.span
        self._source, self._record, self._with_pixels = source, record, with_pixels
        self._cropper = self._trained.extraction.crop
        self._detector = predictor.detector
        self._verdicts = Verdicts(self._trained.emotions, predictor.settings.smooth, predictor.settings.max_entropy)
        self._faces: dict[int, FaceWindow] = {}
        self._waiting: deque[_Waiting] = deque()
        # The last frame's number divided by the stride: a camera may drop the exact multiples.
        self._stride = -1

    def run(self) -> Iterator[Step]:
        seen_frames = face_stream(
            self._watched(),
            self._detector,
            every=self._settings.detect_every,
            max_faces=self._settings.max_faces,
        )
        for seen in seen_frames:
            self._take(seen)
            if self._is_due():
                # Keep the newest frame: a face may end with it.
                yield from self._let_out(but=1)
        for face in list(self._faces):
            self._end(face)
        yield from self._let_out()

    def _watched(self) -> Iterator[Frame]:
        for frame in self._source.frames():
            self._record.see_frame(frame)
            yield frame

    def _take(self, seen: SeenFrame) -> None:
        """Adds a frame: its crops, the windows that end with it, and the faces that disappeared."""
        frame, here = seen.frame, {face.face for face in seen.faces}
        for face in list(self._faces):
            if seen.is_cut or face not in here:
                self._end(face)
        for tracked in seen.faces:
            window = self._faces.setdefault(tracked.face, FaceWindow(self._trained, self._span))
            window.add(self._crop(frame, tracked, window.last))
        kept = frame if self._with_pixels else replace(frame, pixels=_NO_PIXELS)
        waiting = _Waiting(Step(kept, seen.faces, ()))
        stride_before, self._stride = self._stride, frame.number // self._settings.stride
        if self._stride > stride_before:
            for face in sorted(here):
                waiting.windows.append((face, self._faces[face].clip()))
            waiting.is_empty = not here
        self._waiting.append(waiting)

    def _crop(self, frame: Frame, tracked: TrackedFace, before: SeenCrop | None) -> SeenCrop:
        crop = self._cropper.crop_box(frame.pixels, tracked.box, self._trained.num_channels)
        confidence = tracked.confidence
        if confidence is not None:
            self._record.see_face(tracked.face, frame_measures(crop))
        elif before is not None:
            confidence = before.confidence
        return SeenCrop(frame.time, frame.number, tracked.box, confidence, self._ensemble.prepared(crop))

    def _end(self, face: int) -> None:
        """Ends a face that disappeared, with a prediction for its last frame."""
        window = self._faces.pop(face)
        newest = self._waiting[-1]
        newest.windows = [(number, made) for number, made in newest.windows if number != face]
        newest.windows.append((face, window.clip(is_over=not window.has_been_full)))

    def _is_due(self) -> bool:
        if self._source.is_live:
            return True
        num_clips = sum(window.clip is not None for waiting in self._waiting for _, window in waiting.windows)
        num_bytes = sum(waiting.step.frame.pixels.nbytes for waiting in self._waiting)
        return num_clips >= _BATCH or num_bytes >= _MAX_WAITING_BYTES or len(self._waiting) >= _MAX_WAITING

    def _let_out(self, but: int = 0) -> Iterator[Step]:
        """Predicts all pending clips and yields their frames, except the newest `but`."""
        out = [self._waiting.popleft() for _ in range(len(self._waiting) - but)]
        clips = [window.clip for each in out for _, window in each.windows if window.clip is not None]
        found = iter(self._ensemble.probabilities(np.stack(clips)) if clips else ())
        for waiting in out:
            predictions = [
                self._verdicts.of(face, window, None if window.clip is None else next(found))
                for face, window in waiting.windows
            ]
            if waiting.is_empty:
                predictions.append(self._verdicts.no_face(waiting.step.frame))
            self._record.see_predictions(predictions)
            yield replace(waiting.step, predictions=tuple(predictions))


_NO_PIXELS = np.empty((0, 0), np.uint8)


def _one(sources: Sequence[Source], named: object) -> Source:
    if len(sources) != 1:
        raise PredictionError(f"expected one video, but {named} contains {len(sources)}: name one of them")
    return sources[0]
