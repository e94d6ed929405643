from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fer3d.models.cnn3d import CNN3d
from fer3d.models.convolutions import GreyConv3d
from fer3d.models.network import Task, check_bf16_convolutions, check_network, forward_flop, use_channels_last
from fer3d.settings import check_arguments

TASK = Task(num_classes=3, num_frames=4, size=6, num_channels=1)


class Plain(nn.Module):
    """Asks for nothing but the number of classes."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(1, num_classes)

    def forward(self, clips: Tensor) -> Tensor:
        logits: Tensor = self.classifier(clips.mean((1, 2, 3, 4)).unsqueeze(1))
        return logits


class PerChannel(nn.Module):
    """Asks for the channels, too, and has a setting of its own."""

    def __init__(self, *, num_classes: int, num_channels: int, width: int = 5) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(num_channels, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, num_classes)
        )

    def forward(self, clips: Tensor) -> Tensor:
        logits: Tensor = self.layers(clips.mean((2, 3, 4)))
        return logits


def flat(num_classes: int, size: int, num_frames: int, num_channels: int) -> nn.Module:
    """A function that returns a network."""
    return nn.Sequential(nn.Flatten(), nn.Linear(num_channels * num_frames * size * size, num_classes))


def anything(**arguments: int) -> nn.Module:
    assert set(arguments) == {field.name for field in fields(Task)}
    return Plain(arguments["num_classes"])


class Says(nn.Module):
    """A network that returns whatever it is told to, made of logits that are right."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.network, self.make = Plain(TASK.num_classes), make

    def forward(self, clips: Tensor) -> Any:
        return self.make(self.network(clips))


def check(network: nn.Module, **changes: Any) -> None:
    check_network(network, **{"task": TASK, "batch_size": 4, "normalise": False, **changes})


@pytest.mark.parametrize("target", [Plain, PerChannel, flat, anything])
@pytest.mark.parametrize("num_channels", [1, 3])
def test_a_network_gets_what_it_asks_for_and_passes(target: Any, num_channels: int) -> None:
    task = Task(num_classes=5, num_frames=2, size=7, num_channels=num_channels)
    check(target(**task.told(target)), task=task)


def test_what_a_network_asks_for_is_what_its_signature_names() -> None:
    assert TASK.told(Plain) == {"num_classes": 3}
    assert TASK.told(PerChannel) == {"num_classes": 3, "num_channels": 1}
    assert set(TASK.told(flat)) == set(TASK.told(anything)) == {field.name for field in fields(Task)}
    # The paper's has channels of its own: three equal ones, whatever the clips have.
    assert set(TASK.told(CNN3d)) == {"num_classes", "num_frames", "size"}


def test_the_settings_know_what_a_network_is_told() -> None:
    for field in fields(Task):
        with pytest.raises(ValueError, match=rf"model\.{field.name} cannot be set"):
            check_arguments(anything, {field.name: 3}, "model")


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda logits: (logits, logits), "returns a tuple for clips of shape"),
        (lambda logits: logits[:, :2], r"returns \(1, 2\) for clips of shape \(1, 1, 4, 6, 6\).* of shape \(1, 3\)"),
        (lambda logits: logits.squeeze(), r"returns \(3,\) for clips"),
        (lambda logits: logits.sum(0, keepdim=True), r"returns \(1, 3\) for clips of shape \(2, .*of shape \(2, 3\)"),
        (lambda logits: logits.argmax(1, keepdim=True).expand(-1, 3), "returns values of type torch.int64"),
        (lambda logits: logits / 0, "returns values that are not finite"),
        (lambda logits: logits.detach(), "returns values that do not depend on its parameters .* in training"),
        (lambda logits: logits.reshape(7, 7), "rejects clips of shape .* in prediction: RuntimeError: shape"),
    ],
)
def test_what_is_no_logits_is_named(make: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"the network .* {complaint}"):
        check(Says(make))


