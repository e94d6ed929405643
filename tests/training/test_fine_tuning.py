"""Submodules with learning rates of their own, and submodules that are frozen at first, through the real loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from fixture_types import Compose, Invoke, MakeStore
from prepared import PreparedCKPlus
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from fer3d.clips.augment import Augmentation
from fer3d.clips.folds import Fold
from fer3d.settings import SettingsError, checked
from fer3d.training.fine_tuning import FineTuning
from fer3d.training.fold import Training, train_fold
from fer3d.training.lookahead import Lookahead
from fer3d.training.run import Run
from fer3d.training.schedules import constant, cosine
from fer3d.training.seeding import FoldSeeds

CLIPS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (10, 1, 2, 6, 6), dtype=np.uint8))
LABELS = torch.tensor([0, 1, 0, 0, 2, 0, 1, 0, 0, 2])
FOLD = Fold(1, train=(0, 2, 4, 5, 6, 9), held_out=(1, 3, 7, 8))


class Staged(nn.Module):
    """Two stages with batch norm and dropout, an LSTM and a classifier; `fixed` is never trained."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(self._stage(1, 2), self._stage(2, 4))
        self.recurrent = nn.LSTM(4, 3, batch_first=True)
        self.classifier = nn.Linear(3, 3)
        self.fixed = nn.Linear(3, 3).requires_grad_(False)

    @staticmethod
    def _stage(width_in: int, width_out: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv3d(width_in, width_out, 3, padding=1), nn.BatchNorm3d(width_out), nn.Dropout(0.1))

    def forward(self, clips: Tensor) -> Tensor:
        outputs, _ = self.recurrent(self.encoder(clips).mean((3, 4)).transpose(1, 2))
        return torch.as_tensor(self.classifier(outputs[:, -1]) + self.fixed(outputs[:, -1]))


class Watch(Callback):
    """Notes the weights and the groups' learning rates before training and after each epoch and step."""

    def __init__(self) -> None:
        self.weights: list[dict[str, Tensor]] = []
        self.rates: list[list[float]] = []

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._note(module)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._note(module)

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])

    def _note(self, module: pl.LightningModule) -> None:
        network = module.get_submodule("network")
        self.weights.append({name: tensor.clone() for name, tensor in network.state_dict().items()})

    def changes(self, within: str, epoch: int) -> set[bool]:
        """Whether the tensors within a submodule are others after an epoch, counted from 1, than before."""
        before, after = self.weights[epoch - 1 : epoch + 1]
        return {not torch.equal(before[name], after[name]) for name in before if name.startswith(f"{within}.")}


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., Watch]:
    def run(fine_tuning: FineTuning, **others: Any) -> Watch:
        watch = Watch()
        settings: dict[str, Any] = {
            "network": Staged,
            "optimizer": partial(torch.optim.Adam, lr=0.01, weight_decay=0.1),
            "scheduler": constant,
            "compile": False,
            "precision": "32-true",
        }
        training = Training(
            **{**settings, **others},
            augmentation=Augmentation(),
            trainer=partial(pl.Trainer, accelerator="cpu", devices=1, max_epochs=4),
            batch_size=3,
            normalise=False,
            class_weights=False,
            may_fall_back=False,
            cuda_graphs=False,
            callbacks=lambda: [watch],
            fine_tuning=fine_tuning,
        )
        train_fold(
            training,
            clips=CLIPS,
            labels=LABELS,
            emotions=("anger", "fear", "happy"),
            fold=FOLD,
            seeds=FoldSeeds.derive(0, 1),
            loggers=[],
            folder=tmp_path,
            progress=False,
        )
        return watch

    return run


ADAM = partial(torch.optim.Adam, lr=0.01, weight_decay=0.1)


