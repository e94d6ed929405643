"""Compares fer3d's pools with PyTorch's, forward and backward, on the compact network's first activations.

Usage: `python benchmarks/pooling.py`
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from fer3d.models.pooling import BlockAvgPool3d, BlockMaxPool3d, BlockPool3d

CASES = (((30, 8, 10, 56, 56), (1, 2, 2)), ((30, 16, 10, 28, 28), (2, 2, 2)))


def milliseconds(pool: Callable[[Tensor], Tensor], clips: Tensor, repeats: int = 20) -> float:
    """Median time of a forward and a backward pass."""
    gradient = torch.rand_like(pool(clips))
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        pool(clips).backward(gradient)
        times.append(time.perf_counter() - started)
    return 1000 * sorted(times)[repeats // 2]


def main() -> None:
    """Prints a table."""
    table = Table("shape", "kernel", "pool", "fer3d, ms", "PyTorch, ms", title=f"{torch.get_num_threads()} threads")
    for shape, kernel in CASES:
        clips = torch.rand(shape).requires_grad_()
        pools = ((BlockAvgPool3d, nn.AvgPool3d), (BlockMaxPool3d, nn.MaxPool3d))
        for ours, theirs in pools:
            pool = ours(kernel, kernel, (0, 0, 0))
            # The maximum would leave it to PyTorch on a CPU.
            by_cells = partial(BlockPool3d.forward, pool) if ours is BlockMaxPool3d else pool
            mine = milliseconds(by_cells, clips)
            native = milliseconds(theirs(kernel), clips)
            table.add_row(str(shape), str(kernel), theirs.__name__, f"{mine:.1f}", f"{native:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
