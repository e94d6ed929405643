"""Sections about runs: accuracy, errors, and provenance of each."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from omegaconf import OmegaConf

from fer3d.clips.folds import FoldKind
from fer3d.clips.independence import NOT_INDEPENDENT, SEEN_BEFORE, Independence
from fer3d.evaluation.calibration import NUM_BINS
from fer3d.evaluation.evaluation import Outcome
from fer3d.evaluation.evaluation_tables import measures_table, recall_table, subjects_table
from fer3d.evaluation.learning_curves import read_curves
from fer3d.evaluation.measures import HARDEST_FIRST
from fer3d.evaluation.protocols import BEST_EPOCH, LAST_EPOCH, PROTOCOLS, EpochProtocol
from fer3d.evaluation.run_results import EvaluationError, RunResults, name_folds
from fer3d.evaluation.tables import Table, percent
from fer3d.explanation.missed_clips import missed_clips, missed_maps
from fer3d.models.network import Task
from fer3d.reporting import figures
from fer3d.reporting.architecture import architecture_figure, configured_network, describe_network
from fer3d.reporting.page import (
    DataTable,
    Facts,
    Folded,
    Headline,
    Part,
    Picture,
    Prose,
    Section,
    Strip,
    Strips,
    draw,
    side_by_side,
    value_text,
)
from fer3d.reporting.runs import RENDERED, ReportRun, joint_caution
from fer3d.reporting.strips import missed_figure, missed_strips, prediction_text, webp

# The keys of a configuration that affect numbers; the others concern outputs.
_TOLD = (
    "name", "seed", "data", "faces", "clips", "cv", "augment", "model", "optimizer", "scheduler", "batch_size",
    "class_weights", "class_sampler", "trainer", "precision", "compile", "start_from", "selected_by",
)  # fmt: skip

MAX_CLIPS = 12  # missed ones that are shown
_NAMED = 3  # clips and confusions in a sentence
_WHICH_EPOCH = "The rule that says which epoch of a fold counts changes a result more than most hyper-parameters do."


def headline(one: ReportRun) -> Headline:
    """A run's accuracy in one sentence: the honest number first, then the optimistic one."""
    last, best = (one.evaluation.score(protocol) for protocol in (LAST_EPOCH, BEST_EPOCH))
    low, high = map(percent, last.interval())
    kind = f"{one.run.independence.mark}{'SYNTHETIC ' if one.run.synthetic else ''}held-out clips"
    said = (
        f"{last.num_correct} of {last.num_clips} {kind} of {one.corpus_title} are right after the last epoch under "
        f"{one.run.cross_validation} cross-validation (95% Wilson interval {low} to {high}); each fold's best epoch "
        f"gives {percent(best.accuracy)}, which is optimistic."
    )
    return Headline(one.label, percent(last.accuracy), said, one.run.caution)


def banners(runs: Sequence[ReportRun]) -> tuple[str, ...]:
    """Cautions that precede all numbers."""
    said = []
    synthetic = [one.label for one in runs if one.run.synthetic]
    if synthetic:
        some = f"{', '.join(synthetic)} {'was' if len(synthetic) == 1 else 'were'}"
        said.append(f"SYNTHETIC data: {some if len(synthetic) < len(runs) else 'everything here was'} {RENDERED}")
    said += [
        f"{NOT_INDEPENDENT}: in {one.label}, {one.run.independence.sentence}. {SEEN_BEFORE}"
        for one in runs
        if not one.run.independence.holds
    ]
    said += [
        f"PARTIAL: {one.label} lacks {len(one.run.missing)} of {one.run.num_folds} folds "
        f"({name_folds(one.run.missing)}). Its numbers leave out their clips."
        for one in runs
        if one.run.partial
    ]
    said += [
        f"CHOSEN BY A SEARCH: {one.label} is trial {one.run.selected_by['trial']} of {one.run.selected_by['study']}, "
        "which tried settings on these very clips. A score by which a trial was selected is optimistic; a nested "
        "search (cv=nested) says what such a choice is worth."
        for one in runs
        if one.run.is_selected and one.run.selected_by
    ]
    return tuple(said)


