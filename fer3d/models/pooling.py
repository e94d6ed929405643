"""Pooling over blocks that do not overlap, written as element-wise operations on the cells of a block.

PyTorch's own 3D pools have no deterministic backward pass on CUDA and no bf16 kernel for the average on a CPU, where
autocast therefore copies every activation to fp32 and back. Taking a block apart axis by axis has neither trouble and
gives the same numbers. In fp32 on a CPU the average is about as fast as PyTorch's, the maximum about three times slower
(`benchmarks/pooling.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import reduce
from math import prod

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
            x = reduce(self.combine, _cells(x, axis, kernel, stride))
        return self.finish(x)

    def output_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """`(T, H, W)` after the pool; a number below 1 means that the pool does not fit."""
        return tuple(map(pooled_length, shape, self.kernel, self.stride, self.padding))

    @abstractmethod
    def combine(self, first: Tensor, second: Tensor) -> Tensor:
        """Combines two cells of each block."""

    def finish(self, x: Tensor) -> Tensor:
        """Makes the result out of the combined cells."""
        return x

    def extra_repr(self) -> str:  # noqa: D102
        return f"kernel={self.kernel}, stride={self.stride}, padding={self.padding}"


class BlockAvgPool3d(BlockPool3d):
    """Average over each block; padding counts as zeros, as in `torch.nn.AvgPool3d`."""

    padding_value = 0.0

    def combine(self, first: Tensor, second: Tensor) -> Tensor:
        """Adds two cells."""
        return first + second

    def finish(self, x: Tensor) -> Tensor:
        """Divides the sums."""
        return x * (1 / prod(self.kernel))


class BlockMaxPool3d(BlockPool3d):
    """Maximum over each block; padding never wins, and one of equal maxima gets the gradient.

    That is not always the one to which `torch.nn.MaxPool3d` gives it.
    """

    padding_value = -torch.inf

    def combine(self, first: Tensor, second: Tensor) -> Tensor:
        """Takes the larger of two cells; not a number wins, as it must not get lost."""
        # The backward pass of `torch.maximum` is several times slower on a CPU.
        return torch.where((second > first) | second.isnan(), second, first)


def _cells(x: Tensor, axis: int, kernel: int, stride: int) -> tuple[Tensor, ...]:
    """Takes the blocks along one axis apart: their first cells, their second cells, and so on."""
    num_blocks = pooled_length(x.shape[axis], kernel, stride, 0)
    if kernel == stride:
        whole = x.narrow(axis, 0, num_blocks * kernel)
        # The backward pass of `unbind` is one copy; that of slices is one for each slice.
        return whole.unflatten(axis, (num_blocks, kernel)).unbind(axis + 1)  # type: ignore[no-any-return, no-untyped-call]
    return x.unfold(axis, kernel, stride).unbind(-1)
