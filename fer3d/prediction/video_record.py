"""Statistics of a whole video: length, faces, and differences from the training clips."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer3d.clips.measures import QUANTILES
from fer3d.prediction.steps import Frame, Prediction
from fer3d.prediction.trained import ASSUMED_RATE, Trained

_WORDS = {
    "brightness": ("darker", "brighter"),
    "contrast": ("of less contrast", "of more contrast"),
    "symmetry": ("less frontal, or lit from the side", "more symmetric"),
}
# Minimum number of detections of a face before its brightness, contrast and symmetry are compared.
_LEAST_LOOKS = 3


class VideoRecord:
    """Collects statistics of a video during prediction.

    Args:
        trained: Metadata of the network, with measures of the training clips.
        span: Duration of a clip in seconds.

    Attributes:
        num_frames: Number of frames.
        seconds: Seconds from the first to the last frame.
        size: Width and height of the first frame.
        num_labelled: Number of predictions with a label.
        reasons: Number of predictions without a label, by reason.
    """

    def __init__(self, trained: Trained, span: float) -> None:
        self._trained, self._span = trained, span
        self.num_frames, self.seconds, self.size = 0, 0.0, (0, 0)
        self.num_labelled = 0
        self.reasons: Counter[str] = Counter()
        self._measures: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._looks: Counter[int] = Counter()
        # Per face: number of predictions and sum of their probabilities; counts of the labels.
        self._sums: dict[int, tuple[int, NDArray[np.float64]]] = {}
        self._labels: dict[int, Counter[str]] = defaultdict(Counter)

    def see_frame(self, frame: Frame) -> None:
        """Adds a frame."""
        if not self.num_frames:
            self.size = (frame.pixels.shape[1], frame.pixels.shape[0])
        self.num_frames += 1
        self.seconds = frame.time

    def see_face(self, face: int, measures: dict[str, float]) -> None:
        """Adds the measures of a detected face; see `fer3d.clips.measures.frame_measures`."""
        self._looks[face] += 1
        for name, value in measures.items():
            self._measures[face][name] += value

    def see_predictions(self, predictions: Iterable[Prediction]) -> None:
        """Adds predictions."""
        for prediction in predictions:
            if prediction.label:
                self.num_labelled += 1
            else:
                self.reasons[prediction.why.partition(":")[0]] += 1
            if prediction.face is not None and prediction.probabilities is not None:
                number, total = self._sums.get(prediction.face, (0, np.zeros(len(self._trained.emotions))))
                self._sums[prediction.face] = (number + 1, total + prediction.probabilities)
            if prediction.face is not None:
                self._labels[prediction.face][prediction.label] += 1

    @property
    def faces(self) -> list[int]:
        """The identities of all faces."""
        return sorted(self._looks)

    @property
    def rate(self) -> float:
        """Frames per second; 0 for a single frame."""
        return (self.num_frames - 1) / self.seconds if self.seconds else 0.0

    def summary(self) -> list[dict[str, Any]]:
        """Returns one entry per face: identity, numbers of predictions, mean probabilities and their label."""
        entries = []
        for face in self.faces:
            number, total = self._sums.get(face, (0, None))
            labels = self._labels[face]
            asked = sum(labels.values())
            mean = None if total is None else total / number
            named = labels.total() - labels[""]
            entries.append(
                {
                    "face": face,
                    "predictions": asked,
                    "labelled": named,
                    "label": "" if mean is None or not named else self._trained.emotions[int(mean.argmax())],
                    **{
                        emotion: None if mean is None else float(mean[index])
                        for index, emotion in enumerate(self._trained.emotions)
                    },
                }
            )
        return entries

    def warnings(self) -> list[str]:
        """Returns a sentence for each difference from the training clips."""
        return [*self._about_time(), *self._about_faces()]

    def _about_time(self) -> Iterable[str]:
        if not self.num_frames:
            return
        spacing = self._span / max(self._trained.num_stored - 1, 1)
        source = "set by --window"
        if self._span == self._trained.span:
            known = "seconds" in self._trained.training_clips
            source = "as in training" if known else f"as in training, assuming {ASSUMED_RATE:g} images per second"
        if self.num_frames == 1:
            yield "rate: a single frame, but the network expects movement"
        elif 1 / self.rate > 1.5 * spacing:
            yield (
                f"rate: {self.rate:.3g} frames per second, but the frames of a clip are {spacing:.3g} s apart "
                f"({source}): clips repeat frames; a longer --window avoids this"
            )
        if self.num_frames > 1 and self.seconds < self._span * 0.98:
            yield f"length: {self.seconds:.2f} s, but a clip is {self._span:.2f} s long ({source})"
        if (self._trained.faces.get("crop") or {}).get("box") == "clip":
            yield "box: training used one box per clip, but prediction uses one per frame"

    def _about_faces(self) -> Iterable[str]:
        for name, (lower, higher) in _WORDS.items():
            if name not in self._trained.training_clips:
                continue
            low, middle, high = self._trained.training_clips[name]
            for face in self.faces:
                if self._looks[face] < _LEAST_LOOKS:
                    continue
                mean = self._measures[face][name] / self._looks[face]
                if low <= mean <= high:
                    continue
                yield (
                    f"{name}: face {face} is {lower if mean < low else higher} ({mean:.3g}) than the training clips "
                    f"({low:.3g} to {high:.3g} in {QUANTILES[-1] - QUANTILES[0]:.0%} of them, median {middle:.3g})"
                )
