"""The evaluation of a run: measures, errors and calibration under every epoch protocol that applies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fer3d.evaluation.calibration import (
    Calibration,
    held_out_calibration,
    inner_temperatures,
    scaled_calibration,
)
from fer3d.evaluation.measures import Measures, Score, hardest_first, measure
from fer3d.evaluation.protocols import EpochProtocol, HeldOutPredictions, held_out_predictions, protocols_of
from fer3d.evaluation.run_results import EvaluationError, RunResults


@dataclass(frozen=True)
class ClipPrediction:
    """The prediction for one held-out clip.

    Attributes:
        clip_id: The clip's id.
        subject: Its subject.
        fold: The fold that held it out.
        epoch: The epoch that counts in that fold, from 1.
        label: Its emotion.
        predicted: The predicted emotion.
        probability: The probability of `predicted`.
        correct: Whether the prediction is right.
    """

    clip_id: str
    subject: str
    fold: int
    epoch: int
    label: str
    predicted: str
    probability: float
    correct: bool


@dataclass(frozen=True)
class SubjectScore:
    """The score of one subject.

    Attributes:
        subject: The subject's id.
        fold: The fold that held it out.
        score: How many of its clips are right.
    """

    subject: str
    fold: int
    score: Score


@dataclass(frozen=True)
class Outcome:
    """The result of a run under one epoch protocol.

    Attributes:
        predictions: The held-out predictions.
        measures: Their measures.
        emotions: The class names.
        calibration: Their calibration.
        temperatures: The temperature of each fold, fitted to its inner validation predictions; empty without any.
        scaled: The calibration with these temperatures; None without any.
    """

    predictions: HeldOutPredictions
    measures: Measures
    emotions: tuple[str, ...]
    calibration: Calibration
    temperatures: Mapping[int, float]
    scaled: Calibration | None

    @classmethod
    def of(cls, run: RunResults, protocol: EpochProtocol) -> Outcome:
        """Measures a run under an epoch protocol.

        Raises:
            EvaluationError: The protocol cannot choose epochs for this run.
        """
        predictions = held_out_predictions(run, protocol)
        temperatures = inner_temperatures(run, predictions.epochs)
        return cls(
            predictions=predictions,
            measures=measure(predictions, len(run.emotions), subjects_known=run.independence.subjects_known),
            emotions=run.emotions,
            calibration=held_out_calibration(predictions),
            temperatures=temperatures,
            scaled=scaled_calibration(run, predictions, temperatures) if temperatures else None,
        )

    @property
    def protocol(self) -> EpochProtocol:
        """The epoch protocol."""
        return self.predictions.protocol

    @property
    def score(self) -> Score:
        """All held-out clips together: the headline."""
        return self.measures.pooled

    @property
    def accuracy(self) -> float:
        """The pooled accuracy."""
        return self.score.accuracy

    @property
    def numbers(self) -> dict[str, float]:
        """The scalar measures, calibration errors included, by their names in JSON and CSV files."""
        scaled = {"ece_scaled": self.scaled.ece} if self.scaled else {}
        return {**self.measures.numbers, "ece": self.calibration.ece, **scaled}

    @cached_property
    def clips(self) -> tuple[ClipPrediction, ...]:
        """Every held-out clip, in the order of folds."""
        said = self.predictions
        predicted = said.predicted
        return tuple(
            ClipPrediction(
                clip_id=said.clip_ids[index],
                subject=said.subjects[index],
                fold=fold,
                epoch=said.epochs[fold],
                label=self.emotions[said.labels[index]],
                predicted=self.emotions[predicted[index]],
                probability=float(said.probabilities[index, predicted[index]]),
                correct=bool(predicted[index] == said.labels[index]),
            )
            for index, fold in enumerate(said.folds.tolist())
        )

    @property
    def subjects(self) -> tuple[SubjectScore, ...]:
        """The score of each subject, by id; empty if subjects are unknown."""
        return self._of_subjects(self.measures.per_subject)

    def hardest_subjects(self, most: int = 10) -> tuple[SubjectScore, ...]:
        """The subjects with the most wrong clips, in the order of `hardest_first`.

        Args:
            most: Maximum number of subjects; those without a wrong clip are left out.
        """
        return self._of_subjects(hardest_first(self.measures.per_subject))[:most]

    def most_confidently_wrong(self, most: int = 10) -> tuple[ClipPrediction, ...]:
        """The wrong clips by the probability of the predicted emotion, highest first; ties by id.

        Args:
            most: Maximum number of clips.
        """
        wrong = [clip for clip in self.clips if not clip.correct]
        return tuple(sorted(wrong, key=lambda clip: (-clip.probability, clip.clip_id))[:most])

    def _of_subjects(self, scores: Mapping[str, Score]) -> tuple[SubjectScore, ...]:
        folds = dict(zip(self.predictions.subjects, self.predictions.folds.tolist(), strict=True))
        return tuple(SubjectScore(subject, folds[subject], score) for subject, score in scores.items())


@dataclass(frozen=True)
class Evaluation:
    """A run and its outcomes.

    Attributes:
        run: The fold results.
        outcomes: One for each epoch protocol that applies, in the order of `PROTOCOLS`; then the user's own.
    """

    run: RunResults
    outcomes: tuple[Outcome, ...]

    @classmethod
    def of(cls, run: RunResults, own: Sequence[EpochProtocol] = ()) -> Evaluation:
        """Evaluates a run.

        Args:
            run: The fold results.
            own: Epoch protocols of the user's own.

        Raises:
            EvaluationError: One of these cannot choose epochs for this run.
        """
        return cls(run, tuple(Outcome.of(run, protocol) for protocol in (*protocols_of(run), *own)))

    def under(self, protocol: EpochProtocol) -> Outcome:
        """The outcome under one epoch protocol.

        Raises:
            EvaluationError: The run was not evaluated under it, such as `inner_val` without `cv.inner_val`.
        """
        for outcome in self.outcomes:
            if outcome.protocol is protocol:
                return outcome
        raise EvaluationError(
            f"{self.run.folder} was not evaluated under {protocol.name}, but under "
            f"{', '.join(outcome.protocol.name for outcome in self.outcomes)}"
        )

    def score(self, protocol: EpochProtocol) -> Score:
        """How many of all held-out clips are right under one epoch protocol.

        Raises:
            EvaluationError: As `under`.
        """
        return self.under(protocol).score

    def accuracy(self, protocol: EpochProtocol) -> float:
        """The pooled accuracy under one epoch protocol.

        Raises:
            EvaluationError: As `under`.
        """
        return self.under(protocol).accuracy
