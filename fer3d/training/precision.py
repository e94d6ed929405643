"""Which number format the hardware is good at."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["32-true", "bf16-mixed"]


def resolve_precision(precision: str, accelerator: str = "auto") -> Precision:
    """Turns `auto` into bf16 where it is fast (GPUs with bf16, CPUs with AMX) and into fp32 elsewhere.

    Args:
        precision: `auto`, `32-true` or `bf16-mixed`.
        accelerator: Lightning's name of the device; `auto` takes a GPU if there is one.

    Raises:
        ValueError: Another precision.
    """
    if precision == "auto":
        return "bf16-mixed" if _fast_bf16(accelerator) else "32-true"
    if precision == "bf16-mixed":
        return "bf16-mixed"
    if precision == "32-true":
        return "32-true"
    raise ValueError(f"precision must be auto, 32-true or bf16-mixed, got {precision!r}")


def _fast_bf16(accelerator: str) -> bool:
    if accelerator != "cpu" and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))
