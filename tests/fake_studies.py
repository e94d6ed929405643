"""Studies as a search leaves them, with chosen trials; nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from fer3d.clips.independence import Independence
from fer3d.evaluation.protocols import EpochProtocol
from fer3d.search.cross_validation import FOLDS, ORDER, RUN
from fer3d.search.outcomes import SEARCH_PROTOCOLS, FoldOutcome, attainable_accuracy
from fer3d.search.records import State, StudyRecord
from fer3d.search.search import ERROR
from fer3d.search.session import SETTINGS
from fer3d.search.storage import open_storage, storage_url

# `conf/search/table1.yaml`, the paper's Table 1.
SPACE: dict[str, tuple[str, BaseDistribution]] = {
    "optimizer": ("choice(adam, lookahead)", CategoricalDistribution(["adam", "lookahead"])),
    "clips.clahe": ("choice(true, false)", CategoricalDistribution([True, False])),
    "clips.normalise": ("choice(true, false)", CategoricalDistribution([True, False])),
    "model/activation": (
        "choice(relu, elu, prelu, leaky_relu, mish)",
        CategoricalDistribution(["relu", "elu", "prelu", "leaky_relu", "mish"]),
    ),
    "class_weights": ("choice(true, false)", CategoricalDistribution([True, False])),
    "model.temporal_kernel": ("choice(1, 3, 5, 7, 9)", CategoricalDistribution([1, 3, 5, 7, 9])),
    "model/initializer": (
        "choice(xavier_uniform, xavier_normal, none)",
        CategoricalDistribution(["xavier_uniform", "xavier_normal", "none"]),
    ),
    "model/pooling": ("choice(average, max)", CategoricalDistribution(["average", "max"])),
    "model.second_conv": ("choice(true, false)", CategoricalDistribution([True, False])),
    "model.dropout": ("interval(0, 1)", FloatDistribution(0, 1)),
}
SIZES = (3, 3, 2, 4, 3, 1, 3, 4, 2, 3)
BEGAN = datetime(2026, 11, 23, 8)
_STATES: dict[State, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "running": TrialState.RUNNING,
}


_RULES = {"cv=loso": ("leave_one_subject_out", "loso"), "cv=given": ("given_folds", "given")}


@dataclass(frozen=True)
class FakeTrial:
    """A trial that nobody ran.

    Attributes:
        state: How it ended.
        wrong: Number of wrong clips of each fold that it ran, from fold 1 on: after each epoch, or one number for the
            last of three epochs, which is the best one.
        params: Its settings.
        error: Why it failed.
        seconds: How long each of its folds took.
        space: What its settings were drawn from, where that is not `SPACE`.
    """

    state: State
    wrong: Sequence[int | Sequence[int]] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    seconds: float = 60.0
    space: Mapping[str, tuple[str, BaseDistribution]] = field(default_factory=lambda: SPACE)


def write_study(outputs: Path, trials: Sequence[FakeTrial], *, name: str = "fake", **settings: Any) -> Path:
    """Writes a study's database and returns the study's folder: `outputs/search/<name>`; see `make_study`."""
    folder = outputs / "search" / name
    storage = open_storage(storage_url(folder, None))
    make_study(trials, name=name, storage=storage, **settings)
    storage.engine.dispose()
    return folder


def fake_record(trials: Sequence[FakeTrial], **settings: Any) -> StudyRecord:
    """The record of a study in memory; see `make_study`."""
    return StudyRecord.of(make_study(trials, **settings))


def make_study(
    trials: Sequence[FakeTrial],
    *,
    name: str = "fake",
    storage: BaseStorage | None = None,
    sizes: Sequence[int] = SIZES,
    threshold: float | Literal["best"] | None = "best",
    protocol: str = "last_epoch",
    corpus: str = "synthetic",
    synthetic: bool = True,
    num_startup_trials: int = 10,
    independence: Independence | None = None,
    overrides: Sequence[str] = ("cv=kfold10",),
) -> Study:
    """Makes a study of cross-validations with a fold for each of `sizes`, its number of held-out clips."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name=name, storage=storage or InMemoryStorage(), direction="maximize")
    space = {key: value for trial in trials for key, value in trial.space.items()} or SPACE
    rule = next((rule for cv, rule in _RULES.items() if cv in overrides), ("step_folds", "k_fold"))
    attributes = {
        SETTINGS: {
            "seed": 0,
            "batch_size": 16,
            "model": {"_target_": "fer3d.models.cnn3d.CNN3D"},
            "space": {key: written for key, (written, _) in space.items()},
            "pruning": _pruning(threshold),
        },
        "overrides": list(overrides),
        "protocol": protocol,
        "threshold": threshold,
        "order": "hardest_first",
        "sampler": "TPESampler",
        "num_startup_trials": num_startup_trials,
        "corpus": corpus,
        "synthetic": synthetic,
        "num_clips": sum(sizes),
        "num_folds": len(sizes),
        **dict(zip(("cv", "cv_kind"), rule, strict=True)),
        **(independence.entries if independence else {}),
    }
    for key, value in attributes.items():
        study.set_user_attr(key, value)
    for number, trial in enumerate(trials):
        study.add_trial(_frozen(trial, number, sizes, name, SEARCH_PROTOCOLS[protocol]))
    return study


