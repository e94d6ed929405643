"""Several seeds of one configuration: the spread of each measure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fer3d.evaluation.evaluation import Evaluation, Outcome
from fer3d.evaluation.protocols import EpochProtocol
from fer3d.evaluation.run_results import EvaluationError, RunResults, name_folds
from fer3d.training.identity import counted_settings, differences

_MAX_NAMED = 4


@dataclass(frozen=True)
class Spread:
    """One measure over seeds.

    Attributes:
        values: One value for each seed, at least two; NaN for an emotion without clips, as are then all statistics.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean."""
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float:
        """The sample standard deviation (`ddof=1`)."""
        return float(np.std(self.values, ddof=1))

    @property
    def minimum(self) -> float:
        """The lowest value."""
        return float(np.min(self.values))

    @property
    def maximum(self) -> float:
        """The highest value."""
        return float(np.max(self.values))


@dataclass(frozen=True)
class SeedGroup:
    """Runs that differ only in the seed.

    Attributes:
        evaluations: Their evaluations, in ascending order of seed; at least two.
    """

    evaluations: tuple[Evaluation, ...]

    @classmethod
    def of(cls, runs: Sequence[RunResults], own: Sequence[EpochProtocol] = ()) -> SeedGroup:
        """Evaluates several seeds of one configuration.

        Args:
            runs: The seeds.
            own: Epoch protocols of the user's own.

        Raises:
            EvaluationError: There are fewer than two runs; they differ in other settings, or not in the seed; they do
                not have the same folds; or an epoch protocol cannot choose epochs.
        """
        if len(runs) < 2:
            raise EvaluationError(f"a spread over seeds needs at least two runs, got {len(runs)}")
        ordered = sorted(runs, key=lambda run: run.seed)
        for run in ordered[1:]:
            _check_one_configuration(ordered[0], run)
        for run, after in pairwise(ordered):
            if run.seed == after.seed:
                raise EvaluationError(f"{run.folder} and {after.folder} have the same seed, {run.seed}")
        for run in ordered[1:]:
            _check_same_folds(ordered[0], run)
        return cls(tuple(Evaluation.of(run, own) for run in ordered))

    @property
    def runs(self) -> tuple[RunResults, ...]:
        """The runs, in ascending order of seed."""
        return tuple(evaluation.run for evaluation in self.evaluations)

    @property
    def protocols(self) -> tuple[EpochProtocol, ...]:
        """The epoch protocols that apply to the runs."""
        return tuple(outcome.protocol for outcome in self.evaluations[0].outcomes)

    @property
    def folder(self) -> Path:
        """The folder of the group, beside that of the first seed: `outputs/<name>-seeds-<digest of all digests>`."""
        first = self.runs[0]
        digest = hashlib.sha256(" ".join(sorted(run.digest for run in self.runs)).encode()).hexdigest()
        return first.folder.resolve().parent / f"{first.name}-seeds-{digest[:8]}"

    def spreads(self, protocol: EpochProtocol) -> dict[str, Spread]:
        """The spread of each measure, by name: those of `Outcome.numbers`, and `recall_anger` and so on.

        Raises:
            EvaluationError: The runs were not evaluated under the epoch protocol.
        """
        named = [_named_values(evaluation.under(protocol)) for evaluation in self.evaluations]
        return {name: Spread(tuple(values[name] for values in named)) for name in named[0]}


def settings_without_seed(run: RunResults) -> dict[str, Any]:
    """The settings that count for the run's digest, without the seed: equal in the seeds of one configuration.

    Raises:
        EvaluationError: Another version of fer3d trained the run, and its configuration lacks a setting.
    """
    start = run.info.get("start_from")
    try:
        counted = counted_settings(
            run.config,
            precision=run.info["precision"],
            compiled=run.info["compiled"] if "compiled" in run.info else run.config["compile"],
            clip_store=run.info["clip_store"],
            start_from=start["weights"] if start else None,
        )
    except KeyError as error:
        raise EvaluationError(
            f"{run.folder} was trained by another version of fer3d, whose configuration lacks {error}. Train it again"
        ) from error
    return {key: value for key, value in counted.items() if key != "seed"}


def _named_values(outcome: Outcome) -> dict[str, float]:
    recalls = zip(outcome.emotions, outcome.measures.recall.tolist(), strict=True)
    return outcome.numbers | {f"recall_{emotion}": recall for emotion, recall in recalls}


def _check_one_configuration(first: RunResults, other: RunResults) -> None:
    found = differences(settings_without_seed(first), settings_without_seed(other))
    different = [f"{key} ({ours} and {theirs})" for key, (ours, theirs) in found.items()]
    if different:
        rest = len(different) - _MAX_NAMED
        raise EvaluationError(
            f"{first.folder} and {other.folder} are not seeds of one configuration: they differ in "
            f"{', '.join(different[:_MAX_NAMED])}{f' and {rest} more' if rest > 0 else ''}. Evaluate them one by one, "
            "or compare them with fer3d.compare"
        )


def _check_same_folds(first: RunResults, other: RunResults) -> None:
    """Partial runs may lack different folds; their measures would be those of different clips."""
    numbers = [{fold.fold for fold in run.folds} for run in (first, other)]
    if numbers[0] != numbers[1]:
        raise EvaluationError(
            f"{first.folder} and {other.folder} do not have the same folds: only one of them has "
            f"{name_folds(sorted(numbers[0] ^ numbers[1]))}. Train what is missing"
        )
