"""Comparison of many entries, paired over the folds, seeds and clips that all of them held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from fer3d.clips.folds import FoldKind
from fer3d.evaluation.comparison import held_out_ratio, plain_values
from fer3d.evaluation.entries import Entry
from fer3d.evaluation.measures import Measures, measure
from fer3d.evaluation.protocols import EpochProtocol, HeldOutPredictions, held_out_predictions, protocols_of
from fer3d.evaluation.run_results import RunResults
from fer3d.evaluation.significance import ClipTest, FoldTests, Interval, compare_clips, compare_folds, holm

Test = Literal["t_corrected", "mcnemar"]
# The level at which a corrected p-value shows a difference.
LEVEL = 0.05
_MAX_NAMED = 15  # entries whose wins a sentence names
_MAX_LISTED = 10  # entries of groups in it


@dataclass(frozen=True)
class Standing:
    """An entry's result under an epoch protocol.

    Attributes:
        entry: The entry.
        accuracies: The pooled accuracy of each seed.
        interval: Wilson's 95 % interval of the pooled accuracy, its bounds the means over seeds: how far the accuracy
            on other clips may be. It assumes independent clips.
        uar: Unweighted average recall, the mean over seeds.
        mean_rank: The mean rank among the entries over folds and seeds, 1 for the best; ties share their mean rank.
    """

    entry: Entry
    accuracies: tuple[float, ...]
    interval: Interval
    uar: float
    mean_rank: float

    @property
    def label(self) -> str:
        """The entry's label."""
        return self.entry.label

    @property
    def accuracy(self) -> float:
        """The pooled accuracy, the mean over seeds."""
        return float(np.mean(self.accuracies))

    @property
    def deviation(self) -> float | None:
        """The sample standard deviation of the pooled accuracy over seeds; None with one."""
        return float(np.std(self.accuracies, ddof=1)) if len(self.accuracies) > 1 else None

    @property
    def numbers(self) -> dict[str, Any]:
        """All numbers by name."""
        return {
            "label": self.label,
            "pooled_accuracy": self.accuracy,
            "interval": self.interval,
            "standard_deviation": self.deviation,
            "uar": self.uar,
            "mean_rank": self.mean_rank,
            "num_parameters": self.entry.num_parameters,
            "gflop": self.entry.gflop,
            "clips_per_second": self.entry.clips_per_second,
            "seconds_per_fold": self.entry.seconds,
            "accuracies": dict(zip(map(str, self.entry.seeds), self.accuracies, strict=True)),
        }


@dataclass(frozen=True)
class PairTest:
    """Two entries compared, the one with the higher pooled accuracy first.

    Attributes:
        first: Label of the first.
        second: Label of the second.
        folds: Tests over folds; a fold's accuracy is the mean over seeds, since seeds share its clips.
        clips: Test over clips. A clip counts once, for the entry that gets it right under more seeds: `only_first` and
            `correct_first` are the clips that first gets right under more seeds than second.
        t_holm: The p-value of the corrected t-test, corrected for the number of pairs.
        mcnemar_holm: The p-value of McNemar's test, corrected for the number of pairs.
        test: The test that decides.
    """

    first: str
    second: str
    folds: FoldTests
    clips: ClipTest
    t_holm: float
    mcnemar_holm: float
    test: Test

    @property
    def p_value(self) -> float:
        """The corrected p-value of the test that decides; NaN if it is undefined."""
        return self.t_holm if self.test == "t_corrected" else self.mcnemar_holm

    @property
    def difference(self) -> float:
        """First less second, in what the deciding test is about: mean accuracy over folds, or share of clips."""
        return self.folds.mean_difference if self.test == "t_corrected" else self.clips.difference

    @property
    def better(self) -> str | None:
        """Label of the entry that is shown to be better; None if no difference is shown."""
        if not self.p_value < LEVEL:  # NaN shows nothing
            return None
        return self.first if self.difference > 0 else self.second

    @property
    def numbers(self) -> dict[str, Any]:
        """All numbers by name."""
        return {
            "first": self.first,
            "second": self.second,
            "better": self.better,
            "t_corrected_holm": self.t_holm,
            "mcnemar_holm": self.mcnemar_holm,
            "folds": asdict(self.folds) | {"mean_difference": self.folds.mean_difference},
            "clips": {
                "num_clips": self.clips.num_clips,
                "more_often_first": self.clips.only_first,
                "more_often_second": self.clips.only_second,
                "mcnemar": self.clips.mcnemar,
                "odds_ratio": self.clips.odds_ratio,
                "odds_interval": self.clips.odds_interval,
            },
        }


