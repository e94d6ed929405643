"""Pooling over blocks that do not overlap, written as reductions.

PyTorch's own 3D pools have no deterministic backward pass on CUDA and no bf16 kernel for the average on a CPU, where
autocast therefore copies every activation to fp32 and back. A pool whose windows do not overlap is a reduction over a
reshaped view, which has neither trouble and gives the same numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def pooled_length(length: int, kernel: int, stride: int, padding: int) -> int:
    """Length of one axis after a pool, as PyTorch's pools count it (a rest smaller than the kernel is dropped)."""
    return (length + 2 * padding - kernel) // stride + 1


class BlockPool3d(nn.Module, ABC):
    """A 3D pool with windows that do not overlap; `(B, C, T, H, W)` in and out.

    Args:
        kernel: Window over `(T, H, W)`.
        stride: Step over `(T, H, W)`; at least the kernel, axis by axis.
        padding: Cells added before and after `(T, H, W)`.

    Raises:
        ValueError: A stride is smaller than its kernel.
    """

    padding_value: float

    def __init__(self, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> None:
        super().__init__()
        if any(s < k for s, k in zip(stride, kernel, strict=True)):
            raise ValueError(f"pooling windows may not overlap: kernel {tuple(kernel)}, stride {tuple(stride)}")
        self.kernel, self.stride, self.padding = tuple(kernel), tuple(stride), tuple(padding)

    def forward(self, x: Tensor) -> Tensor:
        """Pools `(B, C, T, H, W)`."""
        if any(self.padding):
            t, h, w = self.padding
            x = F.pad(x, (w, w, h, h, t, t), value=self.padding_value)
        for axis, (kernel, stride) in enumerate(zip(self.kernel, self.stride, strict=True), start=2):
            x = _blocks(x, axis, kernel, stride)
        return self.reduce(x)

    def output_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """`(T, H, W)` after the pool; a number below 1 means that the pool does not fit."""
        return tuple(map(pooled_length, shape, self.kernel, self.stride, self.padding))

    @abstractmethod
    def reduce(self, blocks: Tensor) -> Tensor:
        """Reduces `(B, C, T, kT, H, kH, W, kW)` to `(B, C, T, H, W)`."""

    def extra_repr(self) -> str:  # noqa: D102
        return f"kernel={self.kernel}, stride={self.stride}, padding={self.padding}"


class BlockAvgPool3d(BlockPool3d):
    """Average over each block; padding counts as zeros, as in `torch.nn.AvgPool3d`."""

    padding_value = 0.0

    def reduce(self, blocks: Tensor) -> Tensor:
        """Averages each block."""
        return blocks.mean((3, 5, 7))


class BlockMaxPool3d(BlockPool3d):
    """Maximum over each block; padding never wins, as in `torch.nn.MaxPool3d`.

    Equal maxima share the gradient; `torch.nn.MaxPool3d` gives it all to the first of them.
    """

    padding_value = -torch.inf

    def reduce(self, blocks: Tensor) -> Tensor:
        """Takes each block's largest value."""
        return blocks.amax((3, 5, 7))


def _blocks(x: Tensor, axis: int, kernel: int, stride: int) -> Tensor:
    # Each axis before this one has become two: (length, kernel).
    axis = 2 * axis - 2
    num_blocks = pooled_length(x.shape[axis], kernel, stride, 0)
    if kernel == stride:
        whole = x.narrow(axis, 0, num_blocks * kernel)
        return whole.view(*x.shape[:axis], num_blocks, kernel, *x.shape[axis + 1 :])
    return x.unfold(axis, kernel, stride).movedim(-1, axis + 1)
