from __future__ import annotations

import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from scipy.special import softmax
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fer3d.clips.augment import Augmentation, RandomLinearContrast
from fer3d.clips.data import FoldData
from fer3d.clips.folds import Fold
from fer3d.clips.preprocess import to_unit_range
from fer3d.evaluation.measures import measure
from fer3d.evaluation.protocols import LAST_EPOCH, HeldOutPredictions
from fer3d.training.fold import TrainedFold, Training, train_fold
from fer3d.training.module import DivergedError, balanced_class_weights
from fer3d.training.schedules import constant, cosine
from fer3d.training.seeding import FoldSeeds

EMOTIONS = ("anger", "fear", "happy")
CLIPS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (10, 1, 4, 6, 6), dtype=np.uint8))
LABELS = torch.tensor([0, 1, 0, 0, 2, 0, 1, 0, 0, 2])
FOLD = Fold(1, train=(0, 2, 4, 5, 6, 9), held_out=(1, 3, 7, 8))


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(4 * 6 * 6, len(EMOTIONS)))


@pytest.fixture
def fit(tmp_path: Path) -> Callable[..., TrainedFold]:
    """Trains a network on ten random clips."""

    def run(
        network: Callable[[], nn.Module] = linear,
        *,
        lr: float = 0.1,
        max_epochs: int = 3,
        batch_size: int = 3,
        class_weights: bool = False,
        class_sampler: bool = False,
        augmentation: Augmentation | None = None,
        scheduler: Callable[[Optimizer, int], LRScheduler] = constant,
    ) -> TrainedFold:
        training = Training(
            network=network,
            optimizer=partial(torch.optim.SGD, lr=lr),
            scheduler=scheduler,
            augmentation=augmentation or Augmentation(),
            trainer=partial(pl.Trainer, accelerator="cpu", devices=1, max_epochs=max_epochs),
            batch_size=batch_size,
            normalise=False,
            class_weights=class_weights,
            class_sampler=class_sampler,
            precision="32-true",
            compile=False,
            may_fall_back=False,
            cuda_graphs=True,
        )
        return train_fold(
            training,
            clips=CLIPS,
            labels=LABELS,
            emotions=EMOTIONS,
            fold=FOLD,
            seeds=FoldSeeds.derive(0, 1),
            loggers=[CSVLogger(tmp_path, name="", version="")],
            folder=tmp_path,
            progress=False,
        )

    return run


def held_out_logits(network: nn.Module) -> np.ndarray:
    with torch.no_grad():
        return network.eval()(to_unit_range(CLIPS[list(FOLD.held_out)])).numpy()


