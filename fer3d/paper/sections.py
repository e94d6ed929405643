"""The paper's sections of a report: its tables and figures with ours beside them, and its discrepancies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fer3d.evaluation.protocols import BEST_EPOCH
from fer3d.evaluation.run_results import EvaluationError
from fer3d.evaluation.tables import Table
from fer3d.paper.discrepancies import DISCREPANCIES
from fer3d.paper.printed import FIGURE_5, FIGURE_6, PrintedConfusion
from fer3d.paper.tables import PAPER_CORPORA, absent_tables, accuracy_tables, fold_tables, runs_beside, settings_table
from fer3d.reporting.comparison_sections import TESTS_NOTE
from fer3d.reporting.figures import confusion_figure
from fer3d.reporting.page import DataTable, Facts, Gallery, Part, Picture, Prose, Section, draw, slug
from fer3d.reporting.runs import CORPUS_TITLES, ReportRun
from fer3d.reporting.sections import confusion_picture


class PaperWing:
    """The paper's additions to the report of runs on its corpora or their synthetic twins."""

    title = "beside the paper"

    def check(self, runs: Sequence[ReportRun]) -> None:
        """Checks that at least one run is on a corpus of the paper.

        Raises:
            EvaluationError: No run is on a corpus of the paper.
        """
        if not any(one.run.corpus in PAPER_CORPORA for one in runs):
            corpora = ", ".join(dict.fromkeys(one.corpus_title for one in runs))
            raise EvaluationError(
                f"--paper shows runs on CK+, Oulu-CASIA or their synthetic twins beside the paper, and these are on "
                f"{corpora}: leave --paper out"
            )

    def opening(self, runs: Sequence[ReportRun]) -> tuple[Section, ...]:
        """Tables 2 to 8 and Figures 5 and 6, with ours beside them."""
        sections = (_accuracy_section(runs), _folds_section(runs), _confusion_section(runs), _settings_section(runs))
        return tuple(section for section in sections if section)

    def closing(self, runs: Sequence[ReportRun]) -> tuple[Section, ...]:
        """The paper's discrepancies."""
        facts = Facts(tuple((each.where, each.what) for each in DISCREPANCIES))
        return (Section("discrepancies", "What in the paper does not add up", (facts,)),)


def _accuracy_section(runs: Sequence[ReportRun]) -> Section:
    """Tables 6, 7 and 8."""
    parts: list[Part] = list(accuracy_tables(runs))
    absent = absent_tables(runs)
    if absent:
        parts.append(Prose(f"Not shown, since no run here was made on that corpus in that way: {', '.join(absent)}."))
    return Section("accuracy", "Accuracy beside the paper", tuple(parts))


def _folds_section(runs: Sequence[ReportRun]) -> Section | None:
    tables = fold_tables(runs)
    if not tables:
        return None
    note = f"The paper prints the one-sided paired t-test. {TESTS_NOTE}"
    return Section("paper-folds", "Configurations compared beside the paper", (Prose(note), *tables))


def _confusion_section(runs: Sequence[ReportRun]) -> Section | None:
    """Figures 5 and 6; None if no run belongs beside them."""
    parts: list[Part] = []
    for printed in (FIGURE_5, FIGURE_6):
        beside = runs_beside(runs, printed.corpus, printed.cross_validation)
        if beside:
            ours = (confusion_picture(one, BEST_EPOCH, printed.emotions) for one in beside)
            parts += [Gallery((_printed_picture(printed), *ours)), _printed_table(printed)]
    if not parts:
        return None
    said = (
        "Under the paper's epoch protocol, which is optimistic; the matrix after the last epoch stands with each run. "
        "The paper's rows hold what the network took for an emotion. Drawn here are the only numbers of clips that "
        "give its shares (in Figure 5 once one of them is moved, see below), the other way round, so that a row is "
        "what a clip shows, as in ours."
    )
    return Section("confusion", "Confusion beside the paper", (Prose(said), *parts))


def _settings_section(runs: Sequence[ReportRun]) -> Section:
    # Each fold of a nested run has its own settings, which its provenance lists.
    table = settings_table([one for one in runs if not one.run.is_nested])
    where = Prose('Networks such as those of Figures 3 and 4 are drawn under "Hyper-parameters and architecture".')
    return Section("paper-settings", "Hyper-parameters beside the paper", (table, where))


def _printed_picture(printed: PrintedConfusion) -> Picture:
    title = f"The paper, {printed.source}: {CORPUS_TITLES[printed.corpus]}, {printed.cross_validation}"
    counts = np.array(printed.by_emotion)
    return draw(
        f"confusion-paper-{slug(printed.source)}",
        f"{title}, as numbers of clips by emotion: {np.trace(counts)} of {counts.sum()} right.",
        f"{printed.source}, from the printed shares: {np.trace(counts)} of {counts.sum()} clips right.",
        confusion_figure(counts, printed.emotions, title),
    )


def _printed_table(printed: PrintedConfusion) -> DataTable:
    return DataTable(
        Table(
            title=f"{printed.source} as printed",
            columns=("", *printed.emotions),
            rows=tuple(
                (emotion, *(f"{share:g}" for share in shares))
                for emotion, shares in zip(printed.emotions, printed.shares, strict=True)
            ),
            note="A row sums to 1 and holds what the network took for its emotion: the diagonal is precision.",
        )
    )