def searched(
    num_trials: int, *, sizes: Sequence[int] = SIZES, threshold: float = 0.8, seed: int = 0
) -> list[FakeTrial]:
    """A search over Table 1 that comes to prefer what is good, as far as its trials: some fail, and one is running."""
    rng = np.random.default_rng(seed)
    difficulty = np.sort(rng.gamma(0.5, 2, len(sizes)))[::-1]
    trials = []
    for number in range(num_trials):
        learnt = min(0.9, number / num_trials)
        params = {key: _drawn(key, distribution, learnt, rng) for key, (_, distribution) in SPACE.items()}
        badness = 0.25 * (params["clips.clahe"] is False) + 0.2 * abs(params["model.dropout"] - 0.3)
        badness += 0.1 * (params["model/initializer"] == "none") + 0.05 * (params["model.temporal_kernel"] != 3)
        shares = np.clip((0.15 + badness) * difficulty * rng.uniform(0.5, 1.5), 0, 1)
        wrong = rng.binomial(sizes, shares).tolist()
        bound = 1 - np.cumsum(wrong) / sum(sizes)
        lost = int((bound < threshold).argmax()) + 1 if (bound < threshold).any() else len(sizes)
        state: State = "pruned" if lost < len(sizes) else "complete"
        error = None
        if number == num_trials - 1:
            state, lost = "running", 2
        elif number % 23 == 11:
            state, lost, error = "failed", 1, "DivergedError: the loss of fold 2 is not finite after epoch 3"
        trials.append(FakeTrial(state, wrong[:lost], params, error, seconds=float(rng.uniform(40, 80))))
    return trials


def _frozen(trial: FakeTrial, number: int, sizes: Sequence[int], name: str, protocol: EpochProtocol) -> FrozenTrial:
    outcomes = [
        FoldOutcome(fold, size, tuple(size - one for one in _epochs(wrong, size)), seconds=trial.seconds)
        for fold, (size, wrong) in enumerate(zip(sizes, trial.wrong, strict=False), start=1)
    ]
    attributes: dict[str, Any] = {ORDER: list(range(1, len(sizes) + 1))}
    if outcomes:
        attributes |= {
            FOLDS: {str(outcome.fold): outcome.as_json() for outcome in outcomes},
            RUN: f"{name}-{number:08x}",
        }
    if trial.error is not None:
        attributes[ERROR] = trial.error
    began = BEGAN + timedelta(seconds=600 * number)
    ended = began + timedelta(seconds=trial.seconds * max(len(outcomes), 1))
    return FrozenTrial(
        number=number,
        trial_id=-1,
        state=_STATES[trial.state],
        value=attainable_accuracy(outcomes, sum(sizes), protocol) if trial.state == "complete" else None,
        datetime_start=began,
        datetime_complete=None if trial.state == "running" else ended,
        params=dict(trial.params),
        distributions={key: trial.space[key][1] for key in trial.params},
        user_attrs=attributes,
        system_attrs={},
        intermediate_values={},
    )


def _epochs(wrong: int | Sequence[int], size: int) -> Sequence[int]:
    return [min(wrong + 1, size), min(wrong + 2, size), wrong] if isinstance(wrong, int) else wrong


def _drawn(key: str, distribution: BaseDistribution, learnt: float, rng: np.random.Generator) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        favourite = {"model.temporal_kernel": 1}.get(key, 0)
        place = favourite if rng.random() < learnt else rng.integers(len(distribution.choices))
        return distribution.choices[int(place)]
    return float(np.clip(rng.normal(0.3, 0.1), 0, 1) if rng.random() < learnt else rng.uniform())


def _pruning(threshold: float | Literal["best"] | None) -> dict[str, Any]:
    if threshold is None:
        return {"_target_": "fer3d.search.pruning.NoPruning"}
    return {"_target_": "fer3d.search.pruning.ExactBound", "threshold": threshold}
