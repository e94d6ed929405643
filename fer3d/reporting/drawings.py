"""The figures of the page, each drawn twice and with what it shows in words."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from hydra._internal.utils import _locate
from matplotlib.figure import Figure

from fer3d.clips.store import ClipStore
from fer3d.evaluation.evaluation import Outcome
from fer3d.evaluation.measures import HARDEST_FIRST, Score
from fer3d.evaluation.protocols import LAST_EPOCH, EpochProtocol
from fer3d.evaluation.run_results import EvaluationError
from fer3d.evaluation.tables import percent
from fer3d.models.network import Task
from fer3d.reporting.architecture import architecture_figure, describe_network
from fer3d.reporting.confusion import confusion_figure
from fer3d.reporting.curves import curves_figure, read_curves
from fer3d.reporting.missed_maps import MissedMaps, missed_maps
from fer3d.reporting.missed_strips import MAX_CLIPS, MissedClip, missed_clips, missed_figure
from fer3d.reporting.parts import Part, Picture, Prose
from fer3d.reporting.protocol_chart import protocols_figure
from fer3d.reporting.reliability import ece_text, reliability_figure
from fer3d.reporting.report_runs import ReportRun, joint_caution
from fer3d.reporting.subjects_chart import subjects_figure
from fer3d.reporting.theme import DARK, LIGHT, Theme, png, svg
from fer3d.training.networks import make_network

_NAMED = 3


def draw(name: str, alt: str, caption: str, figure: Callable[[Theme], Figure]) -> Picture:
    """Draws a figure for a light and for a dark page."""
    light = figure(LIGHT)
    return Picture(name, alt, caption, svg(light), svg(figure(DARK)), png(light))


def confusion_picture(one: ReportRun, protocol: EpochProtocol, order: Sequence[str] = ()) -> Picture:
    """A run's confusion matrix under an epoch protocol.

    Args:
        one: The run.
        protocol: The epoch protocol.
        order: Emotions in the order of another matrix that stands beside it; the run's others come after them.
    """
    outcome = one.evaluation.under(protocol)
    emotions = sorted(one.run.emotions, key=lambda emotion: order.index(emotion) if emotion in order else len(order))
    places = [one.run.emotions.index(emotion) for emotion in emotions]
    title = f"{one.label}, {protocol.title}"
    return draw(
        f"confusion-{protocol.name.replace('_', '-')}-{one.slug}",
        f"Confusion matrix of {one.marked_label}, {protocol.title}. {_confusions(outcome)}",
        f"{one.run.cross_validation} on {one.corpus_title}. {_confusions(outcome)}",
        lambda theme: confusion_figure(
            outcome.measures.confusion[np.ix_(places, places)], emotions, title, caution=one.run.caution, theme=theme
        ),
    )


def curves_part(one: ReportRun) -> Part:
    """A run's learning curves, or why there are none."""
    try:
        curves = read_curves(one.run)
    except EvaluationError as error:
        # Without the folders of the machine that this runs on.
        return Prose(f"No learning curves: {str(error).replace(f'{one.run.folder}{os.sep}', f'{one.label}/')}.")
    title = f"{one.label}: learning curves"
    last = percent(one.evaluation.under(LAST_EPOCH).measures.pooled.accuracy)
    return draw(
        f"curves-{one.slug}",
        f"Loss and accuracy of {one.marked_label} by epoch, of training and held-out clips; {last} of the held-out "
        f"clips are right after the last of {one.run.num_epochs} epochs.",
        "Loss and accuracy by epoch, of training and of held-out clips.",
        lambda theme: curves_figure(curves, title, caution=one.run.caution, theme=theme),
    )


def subjects_part(one: ReportRun) -> Part:
    """A run's accuracy on each subject, after the last epoch, or why there is none."""
    scores = one.evaluation.under(LAST_EPOCH).measures.per_subject
    if not scores:
        return Prose("No accuracy on each subject: the subjects are unknown.")
    title = f"{one.label}: accuracy on each subject, {LAST_EPOCH.title}"
    whole = sum(score.num_correct == score.num_clips for score in scores.values())
    said = f"All clips of {whole} of {len(scores)} subjects are right after the last epoch."
    if whole < len(scores):
        said += f" The others: {HARDEST_FIRST}."
    return draw(
        f"subjects-{one.slug}",
        f"Accuracy of {one.marked_label} on each subject. {said}",
        said,
        lambda theme: subjects_figure(scores, title, caution=one.run.caution, theme=theme),
    )


def reliability_picture(one: ReportRun) -> Picture:
    """Whether a run is right as often as it is sure, after the last epoch."""
    outcome = one.evaluation.under(LAST_EPOCH)
    title = f"{one.label}: confidence and accuracy, {LAST_EPOCH.title}"
    said = ece_text(outcome.calibration)
    if outcome.scaled:
        said += f" With each fold's temperature, fitted on its inner validation: {percent(outcome.scaled.ece)}."
    return draw(
        f"reliability-{one.slug}",
        f"Reliability diagram of {one.marked_label}: accuracy of held-out clips by confidence, {LAST_EPOCH.title}. "
        f"{said}",
        said,
        lambda theme: reliability_figure(outcome.calibration, title, caution=one.run.caution, theme=theme),
    )


