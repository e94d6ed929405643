from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fixture_types import Compose, MakeStore

from fer3d.training.pace import expected_seconds, training_rate
from fer3d.training.run import Run


def test_steps_are_timed_and_nothing_is_stored(compose_tiny: Compose, make_store: MakeStore, tmp_path: Path) -> None:
    run = Run.of(compose_tiny(f"outputs={tmp_path}/outputs", "trainer.accelerator=cpu", "batch_size=2"), make_store())
    assert training_rate(run, num_steps=2) > 0
    assert not list(tmp_path.glob("outputs/*"))


def test_a_fold_may_have_fewer_steps_than_are_timed(compose_tiny: Compose, make_store: MakeStore) -> None:
    run = Run.of(compose_tiny("trainer.accelerator=cpu", "batch_size=1000"), make_store())
    assert training_rate(run) > 0


def test_the_expected_time_is_that_of_all_folds_and_epochs(
    compose_tiny: Compose, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One of the steps was held up.
    monkeypatch.setattr("fer3d.training.pace._step_seconds", lambda run, num_steps: [0.2, 0.2, 9.0])
    run = Run.of(compose_tiny("augment=none", "trainer.max_epochs=3", "batch_size=4"), make_store())
    rows = sum(len(fold.train) for fold in run.folds)
    assert expected_seconds(run) == pytest.approx(3 * rows / 4 * 0.2)


def test_timing_changes_no_number_of_the_fold_that_follows(
    compose_tiny: Compose, make_store: MakeStore, tmp_path: Path
) -> None:
    settings = ["trainer.accelerator=cpu", "batch_size=3"]
    first, second = (
        Run.of(compose_tiny(*settings, f"outputs={tmp_path / name}"), make_store()) for name in ("first", "second")
    )
    training_rate(second)
    ours, theirs = first.fold_result(1), second.fold_result(1)
    assert torch.equal(torch.from_numpy(ours.logits), torch.from_numpy(theirs.logits))
