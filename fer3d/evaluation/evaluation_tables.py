"""Tables of an evaluation: epoch protocols side by side, and the hardest emotions, subjects and clips."""

from __future__ import annotations

from fer3d.evaluation.calibration import NUM_BINS
from fer3d.evaluation.evaluation import Evaluation, Outcome
from fer3d.evaluation.measures import HARDEST_FIRST
from fer3d.evaluation.protocols import LAST_EPOCH, EpochProtocol
from fer3d.evaluation.tables import Table, percent

ECE_NOTE = (
    f"ECE: the gap between confidence and accuracy, in {NUM_BINS} bins; with few clips, even a perfectly calibrated "
    "network has one."
)
# The titles of `Outcome.numbers` in tables.
NUMBER_TITLES = {
    "pooled_accuracy": "pooled accuracy",
    "mean_over_folds": "mean over folds",
    "mean_over_subjects": "mean over subjects",
    "uar": "mean recall (UAR)",
    "macro_f1": "macro F1",
    "ece": "calibration error (ECE)",
    "ece_scaled": "ECE, temperature scaled",
}


def measures_table(evaluation: Evaluation) -> Table:
    """The measures, with a column for each epoch protocol."""
    columns = [_measures_column(outcome) for outcome in evaluation.outcomes]
    return Table(
        title="Measures",
        columns=("", *(outcome.protocol.title for outcome in evaluation.outcomes)),
        rows=tuple((title, *(column[title] for column in columns)) for title in columns[0]),
        note=f"Optimistic: held-out clips influence which epoch counts. {ECE_NOTE}",
        caution=evaluation.run.caution,
    )


def recall_table(evaluation: Evaluation) -> Table:
    """Recall of each emotion, with a column for each epoch protocol; a dash for an emotion without clips."""
    num_clips = evaluation.outcomes[0].measures.confusion.sum(1)
    recalls = [outcome.measures.recall for outcome in evaluation.outcomes]
    return Table(
        title="Recall of each emotion",
        columns=("emotion", "clips", *(outcome.protocol.title for outcome in evaluation.outcomes)),
        rows=tuple(
            (emotion, str(num_clips[label]), *(percent(float(recall[label])) for recall in recalls))
            for label, emotion in enumerate(evaluation.run.emotions)
        ),
        caution=evaluation.run.caution,
    )


def confusion_table(evaluation: Evaluation, protocol: EpochProtocol = LAST_EPOCH) -> Table:
    """The confusion matrix.

    Raises:
        EvaluationError: The run was not evaluated under the epoch protocol.
    """
    emotions = evaluation.run.emotions
    confusion = evaluation.under(protocol).measures.confusion
    return Table(
        title=f"Confusion, {protocol.title}",
        columns=("emotion", *emotions),
        rows=tuple((emotion, *map(str, counts)) for emotion, counts in zip(emotions, confusion.tolist(), strict=True)),
        note="Rows: what a clip shows. Columns: what it was taken for.",
        caution=evaluation.run.caution,
    )


def subjects_table(evaluation: Evaluation, protocol: EpochProtocol = LAST_EPOCH) -> Table:
    """The hardest subjects, at most ten.

    Raises:
        EvaluationError: The run was not evaluated under the epoch protocol.
    """
    hardest = evaluation.under(protocol).hardest_subjects()
    return Table(
        title=f"Hardest subjects, {protocol.title}",
        columns=("subject", "fold", "clips wrong", "clips", "accuracy"),
        rows=tuple(
            (
                subject.subject,
                str(subject.fold),
                str(subject.score.num_wrong),
                str(subject.score.num_clips),
                percent(subject.score.accuracy),
            )
            for subject in hardest
        ),
        note=f"Order: {HARDEST_FIRST}.",
        caution=evaluation.run.caution,
    )


def wrong_clips_table(evaluation: Evaluation, protocol: EpochProtocol = LAST_EPOCH) -> Table:
    """The wrong clips with the highest confidence, at most ten.

    Raises:
        EvaluationError: The run was not evaluated under the epoch protocol.
    """
    wrong = evaluation.under(protocol).most_confidently_wrong()
    return Table(
        title=f"Most confidently wrong clips, {protocol.title}",
        columns=("clip", "fold", "shows", "taken for", "probability"),
        rows=tuple(
            (clip.clip_id, str(clip.fold), clip.label, clip.predicted, percent(clip.probability)) for clip in wrong
        ),
        caution=evaluation.run.caution,
    )


def evaluation_tables(evaluation: Evaluation) -> list[Table]:
    """All tables that have rows."""
    makers = (measures_table, recall_table, confusion_table, subjects_table, wrong_clips_table)
    return [table for table in (make(evaluation) for make in makers) if table.rows]


def epochs_text(outcome: Outcome) -> str:
    """The epoch that counts, or the range of the epochs that count in the folds."""
    epochs = outcome.predictions.epochs.values()
    first, last = min(epochs), max(epochs)
    return str(first) if first == last else f"{first} to {last}"


def _measures_column(outcome: Outcome) -> dict[str, str]:
    pooled = {
        "epoch": epochs_text(outcome),
        "clips right": f"{outcome.score.num_correct} of {outcome.score.num_clips}",
        NUMBER_TITLES["pooled_accuracy"]: percent(outcome.accuracy),
        "95% Wilson interval": " to ".join(map(percent, outcome.score.interval())),
    }
    numbers = {NUMBER_TITLES[name]: percent(value) for name, value in outcome.measures.numbers.items()}
    return pooled | numbers | _calibration_column(outcome)


def _calibration_column(outcome: Outcome) -> dict[str, str]:
    of_all = {
        NUMBER_TITLES["ece"]: percent(outcome.calibration.ece),
        "ECE if calibrated, 95%": " to ".join(map(percent, outcome.calibration.ece_if_calibrated)),
    }
    if outcome.scaled is None:
        return of_all
    low, high = min(outcome.temperatures.values()), max(outcome.temperatures.values())
    return of_all | {
        NUMBER_TITLES["ece_scaled"]: percent(outcome.scaled.ece),
        "temperature (inner_val)": f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}",
    }
