"""Comparison of two runs, paired over the folds and clips that both held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np

from fer3d.evaluation.protocols import EpochProtocol, held_out_predictions, protocols_of
from fer3d.evaluation.run_results import EvaluationError, RunResults, name_folds
from fer3d.evaluation.significance import ClipTest, FoldTests, compare_clips, compare_folds

_MAX_CLIPS_NAMED = 3


@dataclass(frozen=True)
class Comparison:
    """Two runs compared under one epoch protocol.

    Attributes:
        first: The run that is tested for being better.
        second: The reference.
        protocol: The epoch protocol of both.
        folds: Tests and effect sizes paired over folds.
        clips: Test and effect sizes paired over clips.
    """

    first: RunResults
    second: RunResults
    protocol: EpochProtocol
    folds: FoldTests
    clips: ClipTest

    @classmethod
    def of(cls, first: RunResults, second: RunResults, protocol: EpochProtocol) -> Comparison:
        """Compares two runs.

        Raises:
            EvaluationError: The runs cannot be paired, or the protocol cannot choose epochs for one of them.
        """
        check_paired(first, second)
        right, also_right = _right(first, protocol), _right(second, protocol)
        # For each fold `(num_clips, 2)`: whether first and second get a clip right.
        folds = [np.array([(right[clip_id], also_right[clip_id]) for clip_id in fold.clip_ids]) for fold in first.folds]
        accuracies, clips = np.array([fold.mean(0) for fold in folds]), np.concatenate(folds)
        return cls(
            first=first,
            second=second,
            protocol=protocol,
            folds=compare_folds(accuracies[:, 0], accuracies[:, 1], held_out_ratio((first, second))),
            clips=compare_clips(clips[:, 0], clips[:, 1]),
        )

    @property
    def caution(self) -> str:
        """The cautions of both runs as one phrase, for every heading; empty without any."""
        return ", ".join(dict.fromkeys([*self.first.cautions, *self.second.cautions]))

    @property
    def numbers(self) -> dict[str, Any]:
        """All numbers by name, and whether the epoch protocol is optimistic."""
        return {
            "optimistic": self.protocol.optimistic,
            "folds": asdict(self.folds) | {"mean_difference": self.folds.mean_difference},
            "clips": asdict(self.clips) | {"difference": self.clips.difference},
        }


def compare_runs(first: RunResults, second: RunResults) -> tuple[Comparison, ...]:
    """Compares two runs under every epoch protocol that applies to both.

    Raises:
        EvaluationError: The runs cannot be paired, or are the same one.
    """
    if first.folder.resolve() == second.folder.resolve():
        raise EvaluationError(f"{first.folder} is given twice")
    allowed = protocols_of(second)
    return tuple(Comparison.of(first, second, protocol) for protocol in protocols_of(first) if protocol in allowed)


def comparison_json(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """The numbers of two runs' comparisons in plain values for JSON, with None for NaN and infinity.

    Args:
        comparisons: Comparisons of the same two runs, as `compare_runs` makes them; at least one.
    """
    either = comparisons[0]
    return {
        "caution": either.caution,
        "first": either.first.provenance(),
        "second": either.second.provenance(),
        "protocols": {comparison.protocol.name: plain_values(comparison.numbers) for comparison in comparisons},
    }


def plain_values(value: Any) -> Any:
    """Numbers in plain values for JSON, with lists for tuples and None for NaN and infinity."""
    if isinstance(value, dict):
        return {key: plain_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(item) for item in value]
    return value if not isinstance(value, float) or isfinite(value) else None


def check_paired(first: RunResults, second: RunResults) -> None:
    """Checks that two runs held out the same clips in the same folds; their clip stores and settings may differ.

    Raises:
        EvaluationError: The runs differ in their clips or folds; the message says how.
    """
    reason = _whole_difference(first, second) or _clip_difference(first, second)
    if reason:
        raise EvaluationError(f"{first.folder} and {second.folder} cannot be compared pair by pair: {reason}")


def held_out_clips(run: RunResults) -> dict[str, tuple[int, str]]:
    """Each held-out clip's fold and emotion, by its id; runs in which they are equal can be paired."""
    return {
        clip_id: (fold.fold, run.emotions[label])
        for fold in run.folds
        for clip_id, label in zip(fold.clip_ids, fold.labels.tolist(), strict=True)
    }


def held_out_ratio(runs: Sequence[RunResults]) -> float:
    """Held-out clips per training clip in all folds of runs, as the corrected t-test takes them."""
    folds = [fold for run in runs for fold in run.folds]
    return float(sum(len(fold.labels) for fold in folds) / sum(fold.info["num_train"] for fold in folds))


def _right(run: RunResults, protocol: EpochProtocol) -> dict[str, bool]:
    """Whether each clip is right, by its id, since the order of clips in a fold may differ between runs."""
    predictions = held_out_predictions(run, protocol)
    return dict(zip(predictions.clip_ids, predictions.correct.tolist(), strict=True))


def _whole_difference(first: RunResults, second: RunResults) -> str:
    """How corpus, emotions or folds differ; empty if they match."""
    if first.corpus != second.corpus:
        return f"their corpora are {first.corpus} and {second.corpus}"
    if first.emotions != second.emotions:
        return f"their emotions are {', '.join(first.emotions)} and {', '.join(second.emotions)}"
    if first.num_folds != second.num_folds:
        kinds = (f"{run.num_folds} folds ({run.cross_validation})" for run in (first, second))
        return f"their cross-validations are {' and '.join(kinds)}"
    numbers, others = ({fold.fold for fold in run.folds} for run in (first, second))
    if numbers != others:
        lacking = [
            f"{run.folder} lacks {name_folds(sorted(there - here))}"
            for run, here, there in ((first, numbers, others), (second, others, numbers))
            if there - here
        ]
        return f"they lack different folds ({'; '.join(lacking)}). Train these folds"
    return ""


def _clip_difference(first: RunResults, second: RunResults) -> str:
    """How the held-out clips, their folds or their labels differ; empty if they match."""
    clips, others = held_out_clips(first), held_out_clips(second)
    alone = [
        f"{len(only)} by {run.folder} alone, such as {', '.join(only[:_MAX_CLIPS_NAMED])}"
        for run, only in ((first, sorted(clips.keys() - others)), (second, sorted(others.keys() - clips)))
        if only
    ]
    if alone:
        return f"they hold out different clips: {'; '.join(alone)}"
    moved = [clip_id for clip_id, (fold, _) in clips.items() if fold != others[clip_id][0]]
    if moved:
        folds = clips[moved[0]][0], others[moved[0]][0]
        return (
            f"they hold out the same clips in different folds ({len(moved)}, such as {moved[0]}: fold {folds[0]} "
            f"and fold {folds[1]})"
        )
    renamed = [clip_id for clip_id, (_, emotion) in clips.items() if emotion != others[clip_id][1]]
    if renamed:
        emotions = clips[renamed[0]][1], others[renamed[0]][1]
        return f"they label clips differently ({len(renamed)}, such as {renamed[0]}: {' and '.join(emotions)})"
    return ""
