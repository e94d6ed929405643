"""The interactive page of a study: plots of `optuna.visualization` in one self-contained HTML file."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from statistics import median
from typing import Any

import optuna
import plotly.graph_objects as go
import plotly.io
from markupsafe import Markup
from optuna import visualization
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.importance import FanovaImportanceEvaluator
from optuna.storages import InMemoryStorage
from optuna.study import Study
from optuna.trial import TrialState, create_trial
from plotly.offline import get_plotlyjs

from fer3d.evaluation.run_results import EvaluationError
from fer3d.evaluation.tables import percent
from fer3d.reporting.page import fill_template, slug, value_text
from fer3d.reporting.sections import duration_text
from fer3d.reporting.study_figures import accuracy_range, fixed_threshold, read_settings, study_marks
from fer3d.reporting.theme import ACCENTS, ALERT, GRID, INK, MUTED, PAPER
from fer3d.search.records import StudyRecord

MIN_TRIALS = 4  # complete ones, without which importances cannot be estimated
_SEED = 0
_NUM_CONTOURED, _NUM_NAMED = 3, 3

_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
_COLOURS = {"COMPLETE": ACCENTS[0], "PRUNED": ACCENTS[1], "FAIL": ALERT, "RUNNING": MUTED}

# Characters per title line that fit on a phone.
_LINE = 48
_PERCENT = ".2~%"
_AXIS = {"gridcolor": GRID, "linecolor": MUTED, "zeroline": False, "automargin": True}
_TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": "system-ui, 'DejaVu Sans', sans-serif", "size": 12, "color": INK},
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "hoverlabel": {"align": "left"},
        "legend": {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
    }
)


@dataclass(frozen=True)
class Plot:
    """Optuna's figure under the name of its element, with a heading and a height in pixels."""

    name: str
    heading: str
    figure: go.Figure
    height: int


@dataclass(frozen=True)
class PlotSection:
    """A section of the interactive page: its plots, and in words what they show or why there are none."""

    slug: str  # its address within the page
    title: str
    said: str
    plots: tuple[Plot, ...] = ()
    width: int = 0  # pixels that a plot needs, so that it scrolls on a narrower page; 0 if it fits any page


def render_plots(record: StudyRecord, sections: Sequence[PlotSection], banners: Sequence[str]) -> str:
    """Returns the interactive page of a study as HTML, Plotly's code included."""
    figures = ",\n".join(f'"{plot.name}": {_json(record, plot)}' for section in sections for plot in section.plots)
    return fill_template(
        "study.html.j2",
        name=record.name,
        marks=study_marks(record),
        banners=banners,
        sections=sections,
        plotly=Markup(get_plotlyjs()),
        # JSON within a script must not contain the start of a tag.
        figures=Markup(f"{{{figures}}}".replace("<", "\\u003c")),
    )


def plot_sections(record: StudyRecord) -> tuple[PlotSection, ...]:
    """All plots of a study, deterministic for a given study."""
    verbosity = optuna.logging.get_verbosity()
    # Optuna warns about trials that it does not draw; the page reports them.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study, names = _copy(record), [setting.name for setting in read_settings(record)]
        shares, importances = _importances(record, study, names)
        return (
            importances,
            _slices(record, study, names),
            _parallel(record, study),
            _contours(record, study, list(shares)[:_NUM_CONTOURED]),
            _timeline(record, study),
        )
    finally:
        optuna.logging.set_verbosity(verbosity)


def importances(record: StudyRecord) -> dict[str, float]:
    """Returns each setting's share of the variance among the complete trials (fANOVA), the largest first.

    Raises:
        EvaluationError: The trials give no importances; the message says why.
    """
    shares, section = _importances(record, _copy(record), [setting.name for setting in read_settings(record)])
    if not shares:
        raise EvaluationError(f"study {record.name}: {section.said}")
    return shares


