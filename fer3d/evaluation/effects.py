"""What a change of the settings does: runs with it beside runs without, over the same folds and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer3d.evaluation.comparison import check_paired, held_out_ratio, plain_values
from fer3d.evaluation.comparison_tables import p_value
from fer3d.evaluation.protocols import LAST_EPOCH, held_out_predictions
from fer3d.evaluation.ranking_tables import points_text
from fer3d.evaluation.run_results import EvaluationError, RunResults
from fer3d.evaluation.significance import FoldTests, compare_folds, holm
from fer3d.evaluation.tables import Table, percent


@dataclass(frozen=True)
class Change:
    """One change of the settings.

    Attributes:
        label: What a table calls it.
        changed: The name of the runs with the change.
        base: The name of the runs without.
        published: What a publication says that it does; empty if it says nothing.
    """

    label: str
    changed: str
    base: str
    published: str = ""


@dataclass(frozen=True)
class Effect:
    """What a change does, under the last epoch.

    Attributes:
        change: The change.
        tests: With the change against without over folds; a fold's accuracy is the mean over seeds, since seeds share
            its clips.
        p_holm: The p-value of the corrected t-test, corrected for the number of changes.
    """

    change: Change
    tests: FoldTests
    p_holm: float


@dataclass(frozen=True)
class Effects:
    """The effects of changes that are looked at together.

    Attributes:
        title: What they are about.
        effects: An effect for each change.
        caution: The cautions of all runs as one phrase; empty without any.
    """

    title: str
    effects: tuple[Effect, ...]
    caution: str

    @classmethod
    def of(cls, title: str, changes: Sequence[Change], runs: Sequence[RunResults]) -> Effects:
        """Compares runs with and without each change.

        Args:
            title: What the changes are about.
            changes: At least one change.
            runs: The runs that the changes name, with the same seeds on both sides of a change; others are not used.

        Raises:
            EvaluationError: Runs or seeds are missing, or both sides of a change have other folds or clips.
        """
        by_name: dict[str, list[RunResults]] = {}
        for run in sorted(runs, key=lambda run: run.seed):
            by_name.setdefault(run.name, []).append(run)
        used = {name: by_name.get(name, []) for change in changes for name in (change.base, change.changed)}
        tests = [_compare(change, used[change.changed], used[change.base]) for change in changes]
        corrected = holm([each.t_corrected for each in tests]).tolist()
        found = tuple(Effect(*each) for each in zip(changes, tests, corrected, strict=True))
        cautions = (caution for group in used.values() for run in group for caution in run.cautions)
        return cls(title, found, ", ".join(dict.fromkeys(cautions)))

    def table(self) -> Table:
        """The effects in the order of the changes."""
        is_published = any(effect.change.published for effect in self.effects)
        return Table(
            title=f"{self.title}, {LAST_EPOCH.title}",
            columns=("", "accuracy", "points", "95% interval", "p (Holm)", *(["published"] if is_published else [])),
            rows=tuple(_row(effect, is_published) for effect in self.effects),
            note="Accuracy: with the change, the mean over folds. Points: percentage points gained by it. Interval and "
            "p: corrected resampled t-test over folds; p is also corrected for the number of changes, "
            f"{len(self.effects)} (Holm), and the interval is not.",
            caution=self.caution,
        )

    @property
    def numbers(self) -> Mapping[str, Any]:
        """The same in plain values for JSON."""
        return {
            "title": self.title,
            "caution": self.caution,
            "protocol": LAST_EPOCH.name,
            "effects": [
                plain_values({**asdict(effect), "mean_difference": effect.tests.mean_difference})
                for effect in self.effects
            ],
        }


def _compare(change: Change, changed: Sequence[RunResults], base: Sequence[RunResults]) -> FoldTests:
    seeds = {name: [run.seed for run in group] for name, group in ((change.changed, changed), (change.base, base))}
    if not base or not changed or seeds[change.changed] != seeds[change.base]:
        told = " and ".join(f"{name} has {f'the seeds {own}' if own else 'no run'}" for name, own in seeds.items())
        raise EvaluationError(f"{told}: both need a run with the same seeds, so train what is missing")
    for run in (*changed, *base[1:]):
        check_paired(base[0], run)
    return compare_folds(_fold_accuracies(changed), _fold_accuracies(base), held_out_ratio((*changed, *base)))


def _fold_accuracies(runs: Sequence[RunResults]) -> NDArray[np.float64]:
    """The accuracy in each fold, the mean over seeds, `(num_folds,)`."""
    predictions = [held_out_predictions(run, LAST_EPOCH) for run in runs]
    shares = np.array([[one.correct[one.folds == fold].mean() for fold in np.unique(one.folds)] for one in predictions])
    return np.asarray(shares.mean(0))


def _row(effect: Effect, is_published: bool) -> tuple[str, ...]:
    tests = effect.tests
    low, high = map(points_text, tests.interval_corrected)
    return (
        effect.change.label,
        percent(tests.mean_first),
        points_text(tests.mean_difference),
        f"{low} to {high}",
        p_value(effect.p_holm),
        *([effect.change.published or "-"] if is_published else []),
    )
