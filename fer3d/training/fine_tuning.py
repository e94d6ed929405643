"""Learning rates of their own for submodules of a network, and submodules that are frozen in the first epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import isclose
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

_MAX_LISTED = 30


class Frozen:
    """Freezes submodules in the first epochs: no gradients, and batch norm in evaluation mode.

    Args:
        network: The network; its submodules are frozen from now on.
        numbers: Number of epochs by the dotted name of a submodule; the longest name that matches counts.
    """

    def __init__(self, network: nn.Module, numbers: Mapping[str, int]) -> None:
        parameters = ((_longest(name, numbers, 0), each) for name, each in network.named_parameters())
        modules = ((_longest(name, numbers, 0), each) for name, each in network.named_modules())
        self._parameters = [(number, each) for number, each in parameters if number and each.requires_grad]
        # Only those with running statistics or the like: cuDNN's LSTM has no backward pass in evaluation mode.
        self._modules = [
            (number, each)
            for number, each in modules
            if number and each.training and any(True for _ in each.buffers(recurse=False))
        ]
        for _, parameter in self._parameters:
            parameter.requires_grad_(False)
        for _, module in self._modules:
            module.training = False

    def release(self, epoch: int) -> None:
        """Unfreezes the submodules whose first trained epoch, counted from 0, begins; call it before each epoch."""
        for number, parameter in self._parameters:
            if number == epoch:
                parameter.requires_grad_(True)
        for number, module in self._modules:
            if number == epoch:
                module.training = True


@dataclass(frozen=True)
class FineTuning:
    """Learning rates of submodules and when they are frozen, by dotted names of which the longest that matches counts.

    Attributes:
        learning_rates: Factors of the learning rate; 1 for all others.
        frozen: Numbers of first epochs in which a submodule is not trained; see `Frozen`.
    """

    learning_rates: Mapping[str, float] = field(default_factory=dict)
    frozen: Mapping[str, int] = field(default_factory=dict)

    def check(self, network: nn.Module, num_epochs: int) -> None:
        """Checks the names, and that something is trained in every epoch.

        Raises:
            ValueError: A name is not that of a submodule with parameters, one is frozen for more than all epochs, or
                everything is frozen in the first epoch.
        """
        known = [name for name, module in network.named_modules() if name and any(True for _ in module.parameters())]
        for key, settings in (("learning_rates", self.learning_rates), ("frozen", self.frozen)):
            for name in settings:
                if name not in known:
                    # The outer ones first.
                    listed = sorted(known, key=lambda each: each.count("."))[:_MAX_LISTED]
                    rest = f", and {len(known) - len(listed)} within these" if len(known) > len(listed) else ""
                    raise ValueError(
                        f"{key} names {name}, which is not a submodule of the network with parameters; there are "
                        f"{', '.join(listed)}{rest}"
                    )
        for name, number in self.frozen.items():
            if number > num_epochs:
                raise ValueError(
                    f"frozen.{name} is {number} epochs, more than the {num_epochs} of trainer.max_epochs: lower it, or "
                    "raise trainer.max_epochs"
                )
        trained = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
        if all(not _longest(name, self.learning_rates, 1.0) for name in trained):
            raise ValueError("learning_rates leaves nothing to train: the factor of each submodule is 0")
        if self.frozen and all(_longest(name, self.frozen, 0) for name in trained):
            raise ValueError(
                "frozen leaves nothing to train in the first epoch: leave a submodule out of it, such as the last, "
                f"{[name for name in known if '.' not in name][-1]}"
            )

    def optimizer(self, create: Callable[[Iterable[Any]], Optimizer], network: nn.Module) -> Optimizer:
        """Creates an optimizer of a network's parameters, with a group for each factor.

        Raises:
            ValueError: There are factors, and the optimizer has no learning rate.
        """
        if not self.learning_rates:
            return create(network.parameters())
        groups: dict[float, list[nn.Parameter]] = {}
        for name, parameter in network.named_parameters():
            groups.setdefault(_longest(name, self.learning_rates, 1.0), []).append(parameter)
        optimizer = create([{"params": parameters} for parameters in groups.values()])
        for factor, group in zip(groups, optimizer.param_groups, strict=True):
            if "lr" not in group:
                raise ValueError(f"learning_rates is set, but {type(optimizer).__name__} has no learning rate `lr`")
            group["lr"] = factor * group["lr"]
        return optimizer

    def scheduler(
        self, create: Callable[[Optimizer, int], LRScheduler], optimizer: Optimizer, num_steps: int
    ) -> LRScheduler:
        """Creates the learning rate scheduler of an optimizer, which keeps the factors.

        Raises:
            ValueError: There are factors, and the scheduler sets rates without regard to them.
        """
        if not self.learning_rates:
            return create(optimizer, num_steps)
        before = [float(group["lr"]) for group in optimizer.param_groups]
        scheduler = create(optimizer, num_steps)
        after = [float(group["lr"]) for group in optimizer.param_groups]
        if not all(isclose(rate * before[0], after[0] * start) for start, rate in zip(before, after, strict=True)):
            raise ValueError(
                f"learning_rates is set, but {type(scheduler).__name__} sets the learning rates of all submodules "
                "itself: choose a scheduler that multiplies those of the optimizer, such as scheduler=cosine"
            )
        return scheduler


def _longest(name: str, settings: Mapping[str, Any], default: Any) -> Any:
    """The setting of the innermost submodule that is or holds what a dotted name names."""
    matching = [each for each in settings if f"{name}.".startswith(f"{each}.")]
    return settings[max(matching, key=len)] if matching else default
