"""Sections that compare runs: with the literature, with each other, and by their settings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from math import isnan
from typing import Any

from fer3d.evaluation.comparison import Comparison
from fer3d.evaluation.comparison_tables import p_value
from fer3d.evaluation.protocols import BEST_EPOCH, LAST_EPOCH
from fer3d.evaluation.published import BENCHMARKS, Benchmark, benchmark_of, differences
from fer3d.evaluation.ranking_tables import points_text
from fer3d.evaluation.run_results import EvaluationError
from fer3d.evaluation.significance import FoldTests
from fer3d.evaluation.tables import Table, percent
from fer3d.reporting.page import DataTable, Facts, Part, Prose, Section, side_by_side
from fer3d.reporting.ranking_sections import rank_runs, ranking_part
from fer3d.reporting.runs import ReportRun, alike, corpus_title, joint_caution
from fer3d.reporting.sections import architecture_part, input_size
from fer3d.training.identity import leaves

# A row of a table, and the runs in it.
Row = tuple[Sequence[ReportRun], tuple[str, ...]]

# The epoch protocols under which runs are compared: the literature's, and one that is fixed in advance.
COMPARED = (BEST_EPOCH, LAST_EPOCH)
TESTS = ("one-sided t", "two-sided t", "corrected t", "Wilcoxon", "McNemar", "mean, points", "d_z")
TESTS_COLUMNS = ("first, second", "epoch", *TESTS)
TESTS_NOTE = (
    "Is the first better than the second? The one-sided paired t-test over folds is the least strict; the others are "
    "two-sided. The corrected one (Nadeau and Bengio) allows for the training clips that folds share; McNemar's, "
    "exact, goes over pooled clips and is the one for LOSO. Points are percentage points, first less second, in the "
    "mean over folds; d_z is Cohen's."
)

# Settings that are always shown; others only if the runs differ in them.
_SHOWN = (
    "model", "optimizer", "scheduler", "trainer.max_epochs", "batch_size", "class_weights", "class_sampler",
    "clips.num_frames", "clips.clahe", "clips.normalise", "frames", "faces.crop.size",
)  # fmt: skip
# Settings that change no number, or that the page shows elsewhere.
_NOT_SHOWN = (
    "name", "configuration", "outputs", "data", "cv", "logger", "search", "start_from", "selected_by", "fold",
    "progress", "save_checkpoint", "clips.memory", "faces.every",
)  # fmt: skip


def published_section(runs: Sequence[ReportRun]) -> Section | None:
    """Runs on RAVDESS, CREMA-D and their twins beside the literature; None if there are none."""
    parts: list[Part] = []
    for benchmark in BENCHMARKS:
        ours = [one for one in runs if benchmark_of(one.run.corpus) is benchmark]
        if not ours:
            continue
        unlike = {one.marked_label: said for one in ours if (said := differences(one.run, benchmark))}
        same = [one for one in ours if one.marked_label not in unlike]
        parts.append(Prose(f"The literature's protocol on {corpus_title(benchmark.corpus)}: {benchmark.protocol}."))
        if same:
            parts.append(_published_table(benchmark, same))
            parts += [Prose(benchmark.warning)] if benchmark.warning else []
        if unlike:
            parts += [
                Prose("Not beside the published numbers, since they were measured in another way:"),
                Facts(tuple((label, f"{'; '.join(said)}.") for label, said in unlike.items())),
            ]
    return Section("published", "Accuracy beside the literature", tuple(parts)) if parts else None


def comparison_section(runs: Sequence[ReportRun]) -> Section | None:
    """Runs on one corpus under one cross-validation: three or more entries together, others in pairs.

    None if no two runs are on one.
    """
    ranked, unranked = rank_runs(runs)
    together = {one.slug: number for number, each in enumerate(ranked) for one in each.runs}
    pairs = [
        (first, second)
        for group in alike(runs)
        for first, second in combinations(group, 2)
        if first.slug not in together or together[first.slug] != together.get(second.slug)
    ]
    parts: list[Part] = [ranking_part(each, number) for number, each in enumerate(ranked)]
    if pairs:
        rows, reasons = pair_rows(pairs, {one.slug: one.label for one in runs})
        table = beside_published(Table("All pairs: p-values", TESTS_COLUMNS, (), reasons), rows)
        parts += map(Prose, (*unranked, TESTS_NOTE))
        parts.append(table if rows else Prose(reasons))
    return Section("comparison", "Runs compared", tuple(parts)) if parts else None


def settings_section(runs: Sequence[ReportRun]) -> Section | None:
    """The settings of all runs, and each network once; None if every run is nested."""
    # Each fold of a nested run has its own settings, which its provenance lists.
    runs = [one for one in runs if not one.run.is_nested]
    if not runs:
        return None
    networks: dict[str, ReportRun] = {}
    for one in runs:
        key = json.dumps([one.run.config["model"], input_size(one), len(one.run.emotions)], sort_keys=True)
        networks.setdefault(key, one)
    drawn = [architecture_part(one, f"Network of {one.title}") for one in networks.values()]
    said = Prose("Each network is built from its run's configuration; runs that share one share its drawing.")
    parts: tuple[Part, ...] = (_settings_table(runs), said, *side_by_side(drawn))
    return Section("settings", "Hyper-parameters and architecture", parts)


def beside_published(published: Table, ours: Sequence[Row]) -> DataTable:
    """Adds our rows to a table of published ones, each with its caution, since the published are of real clips.

    Our rows stand out in a table that has others.
    """
    numbers = range(len(published.rows), len(published.rows) + len(ours))
    caution = joint_caution(list({one.slug: one for runs, _ in ours for one in runs}.values()))
    if caution and published.rows:
        caution = f"our rows: {caution}"
    table = replace(published, rows=(*published.rows, *(row for _, row in ours)), caution=caution)
    cautions = {number: joint_caution(runs) for number, (runs, _) in zip(numbers, ours, strict=True)}
    return DataTable(table, frozenset(numbers if published.rows else ()), cautions)


def pair_rows(pairs: Sequence[tuple[ReportRun, ReportRun]], names: Mapping[str, str]) -> tuple[list[Row], str]:
    """Returns a row of `TESTS_COLUMNS` for each pair and epoch protocol, and why some pairs have none.

    The run that may be better is first in its pair; `names` has for the slug of each run its name in the row.
    """
    rows: list[Row] = []
    reasons: list[str] = []
    for first, second in pairs:
        try:
            for protocol in COMPARED:
                comparison = Comparison.of(first.renamed, second.renamed, protocol)
                cells = tests_cells(comparison.folds, comparison.clips.mcnemar)
                named = f"{names[first.slug]}, {names[second.slug]}"
                rows.append(((first, second), (named, protocol.title, *cells)))
        except EvaluationError as error:
            reasons.append(f"{error}.")
    return rows, " ".join(reasons)


def tests_cells(tests: FoldTests, mcnemar: float) -> tuple[str, ...]:
    """The cells of `TESTS`."""
    p_values = (tests.t_one_sided, tests.t_two_sided, tests.t_corrected, tests.wilcoxon, mcnemar)
    effect = "-" if isnan(tests.cohens_dz) else f"{tests.cohens_dz:.2f}"
    return *map(p_value, p_values), points_text(tests.mean_difference), effect


def setting_text(value: Any) -> str:
    """Formats a configuration's value for a table: a dotted name by its last part."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return " | ".join(", ".join(map(str, each)) if isinstance(each, list) else setting_text(each) for each in value)
    return value.rpartition(".")[2] if isinstance(value, str) else f"{value:g}"


