"""The paper's tables with our runs beside them. A run's corpus and cross-validation decide its table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import nan
from typing import Any

from fer3d.evaluation.comparison_tables import p_value
from fer3d.evaluation.evaluation import Outcome
from fer3d.evaluation.protocols import BEST_EPOCH, EpochProtocol
from fer3d.evaluation.significance import compare_folds
from fer3d.evaluation.tables import Table, percent
from fer3d.paper.printed import (
    C1,
    C2,
    TABLE_4,
    TABLE_5,
    TEN_FOLD,
    Architecture,
    FoldTable,
    PublishedResult,
    Setting,
    published_results,
)
from fer3d.reporting.comparison_sections import (
    COMPARED,
    TESTS,
    TESTS_COLUMNS,
    Row,
    beside_published,
    pair_rows,
    setting_text,
    tests_cells,
)
from fer3d.reporting.page import DataTable
from fer3d.reporting.runs import CORPUS_TITLES, ReportRun, alike

# For each corpus of a run, the paper's corpus whose tables it belongs to.
PAPER_CORPORA = {
    "ckplus": "ckplus",
    "synthetic": "ckplus",
    "oulu_casia": "oulu_casia",
    "synthetic_oulu": "oulu_casia",
}
# c3 and c4 are c2 and c1, pretrained on the other corpus.
_SETTINGS = {"c1": C1, "c2": C2, "c3": C2, "c4": C1}
_PRETRAINED = {"c1": "c4", "c2": "c3"}
# Values that the paper's text does not give.
_OPEN = {
    "Learning rate over a fold": ("scheduler._target_", "not in the text"),
    "Filters of each group": ("model.filters", "not in the text"),
    "Hidden layers": ("model.hidden", "not in the text"),
    "Frames shrunk at the entrance by": ("model.downsample", "1"),
}
_DIFFERS = "≠ "
_NUM_FOLDS = 10
# Held-out clips for each training clip, with ten equal folds.
_RATIO = 1 / (_NUM_FOLDS - 1)
# The configuration claimed to be better than the others: the first row of Tables 4 and 5.
_REFERENCES = {table.corpus: table.rows[0].name for table in (TABLE_4, TABLE_5)}

# Table number, corpus, cross-validation.
_RESULTS = (("Table 6", "ckplus", "LOSO"), ("Table 7", "ckplus", "10-fold"), ("Table 8", "oulu_casia", "10-fold"))


def paper_name(one: ReportRun) -> str:
    """The paper's name of a run's configuration, such as `c1`; empty if it is not one of the paper's."""
    config = one.run.config
    name = config["configuration"] if "configuration" in config else _recognised(one)
    return name if name in _SETTINGS else ""


def row_label(one: ReportRun) -> str:
    """A run's label in the paper's tables: the paper's name of its configuration, then its own."""
    name = paper_name(one)
    return f"{name}: {one.label}" if name else one.label


def _recognised(one: ReportRun) -> str | None:
    """Infers the configuration of a run that does not record it, from the settings that the paper searched."""
    config = one.run.config
    if one.run.corpus not in PAPER_CORPORA or config["cv"].get("inner_val"):
        return None
    for it in (C1, C2):
        if all(_value(config, setting.key) == setting.value for setting in it.searched):
            start = one.run.info.get("start_from") or {}
            if "file" in start or "external_weights" in start:
                return None  # the paper's networks start from one another alone
            return _PRETRAINED[it.name] if start else it.name
    return None


def runs_beside(runs: Sequence[ReportRun], corpus: str, cross_validation: str) -> list[ReportRun]:
    """The runs that belong beside the paper's numbers on a corpus under a cross-validation."""
    return [
        one
        for one in runs
        if PAPER_CORPORA.get(one.run.corpus) == corpus and one.run.cross_validation == cross_validation
    ]


