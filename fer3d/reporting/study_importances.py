"""Which searched settings mattered among the complete trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from optuna.importance import FanovaImportanceEvaluator
from optuna.storages import InMemoryStorage
from optuna.study import Study

from fer3d.reporting.study_axes import fitted, note_lines, write_notes
from fer3d.reporting.study_settings import Setting
from fer3d.reporting.theme import LIGHT, LINE, MARGIN, SMALL, WIDTH, Theme, drawing, new_sheet, text_width
from fer3d.search.records import StudyRecord

MIN_TRIALS = 4
SEED = 0

# Inches.
_ROW = 0.21
_BAR = 0.12
_MAX_NAME = 2.2
_GAP = 0.1

_SAME = "alike in all of them"


@dataclass(frozen=True)
class Importances:
    """How much of what makes complete trials better or worse each setting explains.

    Attributes:
        shares: By setting, the most important first; those that do not vary have none.
        constant: The settings that all complete trials have alike.
        num_trials: Number of complete trials.
    """

    shares: Mapping[str, float]
    constant: tuple[str, ...]
    num_trials: int


def read_importances(record: StudyRecord, settings: Sequence[Setting]) -> Importances | str:
    """Computes the importances with Optuna's fANOVA, seeded, so that the same study gives the same ones.

    Returns:
        The importances; or a sentence that says why there are none.
    """
    complete = record.complete
    if len(complete) < MIN_TRIALS:
        return (
            f"No importances: {len(complete)} of {len(record.trials)} trials are complete, and fewer than {MIN_TRIALS} "
            "say nothing about what matters."
        )
    if len({trial.attainable for trial in complete}) == 1:
        return f"No importances: all {len(complete)} complete trials have the same accuracy, which nothing explains."
    shared = [setting.name for setting in settings if all(setting.name in trial.params for trial in complete)]
    constant = tuple(name for name in shared if len({trial.params[name] for trial in complete}) == 1)
    varied = [name for name in shared if name not in constant]
    if not varied:
        return f"No importances: the {len(complete)} complete trials share no setting in which they differ."
    evaluator = FanovaImportanceEvaluator(seed=SEED)
    found = optuna.importance.get_param_importances(_kept(record), evaluator=evaluator, params=varied)
    shares = {name: float(share) for name, share in found.items()}
    return Importances(dict(sorted(shares.items(), key=lambda item: (-item[1], item[0]))), constant, len(complete))


def importances_figure(importances: Importances, title: str, caution: str = "", theme: Theme = LIGHT) -> Figure:
    """Draws a bar a setting, the most important on top; settings that do not vary say so instead.

    Args:
        importances: What to draw.
        title: What the figure shows.
        caution: `SYNTHETIC data` and the like, or nothing.
        theme: The colours.
    """
    rows = [(name, f"{share:.2f}" if share >= 0.005 else "<0.01", share) for name, share in importances.shares.items()]
    rows += [(name, _SAME, 0.0) for name in importances.constant]
    notes = note_lines(
        f"Share of the variance among {importances.num_trials} complete trials (fANOVA). Pruned trials have no say: a "
        "setting that decides whether a trial is pruned may look unimportant."
    )
    names = min(max(text_width(name, SMALL) for name, _, _ in rows), _MAX_NAME) + _GAP
    numbers = max(text_width(text, SMALL) for _, text, _ in rows) + _GAP
    width = WIDTH - 2 * MARGIN - names - numbers
    longest = max(share for _, _, share in rows) or 1.0
    with drawing(theme):
        sheet = new_sheet(theme, title, caution, len(rows) * _ROW + 2 * MARGIN + len(notes) * SMALL * LINE)
        canvas = sheet.canvas()
        for row, (name, text, share) in enumerate(rows):
            middle, left = (row + 0.5) * _ROW, MARGIN + names
            said = fitted(name, names - _GAP)
            canvas.text(left - _GAP / 2, middle, said, size=SMALL, ha="right", va="center_baseline")
            bar = width * share / longest
            canvas.add_patch(Rectangle((left, middle - _BAR / 2), bar, _BAR, facecolor=theme.accents[0], linewidth=0))
            canvas.text(left + bar + _GAP / 2, middle, text, size=SMALL, color=theme.muted, va="center_baseline")
        write_notes(sheet, canvas, notes)
    return sheet.figure


def _kept(record: StudyRecord) -> Study:
    """The study as it was when it was read: a search may have gone on since."""
    numbers = {trial.number for trial in record.complete}
    kept = optuna.create_study(storage=InMemoryStorage(), direction="maximize")
    kept.add_trials([trial for trial in record.study.get_trials(deepcopy=False) if trial.number in numbers])
    return kept
