"""The paper's ten choices, one at a time around c1: what each does here, beside what the paper's text says it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fer3d.evaluation.effects import Change, Effects
from fer3d.evaluation.ranking import LEVEL
from fer3d.evaluation.ranking_tables import points_text
from fer3d.evaluation.tables import Table
from fer3d.reporting.study_plots import importances
from fer3d.search.records import StudyRecord

BASE = "c1"
_LOWERS = "lowers accuracy"


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

    @property
    def change(self) -> Change:
        """What the variant's runs change in those of c1."""
        return Change(f"{self.choice}: {self.value}", self.name, BASE, self.paper)


VARIANTS = (
    *(Variant("activation", value, f"model/activation={value}") for value in ("elu", "prelu", "leaky_relu", "mish")),
    Variant("pooling", "max", "model/pooling=max"),
    *(
        Variant("temporal kernel", f"{k}", f"model.temporal_kernel={k}", "3 raises accuracy" if k == 5 else _LOWERS)
        for k in (1, 5, 7, 9)
    ),
    *(
        Variant("initializer", value, f"model/initializer={value}", "xavier_uniform raises accuracy")
        for value in ("xavier_normal", "none")
    ),
    Variant("CLAHE", "off", "clips.clahe=false", "CLAHE raises accuracy"),
    Variant("normalisation", "on", "clips.normalise=true", _LOWERS),
    Variant("optimizer", "lookahead", "optimizer=lookahead"),
    Variant("class weights", "on", "class_weights=true"),
    Variant("second convolution", "on", "model.second_conv=true", _LOWERS),
    Variant("dropout", "0", "model.dropout=0"),
    *(Variant("dropout", f"{p}", f"model.dropout={p}", _LOWERS) for p in (0.5, 0.75)),
)


@dataclass(frozen=True)
class Importances:
    """How much accuracy varies with each choice in a search, where the others vary, too.

    Attributes:
        study: The study's name.
        num_trials: Number of its complete trials.
        shares: Each searched setting's share of the variance among them (fANOVA).
        caution: The study's cautions as one phrase; empty without any.
    """

    study: str
    num_trials: int
    shares: Mapping[str, float]
    caution: str

    @classmethod
    def read(cls, study: str) -> Importances:
        """Reads a study by its folder.

        Raises:
            StudyError: It does not exist, or was not created by `fer3d.train`.
            EvaluationError: It has too few complete trials, or they do not differ.
        """
        record = StudyRecord.read(study)
        try:
            return cls(record.name, len(record.complete), importances(record), record.caution)
        finally:
            record.close()

    def beside(self, effects: Effects) -> Table:
        """Both readings of each choice: one at a time around c1, and among the trials of the search."""
        by_change = {effect.change: effect for effect in effects.effects}
        rows = []
        for choice in dict.fromkeys(variant.choice for variant in VARIANTS):
            variants = [variant for variant in VARIANTS if variant.choice == choice]
            found = [by_change[variant.change] for variant in variants]
            points = sorted(effect.tests.mean_difference for effect in found)
            share = self.shares.get(variants[0].setting.partition("=")[0])
            rows.append(
                (
                    choice,
                    " to ".join(map(points_text, (points[0], points[-1])[: len(points)])),
                    f"{sum(effect.p_holm < LEVEL for effect in found)} of {len(found)}",
                    "-" if share is None else f"{share:.2f}",
                )
            )
        return Table(
            title=f"Each choice alone around {BASE}, and in a search",
            columns=("choice", "points, alone", "shown", "share of the variance"),
            rows=tuple(rows),
            note=f"Points: of the choice's other values. Shown: how many of them differ from {BASE}, with a "
            f"Holm-corrected p below {LEVEL:g}. Share: fANOVA of the {self.num_trials} complete trials of the study "
            f"{self.study}, in which all choices vary; it says how much accuracy varies with a choice, not which value "
            "is better. A dash: the same in all trials.",
            caution=", ".join(dict.fromkeys(filter(None, (effects.caution, self.caution)))),
        )
