"""Simulates trials with all their folds from the difficulties of a corpus's clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from fer3d.evaluation.protocols import LAST_EPOCH, EpochProtocol, held_out_predictions
from fer3d.evaluation.run_results import EvaluationError, RunResults
from fer3d.search.outcomes import FoldOutcome, attainable_accuracy

ACCURACIES = (0.975, 0.965, 0.95, 0.93, 0.9, 0.85)
# CK+'s number of subjects by their number of labelled sequences.
CKPLUS_SUBJECTS = {1: 21, 2: 22, 3: 47, 4: 20, 5: 7, 6: 1}


@dataclass(frozen=True)
class Corpus:
    """Difficulties of the clips of a cross-validation.

    Attributes:
        difficulties: Log-odds of an error for each clip of each fold, up to a constant.
        source: Their source.
    """

    difficulties: Mapping[int, NDArray[np.float64]]
    source: str

    @cached_property
    def sizes(self) -> dict[int, int]:
        """Number of held-out clips of each fold."""
        return {fold: len(clips) for fold, clips in self.difficulties.items()}

    @property
    def num_clips(self) -> int:
        """Number of held-out clips over all folds."""
        return sum(self.sizes.values())

    @cached_property
    def probabilities(self) -> dict[float, dict[int, NDArray[np.float64]]]:
        """Probability of an error for each clip, by fold, in a trial of a given accuracy."""
        clips = np.concatenate(list(self.difficulties.values()))
        found = {}
        for accuracy in ACCURACIES:
            badness = brentq(lambda badness, goal=1 - accuracy: expit(badness + clips).mean() - goal, -50, 50)
            found[accuracy] = {fold: expit(badness + fold_clips) for fold, fold_clips in self.difficulties.items()}
        return found

    @cached_property
    def hardest_first(self) -> list[int]:
        """The folds ordered by their expected number of wrong clips over `ACCURACIES`."""
        wrong = {fold: sum(trial[fold].sum() for trial in self.probabilities.values()) for fold in self.sizes}
        return sorted(wrong, key=lambda fold: -wrong[fold])


@dataclass(frozen=True)
class SimulatedTrial:
    """A simulated trial with all its folds.

    Attributes:
        accuracy: Its true accuracy.
        outcomes: Its folds by number.
    """

    accuracy: float
    outcomes: Mapping[int, FoldOutcome]

    def reaches(self, threshold: float, num_clips: int) -> bool:
        """Whether its accuracy over all folds reaches the threshold."""
        return attainable_accuracy(list(self.outcomes.values()), num_clips, LAST_EPOCH) >= threshold


def simulated_corpus(seed: int) -> Corpus:
    """CK+'s 118 subjects, with standard normal difficulties of subjects and clips."""
    rng = np.random.default_rng([seed, 0])
    sizes = rng.permutation(np.repeat(list(CKPLUS_SUBJECTS), list(CKPLUS_SUBJECTS.values())))
    folds = {fold: rng.normal() + rng.normal(size=size) for fold, size in enumerate(sizes.tolist(), start=1)}
    return Corpus(folds, "SYNTHETIC difficulties, SYNTHETIC trials")


def recorded_corpus(folders: Sequence[Path], protocol: EpochProtocol) -> Corpus:
    """The folds of the first run, with each subject's difficulty over all runs.

    Raises:
        EvaluationError: A run cannot be read, or its held-out clips differ from those of the first run.
    """
    runs = [RunResults.read(folder) for folder in folders]
    found = [held_out_predictions(run, protocol) for run in runs]
    first = found[0]
    for run, predictions in zip(runs, found, strict=True):
        if set(predictions.clip_ids) != set(first.clip_ids):
            raise EvaluationError(
                f"{run.folder} holds out other clips than {runs[0].folder}: the difficulties cannot be pooled"
            )
    subjects = np.concatenate([predictions.subjects for predictions in found])
    wrong = ~np.concatenate([predictions.correct for predictions in found])
    mean = float(np.clip(wrong.mean(), 1e-3, 1 - 1e-3))
    difficulty = {
        subject: float(logit((wrong[subjects == subject].sum() + mean) / ((subjects == subject).sum() + 1)))
        for subject in set(first.subjects)
    }
    clips = np.array([difficulty[subject] for subject in first.subjects])
    caution = (
        "difficulties recorded on SYNTHETIC clips" if any(run.synthetic for run in runs) else "recorded difficulties"
    )
    source = f"{caution}: {', '.join(run.folder.name for run in runs)}, {protocol.name}; SYNTHETIC trials"
    return Corpus({fold: clips[first.folds == fold] for fold in sorted(set(first.folds.tolist()))}, source)


def simulate_study(corpus: Corpus, num_trials: int, seed: int) -> list[SimulatedTrial]:
    """Equal numbers of trials of each accuracy, in random order."""
    rng = np.random.default_rng([seed, 1])
    trials = []
    for accuracy in rng.permutation(np.resize(ACCURACIES, num_trials)).tolist():
        outcomes = {}
        for fold, wrong in corpus.probabilities[accuracy].items():
            num_correct = int((rng.random(len(wrong)) >= wrong).sum())
            outcomes[fold] = FoldOutcome(fold, len(wrong), (num_correct,))
        trials.append(SimulatedTrial(accuracy, outcomes))
    return trials
