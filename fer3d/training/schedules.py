"""How the learning rate changes over a fold."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler


def constant(optimizer: Optimizer, num_steps: int) -> LRScheduler:
    """Keeps the learning rate as it is, as the paper does."""
    return LambdaLR(optimizer, lambda step: 1.0)


def cosine(optimizer: Optimizer, num_steps: int) -> LRScheduler:
    """Lowers the learning rate to zero over a fold's `num_steps` steps, along half a cosine wave.

    The last epoch then is about as good as the best one, which an honest epoch protocol needs.
    """
    return CosineAnnealingLR(optimizer, num_steps)
