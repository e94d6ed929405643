from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fer3d.training.schedules import constant, cosine

NUM_STEPS = 20


def learning_rates(optimizer: Optimizer, make: Callable[[Optimizer, int], LRScheduler]) -> list[float]:
    schedule = make(optimizer, NUM_STEPS)
    rates = []
    for _ in range(NUM_STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return [*rates, optimizer.param_groups[0]["lr"]]


def parameters() -> list[nn.Parameter]:
    return [nn.Parameter(torch.ones(2))]


def test_constant_keeps_the_learning_rate() -> None:
    assert set(learning_rates(SGD(parameters(), lr=0.1), constant)) == {0.1}


def test_cosine_falls_from_the_learning_rate_to_zero() -> None:
    rates = learning_rates(SGD(parameters(), lr=0.1), cosine)
    assert rates[0] == 0.1
    assert rates[NUM_STEPS // 2] == pytest.approx(0.05)
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert sorted(rates, reverse=True) == rates
