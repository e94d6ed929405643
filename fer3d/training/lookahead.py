"""Lookahead (Zhang, Lucas, Hinton, Ba: *Lookahead Optimizer: k steps forward, 1 step back*, NeurIPS 2019)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT


class Lookahead(Optimizer):
    """Wraps an optimizer: after every `k` of its steps, the slow weights move by `alpha` towards the fast ones.

    Algorithm 1 of the paper: fast weights start from the slow ones, the inner optimizer takes `k` steps, the slow
    weights become `slow + alpha * (fast - slow)`, and the fast ones restart from there. The inner optimizer's state
    (such as Adam's moments) is kept, as in the paper. The network always has the fast weights.

    Args:
        params: Parameters or parameter groups.
        inner: Creates the inner optimizer from them.
        k: Inner steps between updates of the slow weights.
        alpha: Step size of the slow weights, in (0, 1].

    Raises:
        ValueError: `k` or `alpha` is out of range.
    """

    def __init__(self, params: ParamsT, inner: Callable[[ParamsT], Optimizer], k: int = 5, alpha: float = 0.5) -> None:
        if k < 1:
            raise ValueError(f"optimizer.k must be at least 1, got {k}")
        if not 0 < alpha <= 1:
            raise ValueError(f"optimizer.alpha must be above 0 and at most 1, got {alpha}")
        self.inner = inner(params)
        self._slow: list[torch.Tensor] = []
        super().__init__(self.inner.param_groups, self.inner.defaults)
        # Share groups and state with the inner optimizer, so that schedulers and checkpoints affect both.
        self.param_groups = self.inner.param_groups
        self.state = self.inner.state
        self.k, self.alpha, self.num_steps = k, alpha, 0

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a parameter group; its slow weights start from the fast ones."""
        super().add_param_group(param_group)
        self._slow += [p.detach().clone() for p in self.param_groups[-1]["params"]]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Performs one inner step and updates the slow weights every `k` steps."""
        loss = self.inner.step(closure)
        self.num_steps += 1
        if self.num_steps % self.k == 0:
            fast = self._params()
            torch._foreach_lerp_(self._slow, fast, self.alpha)
            torch._foreach_copy_(fast, self._slow)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Returns the inner optimizer's state with the slow weights and the number of steps."""
        lookahead = {"slow": [slow.clone() for slow in self._slow], "num_steps": self.num_steps}
        return {**self.inner.state_dict(), "lookahead": lookahead}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what `state_dict` returned.

        Raises:
            ValueError: The state belongs to another optimizer or to other parameters.
        """
        if "lookahead" not in state_dict:
            raise ValueError("this state was not saved by Lookahead: it has no slow weights")
        rest = {key: value for key, value in state_dict.items() if key != "lookahead"}
        self.inner.load_state_dict(rest)
        self.param_groups, self.state = self.inner.param_groups, self.inner.state
        slow = state_dict["lookahead"]["slow"]
        if [s.shape for s in slow] != [p.shape for p in self._params()]:
            raise ValueError("this state was saved for other parameters: the slow weights have other shapes")
        for mine, theirs in zip(self._slow, slow, strict=True):
            mine.copy_(theirs)
        self.num_steps = int(state_dict["lookahead"]["num_steps"])

    def _params(self) -> list[torch.Tensor]:
        return [p for group in self.param_groups for p in group["params"]]
