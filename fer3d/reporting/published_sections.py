"""The part of the page that shows what is published on RAVDESS and CREMA-D, with ours beside it."""

from __future__ import annotations

from collections.abc import Sequence

from fer3d.evaluation.evaluation import Outcome
from fer3d.evaluation.published import BENCHMARKS, Benchmark, benchmark_of, differences
from fer3d.evaluation.tables import Table, percent
from fer3d.paper.tables import beside_paper
from fer3d.reporting.parts import Bullets, DataTable, Part, Prose, Section
from fer3d.reporting.report_runs import CORPUS_TITLES, ReportRun


def published_section(runs: Sequence[ReportRun]) -> Section | None:
    """Runs on RAVDESS, CREMA-D and their twins beside the literature; None where there are none."""
    parts: list[Part] = []
    for benchmark in BENCHMARKS:
        ours = [one for one in runs if benchmark_of(one.run.corpus) is benchmark]
        if not ours:
            continue
        unlike = {one.marked_label: said for one in ours if (said := differences(one.run, benchmark))}
        alike = [one for one in ours if one.marked_label not in unlike]
        parts.append(Prose(f"The literature's protocol on {CORPUS_TITLES[benchmark.corpus]}: {benchmark.protocol}."))
        if alike:
            parts.append(published_table(benchmark, alike))
            parts += [Prose(benchmark.warning)] if benchmark.warning else []
        if unlike:
            parts += [
                Prose("Not beside the published numbers, since they were measured in another way:"),
                Bullets(tuple(f"{label}: {'; '.join(said)}." for label, said in unlike.items())),
            ]
    return Section("published", "Accuracy beside the literature", tuple(parts)) if parts else None


def published_table(benchmark: Benchmark, runs: Sequence[ReportRun]) -> DataTable:
    """The published accuracies of a benchmark, and those of runs under its protocol with each epoch protocol."""
    floors = (("guessing", benchmark.chance), ("always the largest class", benchmark.majority))
    rows = [
        *((name, "-", percent(accuracy / 100), "-", "-", "-", "none", "calculated") for name, accuracy in floors),
        *(
            (it.approach, "-", percent(it.accuracy / 100), "-", "-", "-", it.pretraining, it.source)
            for it in benchmark.results
        ),
    ]
    return beside_paper(
        Table(
            title=f"{CORPUS_TITLES[benchmark.corpus]}, the literature's {len(benchmark.ranges)} folds: accuracy",
            columns=("approach", "epoch", "WAR", "UAR", "95% Wilson interval", "clips right", "pretraining", "source"),
            rows=tuple(rows),
            note=(
                "All from the face alone, subject-independent, as their sources list them; each one's own folds and "
                "epochs were not checked. WAR: pooled accuracy; UAR: mean recall. A dash under pretraining: not looked "
                "up. Ours to put beside them is the last epoch, or one chosen on inner validation."
            ),
        ),
        [((one,), _our_row(one, outcome)) for one in runs for outcome in one.evaluation.outcomes],
    )


def _our_row(one: ReportRun, outcome: Outcome) -> tuple[str, ...]:
    measures = outcome.measures
    return (
        one.label,
        outcome.protocol.title,
        percent(measures.pooled.accuracy),
        percent(measures.uar),
        " to ".join(map(percent, measures.pooled.interval())),
        f"{measures.pooled.num_correct} of {measures.pooled.num_clips}",
        _pretraining(one),
        "this page",
    )


def _pretraining(one: ReportRun) -> str:
    source = one.run.info.get("start_from")
    return CORPUS_TITLES.get(source["corpus"], source["corpus"]) if source else "none"
