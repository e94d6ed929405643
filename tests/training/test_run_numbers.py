"""The numbers of a run: the same twice, independent of held-out clips, and better than chance."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from fixture_types import Compose, MakeStore
from numpy.typing import NDArray
from torch.nn import functional as F

from fer3d.clips.preprocess import load_clips, to_unit_range
from fer3d.clips.store import ClipStore
from fer3d.training.run import Run

# Wide enough to learn where a bar is.
SMALL = [
    "model.filters=[[4],[8],[8],[16],[16]]",
    "model.hidden=[32,32]",
    "model.downsample=1",
    "model.dropout=0.1",
    "clips.clahe=false",
    "augment=none",
    "trainer.max_epochs=9",
    "cv.num_folds=4",
]
ADAM = ["optimizer=adam", "optimizer.lr=0.003"]
LOOKAHEAD = ["optimizer=lookahead", "optimizer.inner.lr=0.01", "model/pooling=max"]


@pytest.fixture
def store(make_store: MakeStore) -> ClipStore:
    return make_store()


def arrays(run: Run, fold: int) -> dict[str, NDArray[np.generic]]:
    with np.load(run.folder / f"fold_{fold:03d}" / "logits.npz") as content:
        return dict(content)


def assert_equal(one: dict[str, NDArray[np.generic]], other: dict[str, NDArray[np.generic]]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def weights(run: Run, fold: int) -> dict[str, torch.Tensor]:
    return torch.load(run.folder / f"fold_{fold:03d}" / "last.ckpt", weights_only=True)["state_dict"]


def test_same_numbers_twice_alone_or_after_another_fold(
    compose_tiny: Compose, store: ClipStore, tmp_path: Path
) -> None:
    one, other = (Run.of(compose_tiny(f"outputs={tmp_path / name}"), store) for name in ("one", "other"))
    assert one.folder.name == other.folder.name
    one.train([1, 2])
    torch.rand(7)  # whatever else draws in this process
    other.train(2)
    assert_equal(arrays(one, 2), arrays(other, 2))


@pytest.mark.slow
def test_seeds_and_folds_differ(compose_tiny: Compose, store: ClipStore) -> None:
    runs = [Run.of(compose_tiny(f"seed={seed}"), store) for seed in (0, 1)]
    logits = [run.train(1)[0].logits for run in runs]
    assert not np.allclose(logits[0], logits[1])
    # What is random in a fold depends on its number, not only on its clips.
    everyone = Run.of(compose_tiny("save_checkpoint=true", "optimizer.lr=0.0"), store)
    everyone.train()
    layer = "hidden.0.weight"
    assert not torch.equal(weights(everyone, 1)[layer], weights(everyone, 2)[layer])


def test_held_out_clips_influence_no_weight_and_training_clips_do(compose_tiny: Compose, make_store: MakeStore) -> None:
    # Fold 1 of 2 holds out the first and the third subject.
    stores = make_store(), make_store(negatives=["S001", "S003"]), make_store(negatives=["S002"])
    config = compose_tiny("save_checkpoint=true", "class_weights=true", "clips.clahe=true", "optimizer.lr=0.01")
    one, other, trained_otherwise = (Run.of(config, store) for store in stores)
    (seen,), (negative,) = one.train(1), other.train(1)
    assert not np.allclose(seen.logits, negative.logits)
    for name, weight in weights(one, 1).items():
        assert torch.equal(weight, weights(other, 1)[name]), name
    trained_otherwise.train(1)
    changed = weights(trained_otherwise, 1)
    assert any(not torch.equal(weight, changed[name]) for name, weight in weights(one, 1).items())


@pytest.mark.parametrize(("settings", "num_channels"), [(ADAM, 3), (LOOKAHEAD, 1)])
def test_learns_what_holds_for_subjects_it_never_saw(
    settings: list[str], num_channels: int, compose_tiny: Compose, make_store: MakeStore
) -> None:
    store = make_store(num_subjects=8, num_channels=num_channels)
    (result,) = Run.of(compose_tiny(*SMALL, *settings), store).train(1)
    assert len(result.labels) == 14
    assert result.num_correct[-1] / 14 > 0.7  # chance is 1/7


def test_bf16_trains_and_leaves_fp32_logits(compose_tiny: Compose, store: ClipStore) -> None:
    run = Run.of(compose_tiny("precision=bf16-mixed"), store)
    (result,) = run.train(1)
    assert result.logits.dtype == np.float32
    assert result.info["precision"] == "bf16-mixed"
    assert run.digest != Run.of(compose_tiny(), store).digest


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_one_step_in_fp32_agrees_with_a_float64_reference(
    compose_tiny: Compose, store: ClipStore, pooling: str
) -> None:
    """The convolutions, pools and layouts of a training step compute what the plain network does in float64."""
    config = compose_tiny("precision=32-true", "model.second_conv=true", f"model/pooling={pooling}", "model.dropout=0")
    run = Run.of(config, store)
    network = run.training().network().train()
    reference = copy.deepcopy(network).double()
    clips = to_unit_range(load_clips(store.clips[:8], clahe=False))
    labels = torch.from_numpy(store.labels[:8])
    loss, exact = F.cross_entropy(network(clips), labels), F.cross_entropy(reference(clips.double()), labels)
    loss.backward()
    exact.backward()
    torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=0)
    ours, theirs = (
        [torch.as_tensor(parameter.grad).double() for parameter in one.parameters()] for one in (network, reference)
    )
    for gradient, want in zip(ours, theirs, strict=True):
        # Some are 0 but for rounding: a bias before batch norm, a unit that no clip activates.
        torch.testing.assert_close(
            gradient, want, rtol=1e-3, atol=1e-5 * float(max(each.abs().max() for each in theirs))
        )
