"""Entries of a comparison of many runs: the seeds of one configuration together, under a short name of their own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import pairwise
from typing import Any

import numpy as np

from fer3d.evaluation.comparison import check_paired
from fer3d.evaluation.run_results import EvaluationError, RunResults
from fer3d.evaluation.seeds import settings_without_seed
from fer3d.training.identity import UNCOUNTED_TRAINER, leaves

# Settings that change no number, or that a label could not tell in a word.
_NOT_TOLD = (
    "name", "configuration", "outputs", "logger", "progress", "search", "selected_by", "save_checkpoint", "seed",
    "fold", "data", "start_from", "clips.memory", "faces.every", *(f"trainer.{key}" for key in UNCOUNTED_TRAINER),
)  # fmt: skip
_MAX_LABEL = 48  # characters of settings; a run's name is shorter than more


@dataclass(frozen=True)
class Entry:
    """Runs that differ only in the seed, as one of the things that are compared.

    Attributes:
        label: A short name, unique among the entries.
        runs: The runs in ascending order of seed, at least one.
    """

    label: str
    runs: tuple[RunResults, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in ascending order."""
        return tuple(run.seed for run in self.runs)

    @property
    def caution(self) -> str:
        """The cautions of all runs as one phrase; empty without any."""
        return ", ".join(dict.fromkeys(caution for run in self.runs for caution in run.cautions))

    @property
    def num_parameters(self) -> int | None:
        """Number of the network's parameters, the mean if folds differ; None if the results do not tell."""
        mean = self._mean("num_parameters")
        return None if mean is None else round(mean)

    @property
    def gflop(self) -> float | None:
        """Cost of predicting a clip in 10^9 operations, the mean if folds differ; None if the results do not tell."""
        return self._mean("gflop")

    @property
    def clips_per_second(self) -> float | None:
        """Training clips a second, the mean over folds; None if the results do not tell."""
        return self._mean("clips_per_second")

    @property
    def seconds(self) -> float | None:
        """Seconds to train a fold, the mean over folds."""
        return self._mean("seconds")

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that the folds were trained on."""
        return tuple(sorted({str(fold.info["device"]) for run in self.runs for fold in run.folds}))

    def _mean(self, name: str) -> float | None:
        told = [value for run in self.runs for fold in run.folds if (value := fold.info.get(name)) is not None]
        return float(np.mean(told)) if told else None


def entries_of(runs: Sequence[RunResults], labels: Mapping[str, str] | None = None) -> tuple[Entry, ...]:
    """Puts the seeds of each configuration together and checks that all entries can be compared.

    An entry's label is its run's name, without what all names begin and end with; entries of one name are told apart by
    the settings in which they differ, or by their runs' folders where these are many. So `synthetic-kfold10-compact`
    and `synthetic-kfold10-cnn3d` are `compact` and `cnn3d`.

    Args:
        runs: The runs in any order.
        labels: Labels of the user's own, each with a run's folder or its name, or a pattern such as `*-compact-*`.

    Returns:
        At least two entries, by label.

    Raises:
        EvaluationError: There is one entry only; a run is given twice; the entries have other seeds, clips or folds; or
            a label is of no entry or several.
    """
    grouped = group_seeds(runs)
    if len(grouped) < 2:
        names = ", ".join(str(run.folder) for run in runs)
        raise EvaluationError(
            f"{names}: all are seeds of one configuration, so that there is nothing to compare. fer3d.evaluate gives "
            "their mean and spread"
        )
    first = grouped[0]
    for other in grouped[1:]:
        if [run.seed for run in first] != [run.seed for run in other]:
            seeds = (f"{one[0].folder} has {_named_seeds(one)}" for one in (first, other))
            raise EvaluationError(
                f"runs can be compared only if all settings have the same seeds: {' and '.join(seeds)}. Train what is "
                "missing, or leave out runs"
            )
    for run in runs:
        if run is not runs[0]:
            check_paired(runs[0], run)
    named = _make_unique(_own_labels(grouped, labels or {}), grouped)
    entries = (Entry(label, group) for label, group in zip(named, grouped, strict=True))
    return tuple(sorted(entries, key=lambda entry: entry.label))


def group_seeds(runs: Sequence[RunResults]) -> list[tuple[RunResults, ...]]:
    """Groups runs that differ only in the seed, each group in ascending order of seed.

    Raises:
        EvaluationError: Two runs have the same settings and seed, or another version of fer3d trained one.
    """
    groups: dict[str, list[RunResults]] = {}
    for run in runs:
        groups.setdefault(json.dumps(settings_without_seed(run), sort_keys=True), []).append(run)
    ordered = [tuple(sorted(group, key=lambda run: run.seed)) for group in groups.values()]
    for group in ordered:
        for run, after in pairwise(group):
            if run.folder.resolve() == after.folder.resolve():
                raise EvaluationError(f"{run.folder} is given twice")
            if run.seed == after.seed:
                raise EvaluationError(
                    f"{run.folder} and {after.folder} have the same settings and the same seed, {run.seed}: give one"
                )
    return ordered


def _named_seeds(group: Sequence[RunResults]) -> str:
    return f"seed{'' if len(group) == 1 else 's'} {', '.join(str(run.seed) for run in group)}"


def _own_labels(grouped: Sequence[tuple[RunResults, ...]], labels: Mapping[str, str]) -> list[str]:
    """The labels of the groups; those that the user gave replace those that were found."""
    found = _found_labels(grouped)
    given: dict[int, str] = {}
    for label, pattern in labels.items():
        fitting = [index for index, group in enumerate(grouped) if any(_fits(run, pattern) for run in group)]
        if len(fitting) != 1:
            those = "; ".join(str(grouped[index][0].folder) for index in fitting) or "none"
            raise EvaluationError(
                f"the label {label} must name the runs of one setting, but {pattern} names {len(fitting)}: {those}"
            )
        if fitting[0] in given:
            raise EvaluationError(f"{given[fitting[0]]} and {label} are labels of the same runs, {pattern}: give one")
        given[fitting[0]] = label
    # An entry that is by itself called what the user calls another one gets its folder's name.
    own = [grouped[index][0].folder.name if label in given.values() else label for index, label in enumerate(found)]
    return [given.get(index, label) for index, label in enumerate(own)]


def _fits(run: RunResults, pattern: str) -> bool:
    folder = pattern.rstrip("/")
    return any(fnmatch(name, folder) for name in (str(run.folder), run.folder.name, run.name))


def _found_labels(grouped: Sequence[tuple[RunResults, ...]]) -> list[str]:
    names = [group[0].name for group in grouped]
    short = dict(zip(dict.fromkeys(names), _without_common_parts(list(dict.fromkeys(names))), strict=True))
    labels = []
    for name, group in zip(names, grouped, strict=True):
        namesakes = [other for other, its in zip(grouped, names, strict=True) if its == name]
        if len(namesakes) == 1:
            labels.append(short[name])
            continue
        told = _told_apart(group[0], [other[0] for other in namesakes])
        alone = len(short) == 1
        labels.append((told if alone else f"{short[name]} {told}") if told else group[0].folder.name)
    return labels


def _make_unique(labels: Sequence[str], grouped: Sequence[tuple[RunResults, ...]]) -> list[str]:
    counts = Counter(labels)
    unique = [
        group[0].folder.name if counts[label] > 1 else label for label, group in zip(labels, grouped, strict=True)
    ]
    if len(set(unique)) < len(unique):  # folders of one name in different outputs
        return [str(group[0].folder) for group in grouped]
    return unique


def _without_common_parts(names: Sequence[str]) -> list[str]:
    """Different names without the parts, between dashes, that all begin and end with; at least one part stays."""
    parts = [name.split("-") for name in names]
    for end in (0, -1):
        while len(parts) > 1 and all(len(each) > 1 for each in parts) and len({each[end] for each in parts}) == 1:
            for each in parts:
                del each[end]
    return ["-".join(each) for each in parts]


def _told_apart(run: RunResults, among: Sequence[RunResults]) -> str:
    """The settings in which a run differs from namesakes, such as `model.temporal_kernel=1`; empty if too long."""
    settings = [dict(leaves(each.config)) for each in among]
    mine = dict(leaves(run.config))
    names = sorted({name for each in settings for name in each})
    differing = [name for name in names if any(each.get(name) != settings[0].get(name) for each in settings)]
    # Arguments of another class, or another class's own, say no more than its name.
    classes = [name.removesuffix("_target_") for name in differing if name.endswith("._target_")]
    told = [
        f"{name.removesuffix('._target_')}={_value_text(name, mine.get(name))}"
        for name in differing
        if not any(f"{name}.".startswith(f"{left_out}.") for left_out in _NOT_TOLD)
        and (name.endswith("._target_") or not any(name.startswith(one) for one in classes))
    ]
    text = " ".join(told)
    return text if len(text) <= _MAX_LABEL else ""


def _value_text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value.rpartition(".")[2] if name.endswith("_target_") else value
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else json.dumps(value)