@pytest.mark.parametrize("optimizer", [ADAM, partial(Lookahead, inner=ADAM, k=2)], ids=["adam", "lookahead"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_what_is_frozen_stays_and_changes_after(
    optimizer: Callable[..., Any], precision: str, train: Callable[..., Watch]
) -> None:
    frozen = {"encoder": 1, "encoder.1": 3, "recurrent": 2}
    watch = train(FineTuning(frozen=frozen), optimizer=optimizer, precision=precision)
    for epoch in (1, 2, 3, 4):
        # Running statistics included.
        assert watch.changes("encoder.0", epoch) == {epoch > 1}
        assert watch.changes("encoder.1", epoch) == {epoch > 3}
        assert watch.changes("recurrent", epoch) == {epoch > 2}
        assert watch.changes("classifier", epoch) == {True}
        assert watch.changes("fixed", epoch) == {False}


def test_nothing_set_trains_as_ever(train: Callable[..., Watch]) -> None:
    plain, ones = (train(tuning).weights[-1] for tuning in (FineTuning(), FineTuning({"encoder": 1.0}, {"encoder": 0})))
    assert all(torch.equal(plain[name], ones[name]) for name in plain)


@pytest.mark.parametrize("scheduler", [constant, cosine])
@pytest.mark.parametrize("optimizer", [ADAM, partial(Lookahead, inner=ADAM, k=2)], ids=["adam", "lookahead"])
def test_rates_follow_the_schedule_in_proportion(
    optimizer: Callable[..., Any], scheduler: Callable[..., Any], train: Callable[..., Watch]
) -> None:
    (plain,) = np.array(train(FineTuning(), optimizer=optimizer, scheduler=scheduler).rates).T
    factors = {"encoder": 0.1, "encoder.1": 0.5, "recurrent": 0.0}
    watch = train(FineTuning(factors), optimizer=optimizer, scheduler=scheduler)
    # Groups in the order of the network: the last is all others.
    np.testing.assert_allclose(np.array(watch.rates), plain[:, None] * [0.1, 0.5, 0.0, 1.0], atol=1e-18)
    assert watch.changes("recurrent", 1) == {False}
    assert watch.changes("encoder.0.0", 1) == {True}


def test_a_small_factor_makes_small_steps(train: Callable[..., Watch]) -> None:
    def step(factor: float) -> float:
        watch = train(FineTuning({"encoder": factor}))
        before, after = (each["encoder.0.0.weight"] for each in watch.weights[:2])
        return float((after - before).norm())

    assert step(0.01) < 0.1 * step(1.0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_a_compiled_network_sees_the_release(train: Callable[..., Watch]) -> None:
    watch = train(FineTuning(frozen={"encoder": 2}), compile=True)
    assert [watch.changes("encoder", epoch) for epoch in (1, 2, 3, 4)] == [{False}, {False}, {True}, {True}]


def test_a_scheduler_with_rates_of_its_own_is_refused(train: Callable[..., Watch]) -> None:
    own = partial(OneCycleLR, max_lr=0.1)
    with pytest.raises(ValueError, match="OneCycleLR sets the learning rates of all submodules itself"):
        train(
            FineTuning({"encoder": 0.1}), scheduler=lambda optimizer, num_steps: own(optimizer, total_steps=num_steps)
        )


@pytest.mark.parametrize(
    ("tuning", "said"),
    [
        (FineTuning({"encode": 0.1}), r"names encode, .* encoder, recurrent, classifier, fixed, encoder\.0"),
        (FineTuning(frozen={"encoder.0.2": 1}), r"frozen names encoder\.0\.2, which is not a submodule"),
        (FineTuning(frozen={"encoder": 5}), r"frozen\.encoder is 5 epochs, more than the 4 of trainer\.max_epochs"),
        (FineTuning(dict.fromkeys(("encoder", "recurrent", "classifier"), 0.0)), "leaves nothing to train"),
        (FineTuning(frozen={"encoder": 1, "recurrent": 2, "classifier": 1}), "nothing to train in the first epoch"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(tuning: FineTuning, said: str, train: Callable[..., Watch]) -> None:
    with pytest.raises(ValueError, match=said):
        train(tuning)


def test_a_run_checks_before_it_trains_and_counts_what_is_set(compose_tiny: Compose, make_store: MakeStore) -> None:
    store = make_store()
    wrong = Run.of(compose_tiny("+frozen.features.9=1"), store)
    with pytest.raises(ValueError, match=r"frozen names features\.9"):
        wrong.train(1)
    assert not wrong.folder.exists()
    unset, empty, nested, flat, other, frozen = (
        Run.of(compose_tiny(*setting), store)
        for setting in (
            [],
            ["learning_rates={}", "frozen={}"],
            ["+learning_rates.features.0=0.5"],
            ["learning_rates={features.0: 0.5}"],
            ["+learning_rates.features.0=0.6"],
            ["+frozen.features=1"],
        )
    )
    assert unset.digest == empty.digest
    assert nested.digest == flat.digest
    assert len({run.digest for run in (unset, nested, other, frozen)}) == 4
    (result,) = frozen.train(1)
    assert result.info["config"]["frozen"] == {"features": 1}


def test_cuda_graphs_and_settings_set_twice_are_refused(compose_tiny: Compose) -> None:
    with pytest.raises(SettingsError, match="cuda_graphs cannot be true with frozen"):
        checked(compose_tiny("+frozen.features=1", "cuda_graphs=true"))
    with pytest.raises(SettingsError, match=r"learning_rates\.a\.b is set twice"):
        checked(compose_tiny("learning_rates={a: {b: 1.0}, a.b: 2.0}"))
    with pytest.raises(SettingsError, match=r"frozen\.features must be a whole number of at least 0, got -1"):
        checked(compose_tiny("+frozen.features=-1"))


def test_the_description_tells_them(prepared: PreparedCKPlus, invoke: Invoke) -> None:
    settings = [*prepared.settings, f"outputs={prepared.outputs}", "+learning_rates.features=0.1", "+frozen.features=1"]
    status, out, err = invoke("train", "--describe", *settings)
    assert status == 0, err
    assert "features 0.1 times" in out
    assert "features in the first 1 epochs" in out


@pytest.mark.slow
def test_factors_can_be_searched(prepared: PreparedCKPlus, invoke: Invoke) -> None:
    settings = [*prepared.settings, f"outputs={prepared.outputs}", "hydra.sweeper.n_trials=2"]
    searched = ["+learning_rates.features=choice(0.1,0.5)", "+frozen.features=choice(0,1)"]
    status, out, err = invoke("train", "search=own", *settings, *searched)
    assert status == 0, err
    assert "best: trial" in out
    assert "learning_rates.features" in out