def protocols_picture(runs: Sequence[ReportRun]) -> Picture:
    """The accuracy of all runs under each epoch protocol."""
    caution = joint_caution(runs)
    mixed = len({one.run.caution for one in runs}) > 1
    scores: Mapping[str, Mapping[EpochProtocol, Score]] = {
        one.marked_label if mixed else one.label: {
            outcome.protocol: outcome.measures.pooled for outcome in one.evaluation.outcomes
        }
        for one in runs
    }
    said = "; ".join(
        f"{label}: " + ", ".join(f"{protocol.title} {percent(score.accuracy)}" for protocol, score in row.items())
        for label, row in scores.items()
    )
    return draw(
        "epoch-protocols",
        f"Pooled accuracy under each epoch protocol with 95% intervals. {said}.{f' {caution}.' if caution else ''}",
        "Pooled accuracy with 95% Wilson intervals, by the rule that says which epoch counts.",
        lambda theme: protocols_figure(scores, caution=caution, theme=theme),
    )


def architecture_part(one: ReportRun, heading: str) -> Part:
    """A run's network as its configuration builds it, or why it cannot be drawn.

    Args:
        one: The run.
        heading: What the figure is of.
    """
    channels, num_frames, size = input_size(one)
    try:
        network = _network(one, Task(len(one.run.emotions), num_frames, size, channels))
        boxes = describe_network(network, (channels, num_frames, size, size))
    except Exception as error:  # a network of somebody's own may fail in any way, and the rest of the page stands
        return Prose(f"{heading} cannot be drawn here: {' '.join(str(error).split())}")
    layers = "; ".join(" ".join(box.lines) for box in boxes)
    millions = sum(box.num_parameters for box in boxes) / 1e6
    said = f"{millions:.2f} million parameters; the input is {channels} x {num_frames} x {size} x {size}."
    return draw(
        f"architecture-{one.slug}",
        f"{heading}, from input to output: {layers}.",
        said,
        lambda theme: architecture_figure(boxes, heading, theme=theme),
    )


def missed_part(one: ReportRun, *, faces: bool) -> Part:
    """The clips that a run missed as strips of frames, or why they are not shown.

    Args:
        one: The run.
        faces: Whether faces may be shown at all.
    """
    if not faces:
        return Prose("Missed clips are left out (--no-clips).")
    if one.store is None:
        digest = str(one.run.info["clip_store"])[:8]
        return Prose(
            f"Missed clips are not shown: the clip store that the run was trained on (digest {digest}) was not found; "
            "--clips names the folder where it lies."
        )
    store = one.store
    missed = missed_clips(one.evaluation.under(LAST_EPOCH).predictions, one.run.emotions)
    title = f"{one.label}: missed clips, {LAST_EPOCH.title}"
    if not missed:
        return Prose("No clip was missed after the last epoch.")
    said = f"{len(missed)} held-out clips were missed after the last epoch; those most sure of a wrong emotion first."
    maps = missed_maps(one.run, store, missed[:MAX_CLIPS])
    said += f" {maps.said}" + ("" if one.run.synthetic else f" {_terms(one)}")
    worst = "; ".join(f"{clip.clip_id}: {clip.emotion} taken for {clip.predicted}" for clip in missed[:_NAMED])
    return draw(
        f"missed-{one.slug}",
        f"Frames of clips that {one.marked_label} missed. {worst}.",
        said,
        lambda theme: _strips(store, missed, maps, title, one.run.caution, theme),
    )


def input_size(one: ReportRun) -> tuple[int, int, int]:
    """Channels, frames and side of a run's clips as they enter the network.

    Without the clip store, channels and side are as configured.
    """
    config = one.run.config
    num_frames: int = config["clips"]["num_frames"]
    if one.store is not None:
        return one.store.header.num_channels, num_frames, one.store.header.size
    return int(config["model"].get("in_channels", 3)), num_frames, config["faces"]["crop"]["size"]


def _network(one: ReportRun, task: Task) -> torch.nn.Module:
    """The network without memory for its weights.

    Raises:
        ValueError: It is not made of fer3d's and PyTorch's parts alone. A result that somebody else made may name any
            code, and to look at it should not run that.
    """
    for target in _targets(one.run.config["model"]):
        made = _locate(target) if target.startswith(("fer3d.models.", "torch.nn.")) else None
        is_part = isinstance(made, type) and issubclass(made, torch.nn.Module)
        if not is_part and getattr(made, "__module__", None) not in ("fer3d.models.cnn3d", "torch.nn.init"):
            raise ValueError(f"it names {target}, and a report runs no other code than fer3d's and PyTorch's networks")
    with torch.device("meta"):
        return make_network(one.run.config["model"], task)


def _targets(node: Any) -> Iterator[str]:
    """All code that a part of a configuration names."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield str(node["_target_"])
        node = node.values()
    elif isinstance(node, str) or not isinstance(node, Iterable):
        return
    for value in node:
        yield from _targets(value)


def _terms(one: ReportRun) -> str:
    """What to mind before real faces are published."""
    if one.run.corpus in ("ckplus", "oulu_casia"):
        return f"The licence of {one.corpus_title} restricts publishing these images."
    return f"These are real people: look at the terms of {one.corpus_title} before you publish their images."


def _strips(
    store: ClipStore, missed: Sequence[MissedClip], maps: MissedMaps, title: str, caution: str, theme: Theme
) -> Figure:
    figure = missed_figure(store, missed, title, caution=caution, theme=theme, maps=maps.maps)
    if figure is None:
        raise ValueError("there are no missed clips to draw")
    return figure


def _confusions(outcome: Outcome) -> str:
    """The most frequent confusions as a sentence."""
    counts = outcome.measures.confusion
    wrong = [
        (-int(counts[label, said]), label, said)
        for label in range(len(counts))
        for said in range(len(counts))
        if label != said and counts[label, said]
    ]
    if not wrong:
        return "No clip was taken for another emotion."
    named = (
        f"{outcome.emotions[label]} for {outcome.emotions[said]} ({-count})"
        for count, label, said in sorted(wrong)[:_NAMED]
    )
    return f"Most often taken for another: {', '.join(named)}."