def protocols_section(runs: Sequence[ReportRun]) -> Section:
    """All runs under every epoch protocol."""
    allowed = {outcome.protocol for one in runs for outcome in one.evaluation.outcomes}
    meanings = tuple((protocol.title, protocol.meaning) for protocol in PROTOCOLS if protocol in allowed)
    return Section(
        "epoch-protocols",
        "Which epoch counts",
        (Prose(_WHICH_EPOCH), Facts(meanings), protocols_picture(runs)),
        joint_caution(runs),
    )


def runs_section(runs: Sequence[ReportRun], *, faces: bool) -> Section:
    """Every run by itself."""
    return Section("runs", "Run by run", tuple(_run_section(one, faces=faces) for one in runs), listed=True)


def own_reports_section(runs: Sequence[ReportRun]) -> Section:
    """The accuracy of runs that are too many to show each by itself, and where to see more of one."""
    said = (
        f"Confusion matrices, learning curves and missed clips of a run are in its own report, such as fer3d report "
        f"{runs[0].run.folder}: {len(runs)} are too many for a page."
    )
    rows = []
    for one in runs:
        last, best = (one.evaluation.score(protocol) for protocol in (LAST_EPOCH, BEST_EPOCH))
        low, high = map(percent, last.interval())
        rows.append((one.label, percent(last.accuracy), f"{low} to {high}", percent(best.accuracy)))
    columns = ("", LAST_EPOCH.title, "95% interval", BEST_EPOCH.title)
    table = Table("Pooled accuracy of each run", columns, tuple(rows), "Wilson's interval.", joint_caution(runs))
    cautions = {number: one.run.caution for number, one in enumerate(runs)}
    return Section("runs", "Run by run", (Prose(said), DataTable(table, cautions=cautions)))


def provenance_section(runs: Sequence[ReportRun]) -> Section:
    """The provenance of every run."""
    return Section("provenance", "How it was obtained", tuple(_provenance(one) for one in runs))


def independence_text(kind: FoldKind, independence: Independence) -> str:
    """The caution for folds that are not, or may not be, subject-independent; none for others."""
    if independence.holds and kind is not FoldKind.GIVEN:
        return ""
    return f"; {independence.caution or 'subject-independent'}: {independence.sentence}"


def duration_text(seconds: float) -> str:
    """Formats a duration in seconds, minutes, or hours and minutes."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def confusion_picture(one: ReportRun, protocol: EpochProtocol, order: Sequence[str] = ()) -> Picture:
    """A run's confusion matrix under an epoch protocol.

    `order` has emotions in the order of another matrix that stands beside it; the run's others come after them.
    """
    outcome = one.evaluation.under(protocol)
    emotions = sorted(one.run.emotions, key=lambda emotion: order.index(emotion) if emotion in order else len(order))
    places = [one.run.emotions.index(emotion) for emotion in emotions]
    title = f"{one.label}, {protocol.title}"
    return draw(
        f"confusion-{protocol.name.replace('_', '-')}-{one.slug}",
        f"Confusion matrix of {one.marked_label}, {protocol.title}. {_confusions(outcome)}",
        f"{one.run.cross_validation} on {one.corpus_title}. {_confusions(outcome)}",
        figures.confusion_figure(outcome.measures.confusion[np.ix_(places, places)], emotions, title, one.run.caution),
    )


def curves_part(one: ReportRun) -> Part:
    """A run's learning curves, or the reason why there are none."""
    try:
        curves = read_curves(one.run)
    except EvaluationError as error:
        # Without paths of this machine.
        return Prose(f"No learning curves: {str(error).replace(f'{one.run.folder}{os.sep}', f'{one.label}/')}.")
    num_folds, last = len(curves.folds), percent(one.evaluation.accuracy(LAST_EPOCH))
    said = "Loss and accuracy by epoch. Training clips are counted as they train: with dropout and augmentation."
    if num_folds > 1:
        spread = f"{'band: the middle 80 %' if num_folds > figures.MAX_LINES else 'thin: each'} of {num_folds} folds"
        said += f" Thick: held-out clips of all folds together, training clips as the mean of the folds; {spread}."
    alt = (
        f"Loss and accuracy of {one.marked_label} by epoch, of training and held-out clips; {last} of the held-out "
        f"clips are right after the last of {one.run.num_epochs} epochs."
    )
    figure = figures.curves_figure(curves, f"{one.label}: learning curves", one.run.caution)
    return draw(f"curves-{one.slug}", alt, said, figure)


