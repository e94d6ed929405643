"""The parts of the page that show single runs: what each achieved, where it fails, and how it was made."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import OmegaConf

from fer3d.clips.folds import FoldKind
from fer3d.clips.independence import NOT_INDEPENDENT, SEEN_BEFORE, Independence
from fer3d.evaluation.evaluation_tables import measures_table, recall_table, subjects_table
from fer3d.evaluation.protocols import BEST_EPOCH, LAST_EPOCH, PROTOCOLS
from fer3d.evaluation.run_results import RunResults, name_folds
from fer3d.evaluation.tables import Table, percent
from fer3d.reporting.drawings import (
    confusion_picture,
    curves_part,
    missed_part,
    protocols_picture,
    reliability_picture,
    subjects_part,
)
from fer3d.reporting.page import Headline
from fer3d.reporting.parts import DataTable, Facts, Folded, Gallery, Part, Picture, Prose, Section
from fer3d.reporting.report_runs import ReportRun, joint_caution

# What of a configuration says how numbers came about; the rest says where they went.
_TOLD = (
    "name",
    "seed",
    "data",
    "faces",
    "clips",
    "cv",
    "augment",
    "model",
    "optimizer",
    "scheduler",
    "batch_size",
    "class_weights",
    "class_sampler",
    "trainer",
    "precision",
    "compile",
    "start_from",
    "selected_by",
)


def headline(one: ReportRun) -> Headline:
    """What a run achieved in one sentence: the honest number first, the optimistic one beside it."""
    last, best = (one.evaluation.under(protocol).measures.pooled for protocol in (LAST_EPOCH, BEST_EPOCH))
    low, high = map(percent, last.interval())
    kind = f"{one.run.independence.mark}{'SYNTHETIC ' if one.run.synthetic else ''}held-out clips"
    return Headline(
        label=one.label,
        accuracy=percent(last.accuracy),
        sentence=(
            f"{last.num_correct} of {last.num_clips} {kind} of {one.corpus_title} are right after the last epoch under "
            f"{one.run.cross_validation} cross-validation (95% Wilson interval {low} to {high}); each fold's "
            f"best epoch gives {percent(best.accuracy)}, which is optimistic."
        ),
        caution=one.run.caution,
    )


def banners(runs: Sequence[ReportRun]) -> tuple[str, ...]:
    """What a reader must know before any number."""
    said = []
    synthetic = [one.label for one in runs if one.run.synthetic]
    if synthetic:
        said.append(
            f"SYNTHETIC data: {_named(synthetic, runs)} measured on rendered faces. Such numbers say whether the "
            "pipeline works, not how well a network reads real faces."
        )
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
        (
            Prose(
                "The rule that says which epoch of a fold counts changes a result more than most hyper-parameters do."
            ),
            Facts(meanings),
            protocols_picture(runs),
        ),
        caution=joint_caution(runs),
    )


def runs_section(runs: Sequence[ReportRun], *, faces: bool) -> Section:
    """Every run by itself."""
    return Section("runs", "Run by run", tuple(_run_section(one, faces=faces) for one in runs), listed=True)


def provenance_section(runs: Sequence[ReportRun]) -> Section:
    """How every run was made."""
    return Section("provenance", "How it was obtained", tuple(_provenance(one) for one in runs))


def independence_text(kind: FoldKind, independence: Independence) -> str:
    """What has to be said of folds that are not, or need not be, subject-independent; nothing of others.

    Args:
        kind: The kind of cross-validation.
        independence: Whether they are subject-independent.
    """
    if independence.holds and kind is not FoldKind.GIVEN:
        return ""
    return f"; {independence.caution or 'subject-independent'}: {independence.sentence}"


def duration_text(seconds: float) -> str:
    """A time for people: seconds, minutes, or hours and minutes."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _run_section(one: ReportRun, *, faces: bool) -> Section:
    subjects = subjects_table(one.evaluation)
    pictures = [confusion_picture(one, LAST_EPOCH), curves_part(one), subjects_part(one), reliability_picture(one)]
    missed = missed_part(one, faces=faces)
    parts: list[Part] = [
        DataTable(measures_table(one.evaluation)),
        Gallery(tuple(picture for picture in [*pictures, missed] if isinstance(picture, Picture))),
        *(part for part in [*pictures, missed] if not isinstance(part, Picture)),
        DataTable(recall_table(one.evaluation)),
    ]
    if subjects.rows:
        parts.append(DataTable(subjects))
    return Section(f"run-{one.slug}", one.label, tuple(parts), caution=one.run.caution)


