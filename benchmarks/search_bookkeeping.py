"""Measures what a search costs for each trial besides its jobs, by the number of trials in the study.

Usage: `python benchmarks/search_bookkeeping.py [--trials 20 200 800] [--folds 10 118] [--json FILE]`

A real search, with TPE, the space of Table 1, leases and a SQLite file, runs trials whose jobs return SYNTHETIC
outcomes at once. Before, the study is filled with finished trials, as a search would have left them. 118 folds are
CK+'s subjects, under the settings of `search=paper`; other numbers are folds of several subjects, under those of
`search=table1`.
"""

from __future__ import annotations

import argparse
import inspect
import itertools
import json
import statistics
import tempfile
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import optuna
import sqlalchemy as sa
from hydra.utils import instantiate
from omegaconf import OmegaConf
from optuna.distributions import distribution_to_json
from optuna.samplers import RandomSampler
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import BaseModel
from optuna.trial import FrozenTrial, TrialState, create_trial
from rich.console import Console
from simulated_trials import ACCURACIES, Corpus, SimulatedTrial, simulate_study, simulated_corpus
from sqlalchemy.engine.default import DefaultDialect

import hydra_plugins.fer3d_sweeper
from fer3d.configuration import compose_train
from fer3d.evaluation.tables import Table
from fer3d.search.cross_validation import FOLDS, ORDER, RUN, CrossValidation, CrossValidationSettings
from fer3d.search.jobs import Job, JobResult
from fer3d.search.leases import Leases
from fer3d.search.outcomes import attainable_accuracy
from fer3d.search.sampling import SeededSampler
from fer3d.search.search import Search
from fer3d.search.space import SearchSpace
from fer3d.search.storage import open_storage, open_study, storage_url
from fer3d.training.results import FoldResult

TPE = Path(hydra_plugins.fer3d_sweeper.__file__).parent / "conf/hydra/sweeper/sampler/tpe.yaml"
NUM_LOSO_FOLDS = 118
NUM_EPOCHS = 10
# Trials that are timed, after a first one: three of each accuracy.
WINDOW = 18
# Besides the jobs; everything that is none of these is fer3d's own or Optuna's in between.
PARTS = ("sampling", "writes", "reads", "leases", "own")


@dataclass(frozen=True)
class Bookkeeping:
    """What a trial costs besides its jobs, over the trials that were timed.

    Attributes:
        num_trials: Number of finished trials before.
        num_folds: Number of folds of a cross-validation.
        median_seconds: The median trial.
        mean_seconds: The mean trial; good trials run all folds, so that it is more than the median.
        mean_parts: The mean trial by what it was spent on: TPE, writes of the study and all commits, its reads,
            leases, and the rest.
        mean_folds: Number of folds that the mean trial ran.
        mean_commits: Number of transactions of the mean trial that wrote to the database.
        first_seconds: The first trial of the process, which reads the study.
    """

    num_trials: int
    num_folds: int
    median_seconds: float
    mean_seconds: float
    mean_parts: dict[str, float]
    mean_folds: float
    mean_commits: float
    first_seconds: float


class Stopwatch:
    """Counts the seconds of one thread by part; a part that is called from within another counts for itself."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._part, self._since = "own", time.perf_counter()
        self._thread = threading.get_ident()

    def switch(self, part: str) -> str:
        """Starts a part, and returns the one that it interrupts."""
        now = time.perf_counter()
        self.seconds[self._part] += now - self._since
        before, self._part, self._since = self._part, part, now
        return before

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, counted as a part."""

        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != self._thread:  # a lease's heartbeat
                return function(*args, **kwargs)
            before = self.switch(part)
            try:
                return function(*args, **kwargs)
            finally:
                self.switch(before)

        return run

    def watch(self, kind: type, **parts: tuple[str, ...]) -> ExitStack:
        """Counts the methods of a class until the end of the context, each part by how their names begin."""
        stack = ExitStack()
        for (name, method), (part, starts) in itertools.product(list(vars(kind).items()), parts.items()):
            if name.startswith(starts) and inspect.isfunction(method):
                stack.enter_context(mock.patch.object(kind, name, self.timed(part, method)))
        return stack


class RecordedJobs:
    """Jobs that return the outcomes of a simulated trial at once.

    Args:
        trials: The trials by number, from `first` on.
        first: Number of the first.
        stopwatch: Does not count the jobs.
    """

    def __init__(self, trials: Sequence[SimulatedTrial], first: int, stopwatch: Stopwatch) -> None:
        self._trials, self._first, self._stopwatch = trials, first, stopwatch
        self._waiting: deque[Job] = deque()
        self.num_folds = 0

    def submit(self, job: Job) -> None:
        """Appends a job to the queue."""
        self._waiting.append(job)

    def wait(self) -> JobResult:
        """Returns the results of the first job of the queue."""
        before = self._stopwatch.switch("jobs")
        job = self._waiting.popleft()
        (folds,) = (text.partition("=")[2] for text in job.overrides if text.startswith("+fold="))
        trial = self._trials[job.trial - self._first]
        returned = [_result(trial, int(fold)) for fold in folds.strip("[]").split(",")]
        self.num_folds += len(returned)
        self._stopwatch.switch(before)
        return JobResult(job, returned)

    def cancel(self) -> None:
        """Nothing runs."""


