from __future__ import annotations

from typing import Any

import optuna
import plotly.graph_objects as go
import pytest
from fake_studies import FakeTrial, fake_record, searched
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from fer3d.reporting.study_plots import PlotSection, plot_sections
from fer3d.search.records import StudyRecord

TRACES = ("complete", "pruned: at most", "median of complete")
SLUGS = ["importances", "slices", "parallel", "contours", "timeline"]


def trial(num_wrong: int, optimizer: str, dropout: float, clahe: bool = True) -> FakeTrial:
    params = {"optimizer": optimizer, "model.dropout": dropout, "clips.clahe": clahe}
    return FakeTrial("complete", [1] * num_wrong + [0] * (10 - num_wrong), params)


# The optimizer decides nearly everything, dropout a little, and clahe is always the same.
DECIDED = [
    trial(1 + (4 if optimizer == "adam" else 0) + (dropout > 0.5), optimizer, dropout)
    for optimizer in ("adam", "lookahead")
    for dropout in (0.1, 0.3, 0.5, 0.7, 0.9)
]
PRUNED = FakeTrial("pruned", [2, 2], {"optimizer": "adam", "model.dropout": 0.9})
FAILED = FakeTrial("failed", [1], {"optimizer": "adam"}, "ValueError: no")
RUNNING = FakeTrial("running", [1], {"optimizer": "adam"})


def plots(record: StudyRecord) -> dict[str, PlotSection]:
    return {section.slug: section for section in plot_sections(record)}


def figure(record: StudyRecord, name: str) -> go.Figure:
    (found,) = (plot.figure for section in plot_sections(record) for plot in section.plots if plot.name == name)
    return found


def trace(figure: go.Figure, name: str) -> Any:
    (found,) = (trace for trace in figure.data if trace.name == name)
    return found


def test_importances_name_what_decides_and_what_does_not_vary() -> None:
    found = plots(fake_record(DECIDED))
    (plot,) = found["importances"].plots
    shares = dict(zip(plot.figure.data[0].y, plot.figure.data[0].x, strict=True))
    assert shares["optimizer"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)
    assert set(shares) == {"optimizer", "model.dropout"}
    assert "trials: optimizer (" in found["importances"].said
    assert "Alike in all complete trials: clips.clahe" in found["importances"].said
    assert [plot.heading for plot in found["contours"].plots] == ["accuracy by optimizer and model.dropout"]


def test_slices_show_complete_trials_medians_bounds_and_the_threshold() -> None:
    record = fake_record([*DECIDED, PRUNED, FAILED], threshold=0.8)
    optimizer = figure(record, "slice-optimizer")
    complete, pruned, medians = (trace(optimizer, f"{name}") for name in TRACES)
    assert sorted(complete.x) == ["adam"] * 5 + ["lookahead"] * 5
    assert max(complete.y) == pytest.approx(27 / 28)
    assert (list(pruned.x), list(pruned.y)) == (["adam"], [pytest.approx(24 / 28)])
    assert dict(zip(medians.x, medians.y, strict=True)) == {"adam": 23 / 28, "lookahead": 27 / 28}
    assert optimizer.layout.shapes[0].y0 == 0.8
    dropout = figure(record, "slice-model-dropout")
    assert (list(trace(dropout, "pruned: at most").x), len(trace(dropout, "complete").x)) == ([0.9], 10)
    assert list(trace(figure(record, "slice-clips-clahe"), "complete").x) == ["true"] * 10


def test_parallel_coordinates_mark_the_best_and_keep_whole_names() -> None:
    record = fake_record(DECIDED)
    section = plots(record)["parallel"]
    parallel = section.plots[0].figure
    best = [line for line in parallel.data if line.line.width == 3]
    assert [line.customdata[0][1] for line in best] == ["96.43%"] * 3
    labels = [label.replace("<br>", "") for label in parallel.layout.xaxis.ticktext]
    assert labels == ["accuracy", "clips.clahe", "model.dropout", "optimizer"]
    assert "trial 5: optimizer=lookahead, model.dropout=0.1" in section.said


def test_the_timeline_counts_trials_and_ends_running_ones_with_the_study() -> None:
    record = fake_record([RUNNING, *DECIDED, PRUNED, FAILED])
    timeline = figure(record, "timeline")
    assert {bars.name for bars in timeline.data} == {"10 complete", "1 pruned", "1 failed", "1 running"}
    (running,) = trace(timeline, "1 running").x
    # A trial begins every ten minutes; the last one takes one.
    assert running == 1000 * 60 * (12 * 10 + 1)


@pytest.mark.parametrize(
    ("trials", "drawn"),
    [
        ([], set()),
        ([FAILED], {"timeline"}),
        ([RUNNING], {"timeline"}),
        ([PRUNED], {"slices", "timeline"}),
        ([PRUNED, FAILED], {"slices", "timeline"}),
        (DECIDED[:1], {"slices", "parallel", "timeline"}),
        ([FakeTrial("complete", [0] * 10)] * 5, {"timeline"}),
        ([trial(2, "adam", dropout / 10) for dropout in range(5)], {"slices", "parallel", "timeline"}),
        ([trial(wrong, "adam", 0.5) for wrong in range(5)], {"slices", "parallel", "timeline"}),
        ([FakeTrial("complete", [n // 5] * 10, {"model.dropout": n / 9}) for n in range(10)], {*SLUGS} - {"contours"}),
    ],
    ids=["none", "failed", "running", "pruned", "unfinished", "one", "nothing", "equal", "constant", "one setting"],
)
def test_a_missing_plot_has_a_sentence(
    trials: list[FakeTrial], drawn: set[str], capfd: pytest.CaptureFixture[str]
) -> None:
    found = plots(fake_record(trials))
    assert list(found) == SLUGS
    assert {slug for slug, section in found.items() if section.plots} == drawn
    assert all(section.said.startswith("No") for slug, section in found.items() if slug not in drawn)
    assert capfd.readouterr().err == ""


def test_settings_that_only_some_trials_have_are_drawn() -> None:
    space: dict[str, tuple[str, BaseDistribution]] = {
        "head": ("choice(null, 3)", CategoricalDistribution([None, 3])),
        "head.rate": ("interval(0, 1)", FloatDistribution(0, 1)),
    }
    conditional = [
        FakeTrial("complete", [n] * 10, {"head": head} | ({"head.rate": n / 9} if head else {}), space=space)
        for n, head in enumerate((None, 3, 3, None, 3))
    ]
    found = plots(fake_record(conditional))
    assert [plot.name for plot in found["slices"].plots] == ["slice-head", "slice-head-rate"]
    assert set(trace(found["slices"].plots[0].figure, "complete").x) == {"null", "3"}
    assert found["parallel"].plots
    assert not found["contours"].plots


def test_a_search_that_goes_on_meanwhile_changes_nothing() -> None:
    record, alone = fake_record(DECIDED), plots(fake_record(DECIDED))
    record.study.add_trial(optuna.trial.create_trial(value=0.1, params={}, distributions={}))
    again = plots(record)
    assert [section.said for section in again.values()] == [section.said for section in alone.values()]
    assert [len(plot.figure.data) for plot in again["parallel"].plots] == [11]


def test_a_search_over_table_1_has_every_plot() -> None:
    found = plots(fake_record(searched(60), threshold=0.8))
    assert [len(found[slug].plots) for slug in SLUGS] == [1, 10, 1, 3, 1]