def subjects_part(one: ReportRun) -> Part:
    """A run's accuracy on each subject after the last epoch, or the reason why there is none."""
    scores = one.evaluation.under(LAST_EPOCH).measures.per_subject
    if not scores:
        return Prose("No accuracy on each subject: the subjects are unknown.")
    title = f"{one.label}: accuracy on each subject, {LAST_EPOCH.title}"
    whole = sum(score.num_correct == score.num_clips for score in scores.values())
    said = f"All clips of {whole} of {len(scores)} subjects are right after the last epoch."
    if whole < len(scores):
        said += f" The others: {HARDEST_FIRST}."
    alt = f"Accuracy of {one.marked_label} on each subject. {said}"
    return draw(f"subjects-{one.slug}", alt, said, figures.subjects_figure(scores, title, one.run.caution))


def reliability_picture(one: ReportRun) -> Picture:
    """The reliability diagram of a run after the last epoch."""
    outcome = one.evaluation.under(LAST_EPOCH)
    title = f"{one.label}: confidence and accuracy, {LAST_EPOCH.title}"
    low, high = map(percent, outcome.calibration.ece_if_calibrated)
    said = (
        f"Expected calibration error {percent(outcome.calibration.ece)}, in {NUM_BINS} bins of confidence; on as many "
        f"clips, a calibrated network would have {low} to {high} (95%)."
    )
    if outcome.scaled:
        said += f" With each fold's temperature, fitted on its inner validation: {percent(outcome.scaled.ece)}."
    alt = f"Reliability diagram of {one.marked_label}: accuracy of held-out clips by confidence, {LAST_EPOCH.title}."
    figure = figures.reliability_figure(outcome.calibration, title, one.run.caution)
    return draw(f"reliability-{one.slug}", f"{alt} {said}", said, figure)


def protocols_picture(runs: Sequence[ReportRun]) -> Picture:
    """The accuracy of all runs under each epoch protocol."""
    caution = joint_caution(runs)
    mixed = len({one.run.caution for one in runs}) > 1
    scores = {
        one.marked_label if mixed else one.label: {each.protocol: each.score for each in one.evaluation.outcomes}
        for one in runs
    }
    said = "; ".join(
        f"{label}: " + ", ".join(f"{protocol.title} {percent(score.accuracy)}" for protocol, score in row.items())
        for label, row in scores.items()
    )
    return draw(
        "epoch-protocols",
        f"Pooled accuracy under each epoch protocol with 95% intervals. {said}.{f' {caution}.' if caution else ''}",
        "Pooled accuracy (clips right of all held-out clips) with 95% Wilson intervals, by the rule that says which "
        "epoch counts. Hollow and dashed: the held-out clips themselves chose the epoch (optimistic).",
        figures.protocols_figure(scores, caution=caution),
    )