def _importances(record: StudyRecord, study: Study, names: Sequence[str]) -> tuple[dict[str, float], PlotSection]:
    """The importance of each setting that varies among complete trials, the largest first; and their section."""
    place, complete = ("importances", "Which settings mattered"), record.complete
    shared = [name for name in names if all(name in trial.params for trial in complete)]
    constant = [name for name in shared if len({trial.params[name] for trial in complete}) == 1]
    varied = [name for name in shared if name not in constant]
    reason = ""
    if len(complete) < MIN_TRIALS:
        reason = f"{len(complete)} of {len(record.trials)} trials are complete; at least {MIN_TRIALS} are needed"
    elif len({trial.attainable for trial in complete}) == 1:
        reason = f"all {len(complete)} complete trials have the same accuracy"
    elif not varied:
        reason = f"the {len(complete)} complete trials share no setting in which they differ"
    if reason:
        return {}, PlotSection(*place, f"No importances: {reason}.")
    evaluator = FanovaImportanceEvaluator(seed=_SEED)
    figure = visualization.plot_param_importances(study, evaluator, varied, target_name="accuracy")
    bars = figure.data[0]
    bars.marker.color = ACCENTS[0]
    figure.update_xaxes(title="share of the variance", range=[0, 1.15 * max(bars.x)])
    figure.update_yaxes(title="")
    shares = dict(sorted(zip(bars.y, bars.x, strict=True), key=lambda item: (-item[1], item[0])))
    most = ", ".join(f"{name} ({share:.2f})" for name, share in list(shares.items())[:_NUM_NAMED])
    said = (
        f"Most important among the complete trials: {most}. An importance is a setting's share of the variance among "
        f"the {len(complete)} complete trials (fANOVA). Pruned trials do not count: a setting that decides whether a "
        "trial is pruned may look unimportant."
    )
    if constant:
        said += f" Alike in all complete trials: {', '.join(constant)}."
    plot = Plot("importances", "importance of each setting", figure, 150 + 26 * len(varied))
    return shares, PlotSection(*place, said, (plot,))


def _slices(record: StudyRecord, study: Study, names: Sequence[str]) -> PlotSection:
    place = "slices", "What each choice led to"
    drawn = [trial for trial in record.trials if trial.state in ("complete", "pruned")]
    names = [name for name in names if any(name in trial.params for trial in drawn)]
    if not names:
        return PlotSection(*place, "Nothing to draw: no trial with a searched setting is complete or pruned.")
    said = (
        f"{len(drawn)} complete and pruned trials by what they chose for each of {len(names)} settings. Accuracy: "
        f"{record.protocol.title}. The later a complete trial began, the stronger its colour. A hollow triangle is "
        "what a pruned trial could have reached at most."
    )
    limits = accuracy_range(record, drawn)
    plots = []
    for name in names:
        figure = _slice(record, study, name)
        figure.update_xaxes(title=html.escape(name))
        figure.update_yaxes(title="accuracy", range=limits, tickformat=_PERCENT, hoverformat=".2%")
        plots.append(Plot(f"slice-{slug(name)}", f"accuracy by {name}", figure, 360))
    return PlotSection(*place, said, tuple(plots))


