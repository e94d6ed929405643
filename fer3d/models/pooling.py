"""3D pooling over non-overlapping blocks, implemented with element-wise operations.

PyTorch's 3D pools have no deterministic backward pass on CUDA, and average pooling has no bf16 kernel on the CPU, where
autocast copies every activation to fp32 and back. Reducing blocks axis by axis avoids both and gives the same numbers.
On a CPU, PyTorch's maximum is deterministic and five times as fast (`benchmarks/pooling.py`), so it runs there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import reduce
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def pooled_length(length: int, kernel: int, stride: int, padding: int) -> int:
    """Output length of one axis, as in PyTorch's pools: a remainder smaller than the kernel is dropped."""
    return (length + 2 * padding - kernel) // stride + 1


class BlockPool3d(nn.Module, ABC):
    """A 3D pool with non-overlapping windows; `(B, C, T, H, W)` in and out.

    Args:
        kernel: Window over `(T, H, W)`.
        stride: Step over `(T, H, W)`; at least the kernel on each axis.
        padding: Cells added before and after `(T, H, W)`.

    Raises:
        ValueError: A stride is smaller than its kernel.
    """

    padding_value: float

    def __init__(self, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> None:
        super().__init__()
        if any(s < k for s, k in zip(stride, kernel, strict=True)):
            raise ValueError(f"pooling windows must not overlap: kernel {tuple(kernel)}, stride {tuple(stride)}")
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
        """Output shape `(T, H, W)`; a number below 1 means that the input is too small."""
        return tuple(map(pooled_length, shape, self.kernel, self.stride, self.padding))

    @abstractmethod
    def combine(self, first: Tensor, second: Tensor) -> Tensor:
        """Combines two cells of each block."""

    def finish(self, x: Tensor) -> Tensor:
        """Computes the result from the combined cells."""
        return x

    def extra_repr(self) -> str:  # noqa: D102
        return f"kernel={self.kernel}, stride={self.stride}, padding={self.padding}"


class BlockAvgPool3d(BlockPool3d):
    """Average over each block; padding counts as zeros, as in `torch.nn.AvgPool3d`."""

    padding_value = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Pools `(B, C, T, H, W)`."""
        # Exporters and compilers see plain operations; they write their own backward pass.
        if self.kernel != self.stride or not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return super().forward(x)
        pooled: Tensor = _Average.apply(x, self)  # type: ignore[no-untyped-call]
        return pooled

    def combine(self, first: Tensor, second: Tensor) -> Tensor:
        """Adds two cells."""
        return first + second

    def finish(self, x: Tensor) -> Tensor:
        """Divides the sums."""
        return x * (1 / prod(self.kernel))


class BlockMaxPool3d(BlockPool3d):
    """Maximum over each block, ignoring padding.

    In a tie one of the maxima gets the gradient; which one may differ between CPU and GPU.
    """

    padding_value = -torch.inf

    def forward(self, x: Tensor) -> Tensor:
        """Pools `(B, C, T, H, W)`."""
        # PyTorch's pads by half of the kernel at most. Exporters and compilers see plain operations.
        can_pad = all(2 * pad <= size for pad, size in zip(self.padding, self.kernel, strict=True))
        if x.device.type == "cpu" and can_pad and not torch.compiler.is_compiling():
            return F.max_pool3d(x, self.kernel, self.stride, self.padding)
        return super().forward(x)

    def combine(self, first: Tensor, second: Tensor) -> Tensor:
        """Takes the larger of two cells; NaN propagates."""
        # The backward pass of `torch.maximum` shares the gradient of a tie.
        return torch.where((second > first) | second.isnan(), second, first)


class _Average(torch.autograd.Function):
    """Pools with a backward pass that writes each gradient once, in the memory format of the clips."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pool: BlockAvgPool3d) -> Tensor:
        ctx.pool, ctx.shape = pool, x.shape
        ctx.last = x.is_contiguous(memory_format=torch.channels_last_3d)
        return BlockPool3d.forward(pool, x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        pool, padding = ctx.pool, ctx.pool.padding
        gradient = gradients[0] * (1 / prod(pool.kernel))
        shape = [size + 2 * pad for size, pad in zip(ctx.shape[2:], padding, strict=True)]
        covered = [size * step for size, step in zip(gradient.shape[2:], pool.kernel, strict=True)]
        layout = torch.channels_last_3d if ctx.last else torch.contiguous_format
        make = torch.empty if covered == shape else torch.zeros
        spread = make((*gradient.shape[:2], *shape), dtype=gradient.dtype, device=gradient.device).to(
            memory_format=layout
        )
        blocks = spread[:, :, : covered[0], : covered[1], : covered[2]]
        for axis, kernel in reversed(list(enumerate(pool.kernel, start=2))):
            blocks = blocks.unflatten(axis, (-1, kernel))  # type: ignore[no-untyped-call]
        blocks.copy_(gradient[:, :, :, None, :, None, :, None])
        for axis, (size, pad) in enumerate(zip(ctx.shape[2:], padding, strict=True), start=2):
            spread = spread.narrow(axis, pad, size) if pad else spread
        return spread, None


def _cells(x: Tensor, axis: int, kernel: int, stride: int) -> tuple[Tensor, ...]:
    """Splits the blocks along one axis into their first cells, second cells, and so on."""
    num_blocks = pooled_length(x.shape[axis], kernel, stride, 0)
    if kernel == stride:
        # Narrowing to all of it would cost a copy in the backward pass.
        whole = x if num_blocks * kernel == x.shape[axis] else x.narrow(axis, 0, num_blocks * kernel)
        # The backward pass of `unbind` is a single copy; slices need one each.
        return whole.unflatten(axis, (num_blocks, kernel)).unbind(axis + 1)  # type: ignore[no-any-return, no-untyped-call]
    return x.unfold(axis, kernel, stride).unbind(-1)
