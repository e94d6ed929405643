"""Cameras: always the newest frame; frames that arrive while the consumer is busy are dropped."""

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

# Seconds after which a waiting thread checks whether to stop.
PATIENCE = 0.2
# Seconds by which a frame's time stamp may advance beyond the clock; a larger step is not a valid stamp.
_MAX_LEAP = 1.0


class Camera:
    """A camera that yields its newest frame and drops the frames in between.

    Args:
        number: The camera's number.
        seconds: Duration; None to run until `stop` is called.
        capture: Replaces `cv2.VideoCapture(number)`.

    Attributes:
        began: Arrival time of the first frame, by `time.monotonic`; None before that.
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
        """Yields frames as they arrive; their numbers include dropped frames.

        Raises:
            PredictionError: The camera cannot be opened, or gives no frames.
        """
        # OpenCV prints a warning if it cannot open the camera.
        capture = self._capture or _quietly(lambda: cv2.VideoCapture(self._number))
        if not capture.isOpened():
            raise PredictionError(
                f"camera {self._number} cannot be opened: it does not exist (the first camera is 0) or another program "
                f"uses it. For a file or folder of that name write ./{self._number}"
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
            raise PredictionError(f"{self.name} was opened but gives no frames")

    def _is_over(self, thread: threading.Thread) -> bool:
        """Whether to stop waiting for frames; a camera may hang."""
        late = self._seconds is not None and self.began is not None and time.monotonic() - self.began > self._seconds
        return self._over.is_set() or (self._newest.empty() and (late or not thread.is_alive()))

    def stop(self) -> None:
        """Stops the camera."""
        self._over.set()

    def state(self) -> list[Any]:
        """Returns the current time: no two recordings of a camera are equal."""
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
                # Drivers stamp a frame at capture; a stamp that does not rise, or leaps ahead of the clock, is ignored.
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
