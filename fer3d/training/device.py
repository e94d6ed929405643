"""The device and number format to train with; parallel processes use one GPU each."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch

from fer3d.file_lock import try_lock

Precision = Literal["32-true", "bf16-mixed"]


def trainer_devices(accelerator: str, devices: Any) -> Any:
    """Returns `devices` for Lightning's trainer: the GPU that this process picked, if there are several.

    Args:
        accelerator: `trainer.accelerator`.
        devices: `trainer.devices`; values other than 1 are the user's choice and are kept.
    """
    num_gpus = torch.cuda.device_count() if accelerator in ("auto", "gpu", "cuda") else 0
    return [pick_gpu(num_gpus, os.getpid())] if devices == 1 and num_gpus > 1 else devices


def training_device(accelerator: str, devices: Any) -> torch.device:
    """Returns the device that Lightning's trainer will use; the CPU for anything but a CUDA GPU.

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
    """Picks a GPU that no other fer3d process on this machine uses, and holds it until the process ends.

    Local launchers do not distribute processes over GPUs; Slurm does, and each process then sees one GPU. If all GPUs
    are taken, processes are distributed by process id.

    Args:
        num_gpus: Number of visible GPUs.
        pid: This process's id; part of the cache key, so that a forked process picks anew.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    names = visible if len(visible) == num_gpus else [str(gpu) for gpu in range(num_gpus)]
    # The user's id, because a container may lack the name; per user, because others' lock files cannot be opened.
    user = os.getuid() if hasattr(os, "getuid") else ""
    for gpu, name in enumerate(names):
        lock = try_lock(Path(tempfile.gettempdir()) / f"fer3d-gpu-{user}-{name}.lock")
        if lock is not None:
            _KEPT.append(lock)
            return gpu
    return pid % num_gpus


# Keeps lock files open: garbage collection would close them and release the locks.
_KEPT: list[Any] = []


def resolve_precision(precision: str, accelerator: str = "auto") -> Precision:
    """Resolves `auto` to bf16 where it is fast (GPUs with bf16, CPUs with AMX or AVX512-BF16) and to fp32 elsewhere.

    Args:
        precision: `auto`, `32-true` or `bf16-mixed`.
        accelerator: `trainer.accelerator`; `auto` uses a GPU if there is one.

    Raises:
        ValueError: The precision is unknown.
    """
    if precision == "auto":
        return "bf16-mixed" if _fast_bf16(accelerator) else "32-true"
    if precision == "bf16-mixed":
        return "bf16-mixed"
    if precision == "32-true":
        return "32-true"
    raise ValueError(f"precision must be auto, 32-true or bf16-mixed, got {precision!r}")


# Work of a run, in PFLOP, from which compiling for a GPU costs less than it saves: two and a half minutes of the
# full network on an H200. On a CPU with AMX, compiled networks are slower (docs/performance.md).
COMPILING_PAYS = 20.0


def resolve_compile(compile: bool | Literal["auto"], pflop: float, device: torch.device) -> bool:
    """Resolves `auto`: whether a run on a GPU is so long that compiling its network pays, and a compiler is there.

    Args:
        compile: `auto`, or the user's choice.
        pflop: Floating-point operations of training all of the run's folds, in 1e15.
        device: The device that trains.
    """
    if compile != "auto":
        return compile
    return device.type == "cuda" and pflop >= COMPILING_PAYS and has_compiler()


def has_compiler() -> bool:
    """Whether there is a C++ compiler, which `torch.compile` needs."""
    return any(map(shutil.which, (os.environ.get("CXX", "g++"), "g++", "clang++")))


def _fast_bf16(accelerator: str) -> bool:
    if accelerator != "cpu" and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("amx_bf16") or abilities.get("avx512_bf16"))