def architecture_part(one: ReportRun, heading: str) -> Part:
    """A run's network as built by its configuration, or the reason why it cannot be drawn."""
    channels, num_frames, size = input_size(one)
    try:
        network = configured_network(one.run.config["model"], Task(len(one.run.emotions), num_frames, size, channels))
        boxes = describe_network(network, (channels, num_frames, size, size))
    except Exception as error:  # a network of somebody's own may fail in any way, and the rest of the page stands
        return Prose(f"{heading} cannot be drawn here: {' '.join(str(error).split())}")
    total = f"{sum(box.num_parameters for box in boxes):,} parameters"
    return draw(
        f"architecture-{one.slug}",
        f"{heading}, from input to output: {'; '.join(' '.join(box.lines) for box in boxes)}.",
        f"{total}; the input is {channels} x {num_frames} x {size} x {size}. Beside each box: the shape of its output "
        "(channels x frames x height x width) and its parameters.",
        architecture_figure(boxes, f"{heading}: {total}"),
    )


def missed_part(one: ReportRun, *, faces: bool) -> Part:
    """Film strips of the clips that a run missed, or the reason why they are not shown."""
    if not faces:
        return Prose("Missed clips are left out (--no-clips).")
    if one.store is None:
        return Prose(
            "Missed clips are not shown: the clip store that the run was trained on (digest "
            f"{one.run.info['clip_store'][:8]}) was not found; --clips names the folder where it lies."
        )
    missed = missed_clips(one.evaluation.under(LAST_EPOCH).predictions, one.run.emotions)
    title = f"{one.label}: missed clips, {LAST_EPOCH.title}"
    if not missed:
        return Prose("No clip was missed after the last epoch.")
    shown = missed[:MAX_CLIPS]
    maps = missed_maps(one.run, one.store, shown)
    which = (
        f"{len(missed)} held-out clip{' was' if len(missed) == 1 else 's were'} missed after the last epoch; here are "
        f"the {len(shown)} most sure of a wrong emotion, frames from first to last."
    )
    terms = "" if one.run.synthetic else f" {_terms(one)}"
    worst = "; ".join(f"{clip.clip_id}: {clip.emotion} taken for {clip.predicted}" for clip in missed[:_NAMED])
    strips = missed_strips(one.store, shown, maps.maps)
    sheet = draw(
        f"missed-{one.slug}",
        f"Frames of clips that {one.marked_label} missed. {worst}.",
        f"{which} {maps.said}{terms}",
        missed_figure(strips, shown, title, one.run.caution, which),
    )
    named = ((clip.clip_id, prediction_text(clip)) for clip in shown)
    parts = tuple(Strip(*names, webp(strip), strip.size) for names, strip in zip(named, strips, strict=True))
    return Strips(**vars(sheet), title=title, caution=one.run.caution, strips=parts)


def input_size(one: ReportRun) -> tuple[int, int, int]:
    """Channels, frames and size of a run's clips at the network's input; as configured where there is no clip store."""
    config = one.run.config
    num_frames: int = config["clips"]["num_frames"]
    if one.store is not None:
        return one.store.header.num_channels, num_frames, one.store.header.size
    return int(config["model"].get("in_channels", 3)), num_frames, config["faces"]["crop"]["size"]


def _run_section(one: ReportRun, *, faces: bool) -> Section:
    pictures = [confusion_picture(one, LAST_EPOCH), curves_part(one), subjects_part(one), reliability_picture(one)]
    tables = [make(one.evaluation) for make in (measures_table, recall_table, subjects_table)]
    measures, *others = [DataTable(table) for table in tables if table.rows]
    parts: tuple[Part, ...] = (measures, *side_by_side(pictures), missed_part(one, faces=faces), *others)
    return Section(f"run-{one.slug}", one.label, parts, one.run.caution)


def _chosen_table(run: RunResults) -> Table:
    """The settings that each outer fold of a nested run selected."""
    chosen = {fold.fold: fold.info["chosen"] for fold in run.folds}
    names = list(dict.fromkeys(name for choice in chosen.values() for name in choice["params"]))
    rows = []
    for fold, choice in chosen.items():
        values = (value_text(choice["params"].get(name, "")) for name in names)
        rows.append((str(fold), str(choice["trial"]), percent(choice["accuracy"]), *values))
    note = "Inner accuracies are those that the searches chose by, and optimistic; the run's own are not."
    columns = ("outer fold", "trial", "inner accuracy", *names)
    return Table("What each fold's own search chose", columns, tuple(rows), note, run.caution)


