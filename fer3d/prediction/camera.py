"""Cameras: the newest frame, whenever somebody is ready for it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fer3d.prediction.steps import Frame
from fer3d.prediction.trained import PredictionError

# Seconds until a thread that waits looks whether it is still wanted.
PATIENCE = 0.2
# By how many seconds a camera's stamps may run ahead of the clock from one frame to the next.
_MAX_LEAP = 1.0


class Camera:
    """A camera: of the frames that it gives, the newest one, whenever somebody is ready for it.

    Args:
        number: The camera's number.
        seconds: How long to look; None until somebody stops it.
        capture: Gives the frames instead of the camera of that number, as `cv2.VideoCapture` does.

    Attributes:
        began: When the first frame came, by `time.monotonic`; None before that.
    """

    is_live = True
    damage: str | None = None
    path: Path | None = None

    def __init__(self, number: int, seconds: float | None = None, capture: Any = None) -> None:
        self.name = f"camera {number}"
        self.num_dropped = 0
        self.began: float | None = None
        self._number, self._seconds, self._capture = number, seconds, capture
        self._newest: queue.Queue[tuple[int, float, float, Any] | None] = queue.Queue(1)
        self._over = threading.Event()

    def frames(self) -> Iterator[Frame]:
        """Yields frames as they come; their numbers count those that were dropped, too.

        Raises:
            PredictionError: There is no such camera, or it gives no frames.
        """
        # OpenCV prints what it cannot open.
        capture = self._capture or _quietly(lambda: cv2.VideoCapture(self._number))
        if not capture.isOpened():
            raise PredictionError(
                f"{self._number} is taken for the number of a camera, and there is none that can be opened; 0 is the "
                "first one. Is another program using it? A file or folder of that name is given as ./0"
            )
        thread = threading.Thread(target=self._grab, args=(capture,), name="camera", daemon=True)
        thread.start()
        first = last = None
        try:
            while not self._is_over(thread):
                try:
                    grabbed = self._newest.get(timeout=PATIENCE)
                except queue.Empty:
                    continue
                if grabbed is None:
                    self.damage = f"{self.name} gave no more frames after {last:.2f} s" if last is not None else None
                    break
                number, second, came, pixels = grabbed
                if first is None:
                    first, self.began = second, came
                last = second - first
                if self._seconds is not None and last >= self._seconds:
                    break
                yield Frame(number, last, pixels)
        finally:
            self._over.set()
            thread.join(timeout=5)
            capture.release()
        if first is None:
            raise PredictionError(f"{self.name} was opened, and gives no frames")

    def _is_over(self, thread: threading.Thread) -> bool:
        """Whether nothing is to be waited for; a camera may hang."""
        late = self._seconds is not None and self.began is not None and time.monotonic() - self.began > self._seconds
        return self._over.is_set() or (self._newest.empty() and (late or not thread.is_alive()))

    def stop(self) -> None:
        """Ends the frames, as if the camera had been switched off."""
        self._over.set()

    def state(self) -> list[Any]:
        """Returns nothing that comes back: what a camera sees is new each time."""
        return [time.time()]

    def _grab(self, capture: Any) -> None:
        number, second, stamp, came = 0, 0.0, 0.0, 0.0
        while not self._over.is_set():
            is_read, pixels = capture.read()
            if not is_read:
                break
            stamp_before, stamp = stamp, float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
            came_before, came = came, time.monotonic()
            if number:
                # Drivers stamp a frame when it is taken; what does not rise, or leaps ahead of the clock, is no stamp.
                elapsed, waited = stamp - stamp_before, came - came_before
                second += elapsed if 0 < elapsed < waited + _MAX_LEAP else max(waited, 1e-3)
            while True:
                try:
                    self._newest.put_nowait((number, second, came, np.asarray(pixels)))
                    break
                except queue.Full:
                    try:
                        self._newest.get_nowait()
                        self.num_dropped += 1
                    except queue.Empty:
                        pass
            number += 1
        while not self._over.is_set():
            try:
                self._newest.put(None, timeout=PATIENCE)
                break
            except queue.Full:
                continue


def _quietly(make: Callable[[], Any]) -> Any:
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return make()
    finally:
        cv2.utils.logging.setLogLevel(level)
