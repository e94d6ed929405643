"""Selects the clip of a video to explain: the most confident one, or the one at a given time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fer3d.clips.preprocess import to_unit_range
from fer3d.explanation.gradcam import ExplanationError
from fer3d.explanation.sources import SEEN, ShownClip, TrainedNetwork
from fer3d.prediction.faces.face_stream import face_stream
from fer3d.prediction.own_corpus import has_seen
from fer3d.prediction.sources import Source
from fer3d.prediction.windows import FaceWindow, SeenCrop, Window

# Frames from one candidate clip to the next, as in `fer3d predict`.
_STRIDE = 5
# Tolerance in seconds for the requested end of a clip, or the length of a clip if that is longer.
_NEAR = 0.5


@dataclass(slots=True, eq=False)
class _Best:
    """The best clip of a face so far."""

    window: Window | None = None
    score: float = -np.inf
    num_clips: int = 0


def video_clip(
    trained: TrainedNetwork,
    source: Source,
    *,
    face: int | None = None,
    second: float | None = None,
    emotion: int | None = None,
    trusted: tuple[str, ...] = (),
) -> ShownClip:
    """Returns one clip of a video, in one pass with bounded memory.

    Args:
        trained: The network.
        source: The video.
        face: The identity, from 1; None for the face visible longest.
        second: Choose the clip that ends nearest to this time; None for the most confident clip.
        emotion: Index of the emotion whose probability is maximised; None for the predicted one.
        trusted: Packages besides fer3d whose code may read the network's corpus.

    Raises:
        ExplanationError: The face does not exist, or is not visible for long enough.
        UnreadableError: The video cannot be read.
    """
    found: dict[int, _Best] = {}
    windows: dict[int, FaceWindow] = {}
    crop, channels = trained.trained.extraction.crop, trained.trained.num_channels

    def look(number: int, window: Window) -> None:
        best = found.setdefault(number, _Best())
        if window.clip is None:
            return
        best.num_clips += 1
        score = -abs(window.last.time - second) if second is not None else _sureness(trained, window.clip, emotion)
        if score > best.score:
            best.window, best.score = window, score

    for seen in face_stream(source.frames(), trained.trained.extraction.detector):
        here = {tracked.face for tracked in seen.faces}
        for number in [number for number in windows if seen.is_cut or number not in here]:
            gone = windows.pop(number)
            look(number, gone.clip(is_over=not gone.has_been_full))
        for tracked in seen.faces:
            window = windows.setdefault(tracked.face, FaceWindow(trained.trained, trained.trained.span))
            pixels = crop.crop_box(seen.frame.pixels, tracked.box, channels)
            window.add(SeenCrop(seen.frame.time, seen.frame.number, tracked.box, tracked.confidence, pixels))
            if seen.frame.number % _STRIDE == 0:
                look(tracked.face, window.clip())
    for number, window in windows.items():
        look(number, window.clip(is_over=not window.has_been_full))
    number, chosen = _chosen(source, found, face)
    if second is not None and abs(chosen.last.time - second) > max(trained.trained.span, _NEAR):
        raise ExplanationError(
            f"no clip of face {number} in {source.name} ends near {second:g} s; the nearest one ends at "
            f"{chosen.last.time:.2f} s"
        )
    return _shown(trained, source, number, chosen, trusted)


def _sureness(trained: TrainedNetwork, clip: NDArray[np.uint8], emotion: int | None) -> float:
    given = trained.given(ShownClip("", clip[list(trained.kept)], (), ""))
    with torch.no_grad():
        probabilities = trained.network(to_unit_range(given)[None])[0]
    return float(probabilities.max() if emotion is None else probabilities[emotion])


def _chosen(source: Source, found: dict[int, _Best], face: int | None) -> tuple[int, Window]:
    if not found:
        raise ExplanationError(f"{source.name} shows no face")
    if face is not None and face not in found:
        raise ExplanationError(f"{source.name} has no face {face}; its faces are {', '.join(map(str, sorted(found)))}")
    number = face if face is not None else max(found, key=lambda number: (found[number].num_clips, -number))
    window = found[number].window
    if window is None:
        raise ExplanationError(f"face {number} of {source.name} is not visible for long enough to make a clip")
    return number, window


def _shown(trained: TrainedNetwork, source: Source, face: int, window: Window, trusted: tuple[str, ...]) -> ShownClip:
    assert window.clip is not None
    first, last = window.time_from, window.last.time
    seen = SEEN if has_seen(trained.trained, trained.path, source.path, trusted) else ""
    # The frames of a clip are evenly spaced.
    times = np.linspace(first, last, len(window.clip))[list(trained.kept)]
    return ShownClip(
        name=f"{source.path.name if source.path else source.name}, face {face}, {first:.2f} to {last:.2f} s",
        pixels=window.clip[list(trained.kept)],
        frames=tuple(f"{time:.2f} s" for time in times),
        caution=", ".join(filter(None, (trained.trained.caution, seen))),
    )