@dataclass(frozen=True)
class Ranking:
    """Entries compared under one epoch protocol; the order in which runs are given changes nothing.

    Attributes:
        protocol: The epoch protocol of all.
        standings: The entries by pooled accuracy, the best first; ties by label.
        pairs: All pairs, in the order of `standings`.
        test: The test that decides whether a difference is shown: the corrected t-test; McNemar's where folds are too
            small and unequal for t-tests (LOSO), or there is one.
    """

    protocol: EpochProtocol
    standings: tuple[Standing, ...]
    pairs: tuple[PairTest, ...]
    test: Test

    @classmethod
    def of(cls, entries: Sequence[Entry], protocol: EpochProtocol) -> Ranking:
        """Compares entries.

        Args:
            entries: As `entries_of` makes them.
            protocol: The epoch protocol.

        Raises:
            EvaluationError: The protocol cannot choose epochs for one of the runs.
        """
        entries = sorted(entries, key=lambda entry: entry.label)
        said = [[held_out_predictions(run, protocol) for run in entry.runs] for entry in entries]
        # `(num_entries, num_seeds, num_clips)`: whether a clip is right, in the order of the first run's clips.
        clip_ids, folds = said[0][0].clip_ids, said[0][0].folds
        right = np.array([[_in_order(of_seed, clip_ids) for of_seed in of_entry] for of_entry in said])
        # `(num_entries, num_seeds, num_folds)`: how many are right.
        counts = np.stack([right[..., folds == fold].sum(-1) for fold in dict.fromkeys(folds.tolist())], axis=-1)
        ranks = rankdata(-counts, axis=0).mean((1, 2))
        standings = [
            _standing(entry, [_measures(run, each) for run, each in zip(entry.runs, of_entry, strict=True)], rank)
            for entry, of_entry, rank in zip(entries, said, ranks.tolist(), strict=True)
        ]
        order = sorted(range(len(entries)), key=lambda index: -right[index].sum())
        run = entries[0].runs[0]
        test: Test = "mcnemar" if run.fold_kind is FoldKind.LOSO or len(run.folds) == 1 else "t_corrected"
        shares = counts.mean(1) / [(folds == fold).sum() for fold in dict.fromkeys(folds.tolist())]
        return cls(
            protocol=protocol,
            standings=tuple(standings[index] for index in order),
            pairs=_pairs([entries[index] for index in order], right[order], shares[order], test),
            test=test,
        )

    @property
    def caution(self) -> str:
        """The cautions of all runs as one phrase, for every heading; empty without any."""
        runs = (run for standing in self.standings for run in standing.entry.runs)
        return ", ".join(dict.fromkeys(caution for run in runs for caution in run.cautions))

    @property
    def test_name(self) -> str:
        """The deciding test in words."""
        return "corrected resampled t-test" if self.test == "t_corrected" else "McNemar's exact test"

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The largest sets of entries, at least two, among which no difference is shown; the best entry's first."""
        labels = [standing.label for standing in self.standings]
        alike: dict[int, set[int]] = {index: set() for index in range(len(labels))}
        for pair in self.pairs:
            if pair.better is None:
                first, second = labels.index(pair.first), labels.index(pair.second)
                alike[first].add(second)
                alike[second].add(first)
        cliques = sorted(sorted(each) for each in _cliques(set(), set(alike), set(), alike) if len(each) > 1)
        return tuple(tuple(labels[index] for index in each) for each in cliques)

    def beaten_by(self, label: str) -> tuple[str, ...]:
        """Labels of the entries that an entry is shown to be better than, in the order of `standings`."""
        beaten = {each for pair in self.pairs if pair.better == label for each in (pair.first, pair.second)} - {label}
        return tuple(standing.label for standing in self.standings if standing.label in beaten)

    @property
    def sentence(self) -> str:
        """What is shown, and what is not."""
        p_value = f"Holm-corrected p < {LEVEL:g}"
        where = "folds" if self.test == "t_corrected" else "clips"
        winners: dict[tuple[str, ...], list[str]] = {}
        for standing in self.standings:
            winners.setdefault(self.beaten_by(standing.label), []).append(standing.label)
        wins = [
            f"{_listed(labels)} {'is' if len(labels) == 1 else 'are each'} better than {_listed(beaten)}"
            for beaten, labels in winners.items()
            if beaten
        ]
        num_unshown = sum(pair.better is None for pair in self.pairs)
        if wins and len(self.standings) > _MAX_NAMED:
            wins = [f"one entry is better than the other in {len(self.pairs) - num_unshown} of {len(self.pairs)} pairs"]
        alike = ", nor ".join(f"{'between' if len(each) == 2 else 'among'} {_listed(each)}" for each in self.groups)
        if sum(map(len, self.groups)) > _MAX_LISTED:
            alike = f"in {num_unshown} of {len(self.pairs)} pairs"
        unshown = f"no difference is shown {alike}, which does not mean that there is none"
        if not wins:
            return f"On these {where}, {unshown} ({p_value} nowhere, {self.test_name})."
        shown = f"On these {where}, {'; '.join(wins)} ({p_value}, {self.test_name})"
        return f"{shown}; {unshown}." if alike else f"{shown}."

    @property
    def numbers(self) -> dict[str, Any]:
        """All numbers by name, and whether the epoch protocol is optimistic."""
        return {
            "optimistic": self.protocol.optimistic,
            "sentence": self.sentence,
            "decided_by": f"{self.test}_holm",
            "level": LEVEL,
            "entries": [standing.numbers for standing in self.standings],
            "pairs": [pair.numbers for pair in self.pairs],
            "no_difference_shown": self.groups,
        }