def accuracy_tables(runs: Sequence[ReportRun]) -> tuple[DataTable, ...]:
    """Tables 6, 7 and 8: accuracies of published approaches, and of our runs under each epoch protocol."""
    return tuple(_accuracy_table(beside, *table) for table in _RESULTS if (beside := runs_beside(runs, *table[1:])))


def absent_tables(runs: Sequence[ReportRun]) -> tuple[str, ...]:
    """The titles of the tables that no run belongs to."""
    return tuple(_title(*table) for table in _RESULTS if not runs_beside(runs, *table[1:]))


def fold_tables(runs: Sequence[ReportRun]) -> tuple[DataTable, ...]:
    """Tables 4 and 5: accuracies by fold, and p-values if there is a pair, at the best and at the last epoch."""
    tables: list[DataTable] = []
    for printed in (TABLE_4, TABLE_5):
        groups = [_ordered(group) for group in alike(runs_beside(runs, printed.corpus, TEN_FOLD))]
        if groups:
            tables.append(_accuracies(printed, groups))
        if any(len(group) > 1 for group in groups):
            tables.append(_tests(printed, groups))
    return tuple(tables)


def settings_table(runs: Sequence[ReportRun]) -> DataTable:
    """Tables 2 and 3: the hyper-parameters of the paper's two configurations beside those of our runs."""
    names = dict.fromkeys(setting.name for architecture in (C1, C2) for setting in _settings(architecture))
    rows = [
        (
            name,
            *(setting.printed if (setting := _setting(it, name)) else "" for it in (C1, C2)),
            *(_our_setting(one, name) for one in runs),
        )
        for name in names
    ]
    rows += [
        (name, printed, printed, *(setting_text(_value(one.run.config, key)) for one in runs))
        for name, (key, printed) in _OPEN.items()
    ]
    return DataTable(
        Table(
            title="Tables 2 and 3: hyper-parameters",
            columns=("", *(f"{it.source} ({it.name})" for it in (C1, C2)), *(row_label(one) for one in runs)),
            rows=tuple(rows),
            note=(
                f"{_DIFFERS.strip()} differs from the paper's configuration of that name; other configurations are not "
                "marked. c3 and c4 are c2 and c1, trained on the other corpus before."
            ),
        )
    )


def _title(number: str, corpus: str, cross_validation: str) -> str:
    return f"{number} ({CORPUS_TITLES[corpus]}, {cross_validation})"


def _accuracy_table(runs: Sequence[ReportRun], number: str, corpus: str, cross_validation: str) -> DataTable:
    published = [_published_row(result) for result in published_results(corpus, cross_validation)]
    ours = [(one, _our_row(one, outcome)) for one in runs for outcome in one.evaluation.outcomes]
    return beside_published(
        Table(
            title=f"{_title(number, corpus, cross_validation)}: accuracy",
            columns=("approach", "epoch", "accuracy", "95% Wilson interval", "clips right", "source"),
            rows=tuple(published),
            note=(
                "The paper reports each fold's best epoch; how the others were measured was not checked. Ours is "
                "pooled over all held-out clips."
            ),
        ),
        [((one,), row) for one, row in ours],
    )


def _published_row(result: PublishedResult) -> tuple[str, ...]:
    source = f"{result.source}; {result.note}" if result.note else result.source
    epoch = BEST_EPOCH.title if result.by_paper else "-"
    return result.approach, epoch, percent(result.accuracy / 100), "-", "-", source


def _our_row(one: ReportRun, outcome: Outcome) -> tuple[str, ...]:
    score = outcome.measures.pooled
    return (
        row_label(one),
        outcome.protocol.title,
        percent(score.accuracy),
        " to ".join(map(percent, score.interval())),
        f"{score.num_correct} of {score.num_clips}",
        "this page",
    )


def _settings(architecture: Architecture) -> tuple[Setting, ...]:
    return (*architecture.searched, *architecture.fixed)


def _setting(architecture: Architecture, name: str) -> Setting | None:
    return next((setting for setting in _settings(architecture) if setting.name == name), None)


