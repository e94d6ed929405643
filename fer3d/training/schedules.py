"""Learning rate schedules."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler


def constant(optimizer: Optimizer, num_steps: int) -> LRScheduler:
    """Keeps the learning rate constant, as the paper does."""
    return LambdaLR(optimizer, lambda step: 1.0)


def cosine(optimizer: Optimizer, num_steps: int) -> LRScheduler:
    """Cosine annealing to zero over a fold's `num_steps` steps.

    The last epoch is then about as good as the best one, which suits honest epoch protocols.
    """
    return CosineAnnealingLR(optimizer, num_steps)
