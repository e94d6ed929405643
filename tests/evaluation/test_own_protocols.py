"""Epoch protocols of a user's own: what they get to see, what they may choose, and how they are labelled."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation.runs_in_memory import make_run, right
from fake_runs import write_run

from fer3d.evaluation.own_protocols import own_protocols
from fer3d.evaluation.protocols import BEST_EPOCH, INNER_VAL, LAST_EPOCH, EpochProtocol
from fer3d.evaluation.run_results import EvaluationError
from fer3d.training.results import EpochPredictions

Folds = Mapping[int, EpochPredictions]


class Best:
    """What fer3d's `best_epoch` does."""

    name, meaning, looks_at = "mine", "The best epoch.", "held_out"

    def choose(self, folds: Folds) -> Any:
        return {fold: clips.num_correct.argmax() + 1 for fold, clips in folds.items()}


class BestInner(Best):
    looks_at = "inner_val"


class Blind(Best):
    looks_at = "nothing"

    def choose(self, folds: Folds) -> Any:
        for clips in folds.values():
            assert (clips.logits.shape[1:], clips.labels.size) == ((0, 4), 0)
            assert (clips.clip_ids, clips.subjects) == ((), ())
        return {fold: len(clips.logits) for fold, clips in folds.items()}


class Meddling(Best):
    """It changes what it was given."""

    def choose(self, folds: Folds) -> Any:
        for clips in folds.values():
            clips.labels[:] = 0
            clips.logits[:] = 1
        return dict.fromkeys(folds, 1)


class Bare:
    """No rule at all."""


class Demanding(Best):
    def __init__(self, needed: int) -> None: ...


class Taken(Best):
    name = "last_epoch"


def own(rule: type) -> EpochProtocol:
    (protocol,) = own_protocols([f"{__name__}.{rule.__name__}"])
    return protocol


RUN = make_run([right(1, 3, 2, of=4), right(0, 1, 3, of=5)], [right(2, 1, 0, of=2), right(0, 1, 0, of=2)])


def test_a_rule_gets_what_it_looks_at() -> None:
    assert own(Best).epochs(RUN) == BEST_EPOCH.epochs(RUN) == {1: 2, 2: 3}
    assert own(BestInner).epochs(RUN) == INNER_VAL.epochs(RUN) == {1: 1, 2: 2}
    assert own(Blind).epochs(RUN) == LAST_EPOCH.epochs(RUN) == {1: 3, 2: 3}


def test_only_what_looks_at_held_out_clips_is_optimistic() -> None:
    assert {rule: own(rule).optimistic for rule in (Best, BestInner, Blind)} == {
        Best: True,
        BestInner: False,
        Blind: False,
    }
    assert "optimistic" in own(Best).title
    assert "optimistic" not in own(BestInner).title + own(Blind).title


@pytest.mark.parametrize("looks_at", ["held_out", "inner_val"])
def test_a_rule_cannot_change_results(looks_at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Meddling, "looks_at", looks_at)
    run = make_run([right(1, 3, of=4)], [right(2, 1, of=3)])
    (fold,) = run.folds
    assert fold.inner_val is not None
    before = [array.copy() for clips in (fold, fold.inner_val) for array in (clips.logits, clips.labels)]
    own(Meddling).epochs(run)
    after = [array for clips in (fold, fold.inner_val) for array in (clips.logits, clips.labels)]
    assert all(map(np.array_equal, after, before))


def test_a_run_that_kept_nobody_back_is_named() -> None:
    run = replace(RUN, folds=(RUN.folds[0], replace(RUN.folds[1], inner_val=None)))
    with pytest.raises(EvaluationError, match=r"in 1 of 2 folds.*BestInner.*cv\.inner_val=0\.1"):
        own(BestInner).epochs(run)


@pytest.mark.parametrize(
    "chosen",
    [None, {}, {1: 2}, {1: 2, 2: 0}, {1: 2, 2: 4}, {1: 2, 2: 1.0}, {1: 2, 2: True}, {1: 2, 2: 2, 3: 1}, [1, 2]],
)
def test_a_choice_that_is_none_is_named(chosen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Best, "choose", lambda *_: chosen)
    with pytest.raises(EvaluationError, match=r"Best .* from 1 to 3 for each fold"):
        own(Best).epochs(RUN)


@pytest.mark.parametrize("name", ["no_such_module.Rule", "Rule", "", "json.dumps", f"{__name__}.{Demanding.__name__}"])
def test_what_names_no_class_is_an_error(name: str) -> None:
    with pytest.raises(EvaluationError, match=r"^--protocol .* class .* without arguments"):
        own_protocols([name])


def test_what_is_no_rule_is_an_error_that_names_every_fault() -> None:
    with pytest.raises(
        EvaluationError, match=r"its name is None.*its looks_at is None.*its meaning .*no method choose"
    ):
        own(Bare)
    with pytest.raises(EvaluationError, match=r"its name is 'last_epoch'"):
        own(Taken)
    with pytest.raises(EvaluationError, match="two epoch protocols have the name mine"):
        own_protocols([f"{__name__}.Best", f"{__name__}.Blind"])


def test_every_file_says_what_it_is(invoke: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    runs = [write_run(tmp_path, 0.6, num_epochs=3, seed=seed) for seed in (1, 2)]
    path = f"{__name__}.Best"
    status, out, err = invoke("evaluate", *map(str, runs), "--protocol", path)
    assert (status, err) == (0, "")
    assert "mine" in out
    for run in runs:
        told = json.loads((run / "evaluation/evaluation.json").read_text())["epoch_protocols"]
        assert (told["mine"]["own"], told["mine"]["optimistic"]) == (path, True)
        assert told["mine"]["num_correct"] == told["best_epoch"]["num_correct"]
        assert "own" not in told["best_epoch"]
        with (run / "evaluation/measures.csv").open(newline="") as file:
            (row,) = [row for row in csv.DictReader(file) if row["epoch_protocol"] == "mine"]
        assert row["optimistic"] == "true"
    (seeds,) = tmp_path.glob("*seeds*/evaluation/seeds.json")
    assert json.loads(seeds.read_text())["epoch_protocols"]["mine"]["own"] == path