def _our_setting(one: ReportRun, name: str) -> str:
    """A run's value of a hyper-parameter, in the paper's words if possible; marked if it differs from the paper's."""
    options = [setting for it in (C1, C2) for setting in _settings(it) if setting.name == name]
    value = next((value for option in options if (value := _value(one.run.config, option.key)) is not None), None)
    text = next((option.printed for option in options if option.value == value), setting_text(value))
    architecture = _SETTINGS.get(paper_name(one))
    expected = _setting(architecture, name) if architecture else None
    return f"{_DIFFERS}{text}" if expected and expected.value != value else text


def _value(config: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key; None if there is none, as in another optimizer's section."""
    value: Any = config
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _accuracies(printed: FoldTable, groups: Sequence[Sequence[ReportRun]]) -> DataTable:
    rows = tuple(
        (f"the paper: {row.name}", BEST_EPOCH.title, *(f"{it:g}" for it in row.accuracies), f"{row.average:g}")
        for row in printed.rows
    )
    ours: list[Row] = [
        ((one,), _accuracies_row(one, protocol)) for protocol in COMPARED for group in groups for one in group
    ]
    table = Table(
        title=f"{printed.source} ({CORPUS_TITLES[printed.corpus]}, {TEN_FOLD}): accuracy of each fold in %",
        columns=("", "epoch", *map(str, range(1, _NUM_FOLDS + 1)), "average"),
        rows=rows,
        note="The paper's folds need not hold the same subjects as ours.",
    )
    return beside_published(table, ours)


def _accuracies_row(one: ReportRun, protocol: EpochProtocol) -> tuple[str, ...]:
    measures = one.evaluation.under(protocol).measures
    folds = (measures.per_fold.get(fold) for fold in range(1, _NUM_FOLDS + 1))
    return (
        row_label(one),
        protocol.title,
        *(f"{100 * score.accuracy:.1f}" if score else "-" for score in folds),
        f"{100 * measures.mean_over_folds:.2f}",
    )


def _tests(printed: FoldTable, groups: Sequence[Sequence[ReportRun]]) -> DataTable:
    ours, reasons = pair_rows(
        [(reference, one) for reference, *others in groups for one in others],
        _short_names([one for group in groups for one in group]),
    )
    table = Table(
        title=f"{printed.source} ({CORPUS_TITLES[printed.corpus]}, {TEN_FOLD}): p-values",
        columns=TESTS_COLUMNS,
        rows=tuple(_printed_tests(printed)),
        note=reasons,
    )
    return beside_published(table, ours)


def _printed_tests(printed: FoldTable) -> Iterator[tuple[str, ...]]:
    """The paper's p-values as printed, and as recomputed from its fold accuracies."""
    first, *others = printed.rows
    for row in others:
        names = f"the paper: {first.name}, {row.name}"
        tests = compare_folds([it / 100 for it in first.accuracies], [it / 100 for it in row.accuracies], _RATIO)
        p_values = (nan if row.p_value is None else row.p_value, *[nan] * (len(TESTS) - 3))
        yield f"{names} (as printed)", BEST_EPOCH.title, *map(p_value, p_values), "-", "-"
        yield f"{names} (recomputed)", BEST_EPOCH.title, *tests_cells(tests, nan)


def _short_names(runs: Sequence[ReportRun]) -> dict[str, str]:
    """Maps each run's slug to the paper's name of its configuration, or to its label if that name is ambiguous."""
    counts = Counter(map(paper_name, runs))
    return {one.slug: name if (name := paper_name(one)) and counts[name] == 1 else one.label for one in runs}


def _ordered(group: Sequence[ReportRun]) -> list[ReportRun]:
    """Puts the configuration claimed to be better first: c1 on CK+, c2 on Oulu-CASIA; otherwise keeps the order."""
    reference = _REFERENCES.get(PAPER_CORPORA.get(group[0].run.corpus, ""))
    return sorted(group, key=lambda one: paper_name(one) != reference)