def _published_table(benchmark: Benchmark, runs: Sequence[ReportRun]) -> DataTable:
    floors = (("guessing", benchmark.chance), ("always the largest class", benchmark.majority))
    published = [(name, accuracy, "none", "calculated") for name, accuracy in floors]
    published += [(each.approach, each.accuracy, each.pretraining, each.source) for each in benchmark.results]
    table = Table(
        title=f"{corpus_title(benchmark.corpus)}, the literature's {len(benchmark.ranges)} folds: accuracy",
        columns=("approach", "epoch", "WAR", "UAR", "95% Wilson interval", "clips right", "pretraining", "source"),
        rows=tuple((name, "-", percent(war / 100), "-", "-", "-", *origin) for name, war, *origin in published),
        note=(
            "All from the face alone, subject-independent, as their sources list them; each one's own folds and "
            "epochs were not checked. WAR: pooled accuracy; UAR: mean recall. A dash under pretraining: not looked "
            "up. Ours to put beside them is the last epoch, or one chosen on inner validation."
        ),
    )
    return beside_published(table, [((one,), row) for one in runs for row in _rows_beside_published(one)])


def _rows_beside_published(one: ReportRun) -> Iterator[tuple[str, ...]]:
    source = one.run.info.get("start_from")
    pretraining = _pretraining(source) if source else "none"
    for outcome in one.evaluation.outcomes:
        score, epoch = outcome.score, outcome.protocol.title
        accuracy = percent(outcome.accuracy), percent(outcome.measures.uar), " to ".join(map(percent, score.interval()))
        yield one.label, epoch, *accuracy, f"{score.num_correct} of {score.num_clips}", pretraining, "this page"


def _pretraining(source: Mapping[str, Any]) -> str:
    """What a run started from, in a table's cell."""
    outside = source.get("file", source.get("external_weights"))
    named = ([outside] if outside else []) + ([corpus_title(source["corpus"])] if "corpus" in source else [])
    return ", ".join(named) + (" (people unknown)" if outside else "")


def _settings_table(runs: Sequence[ReportRun]) -> DataTable:
    """The settings of the runs, named as on the command line; those that differ come first.

    Runs whose settings differ only in the seed share a column.
    """
    seeds: dict[str, list[ReportRun]] = {}
    for one in runs:
        shown = {name: value for name, value in _shown_settings(one).items() if name != "seed"}
        seeds.setdefault(json.dumps(shown, sort_keys=True), []).append(one)
    groups = list(seeds.values())
    settings = [
        {**_shown_settings(group[0]), "seed": ", ".join(map(str, sorted(one.run.config["seed"] for one in group)))}
        for group in groups
    ]
    names = list(dict.fromkeys(name for each in settings for name in each))
    differing = [name for name in names if any(each.get(name) != settings[0].get(name) for each in settings)]
    told = _SHOWN if len(groups) == len(runs) else (*_SHOWN, "seed")
    shared = [name for name in names if name not in differing and _is(name, told)]
    rows = tuple((name, *(setting_text(each.get(name)) for each in settings)) for name in differing + shared)
    note = f"The first {len(differing)} differ between the runs." if differing else ""
    titles = (f"{group[0].title}{f' and {len(group) - 1} more' if len(group) > 1 else ''}" for group in groups)
    return DataTable(Table("Hyper-parameters", ("", *titles), rows, note))


def _shown_settings(one: ReportRun) -> dict[str, Any]:
    settings = {name.removesuffix("._target_"): value for name, value in leaves(one.run.config)}
    return {name: value for name, value in settings.items() if "._partial_" not in name and not _is(name, _NOT_SHOWN)}


def _is(name: str, settings: Sequence[str]) -> bool:
    """Whether a dotted name is one of these settings, or within one."""
    return any(f"{name}.".startswith(f"{setting}.") for setting in settings)