def _result(trial: SimulatedTrial, fold: int) -> FoldResult:
    outcome = trial.outcomes[fold]
    right = np.arange(outcome.num_held_out) < outcome.num_correct[-1]
    logits = np.stack([right, ~right], axis=-1).astype(np.float32)
    clips = tuple(f"S{fold:03d}/{clip:03d}" for clip in range(outcome.num_held_out))
    return FoldResult(
        fold=fold,
        logits=np.repeat(logits[np.newaxis], NUM_EPOCHS, axis=0),
        labels=np.zeros(outcome.num_held_out, dtype=np.int64),
        clip_ids=clips,
        subjects=tuple(clip[:4] for clip in clips),
        emotions=("happy", "sadness"),
        info={"seconds": 1.0, "run": "run"},
    )


def bookkeeping(num_trials: int, num_folds: int) -> Bookkeeping:
    """Measures the trials that follow the first `num_trials` of a study.

    Args:
        num_trials: Number of finished trials that the study is filled with.
        num_folds: Number of folds; 118 for one of each of CK+'s subjects.
    """
    with tempfile.TemporaryDirectory(prefix="fer3d-bookkeeping-") as folder:
        return _measure(Path(folder), num_trials, num_folds)


def _measure(folder: Path, num_trials: int, num_folds: int) -> Bookkeeping:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = compose_train([f"search={'paper' if num_folds == NUM_LOSO_FOLDS else 'table1'}"]).search
    settings: CrossValidationSettings = instantiate(search)
    space = SearchSpace.parse(settings.space)
    sampler: Any = OmegaConf.to_container(OmegaConf.load(TPE))
    corpus = _in_folds(simulated_corpus(0), num_folds)
    objective = CrossValidation(settings, corpus.sizes, "study", "simulated", folder)
    storage = open_storage(storage_url(folder, None))
    study = open_study("study", storage, objective.directions, SeededSampler(sampler, space), objective.pruner())
    _fill(storage.engine, study._study_id, _finished(simulate_study(corpus, num_trials, 0), corpus, space, settings))
    stopwatch = Stopwatch()
    # The same trials whatever the number of those before; the first, which reads the study, is a bad one.
    first = min(simulate_study(corpus, len(ACCURACIES), 1), key=lambda trial: trial.accuracy)
    jobs = RecordedJobs([first, *simulate_study(corpus, WINDOW, 2)], num_trials, stopwatch)
    num_commits = _count_commits(storage.engine)
    marks: list[tuple[dict[str, float], int, int]] = []

    def mark(_: str = "") -> None:
        stopwatch.switch(stopwatch.switch("own"))
        marks.append((stopwatch.seconds.copy(), jobs.num_folds, num_commits()))

    with (
        stopwatch.watch(SeededSampler, sampling=("before", "infer", "sample", "after")),
        stopwatch.watch(RDBStorage, writes=("set", "_set", "create", "_create"), reads=("get", "_get")),
        # Whoever commits waits for the disk.
        stopwatch.watch(DefaultDialect, writes=("do_commit",)),
        stopwatch.watch(Leases, leases=("take", "_take", "give_back", "holds", "known")),
        Leases(storage.engine, "study") as leases,
    ):
        mark()
        Search(study, leases, space, objective, jobs, num_trials + 1 + WINDOW, say=mark).run()
    storage.engine.dispose()
    return _summary(num_trials, num_folds, marks)


def _summary(num_trials: int, num_folds: int, marks: Sequence[tuple[dict[str, float], int, int]]) -> Bookkeeping:
    seconds = [
        {part: after.get(part, 0.0) - before.get(part, 0.0) for part in PARTS}
        for (before, *_), (after, *_) in itertools.pairwise(marks)
    ]
    totals = [sum(parts.values()) for parts in seconds]
    (_, folds, commits), *_, (_, last_folds, last_commits) = marks[1:]
    return Bookkeeping(
        num_trials=num_trials,
        num_folds=num_folds,
        median_seconds=statistics.median(totals[1:]),
        mean_seconds=statistics.mean(totals[1:]),
        mean_parts={part: statistics.mean(parts[part] for parts in seconds[1:]) for part in PARTS},
        mean_folds=(last_folds - folds) / WINDOW,
        mean_commits=(last_commits - commits) / WINDOW,
        first_seconds=totals[0],
    )


