"""Captures that stand for a camera."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from fer3d.prediction.camera import Camera
from fer3d.prediction.steps import Frame


class PatientCamera(Camera):
    """A camera that takes a frame whenever it is asked for the next one, so that none is dropped on a slow machine.

    Args:
        capture: Gives the frames.
    """

    def __init__(self, capture: Any) -> None:
        self._turns = _Turns(capture)
        super().__init__(0, capture=self._turns)

    def frames(self) -> Iterator[Frame]:
        """Yields the frames."""
        for frame in super().frames():
            yield frame
            self._turns.next.release()


class _Turns:
    def __init__(self, capture: Any) -> None:
        self._capture = capture
        self.next = threading.Semaphore(1)

    def read(self) -> Any:
        assert self.next.acquire(timeout=30)
        return self._capture.read()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._capture, name)