def curves(folder: Path) -> list[dict[str, float]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def test_keeps_held_out_logits_of_every_epoch(fit: Callable[..., TrainedFold]) -> None:
    trained = fit()
    assert trained.logits.shape == (3, 4, 3)
    assert trained.logits.dtype == np.float32
    # Training changes them from epoch to epoch, and the last ones are the network's that remains.
    assert not np.allclose(trained.logits[0], trained.logits[1])
    np.testing.assert_allclose(trained.logits[-1], held_out_logits(trained.network), rtol=1e-5, atol=1e-6)


def test_held_out_clips_keep_their_order_and_see_no_dropout(fit: Callable[..., TrainedFold]) -> None:
    trained = fit(lambda: nn.Sequential(linear(), nn.Dropout(0.5)), lr=0.0, batch_size=3)
    for logits in trained.logits:
        np.testing.assert_allclose(logits, held_out_logits(trained.network), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("scheduler", "last", "middle"), [(constant, 1.0, 1.0), (cosine, 0.0, 0.5)])
def test_the_learning_rate_follows_its_schedule_step_by_step(
    scheduler: Callable[[Optimizer, int], LRScheduler], last: float, middle: float, fit: Callable[..., TrainedFold]
) -> None:
    rates: list[float] = []

    def watched(optimizer: Optimizer, num_steps: int) -> LRScheduler:
        assert num_steps == 8  # 4 epochs of 2 batches
        optimizer.register_step_pre_hook(lambda *_: rates.append(optimizer.param_groups[0]["lr"]))
        made.append(scheduler(optimizer, num_steps))
        return made[0]

    made: list[LRScheduler] = []
    fit(scheduler=watched, lr=0.2, max_epochs=4)
    assert len(rates) == 8
    assert (rates[0], rates[4]) == pytest.approx((0.2, 0.2 * middle))
    assert made[0].get_last_lr() == pytest.approx([0.2 * last])


def test_the_curves_have_a_row_an_epoch(fit: Callable[..., TrainedFold], tmp_path: Path) -> None:
    trained = fit()
    rows = curves(tmp_path)
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    truth = LABELS[list(FOLD.held_out)]
    for row, logits in zip(rows, torch.from_numpy(trained.logits), strict=True):
        assert row["held_out/accuracy"] == pytest.approx(float((logits.argmax(1) == truth).float().mean()))
        # The last batch is smaller than the others.
        assert row["held_out/loss"] == pytest.approx(float(F.cross_entropy(logits, truth)))
    assert rows[-1]["train/loss"] < rows[0]["train/loss"]
    assert {"train/accuracy", "train/uar", "held_out/uar"} < set(rows[0])


class Says(nn.Module):
    """It knows each clip by its brightness, and says of it what it is told to."""

    def __init__(self, predicted: list[int]) -> None:
        super().__init__()
        self.predicted, self.brightness = torch.tensor(predicted), to_unit_range(CLIPS).mean((1, 2, 3, 4))
        self.sure = nn.Parameter(torch.tensor(5.0))

    def forward(self, clips: Tensor) -> Tensor:
        which = (clips.mean((1, 2, 3, 4))[:, None] - self.brightness).abs().argmin(1)
        return self.sure * F.one_hot(self.predicted[which], len(EMOTIONS))


def test_the_curves_recall_is_the_evaluations(fit: Callable[..., TrainedFold], tmp_path: Path) -> None:
    """No held-out clip is happy, and two are taken for it."""
    trained = fit(lambda: Says([0, 1, 1, 0, 2, 0, 1, 2, 2, 0]), lr=0.0, max_epochs=1)
    (row,) = curves(tmp_path)
    said = HeldOutPredictions(
        protocol=LAST_EPOCH,
        epochs={1: 1},
        clip_ids=tuple(map(str, FOLD.held_out)),
        subjects=tuple(map(str, FOLD.held_out)),
        folds=np.ones(len(FOLD.held_out), dtype=np.int64),
        labels=LABELS[list(FOLD.held_out)].numpy(),
        probabilities=softmax(trained.logits[-1].astype(np.float64), axis=-1),
    )
    measures = measure(said, len(EMOTIONS))
    assert row["held_out/uar"] == pytest.approx(measures.uar) == pytest.approx((1 / 3 + 1) / 2)
    assert row["held_out/accuracy"] == pytest.approx(measures.pooled.accuracy)
    assert row["train/uar"] == pytest.approx((2 / 3 + 1 + 1 / 2) / 3)


def test_class_weights_enter_the_training_loss_only(fit: Callable[..., TrainedFold], tmp_path: Path) -> None:
    # Nothing learns, so that both losses are those of the network that remains.
    trained = fit(lr=0.0, max_epochs=1, batch_size=6, class_weights=True)
    train, held_out = list(FOLD.train), list(FOLD.held_out)
    with torch.no_grad():
        logits = trained.network(to_unit_range(CLIPS))
    weights = balanced_class_weights(torch.bincount(LABELS[train]))
    weighted = F.cross_entropy(logits[train], LABELS[train], weight=weights)
    assert not torch.isclose(weighted, F.cross_entropy(logits[train], LABELS[train]))
    (row,) = curves(tmp_path)
    assert row["train/loss"] == pytest.approx(float(weighted))
    assert row["held_out/loss"] == pytest.approx(float(F.cross_entropy(logits[held_out], LABELS[held_out])))


def test_class_weights_count_augmented_copies(fit: Callable[..., TrainedFold], tmp_path: Path) -> None:
    """Copies that make the classes equal leave nothing to weigh: the loss is the mean over the 18 rows."""
    # Of 3, 1 and 2 clips; a contrast of 1 changes nothing.
    copies = {"contrast": {"anger": 1, "fear": 5, "happy": 2}}
    augmentation = Augmentation({"contrast": RandomLinearContrast((1.0, 1.0))}, copies)
    trained = fit(lr=0.0, max_epochs=1, batch_size=18, class_weights=True, augmentation=augmentation)
    rows = trained.data.plan.clip
    with torch.no_grad():
        logits = trained.network(to_unit_range(CLIPS[rows]))
    assert len(rows) == 18
    assert curves(tmp_path)[0]["train/loss"] == pytest.approx(float(F.cross_entropy(logits, LABELS[rows])), rel=1e-4)


def test_the_class_sampler_decides_what_is_trained_on(fit: Callable[..., TrainedFold], tmp_path: Path) -> None:
    trained = fit(lr=0.0, max_epochs=1, batch_size=6, class_sampler=True)
    seeds = FoldSeeds.derive(0, 1)
    again = FoldData(
        clips=CLIPS,
        labels=LABELS,
        emotions=EMOTIONS,
        fold=FOLD,
        augmentation=Augmentation(),
        batch_size=6,
        normalise=False,
        shuffle_seed=seeds.shuffle,
        augment_seed=seeds.augment,
        class_sampler=True,
    )
    (drawn,) = again.train_dataloader()
    clips = again.plan.clip[drawn.numbers]
    assert sorted(clips.tolist()) != sorted(FOLD.train)
    with torch.no_grad():
        loss = F.cross_entropy(trained.network(to_unit_range(CLIPS[clips])), LABELS[clips])
    assert curves(tmp_path)[0]["train/loss"] == pytest.approx(float(loss), rel=1e-4)


def test_balanced_class_weights_are_the_usual_ones() -> None:
    labels = [0] * 5 + [1] * 2 + [2] * 13
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    weights = balanced_class_weights(torch.bincount(torch.tensor(labels)))
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-6)