def _provenance(one: ReportRun) -> Section:
    told = {key: one.run.config[key] for key in _TOLD if key in one.run.config}
    chosen = [DataTable(_chosen_table(one.run))] if one.run.is_nested else []
    configuration = Folded("Configuration", OmegaConf.to_yaml(OmegaConf.create(told)))
    parts: tuple[Part, ...] = (Facts(tuple(_facts(one))), *chosen, configuration)
    return Section(f"provenance-{one.slug}", one.label, parts, one.run.caution)


def _facts(one: ReportRun) -> list[tuple[str, str]]:
    run = one.run
    device, precision = (
        ", ".join(sorted({str(fold.info[key]) for fold in run.folds})) for key in ("device", "precision")
    )
    sizes = sorted({len(fold.clip_ids) for fold in run.folds})
    held_out = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    num_folds = f"{len(run.folds)} of {run.num_folds}" if run.partial else str(run.num_folds)
    independence = independence_text(run.fold_kind, run.independence)
    return [
        ("Run", str(run.info["run"])),
        ("Digest", run.digest),
        ("Corpus", f"{one.corpus_title} ({run.info['num_clips']} clips)"),
        ("Clip store", str(run.info["clip_store"]) + ("" if one.store else " (not found here)")),
        ("Folds", f"{num_folds} ({run.fold_rule}), {held_out} held-out clips each{independence}"),
        ("Seed", str(run.seed)),
        ("Starts from", _start(one)),
        ("Device", f"{device}, {precision}"),
        ("Training time", duration_text(sum(float(fold.info["seconds"]) for fold in run.folds))),
        ("Finished", max(str(fold.info["finished"]) for fold in run.folds)),
        ("Versions", "; ".join(f"{name} {version}" for name, version in run.versions.items())),
    ]


def _start(one: ReportRun) -> str:
    """The source of the folds' initial weights: for a transfer, which network."""
    origin = one.run.info.get("start_from")
    if not origin:
        return "scratch"
    weights = f"weights {str(origin['weights'])[:8]}"
    caution = f"; {origin['caution']}" if "caution" in origin else ""
    if "file" in origin:
        num_own = origin["num_loaded"] + origin["num_not_in_file"]
        loaded = f"{origin['num_loaded']} of the network's {num_own} tensors"
        return f"{origin['file']} from outside fer3d ({weights}; {loaded}){caution}"
    kind = "SYNTHETIC clips of " if origin["synthetic"] else ""
    run, fold, before = str(origin["digest"])[:8], origin["fold"], origin.get("external_weights")
    first = f", which started from {before} from outside fer3d" if before else ""
    return f"a network trained on {kind}{origin['corpus']} (run {run}, fold {fold}, {weights}){first}{caution}"


def _terms(one: ReportRun) -> str:
    """A note on publishing real faces."""
    if one.run.corpus in ("ckplus", "oulu_casia"):
        return f"The licence of {one.corpus_title} restricts publishing these images."
    return f"These are real people: look at the terms of {one.corpus_title} before you publish their images."


def _confusions(outcome: Outcome) -> str:
    """The most frequent confusions as a sentence."""
    counts = outcome.measures.confusion
    wrong = [(-count, label, said) for (label, said), count in np.ndenumerate(counts) if label != said and count]
    if not wrong:
        return "No clip was taken for another emotion."
    names = outcome.emotions
    named = (f"{names[label]} for {names[said]} ({-count})" for count, label, said in sorted(wrong)[:_NAMED])
    return f"Most often taken for another: {', '.join(named)}."
