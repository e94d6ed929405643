"""The parts of the page that show the paper: its tables and figures with ours beside them, and what does not add up."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from fer3d.evaluation.protocols import BEST_EPOCH
from fer3d.evaluation.tables import Table
from fer3d.paper.discrepancies import DISCREPANCIES
from fer3d.paper.printed import FIGURE_5, FIGURE_6, PrintedConfusion
from fer3d.paper.tables import (
    absent_tables,
    accuracy_tables,
    row_label,
    runs_beside,
    settings_table,
)
from fer3d.reporting.confusion import confusion_figure
from fer3d.reporting.drawings import architecture_part, confusion_picture, draw, input_size
from fer3d.reporting.paired_tables import TESTS_NOTE, fold_tables, pairs_table
from fer3d.reporting.parts import DataTable, Facts, Gallery, Part, Picture, Prose, Section, slug
from fer3d.reporting.report_runs import CORPUS_TITLES, ReportRun


def accuracy_section(runs: Sequence[ReportRun]) -> Section:
    """Tables 6, 7 and 8."""
    parts: list[Part] = list(accuracy_tables(runs))
    absent = absent_tables(runs)
    if absent:
        parts.append(Prose(f"Not shown, since no run here was made on that corpus in that way: {', '.join(absent)}."))
    return Section("accuracy", "Accuracy beside the paper", tuple(parts))


def comparison_section(runs: Sequence[ReportRun]) -> Section | None:
    """Tables 4 and 5 and all pairs of runs; None where there is nothing to compare."""
    pairs = pairs_table(runs)
    parts: list[Part] = [Prose(TESTS_NOTE)] if pairs else []
    parts += fold_tables(runs)
    if pairs:
        parts.append(pairs if pairs.table.rows else Prose(pairs.table.note))
    return Section("comparison", "Configurations compared", tuple(parts)) if parts else None


def confusion_section(runs: Sequence[ReportRun]) -> Section | None:
    """Figures 5 and 6; None where no run belongs beside one."""
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


def settings_section(runs: Sequence[ReportRun]) -> Section:
    """Tables 2 and 3 and networks such as those of Figures 3 and 4, each network once."""
    # The folds of a nested run have settings of their own, which its provenance tells.
    runs = [one for one in runs if not one.run.is_nested]
    networks: dict[str, ReportRun] = {}
    for one in runs:
        key = json.dumps([one.run.config["model"], input_size(one), len(one.run.emotions)], sort_keys=True)
        networks.setdefault(key, one)
    drawn = [architecture_part(one, f"Network of {row_label(one)}") for one in networks.values()]
    pictures = tuple(part for part in drawn if isinstance(part, Picture))
    return Section(
        "settings",
        "Hyper-parameters and architecture",
        (
            settings_table(runs),
            Prose(
                "As in Figures 3 and 4, each network built from its run's configuration; runs that share one share it."
            ),
            *([Gallery(pictures)] if pictures else []),
            *(part for part in drawn if not isinstance(part, Picture)),
        ),
    )


def discrepancies_section() -> Section:
    """What in the paper does not add up."""
    return Section(
        "discrepancies",
        "What in the paper does not add up",
        (Facts(tuple((each.where, each.what) for each in DISCREPANCIES)),),
    )


def _printed_picture(printed: PrintedConfusion) -> Picture:
    title = f"The paper, {printed.source}: {CORPUS_TITLES[printed.corpus]}, {printed.cross_validation}"
    counts = np.array(printed.counts).T
    return draw(
        f"confusion-paper-{slug(printed.source)}",
        f"{title}, as numbers of clips by emotion: {np.trace(counts)} of {counts.sum()} right.",
        f"{printed.source}, from the printed shares: {np.trace(counts)} of {counts.sum()} clips right.",
        lambda theme: confusion_figure(counts, printed.emotions, title, theme=theme),
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