def test_an_absent_class_gets_no_weight_and_takes_none() -> None:
    weights = balanced_class_weights(torch.tensor([2, 0, 6]))
    assert weights.tolist() == pytest.approx([2.0, 0.0, 2 / 3])


class BreaksLater(nn.Module):
    """Says NaN from its `after`-th training batch on."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.network, self.left = linear(), after

    def forward(self, clips: Tensor) -> Tensor:
        self.left -= self.training
        return self.network(clips) * (float("nan") if self.left < 0 else 1.0)


@pytest.mark.parametrize(("num_good_batches", "epoch"), [(0, 1), (2, 2), (5, 3)])
def test_a_loss_that_is_not_finite_stops_the_fold_in_that_epoch(
    num_good_batches: int, epoch: int, fit: Callable[..., TrainedFold]
) -> None:
    with pytest.raises(DivergedError, match=rf"loss became nan in epoch {epoch}.* lower learning_rate .*may help"):
        fit(partial(BreaksLater, num_good_batches))  # two batches an epoch


def test_the_very_last_step_may_not_break_the_network_unseen(fit: Callable[..., TrainedFold]) -> None:
    """Its loss is finite, being the first; only the held-out logits show what the step did."""
    with pytest.raises(DivergedError, match=r"held-out logits are no longer finite in epoch 1.* lower learning_rate"):
        fit(lr=1e38, max_epochs=1, batch_size=6)


def test_training_for_no_epoch_is_refused(fit: Callable[..., TrainedFold]) -> None:
    with pytest.raises(ValueError, match=r"trainer.max_epochs must be at least 1"):
        fit(max_epochs=0)


def test_clips_stay_as_they_were(fit: Callable[..., TrainedFold]) -> None:
    """All folds of a run share them."""
    before = CLIPS.clone()
    fit(max_epochs=1)
    assert torch.equal(CLIPS, before)
