"""Networks of one's own under `model`, as a user names them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import Compose, MakeStore
from omegaconf import DictConfig
from torch import Tensor, nn

from fer3d.settings import SettingsError
from fer3d.training.run import Run


class PerChannel(nn.Module):
    """Sees each clip as the mean of each of its channels."""

    def __init__(self, num_classes: int, num_channels: int, width: int = 4) -> None:
        super().__init__()
        self.hidden = nn.Linear(num_channels, width)
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, clips: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.hidden(clips.mean((2, 3, 4))).relu())
        return logits


def coarse(num_classes: int, num_frames: int) -> nn.Module:
    """A function that returns a network of PyTorch's parts."""
    return nn.Sequential(
        nn.AdaptiveAvgPool3d((num_frames, 8, 8)), nn.Flatten(), nn.Linear(num_frames * 64, num_classes)
    )


class Unasking(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()


def nothing(num_classes: int) -> dict[str, int]:
    return {"num_classes": num_classes}


@pytest.fixture
def compose_own(compose_config: Compose) -> Compose:
    def make(target: Any, **settings: Any) -> DictConfig:
        """A small run with a network of one's own."""
        config = compose_config(
            *("trainer.accelerator=cpu", "trainer.max_epochs=2", "logger=csv", "progress=false", "precision=32-true"),
            *("augment=none", "cv.num_folds=2", "optimizer.lr=0.02"),
        )
        config.model = {"_target_": f"{__name__}.{target.__name__}", **settings}
        return config

    return make


@pytest.mark.parametrize(
    ("target", "settings", "num_channels"), [(PerChannel, {"width": 3}, 1), (PerChannel, {}, 3), (coarse, {}, 1)]
)
def test_a_network_of_ones_own_is_trained(
    target: Any, settings: dict[str, int], num_channels: int, compose_own: Compose, make_store: MakeStore
) -> None:
    store = make_store(num_channels=num_channels)
    (result,) = Run.of(compose_own(target, **settings), store).train(1)
    assert result.logits.shape == (2, len(store) // 2, len(store.emotions))
    assert not np.allclose(result.logits[0], result.logits[1])


def test_what_is_no_network_fails_before_any_work(compose_own: Compose, make_store: MakeStore) -> None:
    run = Run.of(compose_own(nothing), make_store())
    with pytest.raises(
        ValueError, match=r"model\._target_ must create an instance of PyTorch's Module, .* {'num_classes': 7}"
    ):
        run.train(1)
    assert not run.folder.exists()


def test_a_network_has_to_ask_for_the_classes(compose_own: Compose, make_store: MakeStore) -> None:
    with pytest.raises(SettingsError, match=r"model\._target_ must name .* that takes num_classes"):
        Run.of(compose_own(Unasking), make_store())


@pytest.mark.slow
def test_the_check_leaves_no_trace_in_the_numbers(compose_own: Compose, make_store: MakeStore) -> None:
    store, config = make_store(num_channels=3), compose_own(PerChannel)
    (checked,) = Run.of(config, store).train(1)
    config.outputs = f"{config.outputs}-again"
    torch.rand(11)
    unchecked = Run.of(config, store).fold_result(1)
    np.testing.assert_array_equal(checked.logits, unchecked.logits)
