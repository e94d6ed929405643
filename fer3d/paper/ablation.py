"""The paper's ten choices, one at a time around c1: what each does here, beside what the paper's text says it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer3d.evaluation.comparison import check_paired, held_out_ratio, plain_values
from fer3d.evaluation.comparison_tables import p_value
from fer3d.evaluation.protocols import LAST_EPOCH, held_out_predictions
from fer3d.evaluation.run_results import EvaluationError, RunResults
from fer3d.evaluation.significance import FoldTests, compare_folds, holm
from fer3d.evaluation.tables import Table

BASE = "c1"
_RAISES, _LOWERS = "c1's raises accuracy", "lowers accuracy"


@dataclass(frozen=True)
class Variant:
    """c1 with one other choice.

    Attributes:
        choice: The choice, as in Table 1.
        value: What replaces c1's value.
        setting: The same as a setting.
        paper: What the text says of it (section 3.2); empty where it says nothing.
    """

    choice: str
    value: str
    setting: str
    paper: str = ""

    @property
    def name(self) -> str:
        """The run's name."""
        return f"{self.choice}_{self.value}".replace(" ", "_").replace(".", "")


VARIANTS = (
    *(Variant("activation", value, f"model/activation={value}") for value in ("elu", "prelu", "leaky_relu", "mish")),
    Variant("pooling", "max", "model/pooling=max"),
    *(Variant("temporal kernel", f"{k}", f"model.temporal_kernel={k}", _LOWERS) for k in (1, 7, 9)),
    Variant("temporal kernel", "5", "model.temporal_kernel=5", _RAISES),
    *(Variant("initializer", value, f"model/initializer={value}", _RAISES) for value in ("xavier_normal", "none")),
    Variant("CLAHE", "off", "clips.clahe=false", _RAISES),
    Variant("normalisation", "on", "clips.normalise=true", _LOWERS),
    Variant("optimizer", "lookahead", "optimizer=lookahead"),
    Variant("class weights", "on", "class_weights=true"),
    Variant("second convolution", "on", "model.second_conv=true", _LOWERS),
    Variant("dropout", "0", "model.dropout=0"),
    *(Variant("dropout", f"{p}", f"model.dropout={p}", _LOWERS) for p in (0.5, 0.75)),
)


@dataclass(frozen=True)
class Effect:
    """What a variant changes, under the last epoch.

    Attributes:
        variant: The variant.
        tests: The variant against c1 over folds; a fold's accuracy is the mean over seeds, since seeds share its clips.
        p_holm: The p-value of the corrected t-test, corrected for the number of variants.
    """

    variant: Variant
    tests: FoldTests
    p_holm: float


def effects(runs: Sequence[RunResults]) -> tuple[Effect, ...]:
    """Compares the variants with c1.

    Args:
        runs: The runs of c1 and of at least one variant by their names, all with the same seeds.

    Raises:
        EvaluationError: c1 or a seed is missing, or runs have other folds.
    """
    by_name: dict[str, list[RunResults]] = {}
    for run in runs:
        check_paired(runs[0], run)
        by_name.setdefault(run.name, []).append(run)
    if BASE not in by_name:
        raise EvaluationError(f"none of the runs is {BASE}, with which the others are compared")
    seeds = {name: sorted(run.seed for run in group) for name, group in by_name.items()}
    for name, own in seeds.items():
        if own != seeds[BASE]:
            raise EvaluationError(f"{name} has the seeds {own}, and {BASE} has {seeds[BASE]}: train what is missing")
    found = [variant for variant in VARIANTS if variant.name in by_name]
    base = _fold_accuracies(by_name[BASE])
    tests = [
        compare_folds(
            _fold_accuracies(by_name[variant.name]), base, held_out_ratio((*by_name[variant.name], *by_name[BASE]))
        )
        for variant in found
    ]
    corrected = holm([each.t_corrected for each in tests])
    return tuple(Effect(*each) for each in zip(found, tests, corrected.tolist(), strict=True))


def effects_table(found: Sequence[Effect], caution: str) -> Table:
    """The effects in the order of Table 1.

    Args:
        found: The effects.
        caution: The cautions of the runs.
    """
    rows = []
    for effect in found:
        low, high = (100 * bound for bound in effect.tests.interval_corrected)
        rows.append(
            (
                f"{effect.variant.choice}: {effect.variant.value}",
                f"{100 * effect.tests.mean_difference:+.1f}",
                f"{low:+.1f} to {high:+.1f}",
                p_value(effect.p_holm),
                effect.variant.paper or "-",
            )
        )
    return Table(
        title=f"One choice at a time around {BASE}, {LAST_EPOCH.title}",
        columns=("instead of c1's", "points", "95% interval", "p (Holm)", "the paper's text"),
        rows=tuple(rows),
        note="Points: mean accuracy over folds less that of c1. Interval and p: corrected resampled t-test over folds.",
        caution=caution,
    )


def effects_json(found: Sequence[Effect], caution: str) -> Mapping[str, Any]:
    """The same in plain values for JSON."""
    return {
        "caution": caution,
        "base": BASE,
        "protocol": LAST_EPOCH.name,
        "effects": [
            plain_values({**asdict(effect), "mean_difference": effect.tests.mean_difference}) for effect in found
        ],
    }


def _fold_accuracies(runs: Sequence[RunResults]) -> NDArray[np.float64]:
    """The accuracy in each fold, the mean over seeds, `(num_folds,)`."""
    said = [held_out_predictions(run, LAST_EPOCH) for run in sorted(runs, key=lambda run: run.seed)]
    shares = np.array([[each.correct[each.folds == fold].mean() for fold in np.unique(each.folds)] for each in said])
    return np.asarray(shares.mean(0))