def test_a_network_that_is_another_in_training_is_tried_in_both() -> None:
    class Auxiliary(Plain):
        def forward(self, clips: Tensor) -> Any:
            logits = super().forward(clips)
            return (logits, logits) if self.training else logits

    with pytest.raises(ValueError, match=r"returns a tuple for clips of shape .* in training"):
        check(Auxiliary(3))


def test_batch_norm_needs_two_clips_in_training() -> None:
    network = PerChannel(num_classes=3, num_channels=1)
    check(network, batch_size=2)
    with pytest.raises(ValueError, match=r"rejects clips of shape .* in training: ValueError"):
        check(network, batch_size=1)


def test_there_must_be_something_to_train() -> None:
    with pytest.raises(ValueError, match="no trainable parameter"):
        check(Plain(3).requires_grad_(False))
    with pytest.raises(ValueError, match="no trainable parameter"):
        check(nn.Flatten())


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_lazy_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="has lazy layers"):
        check(nn.Sequential(nn.Flatten(), nn.LazyLinear(3)))


@pytest.mark.parametrize(("normalise", "least"), [(False, 0), (True, -1)])
def test_the_clips_are_those_of_the_range(normalise: bool, least: float) -> None:
    seen: list[Tensor] = []
    network = Plain(3)
    network.register_forward_pre_hook(lambda _, clips: seen.append(clips[0]))
    check(network, normalise=normalise)
    values = torch.cat([clips.flatten() for clips in seen])
    assert float(values.min()) == pytest.approx(least, abs=0.05)
    assert float(values.max()) == pytest.approx(1, abs=0.05)


class WrongInBf16(nn.Conv3d):
    """Its weight gradient is twice what it should be, in bf16 only."""

    def forward(self, x: Tensor) -> Tensor:
        weight = 2 * self.weight - self.weight.detach() if torch.is_autocast_enabled("cpu") else self.weight
        return torch.as_tensor(self._conv_forward(x, weight, None))


@pytest.mark.parametrize(
    ("make", "wrong"), [(GreyConv3d, False), (WrongInBf16, True), (nn.Conv3d, None)], ids=["ours", "wrong", "pytorch"]
)
def test_a_convolution_whose_bf16_gradient_is_wrong_is_refused(make: Any, wrong: bool | None) -> None:
    task = Task(num_classes=3, num_frames=1, size=16, num_channels=1)
    network = nn.Sequential(make(1, 8, 3, padding=1, bias=False), nn.Flatten(), nn.Linear(8 * 16 * 16, 3))
    use_channels_last(network)
    if wrong is None:
        # PyTorch 2.13's own is wrong on some processors.
        clips = torch.rand(2, 1, 1, 16, 16)
        with torch.autocast("cpu", torch.bfloat16):
            found = torch.autograd.grad(network[0](clips).float().square().mean(), network[0].weight)[0]
        right = torch.autograd.grad(network[0](clips).square().mean(), network[0].weight)[0]
        wrong = not bool((found - right).norm() < 0.1 * right.norm())
    if wrong:
        with pytest.raises(ValueError, match=r"convolution 0, .* 1 frames .* kernel of 3: set precision=32-true"):
            check_bf16_convolutions(network, task)
    else:
        check_bf16_convolutions(network, task)


def test_operations_are_products_and_sums_over_the_weights() -> None:
    task = Task(num_classes=3, num_frames=2, size=4, num_channels=1)
    # 8 filters of 27 weights on 2 frames of 4x4, then 3 outputs of 256 weights.
    expected = 2 * (8 * 27 * 2 * 16 + 3 * 256)
    assert (
        forward_flop(lambda: nn.Sequential(nn.Conv3d(1, 8, 3, padding=1), nn.Flatten(), nn.Linear(256, 3)), task)
        == expected
    )
    # Another network is refused elsewhere.
    assert forward_flop(lambda: nn.Linear(7, 3), task) == 0
