"""The files of an evaluation: JSON with everything, CSV files with rows for spreadsheets and pandas."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fer3d.atomic_file import write_file
from fer3d.evaluation.evaluation import Evaluation, Outcome, SubjectScore
from fer3d.evaluation.measures import Score
from fer3d.evaluation.run_results import EvaluationError, RunResults
from fer3d.evaluation.tables import csv_text, json_text

FORMAT_VERSION = 1
FOLDER_NAME = "evaluation"

Row = dict[str, Any]


def write_evaluation(evaluation: Evaluation, folder: Path | None = None) -> list[Path]:
    """Writes `evaluation.json`, `measures.csv`, `folds.csv`, `subjects.csv`, `emotions.csv` and `clips.csv`.

    There is no `subjects.csv` if subjects are unknown.

    Args:
        evaluation: What to write; files of an earlier evaluation are replaced.
        folder: The destination; by default `evaluation` in the run's folder.

    Returns:
        The files.

    Raises:
        EvaluationError: The folder cannot be written to.
    """
    rows = {"folds": fold_rows, "subjects": subject_rows, "emotions": emotion_rows, "clips": clip_rows}
    if not evaluation.run.independence.subjects_known:
        del rows["subjects"]
    texts = {
        "evaluation.json": json_text(evaluation_content(evaluation)),
        "measures.csv": rows_text(measures_rows([evaluation])),
    }
    for name, rows_of in rows.items():
        texts[f"{name}.csv"] = rows_text(
            _flat({**_origin(evaluation.run, outcome), **row})
            for outcome in evaluation.outcomes
            for row in rows_of(outcome)
        )
    return write_texts(folder or evaluation.run.folder / FOLDER_NAME, texts)


def evaluation_content(evaluation: Evaluation) -> dict[str, Any]:
    """Everything except the prediction for each clip, in plain values for JSON; None for NaN."""
    content = {
        outcome.protocol.name: {
            **protocol_content(outcome),
            **_numbers(outcome),
            "folds": fold_rows(outcome),
            "subjects": subject_rows(outcome),
            "emotions": emotion_rows(outcome),
            "confusion": outcome.measures.confusion.tolist(),
            "hardest_subjects": list(map(_subject_row, outcome.hardest_subjects())),
            "most_confidently_wrong": [asdict(clip) for clip in outcome.most_confidently_wrong()],
            "reliability": reliability_rows(outcome),
        }
        for outcome in evaluation.outcomes
    }
    return {"format": FORMAT_VERSION, **evaluation.run.provenance(), "epoch_protocols": content}


def protocol_content(outcome: Outcome) -> dict[str, Any]:
    """Describes the epoch protocol of an outcome, in plain values for JSON."""
    told: dict[str, Any] = {"optimistic": outcome.protocol.optimistic, "meaning": outcome.protocol.meaning}
    return told | ({"own": outcome.protocol.own} if outcome.protocol.own else {})


def measures_rows(evaluations: Iterable[Evaluation]) -> list[Row]:
    """A row for each run and epoch protocol."""
    return [
        {**_origin(evaluation.run, outcome), "optimistic": outcome.protocol.optimistic, **_numbers(outcome)}
        for evaluation in evaluations
        for outcome in evaluation.outcomes
    ]


def fold_rows(outcome: Outcome) -> list[Row]:
    """A row for each fold, with the epoch that counts there and, with inner validation, its temperature."""
    epochs, temperatures = outcome.predictions.epochs, outcome.temperatures
    return [
        {"fold": fold, "epoch": epochs[fold], **_score(score)}
        | ({"temperature": temperatures[fold]} if temperatures else {})
        for fold, score in outcome.measures.per_fold.items()
    ]


def subject_rows(outcome: Outcome) -> list[Row]:
    """A row for each subject."""
    return list(map(_subject_row, outcome.subjects))


def emotion_rows(outcome: Outcome) -> list[Row]:
    """A row for each emotion: its recall and its row of the confusion matrix."""
    confusion, recall = outcome.measures.confusion.tolist(), outcome.measures.recall.tolist()
    return [
        {
            "emotion": emotion,
            "num_correct": counts[label],
            "num_clips": sum(counts),
            "recall": number_or_none(recall[label]),
            "predicted": dict(zip(outcome.emotions, counts, strict=True)),
        }
        for label, (emotion, counts) in enumerate(zip(outcome.emotions, confusion, strict=True))
    ]


def clip_rows(outcome: Outcome) -> list[Row]:
    """A row for each held-out clip."""
    return [asdict(clip) for clip in outcome.clips]


def reliability_rows(outcome: Outcome) -> list[Row]:
    """A row for each non-empty bin of the reliability diagram, without temperature scaling."""
    return [
        {"low": one.low, "high": one.high, "mean_confidence": one.confidence, **_score(one.score)}
        | _interval("wilson_95", one.score.interval())
        for one in outcome.calibration.bins
    ]


def number_or_none(value: float) -> float | None:
    """The number, or None for NaN, which JSON lacks."""
    return None if math.isnan(value) else value


def rows_text(rows: Iterable[Row]) -> str:
    """Returns the content of a CSV file with at least one row; all rows have the same keys."""
    listed = list(rows)
    return csv_text(list(listed[0]), [list(row.values()) for row in listed])


def write_texts(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Writes files, each of them atomically, and returns their paths.

    Raises:
        EvaluationError: The folder cannot be written to.
    """
    try:
        for name, text in texts.items():
            write_file(folder / name, text)
    except OSError as error:
        raise EvaluationError(f"cannot write to {folder}: {error}. Choose another folder with --out FOLDER") from error
    return [folder / name for name in texts]


def _origin(run: RunResults, outcome: Outcome) -> Row:
    """The first columns of every CSV file."""
    return {
        "run": run.info["run"],
        "corpus": run.corpus,
        "synthetic": run.synthetic,
        "subject_independent": run.independence.holds,
        "partial": run.partial,
        "seed": run.seed,
        "epoch_protocol": outcome.protocol.name,
    }


def _numbers(outcome: Outcome) -> Row:
    pooled = outcome.score
    return {
        "num_correct": pooled.num_correct,
        "num_clips": pooled.num_clips,
        **_interval("wilson_95", pooled.interval()),
        **{name: number_or_none(value) for name, value in outcome.numbers.items()},
        **_interval("ece_if_calibrated_95", outcome.calibration.ece_if_calibrated),
    }


def _interval(name: str, bounds: tuple[float, float]) -> Row:
    return {f"{name}_low": bounds[0], f"{name}_high": bounds[1]}


def _subject_row(subject: SubjectScore) -> Row:
    return {"subject": subject.subject, "fold": subject.fold, **_score(subject.score)}


def _score(score: Score) -> Row:
    return {"num_correct": score.num_correct, "num_clips": score.num_clips, "accuracy": score.accuracy}


def _flat(row: Row) -> Row:
    """The row with dictionaries spread out into columns such as `predicted_anger`."""
    flat: Row = {}
    for key, value in row.items():
        flat |= {f"{key}_{name}": each for name, each in value.items()} if isinstance(value, dict) else {key: value}
    return flat
