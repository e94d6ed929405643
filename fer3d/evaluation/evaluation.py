"""The evaluation of a run: its measures under every epoch protocol that it allows, and where it fails."""

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
    """What a run says of one held-out clip.

    Attributes:
        clip_id: The clip's id.
        subject: Its subject.
        fold: The fold that held it out.
        epoch: The epoch that counts in that fold, from 1.
        label: The emotion it shows.
        predicted: The emotion it was taken for.
        probability: The probability of `predicted`.
        correct: Whether that is the label.
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
    """How many of a subject's clips were right.

    Attributes:
        subject: The subject's id.
        fold: The fold that held it out.
        score: How many were right.
    """

    subject: str
    fold: int
    score: Score


@dataclass(frozen=True)
class Outcome:
    """What a run's held-out clips came to under one epoch protocol.

    Attributes:
        predictions: What the run says of each clip.
        measures: What that is worth.
        emotions: The class names.
        calibration: Whether it is right as often as it is sure.
        temperatures: Each fold's, fitted to the training subjects that it kept back; none where it kept none.
        scaled: The calibration with these; None where there are none.
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
            EvaluationError: The protocol cannot choose.
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
    def numbers(self) -> dict[str, float]:
        """The measures that are one number each, and those of calibration, by their names in JSON and CSV."""
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
        """Every subject, by its id; none where nobody knows who is seen."""
        return self._of_subjects(self.measures.per_subject)

    def hardest_subjects(self, most: int = 10) -> tuple[SubjectScore, ...]:
        """The first subjects of `hardest_first`.

        Args:
            most: At most so many; subjects without a wrong clip are not among them.
        """
        return self._of_subjects(hardest_first(self.measures.per_subject))[:most]

    def most_confidently_wrong(self, most: int = 10) -> tuple[ClipPrediction, ...]:
        """The wrong clips by the probability of the wrong emotion, highest first; of equals the lower id.

        Args:
            most: At most so many.
        """
        wrong = [clip for clip in self.clips if not clip.correct]
        return tuple(sorted(wrong, key=lambda clip: (-clip.probability, clip.clip_id))[:most])

    def _of_subjects(self, scores: Mapping[str, Score]) -> tuple[SubjectScore, ...]:
        folds = dict(zip(self.predictions.subjects, self.predictions.folds.tolist(), strict=True))
        return tuple(SubjectScore(subject, folds[subject], score) for subject, score in scores.items())


@dataclass(frozen=True)
class Evaluation:
    """A run and what it came to.

    Attributes:
        run: The fold results.
        outcomes: One for each epoch protocol that the run allows, in the order of `PROTOCOLS`; then the user's own.
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
            EvaluationError: One of them cannot choose.
        """
        return cls(run, tuple(Outcome.of(run, protocol) for protocol in (*protocols_of(run), *own)))

    def under(self, protocol: EpochProtocol) -> Outcome:
        """The outcome under one epoch protocol.

        Raises:
            EvaluationError: The run does not allow it: it kept no training subjects back to choose an epoch on.
        """
        for outcome in self.outcomes:
            if outcome.protocol == protocol:
                return outcome
        raise EvaluationError(f"{self.run.folder} does not allow the epoch protocol {protocol.name}")
