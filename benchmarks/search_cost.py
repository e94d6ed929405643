"""Replays searches: the fraction of folds that a trial trains under each pruning rule, by its true accuracy.

Usage: `python benchmarks/search_cost.py`, or with folders of runs: `... --runs outputs/RUN`

Nothing is trained. The trials of a study have the true accuracies of `ACCURACIES` in random order and run sequentially
through the search's own `fold_order`, `ExactBound` and `Wilcoxon` and an in-memory Optuna study. As in a real search,
only the finished folds of a pruned trial are known. All rules see the same trials.

A clip is wrong with probability sigmoid(badness of the trial + difficulty of the clip), independently, and folds have a
single epoch. The badness is set so that the mean over the clips is the true accuracy. Difficulties are

- simulated: CK+'s 118 subjects with their numbers of sequences in random order, one fold each. The difficulty is the
  sum of a subject effect and a clip effect, both standard normal: an assumption, not measured on CK+.
- recorded, with `--runs`: the folds are those of the first run. A clip's difficulty is that of its subject: the
  log-odds of errors among the subject's clips in all runs under `--protocol`, smoothed by one added clip that is wrong
  with the runs' mean probability. The runs must hold out the same clips. Only difficulties come from the runs; trials
  are simulated.

"Hardest known" orders the folds by their expected number of wrong clips over `ACCURACIES`, which a search cannot know:
it shows the cost of learning the order. The exit status is 1 if the exact bound pruned a trial that reaches the
threshold.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import TrialState
from rich.console import Console
from scipy import stats
from simulated_trials import ACCURACIES, Corpus, SimulatedTrial, recorded_corpus, simulate_study, simulated_corpus

from fer3d.evaluation.protocols import LAST_EPOCH
from fer3d.evaluation.run_results import EvaluationError
from fer3d.evaluation.tables import Table
from fer3d.search.fold_order import Order, fold_order
from fer3d.search.outcomes import SEARCH_PROTOCOLS, FoldOutcome
from fer3d.search.pruning import ExactBound, NoPruning, Progress, Pruning, Wilcoxon
from fer3d.training.results import ResultError

# A trial of this accuracy or less is bad, and should cost almost nothing.
BAD, TARGET = 0.9, 0.25
HARDEST_FIRST = "hardest first"
# Without a terminal, rich would break headings within words.
MIN_WIDTH = 115

History = Sequence[Sequence[FoldOutcome]]


@dataclass(frozen=True)
class Rule:
    """A pruning rule and a fold order.

    Attributes:
        title: The heading of its column.
        pruning: Makes the pruning rule.
        order: Returns the fold order for a trial number and a history.
        exact: Whether it must never prune a trial that reaches the threshold.
    """

    title: str
    pruning: Callable[[], Pruning]
    order: Callable[[int, History], list[int]]
    exact: bool = True


def make_rules(corpus: Corpus, threshold: float, seed: int) -> list[Rule]:
    """The rules that are compared."""

    def ordered(order: Order, number: int, history: History) -> list[int]:
        return fold_order(order, corpus.sizes, history, LAST_EPOCH, seed + (number if order == "shuffled" else 0))

    bound = partial(ExactBound, threshold)
    return [
        Rule("all folds", NoPruning, partial(ordered, "by_number")),
        Rule("by number", bound, partial(ordered, "by_number")),
        Rule("shuffled", bound, partial(ordered, "shuffled")),
        Rule(HARDEST_FIRST, bound, partial(ordered, "hardest_first")),
        Rule("hardest known", bound, lambda number, history: corpus.hardest_first),
        Rule("Wilcoxon", Wilcoxon, partial(ordered, "shuffled"), exact=False),
    ]


def replay(trials: Sequence[SimulatedTrial], corpus: Corpus, rule: Rule) -> NDArray[np.float64]:
    """Fraction of folds that each trial of a study runs."""
    pruning = rule.pruning()
    study = optuna.create_study(direction="maximize", pruner=pruning.pruner())
    history: list[list[FoldOutcome]] = []
    for number, simulated in enumerate(trials):
        trial = study.ask()
        order = rule.order(number, history)
        for num_done in range(1, len(order) + 1):
            done = tuple(simulated.outcomes[fold] for fold in order[:num_done])
            progress = Progress(done, corpus.num_clips, len(order), LAST_EPOCH)
            if pruning.prunes(trial, progress) and not progress.complete:
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, progress.attainable)
        history.append(list(done))
    return np.array([len(done) / len(corpus.sizes) for done in history])


@dataclass(frozen=True)
class Costs:
    """Cost of studies under each rule.

    Attributes:
        rules: The rules.
        accuracies: `(num_trials,)` each trial's true accuracy.
        places: `(num_trials,)` its position in its study, from 1.
        reached: `(num_trials,)` whether its accuracy over all folds reaches the threshold.
        shares: `(num_rules, num_trials)` the fraction of its folds that it runs; NaN if it was not replayed.
    """

    rules: Sequence[Rule]
    accuracies: NDArray[np.float64]
    places: NDArray[np.int64]
    reached: NDArray[np.bool_]
    shares: NDArray[np.float64]

    @property
    def wrongly_cut(self) -> list[int]:
        """Number of trials that reach the threshold but are pruned, by rule."""
        return [int((self.reached & (shares < 1)).sum()) for shares in self.shares]

    @property
    def exact_is_exact(self) -> bool:
        """Whether no exact rule prunes a trial that reaches the threshold."""
        return not any(cut for rule, cut in zip(self.rules, self.wrongly_cut, strict=True) if rule.exact)

    def mean_shares(self, trials: NDArray[np.bool_]) -> list[float]:
        """Mean fraction of folds of some trials under each rule."""
        chosen = [shares[trials & ~np.isnan(shares)] for shares in self.shares]
        return [float(shares.mean()) if len(shares) else float("nan") for shares in chosen]


def measure(corpora: Sequence[Corpus], num_trials: int, num_wilcoxon: int, threshold: float, seed: int) -> Costs:
    """Replays a study of each corpus under each exact rule, and the first `num_wilcoxon` also under the others.

    Raises:
        ValueError: The threshold is not between 0 and 1.
    """
    studies, shares = [], []
    for number, corpus in enumerate(corpora):
        rules = make_rules(corpus, threshold, seed + number)
        trials = simulate_study(corpus, num_trials, seed + number)
        studies.append((corpus, trials))
        replayed = [
            replay(trials, corpus, rule) if rule.exact or number < num_wilcoxon else np.full(num_trials, np.nan)
            for rule in rules
        ]
        shares.append(np.array(replayed))
    return Costs(
        rules,
        np.array([trial.accuracy for _, trials in studies for trial in trials]),
        np.tile(np.arange(1, num_trials + 1), len(corpora)),
        np.array([trial.reaches(threshold, corpus.num_clips) for corpus, trials in studies for trial in trials]),
        np.concatenate(shares, axis=1),
    )


@contextmanager
def remembered_wilcoxon() -> Iterator[None]:
    """Caches SciPy's Wilcoxon test.

    With ties and fewer than 14 folds, SciPy enumerates all signs, which takes seconds per trial, and folds often tie.
    The test depends only on the ranks and signs of differences, so the cache does not change p-values.
    """
    said: dict[object, object] = {}
    test = stats.wilcoxon

    def remembered(differences: NDArray[np.float64], **options: str) -> object:
        ranks = np.unique(np.append(np.abs(differences), 0), return_inverse=True)[1][:-1]
        key = (*sorted((ranks * np.sign(differences)).tolist()), *sorted(options.items()))
        if key not in said:
            said[key] = test(differences, **options)
        return said[key]

    with mock.patch.object(stats, "wilcoxon", remembered):
        yield


def tables(costs: Costs, source: str, threshold: float) -> list[Table]:
    """Mean fractions by true accuracy, and those of bad trials by position in the study."""
    columns = tuple(rule.title for rule in costs.rules)
    rows = []
    for accuracy in ACCURACIES:
        trials = costs.accuracies == accuracy
        counts = (f"{accuracy:.1%}", str(trials.sum()), str((trials & costs.reached).sum()))
        rows.append((*counts, *map(_shown, costs.mean_shares(trials))))
    replayed = ~np.isnan(costs.shares)
    cut = [f"{cut} of {(costs.reached & on).sum()}" for cut, on in zip(costs.wrongly_cut, replayed, strict=True)]
    rows.append(("wrongly cut", "", "", *cut))
    places = []
    for first, last in ((1, 10), (11, 30), (31, max(31, costs.places.max()))):
        trials = (costs.accuracies <= BAD) & (costs.places >= first) & (costs.places <= last)
        places.append((f"trials {first} to {last}", str(trials.sum()), *map(_shown, costs.mean_shares(trials))))
    first_columns = ("true accuracy", "trials", f"reach {threshold:.1%}")
    note = f"Wilcoxon's rule was replayed on {replayed[-1].sum()} of {replayed[-1].size} trials."
    return [
        Table(
            "Mean fraction of folds that a trial runs, by its true accuracy",
            (*first_columns, *columns),
            tuple(rows),
            note,
            source,
        ),
        Table(
            f"Mean fraction of folds that a trial of {BAD:.0%} or less runs, by its position",
            ("in the study", "trials", *columns),
            tuple(places),
            caution=source,
        ),
    ]


def conclusion(costs: Costs) -> str:
    """Whether the target is met."""
    titles = [rule.title for rule in costs.rules]
    row = titles.index(HARDEST_FIRST)
    bad = [accuracy for accuracy in ACCURACIES if accuracy <= BAD]
    most = max(costs.mean_shares(costs.accuracies == accuracy)[row] for accuracy in bad)
    num_cut = costs.wrongly_cut[row]
    met = "met" if most <= TARGET and num_cut == 0 else "MISSED"
    return (
        f"Target on these SYNTHETIC trials: hardest first, those of {BAD:.0%} and worse run at most {TARGET} of their "
        f"folds, none wrongly pruned. {met}: {most:.3f}, {num_cut} wrongly pruned"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables and returns the status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="+", metavar="FOLDER", help="runs with the difficulties")
    parser.add_argument("--protocol", choices=SEARCH_PROTOCOLS, default="best_epoch", help="the epoch protocol of runs")
    parser.add_argument("--studies", type=int, default=10)
    parser.add_argument(
        "--wilcoxon-studies", type=int, default=2, help="number of studies under the slow Wilcoxon rule"
    )
    parser.add_argument("--trials", type=int, default=120, help="trials of a study")
    parser.add_argument("--threshold", type=float, default=0.965)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    if given.studies < 1 or given.trials < len(ACCURACIES):
        parser.error(f"expected at least one study and {len(ACCURACIES)} trials, one of each accuracy")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seeds = range(given.seed, given.seed + given.studies)
    try:
        if given.runs:
            corpora = [recorded_corpus(given.runs, SEARCH_PROTOCOLS[given.protocol])] * given.studies
        else:
            corpora = [simulated_corpus(seed) for seed in seeds]
        with remembered_wilcoxon():
            costs = measure(corpora, given.trials, given.wilcoxon_studies, given.threshold, given.seed)
    except (EvaluationError, ResultError, ValueError) as error:
        sys.exit(str(error))
    console = Console(width=max(Console().width, MIN_WIDTH))
    for table in tables(costs, corpora[0].source, given.threshold):
        table.print(console)
    print(conclusion(costs))
    if not costs.exact_is_exact:
        print("The exact bound pruned a trial that reaches the threshold: this is a bug in fer3d", file=sys.stderr)
    return 0 if costs.exact_is_exact else 1


def _shown(share: float) -> str:
    return "-" if np.isnan(share) else f"{share:.3f}"


if __name__ == "__main__":
    sys.exit(main())
