from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import OneCycleLR, StepLR
from torch.utils.data import DataLoader, TensorDataset

from fer3d.training.lookahead import Lookahead

Inner = Callable[[Iterable[Tensor]], Optimizer]
SGD_INNER: Inner = partial(SGD, lr=0.05, momentum=0.9)
ADAM_INNER: Inner = partial(Adam, lr=0.05)
INNERS = [pytest.param(SGD_INNER, id="sgd"), pytest.param(ADAM_INNER, id="adam")]


def make_parameters(seed: int = 0) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in ((3, 4), (5,))]


def loss_of(parameters: Iterable[Tensor], step: int) -> Tensor:
    """A function of the parameters that is not quadratic and changes from step to step."""
    return torch.stack([(torch.cos(p + 0.1 * step) + 0.3 * (p - step % 3) ** 2).sum() for p in parameters]).sum()


def take_step(optimizer: Optimizer, parameters: Iterable[Tensor], step: int) -> None:
    optimizer.zero_grad()
    loss_of(parameters, step).backward()
    optimizer.step()


def copies(parameters: Iterable[Tensor]) -> list[Tensor]:
    return [p.detach().clone() for p in parameters]


def assert_same(ours: Iterable[Tensor], theirs: Iterable[Tensor]) -> None:
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("k", [1, 2, 5, 7])
@pytest.mark.parametrize("inner", INNERS)
def test_every_step_is_that_of_the_papers_algorithm(inner: Inner, k: int, alpha: float) -> None:
    ours, fast = make_parameters(), make_parameters()
    optimizer, reference = Lookahead(ours, inner, k, alpha), inner(fast)
    slow = copies(fast)
    for step in range(1, 30):
        take_step(optimizer, ours, step)
        take_step(reference, fast, step)
        if step % k == 0:
            for s, f in zip(slow, fast, strict=True):
                s += alpha * (f.detach() - s)
                f.data = s.clone()
        for p, f in zip(ours, fast, strict=True):
            torch.testing.assert_close(p, f, atol=1e-12, rtol=1e-12)


def test_a_closure_is_called_once_with_gradients_and_gives_the_loss() -> None:
    parameters = make_parameters()
    optimizer = Lookahead(parameters, SGD_INNER, k=1)
    losses = []

    def closure() -> float:
        optimizer.zero_grad()
        loss = loss_of(parameters, 0)
        loss.backward()
        losses.append(loss.item())
        return losses[-1]

    before = copies(parameters)
    assert optimizer.step(closure) == losses[0]
    assert len(losses) == 1
    assert not torch.equal(parameters[0], before[0])


@pytest.mark.parametrize("through_a_file", [False, True])
@pytest.mark.parametrize("num_steps", [0, 4, 5, 13])
@pytest.mark.parametrize("inner", INNERS)
def test_a_clone_made_from_its_state_stays_equal(
    inner: Inner, num_steps: int, through_a_file: bool, tmp_path: Path
) -> None:
    parameters = make_parameters()
    optimizer = Lookahead(parameters, inner)
    for step in range(num_steps):
        take_step(optimizer, parameters, step)
    # A state of PyTorch's optimizers refers to their live tensors.
    state = deepcopy(optimizer.state_dict())
    if through_a_file:
        torch.save(state, tmp_path / "state.pt")
        state = torch.load(tmp_path / "state.pt", weights_only=True)
    twins = [nn.Parameter(p) for p in copies(parameters)]
    # Other settings than those of the state, which must win, as in every optimizer.
    twin = Lookahead(twins, partial(type(optimizer.inner), lr=9.0))
    twin.load_state_dict(state)
    for step in range(num_steps, num_steps + 20):
        take_step(optimizer, parameters, step)
        take_step(twin, twins, step)
        assert_same(twins, parameters)


def test_a_state_can_be_loaded_into_an_optimizer_that_has_run() -> None:
    parameters, others = make_parameters(), make_parameters(seed=1)
    optimizer, other = Lookahead(parameters, ADAM_INNER), Lookahead(others, ADAM_INNER)
    for step in range(7):
        take_step(optimizer, parameters, step)
    for step in range(3):
        take_step(other, others, step)
    for mine, theirs in zip(others, parameters, strict=True):
        mine.data.copy_(theirs)
    other.load_state_dict(deepcopy(optimizer.state_dict()))
    for step in range(12):
        take_step(optimizer, parameters, step)
        take_step(other, others, step)
        assert_same(others, parameters)


def test_the_state_of_another_optimizer_is_refused() -> None:
    parameters = make_parameters()
    with pytest.raises(ValueError, match="was not saved by Lookahead"):
        Lookahead(parameters, ADAM_INNER).load_state_dict(ADAM_INNER(parameters).state_dict())