def _slice(record: StudyRecord, study: Study, name: str) -> go.Figure:
    """Optuna's slice of complete trials, with the medians of choices, the bounds of pruned trials and the threshold."""
    having = [trial for trial in study.trials if name in trial.params]
    complete, pruned = (
        [trial.number for trial in having if trial.state == state] for state in (TrialState.COMPLETE, TrialState.PRUNED)
    )
    bounds = {trial.number: trial.attainable for trial in record.trials}
    choices = [str(choice) for choice in getattr(having[-1].distributions[name], "choices", ())]
    values = {trial.number: str(trial.params[name]) if choices else trial.params[name] for trial in having}
    figure = visualization.plot_slice(study, [name], target_name="accuracy") if complete else go.Figure()
    # Optuna writes choices as Python does: 'adam'.
    written = {repr(trial.params[name]): str(trial.params[name]) for trial in having}
    for trace in figure.data:
        trace.update(x=[written.get(x, x) for x in trace.x], name="complete", showlegend=True)
        trace.marker.update(showscale=False, size=8)
    if choices:
        # Leave no space for choices without trials.
        made = [choice for choice in choices if choice in values.values()]
        figure.update_xaxes(type="category", categoryorder="array", categoryarray=made)
        by_choice = {choice: [bounds[number] for number in complete if values[number] == choice] for choice in made}
        medians = {choice: median(accuracies) for choice, accuracies in by_choice.items() if accuracies}
        dash = {"symbol": "line-ew-open", "size": 24, "line": {"width": 2.5}, "color": INK}
        figure.add_scatter(
            x=list(medians), y=list(medians.values()), mode="markers", marker=dash, name="median of complete"
        )
    if pruned:
        triangle = {"symbol": "triangle-down-open", "size": 8, "color": ACCENTS[1]}
        figure.add_scatter(
            x=[values[number] for number in pruned], y=[bounds[number] for number in pruned],
            text=[f"trial {number}" for number in pruned], mode="markers", marker=triangle, name="pruned: at most",
        )  # fmt: skip
    if (threshold := fixed_threshold(record)) is not None:
        line = {"dash": "dash", "color": MUTED, "width": 1.5}
        figure.add_hline(threshold, line=line, name=f"threshold {percent(threshold)}", showlegend=True)
    return figure


def _parallel(record: StudyRecord, study: Study) -> PlotSection:
    place, best = ("parallel", "Which choices went together"), record.best
    names = sorted({name for trial in record.complete for name in trial.params})
    if best is None or not names:
        return PlotSection(*place, "Nothing to draw: no trial with a searched setting is complete.")
    chosen = ", ".join(f"{name}={value_text(value)}" for name, value in best.params.items())
    said = (
        f"{len(record.complete)} complete trials, each a line through its choices; the more accurate, the stronger its "
        f"colour. Accuracy: {record.protocol.title}. The best, in red, is trial {best.number}: {chosen}."
    )
    figure = visualization.plot_parallel_coordinate(study, target_name="accuracy")
    low, high = record.complete[-1].attainable, best.attainable
    *lines, scale = figure.data
    for line in lines:
        line.customdata = [["accuracy", percent(low + line.y[0] * (high - low))], *line.customdata[1:]]
        if line.y[0] == 1 or low == high:
            line.update(line={"width": 3, "color": ALERT}, opacity=1, zorder=2)
    scale.marker.update(showscale=low < high, colorbar={"tickformat": _PERCENT, "thickness": 12})
    for tick in figure.layout.annotations:
        if tick.x == 0:
            tick.text = percent(low + tick.y * (high - low) if low < high else low)
    # Whole names, which Optuna cuts, in narrow lines.
    labels = ["accuracy", *(re.sub(r"(?<=[._/])", "<br>", html.escape(name)) for name in names)]
    figure.update_xaxes(ticktext=labels, tickangle=0, range=(-0.6, len(names) + 0.2))
    plot = Plot("parallel", "choices of complete trials", figure, 500)
    return PlotSection(*place, said, (plot,), width=100 + 76 * len(labels))


def _contours(record: StudyRecord, study: Study, names: Sequence[str]) -> PlotSection:
    place = "contours", "How two settings act together"
    if len(names) < 2:
        return PlotSection(*place, "No contours: they need the importances of at least two settings.")
    said = (
        f"Accuracy ({record.protocol.title}) of the complete trials over each two of the {len(names)} most important "
        "settings. Dots are trials, the best one where choices are equal; the colour between them is interpolated."
    )
    scale = {"thickness": 10, "tickformat": _PERCENT, "title": None}
    plots = []
    for pair in combinations(names, 2):
        figure = visualization.plot_contour(study, list(pair), target_name="accuracy")
        figure.update_traces(selector={"type": "contour"}, colorbar=scale, line={"width": 0.5, "color": MUTED})
        figure.update_traces(selector={"type": "scatter"}, marker={"size": 5, "color": INK, "line": {"color": PAPER}})
        plots.append(Plot(f"contour-{slug(' '.join(pair))}", f"accuracy by {' and '.join(pair)}", figure, 420))
    return PlotSection(*place, said, tuple(plots))


