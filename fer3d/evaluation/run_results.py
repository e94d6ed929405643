"""The fold results of a run, read and checked before anything is computed from them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer3d.clips.folds import FoldKind
from fer3d.clips.independence import Independence
from fer3d.training.results import SHARED, FoldResult, check_facts, facts, fold_folder, read_result

_FOLD_FOLDER = re.compile(r"fold_(\d{3,})")
_MAX_NAMED = 12


class EvaluationError(Exception):
    """Results that cannot be evaluated, compared or reported; says which, why, and what to do."""


@dataclass(frozen=True, repr=False)
class RunResults:
    """The results of a run's folds.

    Attributes:
        folder: The run's folder.
        folds: The fold results on disk, in ascending order; at least one.
        missing: Numbers of the missing folds.
    """

    folder: Path
    folds: tuple[FoldResult, ...]
    missing: tuple[int, ...]

    def __repr__(self) -> str:
        # Without the logits of all folds, which take pages.
        return f"RunResults({str(self.folder)!r}, {len(self.folds)} folds)"

    @classmethod
    def read(cls, folder: Path, *, partial: bool = False) -> RunResults:
        """Reads a run's folder.

        Args:
            folder: Such as `outputs/ckplus_loso-1a2b3c4d`.
            partial: Whether missing folds are allowed.

        Raises:
            EvaluationError: There are no folds; folds are missing and `partial` is not set; folds come from different
                configurations; a clip was predicted twice; the run holds out nothing.
            ResultError: A fold's result cannot be read, or belongs to another fold or run.
        """
        folds = _read_folds(folder)
        _check_one_configuration(folder, folds)
        if not any(fold.clip_ids for fold in folds):
            raise EvaluationError(
                f"{folder} trained on all clips and held out none (cv=all_clips), so there is nothing to evaluate"
            )
        _check_no_clip_twice(folder, folds)
        present = {fold.fold for fold in folds}
        missing = tuple(sorted(set(range(1, folds[0].info["num_folds"] + 1)) - present))
        if missing and not partial:
            raise EvaluationError(
                f"{folder} lacks {len(missing)} of {folds[0].info['num_folds']} folds: {name_folds(missing)}. Train "
                "them by running the same command again, or evaluate the other folds with --partial (in Python: "
                "partial=True)"
            )
        return cls(folder, tuple(folds), missing)

    @property
    def name(self) -> str:
        """The configured name, such as `ckplus_loso`."""
        return str(self.config["name"])

    @property
    def info(self) -> Mapping[str, Any]:
        """The content of the first fold's `result.json`; digest, corpus and configuration are the same in all folds."""
        return self.folds[0].info

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration, resolved."""
        config: Mapping[str, Any] = self.info["config"]
        return config

    @property
    def digest(self) -> str:
        """SHA-256 of everything that changes the run's numbers."""
        return str(self.info["digest"])

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.info["seed"])

    @property
    def corpus(self) -> str:
        """The corpus's name, such as `ckplus` or `synthetic`."""
        return str(self.info["corpus"])

    @property
    def synthetic(self) -> bool:
        """Whether the clips are rendered; every number, table and figure must say so."""
        return bool(self.info["synthetic"])

    @property
    def independence(self) -> Independence:
        """Whether the folds are subject-independent; if not, every number, table and figure must say so."""
        return Independence.told(self.info)

    @property
    def emotions(self) -> tuple[str, ...]:
        """The class names."""
        return self.folds[0].emotions

    @property
    def num_folds(self) -> int:
        """Number of folds of the whole cross-validation."""
        return int(self.info["num_folds"])

    @property
    def num_epochs(self) -> int:
        """Number of epochs of every fold."""
        return len(self.folds[0].logits)

    @property
    def partial(self) -> bool:
        """Whether folds are missing; every number, table and figure must say so."""
        return bool(self.missing)

    @property
    def num_subjects(self) -> int:
        """Number of subjects of the held-out clips; the number of clips if subjects are unknown."""
        return len({subject for fold in self.folds for subject in fold.subjects})

    @property
    def versions(self) -> dict[str, str]:
        """Versions of fer3d and its libraries; all of them if folds were trained with different ones."""
        told = [fold.info["versions"] for fold in self.folds]
        names = sorted({name for versions in told for name in versions})
        return {name: ", ".join(sorted({str(each[name]) for each in told if name in each})) for name in names}

    @property
    def fold_kind(self) -> FoldKind:
        """The kind of cross-validation."""
        return FoldKind(self.info["cv_kind"])

    @property
    def fold_rule(self) -> str:
        """The function that made the folds, such as `step_folds`."""
        return str(self.config["cv"]["_target_"]).rpartition(".")[2]

    @property
    def cross_validation(self) -> str:
        """The cross-validation in a word: `LOSO` or, for example, `10-fold`."""
        folds = name_cross_validation(self.fold_kind, self.num_folds, self.independence)
        return f"nested {folds}" if self.is_nested else folds

    @property
    def selected_by(self) -> Mapping[str, Any] | None:
        """The study, trial number and searched corpus, if a search proposed the settings; otherwise None."""
        # Any fold may tell, since a search reuses the folds that a single run of the same settings has trained.
        stored: list[Mapping[str, Any]] = [fold.info["config"].get("selected_by") for fold in self.folds]
        return next(filter(None, stored), None)

    @property
    def is_selected(self) -> bool:
        """Whether a search on this corpus tried the settings, so that they may be selected by these scores."""
        return self.selected_by is not None and self.selected_by["corpus"] == self.corpus

    @property
    def is_nested(self) -> bool:
        """Whether each fold has its own settings, from a search on its training subjects."""
        return "chosen" in self.info

    @property
    def cautions(self) -> tuple[str, ...]:
        """The cautions for every heading: synthetic, not subject-independent, debug, chosen by a search, partial."""
        tried = "CHOSEN BY A SEARCH on these clips" if self.is_selected else ""
        missing = f"PARTIAL: {len(self.missing)} of {self.num_folds} folds missing" if self.missing else ""
        debug = debug_caution(self.config.get("num_batches"))
        synthetic = "SYNTHETIC data" if self.synthetic else ""
        return tuple(filter(None, [synthetic, self.independence.caution, debug, tried, missing]))

    @property
    def caution(self) -> str:
        """The cautions as one phrase; empty without any."""
        return ", ".join(self.cautions)

    def provenance(self) -> dict[str, Any]:
        """The provenance of the run's numbers, in plain values for JSON."""
        return {
            "run": self.info["run"],
            "name": self.name,
            "digest": self.digest,
            "corpus": self.corpus,
            "synthetic": self.synthetic,
            **self.independence.entries,
            "partial": self.partial,
            "missing_folds": list(self.missing),
            "clip_store": self.info["clip_store"],
            "start_from": self.info.get("start_from"),
            "selected_by": self.selected_by,
            "seed": self.seed,
            "precision": self.info["precision"],
            "cross_validation": self.cross_validation,
            "num_folds": self.num_folds,
            "num_epochs": self.num_epochs,
            "num_held_out": sum(len(fold.clip_ids) for fold in self.folds),
            "num_subjects": self.num_subjects if self.independence.subjects_known else None,
            "emotions": list(self.emotions),
            "versions": self.versions,
        }