def _chosen_table(run: RunResults) -> Table:
    """What the search of each outer fold of a nested run chose."""
    chosen = {fold.fold: fold.info["chosen"] for fold in run.folds}
    names = list(dict.fromkeys(name for choice in chosen.values() for name in choice["params"]))
    return Table(
        title="What each fold's own search chose",
        columns=("outer fold", "trial", "inner accuracy", *names),
        rows=tuple(
            (
                str(fold),
                str(choice["trial"]),
                percent(choice["accuracy"]),
                *(_short(choice["params"].get(name, "")) for name in names),
            )
            for fold, choice in chosen.items()
        ),
        note="Inner accuracies are those that the searches chose by, and optimistic; the run's own are not.",
        caution=run.caution,
    )


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _provenance(one: ReportRun) -> Section:
    run = one.run
    told = {key: run.config[key] for key in _TOLD if key in run.config}
    return Section(
        f"provenance-{one.slug}",
        one.label,
        (
            Facts(tuple(_facts(one))),
            *([DataTable(_chosen_table(run))] if run.is_nested else []),
            Folded("Configuration", OmegaConf.to_yaml(OmegaConf.create(told))),
        ),
        caution=run.caution,
    )


def _facts(one: ReportRun) -> list[tuple[str, str]]:
    run = one.run
    return [
        ("Run", str(run.info["run"])),
        ("Digest", run.digest),
        ("Corpus", f"{one.corpus_title} ({run.info['num_clips']} clips)"),
        ("Clip store", str(run.info["clip_store"]) + ("" if one.store else " (not found here)")),
        ("Folds", _folds(one)),
        ("Seed", str(run.seed)),
        ("Starts from", _start(one)),
        ("Device", f"{_all(one, 'device')}, {_all(one, 'precision')}"),
        ("Training time", duration_text(sum(float(fold.info["seconds"]) for fold in run.folds))),
        ("Finished", max(str(fold.info["finished"]) for fold in run.folds)),
        ("Versions", "; ".join(f"{name} {version}" for name, version in run.versions.items())),
    ]


def _folds(one: ReportRun) -> str:
    run = one.run
    there = f"{len(run.folds)} of {run.num_folds}" if run.partial else str(run.num_folds)
    sizes = [len(fold.clip_ids) for fold in run.folds]
    least, most = min(sizes), max(sizes)
    each = f"{least if least == most else f'{least} to {most}'} held-out clips each"
    return f"{there} ({run.fold_rule}), {each}{independence_text(run.fold_kind, run.independence)}"


def _start(one: ReportRun) -> str:
    """Where the folds' weights come from: a transfer says which network."""
    origin = one.run.info.get("start_from")
    if not origin:
        return "scratch"
    kind = "SYNTHETIC clips of " if origin["synthetic"] else ""
    run, weights = str(origin["digest"])[:8], str(origin["weights"])[:8]
    return f"a network trained on {kind}{origin['corpus']} (run {run}, fold {origin['fold']}, weights {weights})"


def _all(one: ReportRun, key: str) -> str:
    """What the folds say, each thing once."""
    return ", ".join(sorted({str(fold.info[key]) for fold in one.run.folds}))


def _named(labels: Sequence[str], runs: Sequence[ReportRun]) -> str:
    if len(labels) == len(runs):
        return "everything here was"
    return f"{', '.join(labels)} {'was' if len(labels) == 1 else 'were'}"
