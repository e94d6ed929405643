"""Clip sources: all clips on the device, or streamed to it from disk."""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from fer3d.atomic_folder import atomic_folder
from fer3d.clips.preprocess import equalise, load_clips
from fer3d.clips.store import ClipStore, StoreWriter
from fer3d.disk import check_space
from fer3d.file_lock import file_lock
from fer3d.memory import free_bytes

_logger = logging.getLogger(__name__)
# Number of batches to fetch ahead.
_AHEAD = 3


class ResidentClips:
    """All clips on one device.

    Args:
        clips: uint8 `(N, C, S, H, W)`.

    Attributes:
        shape: `(C, S, H, W)` of a clip.
    """

    is_streamed = False

    def __init__(self, clips: Tensor) -> None:
        self.clips = clips
        self.shape = clips.shape[1:]

    def to(self, device: torch.device) -> None:
        """Moves the clips to a device."""
        self.clips = self.clips.to(device)

    def fetch(self, indices: Tensor, frames: Tensor | None) -> Tensor:
        """Returns clips `(B, C, T, H, W)` at `indices` `(B,)`, with all frames or the given ones `(B, T)`."""
        indices = indices.to(self.clips.device, non_blocking=True)
        if frames is None:
            return self.clips[indices]
        return self.clips[indices[:, None], :, frames.to(self.clips.device, non_blocking=True)].movedim(1, 2)


class StreamedClips:
    """Memory-mapped clips on disk; only the frames that the network takes are read.

    Args:
        clips: uint8 `(N, S, H, W, C)`, as stored.

    Attributes:
        shape: `(C, S, H, W)` of a clip.
    """

    is_streamed = True

    def __init__(self, clips: NDArray[np.uint8]) -> None:
        self._clips = clips
        _, num_stored, height, width, num_channels = clips.shape
        self.shape = torch.Size((num_channels, num_stored, height, width))
        self._device = torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Sets the device that batches are sent to; the clips stay on disk."""
        self._device = device

    def fetch(self, indices: Tensor, frames: Tensor | None) -> Tensor:
        """Like `ResidentClips.fetch`, but in host memory, pinned if the device is a GPU."""
        rows = indices.numpy()
        chosen = self._clips[rows] if frames is None else self._clips[rows[:, None], frames.numpy()]
        clips = torch.from_numpy(np.ascontiguousarray(np.moveaxis(chosen, -1, 1)))
        return clips.pin_memory() if self._device.type == "cuda" else clips


ClipSource = ResidentClips | StreamedClips


def clip_source(store: ClipStore, *, clahe: bool, memory: float | None, device: torch.device) -> ClipSource:
    """Holds a store's clips on the device if they fit, otherwise streams them.

    Args:
        store: The clip store.
        clahe: See `load_clips`. For streaming, the whole store is equalised once; see `equalised_store`.
        memory: Memory limit in GB; None: half of what is free on the device and the machine.
        device: The device that trains.
    """
    if store.clips.nbytes <= (free_bytes(device) / 2 if memory is None else memory * 1e9):
        return ResidentClips(load_clips(store.clips, clahe=clahe))
    return StreamedClips((equalised_store(store) if clahe else store).clips)


def equalised_store(store: ClipStore) -> ClipStore:
    """Returns a copy of the store after CLAHE, created beside it on first use.

    Equalising every batch anew would take as long as training on it.

    Raises:
        DiskError: The copy cannot be written.
        StoreError: The copy is damaged.
    """
    folder = store.folder.with_name(f"{store.folder.name}-clahe")
    inputs = f"{store.digest} clahe {cv2.__version__}"
    key = hashlib.sha256(inputs.encode()).hexdigest()
    header = replace(store.header, key=key, settings={**store.header.settings, "clahe": True})
    with file_lock(folder.with_name(f".{folder.name}.lock"), f"the equalised clips {folder} are being written"):
        if not folder.exists():
            check_space(folder, store.clips.nbytes, "the equalised clips")
            _logger.info("writing %s: clips are streamed from disk and clips.clahe is true", folder)
            with atomic_folder(folder) as work, StoreWriter(work, header) as writer:
                for record, clip in zip(store.records, store.clips, strict=True):
                    writer.add(record, equalise(clip[None])[0])
                writer.seal()
    return ClipStore.open(folder, header)


class ReadAhead(DataLoader[Any]):
    """A data loader that completes batches ahead of time in a thread.

    Sampling, with all its random draws, stays in the caller's thread.

    Args:
        complete: Completes a batch.
        more: Arguments of `DataLoader`.
    """

    def __init__(self, *args: Any, complete: Callable[[Any], Any], **more: Any) -> None:
        super().__init__(*args, **more)
        self._complete = complete

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Yields the completed batches in order."""
        pending: deque[Future[Any]] = deque()
        pool = ThreadPoolExecutor(1, "fetch clips")
        try:
            for batch in super().__iter__():
                pending.append(pool.submit(self._complete, batch))
                if len(pending) > _AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