def name_cross_validation(kind: FoldKind, num_folds: int, independence: Independence) -> str:
    """Returns a cross-validation in a word: `LOSO` or, for example, `10-fold`.

    Args:
        kind: Its kind.
        num_folds: Number of folds.
        independence: Whether they are subject-independent.
    """
    if kind is FoldKind.LOSO:
        # If subjects are unknown, each clip counts as a subject of its own.
        return "LOSO" if independence.subjects_known else "leave-one-clip-out"
    if kind is FoldKind.GIVEN:
        return "given train/test" if num_folds == 1 else f"given {num_folds}-fold"
    return f"{num_folds}-fold"


def debug_caution(num_batches: int | None) -> str:
    """The caution of runs whose epochs are cut short (`num_batches`); empty for whole ones."""
    return f"DEBUG: {num_batches} batch{'' if num_batches == 1 else 'es'} an epoch" if num_batches else ""


def name_folds(numbers: Sequence[int]) -> str:
    """Returns fold numbers as one phrase, the first few in full."""
    rest = len(numbers) - _MAX_NAMED
    return ", ".join(map(str, numbers[:_MAX_NAMED])) + (f" and {rest} more" if rest > 0 else "")


def _read_folds(folder: Path) -> list[FoldResult]:
    if not folder.is_dir():
        raise EvaluationError(
            f"{folder} is not a run folder; expected something like outputs/ckplus_loso-1a2b3c4d with "
            "fold_001/result.json in it"
        )
    numbered = {
        path: int(match[1]) for path in sorted(folder.iterdir()) if (match := _FOLD_FOLDER.fullmatch(path.name))
    }
    if not numbered:
        raise EvaluationError(
            f"{folder} holds no folds; expected folders such as fold_001. Give the folder of a run, or train it first"
        )
    folds = []
    for path, number in numbered.items():
        folds.append(read_result(path, {"fold number": number}))
    return sorted(folds, key=lambda fold: fold.fold)


def _check_one_configuration(folder: Path, folds: Sequence[FoldResult]) -> None:
    made_by = defaultdict(list)
    for fold in folds:
        made_by[str(fold.info["digest"])].append(fold.fold)
    if len(made_by) > 1:
        parts = "; ".join(f"{digest[:8]} made {name_folds(numbers)}" for digest, numbers in made_by.items())
        raise EvaluationError(
            f"{folder} mixes folds of different configurations: {parts}. Move the folds of other runs elsewhere"
        )
    first = facts(folds[0])
    shared = {name: first[name] for name in SHARED}
    for fold in folds[1:]:
        check_facts(fold, fold_folder(folder, fold.fold), shared)


def _check_no_clip_twice(folder: Path, folds: Sequence[FoldResult]) -> None:
    counts = Counter(clip_id for fold in folds for clip_id in fold.clip_ids)
    twice = [clip_id for clip_id, count in counts.items() if count > 1]
    if twice:
        where = [str(fold.fold) for fold in folds if twice[0] in fold.clip_ids]
        raise EvaluationError(
            f"{folder} predicts {len(twice)} clips more than once, such as {twice[0]} in folds {', '.join(where)}. "
            "Remove the folds that do not belong there"
        )
