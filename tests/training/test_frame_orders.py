"""Orders of frames in runs: their names, what they learn, and that their checkpoints predict in the same order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from fixture_types import Compose, MakeStore
from numpy.typing import NDArray
from prepared import TINY
from scipy.special import softmax
from torch import Tensor, nn

from fer3d.clips.preprocess import to_unit_range
from fer3d.clips.store import ClipStore
from fer3d.configuration import config_folder
from fer3d.explanation.sources import TrainedNetwork
from fer3d.settings import FrameOrderName, SettingsError, checked
from fer3d.training.identity import counted_settings
from fer3d.training.results import FoldResult
from fer3d.training.run import Run

ORDERS = get_args(FrameOrderName)
SAMPLINGS = [["frames=last"], ["frames=segments", "frames.stored=10", "frames.views=2", "clips.num_frames=6"]]
FRAMES = sorted(path.stem for path in Path(config_folder(), "frames").glob("*.yaml") if path.stem != "order")


class FrameMean(nn.Module):
    """Looks at each frame alone, and averages."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.look = nn.Conv3d(1, 8, (1, 5, 5), (1, 2, 2))
        self.classifier = nn.Linear(8, num_classes)

    def forward(self, clips: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.look(clips).relu().amax((3, 4)).mean(2))
        return logits


class Motion(FrameMean):
    """Looks at three frames at once."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.look = nn.Conv3d(1, 8, (3, 5, 5), (1, 2, 2))


@pytest.fixture
def store(make_store: MakeStore) -> ClipStore:
    return make_store()


@pytest.mark.parametrize("frames", FRAMES)
def test_every_choice_of_frames_takes_an_order_without_a_plus(frames: str, compose_config: Compose) -> None:
    assert compose_config(f"frames={frames}").frames.order == "as_filmed"
    assert checked(compose_config(f"frames={frames}", "frames.order=shuffled")).frames.order == "shuffled"


def test_an_order_that_does_not_exist_is_refused_before_anything_starts(compose_config: Compose) -> None:
    for for_training in (True, False):
        with pytest.raises(SettingsError, match=r"frames\.order must be one of as_filmed, .*, got \"sorted\""):
            checked(compose_config("frames.order=sorted"), for_training=for_training)
    with pytest.raises(SettingsError, match=r"frames\.odrer is not a setting; did you mean frames\.order"):
        checked(compose_config("+frames.odrer=reversed"))


def test_a_run_as_filmed_has_the_digest_that_it_had_before_there_were_orders(
    compose_tiny: Compose, store: ClipStore
) -> None:
    for frames in ("last", "segments"):
        run, before = (Run.of(compose_tiny(f"frames={frames}", *more), store) for more in ((), ("~frames.order",)))
        assert run.digest == before.digest
        found = {Run.of(compose_tiny(f"frames={frames}", f"frames.order={order}"), store).digest for order in ORDERS}
        assert run.digest in found
        assert len(found) == len(ORDERS)
    last = counted_settings(
        {**compose_tiny("frames=last")}, precision="32-true", compiled=False, clip_store="c", start_from=None
    )
    assert {"frames", "num_frames"}.isdisjoint(last)


@pytest.fixture
def train(compose_config: Compose, store: ClipStore) -> Callable[..., tuple[Run, FoldResult]]:
    """Trains a small network of one's own on a fold, without augmentation."""
    small = [setting for setting in TINY if not setting.startswith("model.")]
    small += ["augment=none", "cv.num_folds=2", "optimizer.lr=0.01"]

    def train(kind: type[nn.Module], order: str, *settings: str) -> tuple[Run, FoldResult]:
        own = ["model=own", f"model._target_={__name__}.{kind.__name__}", f"frames.order={order}"]
        run = Run.of(compose_config(*small, *own, *settings), store)
        return run, run.fold_result(1)

    return train


def test_the_order_matters_to_a_network_that_looks_at_time_and_only_to_one(
    train: Callable[..., tuple[Run, FoldResult]],
) -> None:
    def logits(kind: type[nn.Module], order: str) -> NDArray[np.float32]:
        _, result = train(kind, order)
        assert len(result.logits) == 2
        return result.logits

    filmed, motion = logits(FrameMean, "as_filmed"), logits(Motion, "as_filmed")
    assert np.ptp(filmed, axis=1).max() > 0.01
    for order in ("reversed", "shuffled"):
        np.testing.assert_allclose(logits(FrameMean, order), filmed, atol=1e-4)
        assert np.abs(logits(Motion, order) - motion).max() > 0.01
    # It sees less.
    assert np.abs(logits(FrameMean, "apex_repeated") - filmed).max() > 0.01


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("order", ORDERS)
def test_a_checkpoint_gives_a_clip_the_order_of_training(
    order: str, sampling: list[str], train: Callable[..., tuple[Run, FoldResult]], store: ClipStore
) -> None:
    run, result = train(Motion, order, "save_checkpoint=true", *sampling)
    read = TrainedNetwork.read(run.folder / "fold_001" / "last.ckpt", [__name__])
    assert len(read.kept) == (
        len(read.trained.views) if order == "apex_repeated" else len(set(sum(read.trained.views, ())))
    )
    for clip_id, logits in zip(result.clip_ids, result.logits[-1], strict=True):
        clip = read.stored_clip(store, clip_id)
        with torch.no_grad():
            found = read.network_for(clip)(to_unit_range(read.given(clip))[None])[0]
        np.testing.assert_allclose(found, softmax(logits), atol=1e-4)