def test_the_state_of_other_parameters_is_refused() -> None:
    state = Lookahead(make_parameters(), SGD_INNER).state_dict()
    others = [nn.Parameter(torch.zeros(3, 4)), nn.Parameter(torch.zeros(6))]
    with pytest.raises(ValueError, match="was saved for other parameters"):
        Lookahead(others, SGD_INNER).load_state_dict(state)
    with pytest.raises(ValueError, match="doesn't match the size"):
        Lookahead(others[:1], SGD_INNER).load_state_dict(state)


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        *(({"k": k}, f"k must be at least 1, got {k}") for k in (0, -5)),
        *(({"alpha": a}, f"alpha must be above 0 and at most 1, got {a}") for a in (0.0, -0.5, 1.01, float("nan"))),
    ],
)
def test_settings_are_checked(setting: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ValueError, match=rf"optimizer\.{wanted}"):
        Lookahead(make_parameters(), SGD_INNER, **setting)


@pytest.mark.parametrize("reloaded", [False, True])
def test_schedulers_reach_the_inner_optimizer(reloaded: bool) -> None:
    ours, plain = make_parameters(), make_parameters()
    # With alpha = 1 it is its inner optimizer.
    optimizer, reference = Lookahead(ours, ADAM_INNER, alpha=1.0), ADAM_INNER(plain)
    if reloaded:
        optimizer.load_state_dict(optimizer.state_dict())
    schedulers = [StepLR(each, step_size=2, gamma=0.1) for each in (optimizer, reference)]
    for step in range(6):
        take_step(optimizer, ours, step)
        take_step(reference, plain, step)
        for scheduler in schedulers:
            scheduler.step()
    assert_same(ours, plain)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05 * 1e-3)


def test_a_scheduler_that_also_turns_the_momentum_works() -> None:
    parameters = make_parameters()
    optimizer = Lookahead(parameters, SGD_INNER)
    scheduler = OneCycleLR(optimizer, max_lr=0.1, total_steps=10)
    momentum = optimizer.param_groups[0]["momentum"]
    for step in range(3):
        take_step(optimizer, parameters, step)
        scheduler.step()
    assert optimizer.param_groups[0]["momentum"] < momentum


def test_parameter_groups_keep_their_own_settings() -> None:
    ours, plain = make_parameters(), make_parameters()

    def groups(parameters: list[nn.Parameter]) -> list[dict[str, Any]]:
        return [{"params": parameters[:1], "lr": 0.5}, {"params": parameters[1:]}]

    optimizer, reference = Lookahead(groups(ours), SGD_INNER, alpha=1.0), SGD_INNER(groups(plain))  # type: ignore[arg-type]
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.05]
    for step in range(6):
        take_step(optimizer, ours, step)
        take_step(reference, plain, step)
    assert_same(ours, plain)


def test_a_group_added_later_gets_slow_weights_too() -> None:
    parameters, late = make_parameters(), nn.Parameter(torch.ones(2, dtype=torch.float64))
    optimizer = Lookahead(parameters, partial(SGD, lr=0.1), k=2, alpha=0.5)
    take_step(optimizer, parameters, 0)
    optimizer.add_param_group({"params": [late]})
    optimizer.zero_grad()
    late.sum().backward()
    optimizer.step()
    # One step of 0.1 down from 1, and half of it back.
    torch.testing.assert_close(late.detach(), torch.full((2,), 0.95, dtype=torch.float64))


class Regression(pl.LightningModule):
    """The least module that Lightning can train."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 1)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return ((self.layer(batch[0]) - batch[1]) ** 2).mean()

    def configure_optimizers(self) -> Optimizer:
        return Lookahead(self.parameters(), partial(Adam, lr=0.05), k=5)


def fit(folder: Path, num_epochs: int, resume: Path | None = None) -> Regression:
    generator = torch.Generator().manual_seed(0)
    # Seven batches an epoch, so that an epoch ends between two moves of the slow weights.
    inputs, targets = (torch.randn(14, width, generator=generator) for width in (3, 1))
    trainer = pl.Trainer(
        max_epochs=num_epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module = Regression()
    trainer.fit(module, DataLoader(TensorDataset(inputs, targets), batch_size=2), ckpt_path=resume)
    trainer.save_checkpoint(folder / f"{num_epochs}.ckpt")
    return module


@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_a_training_resumed_from_a_lightning_checkpoint_ends_the_same(tmp_path: Path) -> None:
    through = fit(tmp_path, num_epochs=2)
    half = fit(tmp_path, num_epochs=1)
    resumed = fit(tmp_path, num_epochs=2, resume=tmp_path / "1.ckpt")
    assert_same(resumed.parameters(), through.parameters())
    assert not torch.equal(half.layer.weight, through.layer.weight)