def rank_entries(entries: Sequence[Entry]) -> tuple[Ranking, ...]:
    """Compares entries under every epoch protocol that applies to all their runs."""
    allowed = [protocols_of(run) for entry in entries for run in entry.runs]
    return tuple(
        Ranking.of(entries, protocol) for protocol in allowed[0] if all(protocol in each for each in allowed[1:])
    )


def rankings_json(rankings: Sequence[Ranking]) -> dict[str, Any]:
    """The numbers of many runs' comparison in plain values for JSON, with None for NaN and infinity.

    Args:
        rankings: Rankings of the same entries, as `rank_entries` makes them; at least one.
    """
    entries = sorted((standing.entry for standing in rankings[0].standings), key=lambda entry: entry.label)
    return {
        "caution": rankings[0].caution,
        "entries": [
            {"label": entry.label, "seeds": list(entry.seeds), "runs": [run.provenance() for run in entry.runs]}
            for entry in entries
        ],
        "protocols": {ranking.protocol.name: plain_values(ranking.numbers) for ranking in rankings},
    }


def _in_order(predictions: HeldOutPredictions, clip_ids: Sequence[str]) -> NDArray[np.bool_]:
    right = dict(zip(predictions.clip_ids, predictions.correct.tolist(), strict=True))
    return np.array([right[clip_id] for clip_id in clip_ids])


def _measures(run: RunResults, predictions: HeldOutPredictions) -> Measures:
    return measure(predictions, len(run.emotions), subjects_known=run.independence.subjects_known)


def _standing(entry: Entry, measures: Sequence[Measures], mean_rank: float) -> Standing:
    low, high = np.mean([each.pooled.interval() for each in measures], axis=0).tolist()
    return Standing(
        entry=entry,
        accuracies=tuple(each.pooled.accuracy for each in measures),
        interval=(low, high),
        uar=float(np.mean([each.uar for each in measures])),
        mean_rank=mean_rank,
    )


def _pairs(
    entries: Sequence[Entry], right: NDArray[np.bool_], shares: NDArray[np.float64], test: Test
) -> tuple[PairTest, ...]:
    """Tests all pairs: `right` is `(num_entries, num_seeds, num_clips)`, `shares` `(num_entries, num_folds)`."""
    indices = list(combinations(range(len(entries)), 2))
    seeds_right = right.sum(1)
    folds = [
        compare_folds(shares[one], shares[other], held_out_ratio((*entries[one].runs, *entries[other].runs)))
        for one, other in indices
    ]
    clips = [
        compare_clips(seeds_right[one] > seeds_right[other], seeds_right[other] > seeds_right[one])
        for one, other in indices
    ]
    corrected = zip(holm([each.t_corrected for each in folds]), holm([each.mcnemar for each in clips]), strict=True)
    return tuple(
        PairTest(entries[one].label, entries[other].label, of_folds, of_clips, float(t_holm), float(mcnemar_holm), test)
        for (one, other), of_folds, of_clips, (t_holm, mcnemar_holm) in zip(
            indices, folds, clips, corrected, strict=True
        )
    )


def _cliques(chosen: set[int], candidates: set[int], done: set[int], alike: dict[int, set[int]]) -> list[set[int]]:
    """All maximal sets of mutually alike indices (Bron and Kerbosch, Communications of the ACM 16(9), 1973)."""
    if not candidates and not done:
        return [chosen]
    found = []
    pivot = max(candidates | done, key=lambda index: len(alike[index] & candidates))
    for index in sorted(candidates - alike[pivot]):
        found += _cliques(chosen | {index}, candidates & alike[index], done & alike[index], alike)
        candidates, done = candidates - {index}, done | {index}
    return found


def _listed(labels: Sequence[str]) -> str:
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"