def _in_folds(corpus: Corpus, num_folds: int) -> Corpus:
    """The corpus with several subjects in each fold."""
    subjects = list(corpus.difficulties.values())
    folds = {number + 1: np.concatenate(subjects[number::num_folds]) for number in range(num_folds)}
    return Corpus(folds, corpus.source)


def _finished(
    trials: Sequence[SimulatedTrial], corpus: Corpus, space: SearchSpace, settings: CrossValidationSettings
) -> Iterator[FrozenTrial]:
    """The trials as a search stores them, with settings drawn at random."""
    drawing = optuna.create_study(sampler=RandomSampler(0))
    threshold, best = settings.pruning.threshold, 0.0
    for trial in trials:
        drawn = drawing.ask()
        space.draw(drawn)
        outcomes, attainable = [], {}
        for number, fold in enumerate(corpus.hardest_first, start=1):
            outcome = trial.outcomes[fold]
            outcomes.append(replace(outcome, num_correct=outcome.num_correct * NUM_EPOCHS, seconds=1.0))
            attainable[number] = attainable_accuracy(outcomes, corpus.num_clips, settings.protocol)
            if attainable[number] < (threshold if isinstance(threshold, float) else best):
                break
        complete = len(outcomes) == len(corpus.sizes)
        best = max(best, attainable[number]) if complete else best
        yield create_trial(
            state=TrialState.COMPLETE if complete else TrialState.PRUNED,
            value=attainable[number],
            params=drawn.params,
            distributions=drawn.distributions,
            user_attrs={
                FOLDS: {str(outcome.fold): outcome.as_json() for outcome in outcomes},
                ORDER: corpus.hardest_first,
                RUN: "run",
            },
            intermediate_values=attainable,
        )


def _fill(engine: sa.Engine, study_id: int, trials: Iterable[FrozenTrial]) -> None:
    """Adds trials to an empty database, all at once: one by one, Optuna takes 50 ms for each."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for number, trial in enumerate(trials):
        key = {"trial_id": number + 1}
        moments = {"datetime_start": trial.datetime_start, "datetime_complete": trial.datetime_complete}
        rows["trials"].append({**key, "number": number, "study_id": study_id, "state": trial.state, **moments})
        rows["trial_values"].append({**key, "objective": 0, "value": trial.value, "value_type": "FINITE"})
        rows["trial_user_attributes"] += [
            {**key, "key": name, "value_json": json.dumps(value)} for name, value in trial.user_attrs.items()
        ]
        rows["trial_intermediate_values"] += [
            {**key, "step": step, "intermediate_value": value, "intermediate_value_type": "FINITE"}
            for step, value in trial.intermediate_values.items()
        ]
        rows["trial_params"] += [
            {
                **key,
                "param_name": name,
                "param_value": distribution.to_internal_repr(trial.params[name]),
                "distribution_json": distribution_to_json(distribution),
            }
            for name, distribution in trial.distributions.items()
        ]
    with engine.begin() as connection:
        for table, content in rows.items():
            connection.execute(sa.insert(BaseModel.metadata.tables[table]), content)


def _count_commits(engine: sa.Engine) -> Callable[[], int]:
    """Counts the transactions that write."""
    writing: set[int] = set()
    found = 0

    def write(connection: sa.Connection, cursor: Any, statement: str, *_: Any) -> None:
        if not statement.lstrip().upper().startswith(("SELECT", "PRAGMA")):
            writing.add(id(connection))

    def commit(connection: sa.Connection) -> None:
        nonlocal found
        if id(connection) in writing:
            writing.discard(id(connection))
            found += 1

    sa.event.listen(engine, "before_cursor_execute", write)
    sa.event.listen(engine, "commit", commit)
    return lambda: found


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[20, 200, 800], help="finished trials of the study")
    parser.add_argument("--folds", type=int, nargs="+", default=[10, NUM_LOSO_FOLDS], help="folds of a trial")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args(arguments)
    found = [bookkeeping(num_trials, num_folds) for num_folds in given.folds for num_trials in given.trials]
    rows = [
        (
            str(one.num_folds),
            str(one.num_trials),
            *(f"{seconds:.3f}" for seconds in (one.median_seconds, one.mean_seconds, *one.mean_parts.values())),
            f"{one.mean_folds:.1f}",
            f"{one.mean_commits:.1f}",
            f"{one.first_seconds:.3f}",
        )
        for one in found
    ]
    columns = ("folds", "trials", "median", "mean", *PARTS, "folds run", "commits", "first")
    note = "The parts, the folds and the commits are those of the mean trial; the first trial reads the study."
    Table("Seconds of a trial besides its jobs", columns, tuple(rows), note, "SYNTHETIC trials").print(
        Console(width=max(Console().width, 120))
    )
    if given.json:
        given.json.write_text(json.dumps([asdict(one) for one in found], indent=1))


if __name__ == "__main__":
    main()
