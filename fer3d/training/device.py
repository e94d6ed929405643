"""Which GPU a process trains on, where there are several: folds run side by side as processes, one GPU each."""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from fer3d.file_lock import try_lock


def trainer_devices(accelerator: str, devices: Any) -> Any:
    """What Lightning's trainer is told for `trainer.devices`: of several GPUs, the one that this process has picked.

    Args:
        accelerator: `trainer.accelerator`.
        devices: `trainer.devices`; anything but 1 is the user's own choice and stays.
    """
    num_gpus = torch.cuda.device_count() if accelerator in ("auto", "gpu", "cuda") else 0
    return [pick_gpu(num_gpus, os.getpid())] if devices == 1 and num_gpus > 1 else devices


def training_device(accelerator: str, devices: Any) -> torch.device:
    """The device that Lightning's trainer is going to use; the CPU where that is neither this nor a CUDA GPU.

    Args:
        accelerator: `trainer.accelerator`.
        devices: `trainer.devices`.
    """
    if accelerator not in ("auto", "gpu", "cuda") or not torch.cuda.is_available():
        return torch.device("cpu")
    chosen = trainer_devices(accelerator, devices)
    return torch.device("cuda", int(chosen[0]) if isinstance(chosen, list | tuple) else 0)


@lru_cache(maxsize=1)
def pick_gpu(num_gpus: int, pid: int) -> int:
    """Picks a GPU that no other fer3d process of this machine uses, and keeps it until the process ends.

    Launchers that start processes on one machine do not spread them; Slurm does, and then each sees one GPU. Where all
    are taken, processes spread by their numbers.

    Args:
        num_gpus: Number of GPUs that this process sees.
        pid: This process's number; a forked one picks anew.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    names = visible if len(visible) == num_gpus else [str(gpu) for gpu in range(num_gpus)]
    # By number, since a container may know no name; another user's file could not be opened.
    user = os.getuid() if hasattr(os, "getuid") else ""
    for gpu, name in enumerate(names):
        lock = try_lock(Path(tempfile.gettempdir()) / f"fer3d-gpu-{user}-{name}.lock")
        if lock is not None:
            _KEPT.append(lock)
            return gpu
    return pid % num_gpus


# A lock ends when its file is closed, be it by the garbage collector.
_KEPT: list[Any] = []