def _timeline(record: StudyRecord, study: Study) -> PlotSection:
    place = "timeline", "When each trial ran"
    moments = [moment for trial in record.trials for moment in (trial.started, trial.finished) if moment is not None]
    if not moments:
        return PlotSection(*place, "Nothing to draw: no trial has begun.")
    last = max(moments)
    taken = duration_text((last - min(moments)).total_seconds())
    trained = duration_text(sum(trial.seconds for trial in record.trials))
    said = (
        f"{taken} from the first start to the last end; folds took {trained} to train. A bar is a trial from its start "
        "to its end, pauses included."
    )
    figure = visualization.plot_timeline(study)
    for bars in figure.data:
        # An outline keeps trials of seconds visible in a study of days.
        bars.marker.update(color=_COLOURS[bars.name], line={"color": _COLOURS[bars.name], "width": 1})
        if bars.name == "RUNNING":
            # Optuna uses the current time, which differs with each report.
            bars.x = [1000 * (last - datetime.fromisoformat(start)).total_seconds() for start in bars.base]
        bars.name = f"{len(bars.y)} {'failed' if bars.name == 'FAIL' else bars.name.lower()}"
    figure.update_xaxes(title="")
    figure.update_yaxes(title="trial", dtick=1 if len(study.trials) < 10 else None)
    height = min(760, 260 + 6 * len(study.trials))
    return PlotSection(*place, said, (Plot("timeline", "when each trial ran", figure, height),))


def _json(record: StudyRecord, plot: Plot) -> str:
    """Applies the page's style and a title with the study's cautions, which a saved picture keeps."""
    titles = textwrap.wrap(f"{record.name}: {plot.heading}", _LINE)
    lines = [f"<b>{html.escape(line)}</b>" for line in titles]
    marks = textwrap.wrap(study_marks(record), _LINE)
    lines += [f'<b style="color:{ALERT}">{html.escape(line)}</b>' for line in marks]
    title = {"text": "<br>".join(lines), "font": {"size": 12}, "x": 0, "xref": "container", "pad": {"l": 6}}
    # The place of the first line, below the buttons; the others follow it.
    title |= {"y": 1 - 40 / plot.height, "yref": "container", "yanchor": "bottom"}
    margin = {"l": 8, "r": 12, "t": 46 + 16 * len(lines), "b": 8}
    plot.figure.update_layout(template=_TEMPLATE, title=title, margin=margin, legend=None)
    return plotly.io.to_json(plot.figure, engine="json")  # type: ignore[no-any-return]


def _copy(record: StudyRecord) -> Study:
    """Returns an in-memory copy of the trials that had started when the study was read; a search may go on.

    Choices are as on the command line, and a trial has the name of its run and its error rather than its folds.
    """
    study = optuna.create_study(storage=InMemoryStorage(), direction="maximize")
    for trial in record.trials:
        if trial.started is None:
            continue
        drawn = {name: _written(trial.distributions[name], value) for name, value in trial.params.items()}
        copied = create_trial(
            state=_STATES.get(trial.state, TrialState.RUNNING),
            value=trial.accuracy,
            params={name: value for name, (_, value) in drawn.items()},
            distributions={name: distribution for name, (distribution, _) in drawn.items()},
            user_attrs={key: value for key, value in (("run", trial.run), ("error", trial.error)) if value is not None},
        )
        copied.datetime_start, copied.datetime_complete = trial.started, trial.finished
        study.add_trial(copied)
    return study


def _written(distribution: BaseDistribution, value: Any) -> tuple[BaseDistribution, Any]:
    """A distribution and a value of it, with choices as on the command line unless all of them are numbers."""
    choices = distribution.choices if isinstance(distribution, CategoricalDistribution) else ()
    if all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in choices):
        return distribution, value
    texts = [value_text(choice) for choice in choices]
    if len(set(texts)) < len(texts):
        texts = [repr(choice) for choice in choices]
    return CategoricalDistribution(texts), texts[int(distribution.to_internal_repr(value))]
