"""A run: the folds of one configuration on one clip store, in a folder named by a digest of what it computes."""

from __future__ import annotations

import logging
import platform
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger

import fer3d
from fer3d.atomic_folder import atomic_folder, work_folder
from fer3d.clips.clip_source import ClipSource, clip_source
from fer3d.clips.folds import Fold, kind_of, make_folds, select_folds
from fer3d.clips.independence import Independence
from fer3d.clips.measures import store_measures
from fer3d.clips.store import ClipStore
from fer3d.disk import check_space
from fer3d.file_lock import file_lock, remove_unheld
from fer3d.settings import checked
from fer3d.training.checkpoint import CHECKPOINT_NAME, Checkpoint, lacking
from fer3d.training.device import Precision, resolve_compile, resolve_precision, training_device
from fer3d.training.external_weights import ExternalWeights, Fitted, Start, starting_weights
from fer3d.training.fold import TrainedFold, Training, train_fold
from fer3d.training.identity import counted_settings, run_digest
from fer3d.training.parts import check_training, clip_gflop, fitted_weights, make_training, training_pflop
from fer3d.training.results import (
    EpochPredictions,
    FoldResult,
    ResultError,
    fold_folder,
    read_result,
    same_numbers,
    write_result,
)
from fer3d.training.seeding import FoldSeeds
from fer3d.training.temperature import fit_temperature
from fer3d.training.tracking import finish, log_fold

_logger = logging.getLogger(__name__)
# Disk space of a fold's curves, logits and configuration, without the checkpoint.
_LEAST_FOLD_BYTES = 1_000_000
# Keys that only say which search started the run and which folds to train.
NOT_OF_THE_RUN = ("search", "trial", "fold")
LIBRARIES = ("torch", "pytorch-lightning", "kornia", "opencv-python-headless", "numpy", "scikit-learn", "hydra-core")


@dataclass(frozen=True, repr=False)
class Run:
    """One configuration on one clip store.

    Attributes:
        config: The resolved configuration.
        store: The clip store.
        folds: All folds of the cross-validation.
        start: The checkpoint or the external weights that every fold starts from; None: folds start from scratch.
        precision: The resolved number format.
        compiled: Whether the network is compiled.
        pflop: Estimated floating-point operations of training all folds, in 1e15.
        digest: SHA-256 of everything that changes the numbers.
        folder: Folder of the fold results.
    """

    config: DictConfig
    store: ClipStore
    folds: list[Fold]
    start: Start | None
    precision: Precision
    compiled: bool
    pflop: float
    digest: str
    folder: Path

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, {len(self.folds)} folds)"

    @classmethod
    def of(cls, config: DictConfig, store: ClipStore) -> Run:
        """Creates the run of a configuration.

        Raises:
            FoldError: The corpus cannot be split as configured.
            CheckpointError: `start_from` holds no weights, belongs to another network, or was trained on held-out
                subjects.
            SettingsError: A setting does not exist or has the wrong type.
            ValueError: A setting is out of range.
        """
        config = checked(config)
        config = OmegaConf.masked_copy(config, [str(key) for key in config if key not in NOT_OF_THE_RUN])
        folds = make_folds(instantiate(config.cv), store.subjects, store.splits)
        start = starting_weights(
            _container(config),
            corpus=store.corpus,
            clip_store=store.digest,
            subjects_known=store.header.subjects_known,
            held_out={store.subjects[index] for fold in folds for index in fold.held_out},
        )
        accelerator, devices = config.trainer.accelerator, config.trainer.devices
        precision = resolve_precision(config.precision, accelerator)
        pflop = training_pflop(config, store, folds)
        compiled = resolve_compile(config.compile, pflop, training_device(accelerator, devices))
        counted = counted_settings(
            _container(config),
            precision=precision,
            compiled=compiled,
            clip_store=store.digest,
            start_from=start.weights_digest if start else None,
        )
        digest = run_digest(counted)
        folder = Path(config.outputs) / f"{config.name}-{digest[:8]}"
        return cls(config, store, folds, start, precision, compiled, pflop, digest, folder)

    def train(self, numbers: int | Iterable[int] | None = None) -> list[FoldResult]:
        """Trains folds one after the other, skipping finished ones, and logs progress.

        Args:
            numbers: One or several fold numbers; None: all folds.

        Raises:
            FoldError: A fold does not exist.
            ResultError: A stored result is damaged or belongs to another fold or run, or its missing checkpoint cannot
                be recreated.
            CheckpointError: `start_from` does not fit the network.
            DivergedError: A fold's training loss or logits are no longer finite.
            ValueError, DiskError: See `check`.
        """
        chosen = select_folds(self.folds, numbers)
        self.check([fold.number for fold in chosen])
        self.announce([fold.number for fold in chosen])
        results = []
        for fold in chosen:
            done = self._is_done(fold)
            results.append(self.fold_result(fold.number))
            _logger.info("%s%s", "done already, " if done else "", results[-1].summary())
        return results

    def fold_result(self, number: int) -> FoldResult:
        """Reads a fold's result, or trains the fold if there is none.

        Logs only if it waits for another process or recreates a missing checkpoint.

        Raises:
            FoldError, ResultError, DivergedError, CheckpointError: See `train`.
        """
        (fold,) = select_folds(self.folds, number)
        lock = self.folder / f".{self._folder(fold).name}.lock"
        if self._is_done(fold):
            remove_unheld(lock)
            return self._read(fold)
        # Another process may be training it: trials of a search share folds with equal settings.
        with file_lock(lock, f"fold {number} of {self.folder} is being trained"):
            if self._is_done(fold):
                return self._read(fold)
            return self._complete(fold) if self._folder(fold).exists() else self._train(fold)

    @cached_property
    def independence(self) -> Independence:
        """Whether the folds are subject-independent."""
        known = self.store.header.subjects_known
        return Independence.of(self.folds, self.store.subjects, subjects_known=known)

    @property
    def unfinished(self) -> list[int]:
        """Numbers of the folds without a result or without a requested checkpoint."""
        return [fold.number for fold in self.folds if not self._is_done(fold)]

    def check(self, numbers: Collection[int]) -> None:
        """Checks in advance for problems that would otherwise appear during or after training.

        Args:
            numbers: The folds to train.

        Raises:
            ValueError: A part cannot be created from its settings, or `compile` is set without a compiler.
            MisconfigurationException: The device is not available, or Lightning's trainer rejects a setting.
            DiskError: The disk lacks space for the results.
        """
        num_unfinished = len(set(numbers) & set(self.unfinished))
        if not num_unfinished:
            return
        num_bytes = check_training(self.training(), self.store.header)
        fold_bytes = _LEAST_FOLD_BYTES + (num_bytes if self._keeps_checkpoints else 0)
        check_space(self.folder, fold_bytes * num_unfinished, "the folds")

    @property
    def _keeps_checkpoints(self) -> bool:
        """Whether to save checkpoints: by default only in runs without held-out clips, which produce nothing else."""
        chosen = self.config.save_checkpoint
        return not any(fold.held_out for fold in self.folds) if chosen is None else bool(chosen)

    def _folder(self, fold: Fold) -> Path:
        return fold_folder(self.folder, fold.number)

    def _is_done(self, fold: Fold) -> bool:
        return self._folder(fold).exists() and (not self._keeps_checkpoints or self._lacks_checkpoint(fold) is None)

    def _lacks_checkpoint(self, fold: Fold) -> str | None:
        return lacking(self._folder(fold) / CHECKPOINT_NAME, self.digest, fold.number)

    def expected(self, fold: Fold) -> dict[str, object]:
        """Returns the expected `fer3d.training.results.facts` of a fold's result."""
        return {
            "fold number": fold.number,
            "digest": self.digest,
            "corpus": self.store.corpus,
            "synthetic": self.store.synthetic,
            **self.independence.entries,
            "emotions": self.store.emotions,
            "num_folds": len(self.folds),
            "held-out clips": self._clips(fold.held_out),
            "clips kept back": self._clips(fold.inner_val),
        }

    def _read(self, fold: Fold) -> FoldResult:
        return read_result(self._folder(fold), self.expected(fold))

    def _clips(self, indices: Sequence[int]) -> tuple[tuple[str, str, int], ...]:
        store = self.store
        return tuple((store.clip_ids[index], store.subjects[index], int(store.labels[index])) for index in indices)

    def _complete(self, fold: Fold) -> FoldResult:
        """Retrains a finished fold to add its missing checkpoint, leaving the rest unchanged."""
        stored, folder = self._read(fold), self._folder(fold)
        why = self._lacks_checkpoint(fold)
        _logger.info("fold %d: finished, but %s; training it again", fold.number, why)
        with work_folder(folder) as work:
            trained = self._trained(fold, [], work)
            again = self._result(fold, trained, self._info(fold))
            if not same_numbers(stored, again):
                raise ResultError(
                    f"{folder} has no {CHECKPOINT_NAME}, which save_checkpoint=true requires, and training it again "
                    "gave other numbers (other library versions or another machine), so the checkpoint would not match "
                    "the result: delete the folder and run the same command again, or set another name"
                )
            self._checkpoint(trained, fold).write(work / CHECKPOINT_NAME)
            (work / CHECKPOINT_NAME).replace(folder / CHECKPOINT_NAME)
        return stored

    def _train(self, fold: Fold) -> FoldResult:
        loggers: list[Logger] = []
        status: Literal["success", "failed"] = "failed"
        # Before training, so that an error here does not lose its result.
        known = self._info(fold)
        try:
            with atomic_folder(self._folder(fold)) as work:
                loggers += self._loggers(fold, work)
                trained = self._trained(fold, loggers, work)
                if self._keeps_checkpoints:
                    self._checkpoint(trained, fold).write(work / CHECKPOINT_NAME)
                result = self._result(fold, trained, known)
                write_result(result, work)
            # Only now that the result is stored, because the connection may fail.
            log_fold(loggers, result, trained.data)
            status = "success"
        finally:
            finish(loggers, status)
        return result

    def _trained(self, fold: Fold, loggers: Sequence[Logger], folder: Path) -> TrainedFold:
        return train_fold(
            self.training(),
            clips=self.clips,
            labels=torch.from_numpy(self.store.labels),
            emotions=self.store.emotions,
            fold=fold,
            seeds=FoldSeeds.derive(self.config.seed, fold.number),
            loggers=loggers,
            folder=folder,
            progress=self.config.progress,
        )

    def _loggers(self, fold: Fold, folder: Path) -> Iterator[Logger]:
        """Creates the loggers one by one, so that if one fails, the previous ones can be finished."""
        config = {**_container(self.config), **self._origin(), "precision": self.precision}
        for make in instantiate(self.config.logger).values():
            yield make(folder=folder, run_folder=self.folder, fold=fold.number, config=config)

    def training(self) -> Training:
        """Creates the parts and settings of a fold's training."""
        return make_training(
            self.config,
            self.store.header,
            self.store.clip_ids,
            self.start,
            precision=self.precision,
            compiled=self.compiled,
        )

    @cached_property
    def clips(self) -> ClipSource:
        """The source of all clips of the corpus."""
        clips = self.config.clips
        device = training_device(self.config.trainer.accelerator, self.config.trainer.devices)
        return clip_source(self.store, clahe=clips.clahe, memory=clips.memory, device=device)

    def _checkpoint(self, trained: TrainedFold, fold: Fold) -> Checkpoint:
        kept_back = trained.inner_val_logits
        labels = self.store.labels[list(fold.inner_val)]
        return Checkpoint(
            state_dict=trained.network.state_dict(),
            emotions=self.store.emotions,
            corpus=self.store.corpus,
            synthetic=self.store.synthetic,
            clip_store=self.store.digest,
            subjects=tuple(sorted({self.store.subjects[index] for index in (*fold.train, *fold.inner_val)})),
            subjects_known=self.store.header.subjects_known,
            digest=self.digest,
            fold=fold.number,
            config=_container(self.config),
            num_channels=self.store.num_channels,
            # From the last epoch, as the network.
            temperature=None if kept_back is None else fit_temperature(kept_back[-1], labels),
            training_clips=store_measures(self.store, fold.train),
            external_weights=self.start.external_weights if self.start else None,
        )

    @cached_property
    def _fitted(self) -> Fitted | None:
        """What becomes of external weights in this run's network; None without any."""
        start = self.start
        return fitted_weights(self.config, self.store, start) if isinstance(start, ExternalWeights) else None

    def _origin(self) -> dict[str, Any]:
        return {
            "digest": self.digest,
            "corpus": self.store.corpus,
            "synthetic": self.store.synthetic,
            **self.independence.entries,
            "clip_store": self.store.digest,
            "start_from": self._start_origin(),
        }

    def _start_origin(self) -> dict[str, Any] | None:
        numbers = self._fitted.numbers if self._fitted else {}
        return {**self.start.origin(), **numbers} if self.start else None

    def _result(self, fold: Fold, trained: TrainedFold, known: Mapping[str, Any]) -> FoldResult:
        rows = trained.data.num_rows_per_emotion.tolist()
        learnt = {
            "num_train_with_copies": dict(zip(self.store.emotions, rows, strict=True)),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(trained.seconds, 2),
            "clips_per_second": round(sum(rows) * len(trained.logits) / trained.seconds, 2),
            "num_parameters": sum(parameter.numel() for parameter in trained.network.parameters()),
            "gflop": clip_gflop(self.config, self.store),
            "compiled": trained.compiled,
            "device": trained.device,
        }
        inner_val = None
        if trained.inner_val_logits is not None:
            inner_val = EpochPredictions(logits=trained.inner_val_logits, **self._described(fold.inner_val))
        return FoldResult(
            fold=fold.number,
            logits=trained.logits,
            emotions=self.store.emotions,
            info={**known, **learnt},
            inner_val=inner_val,
            **self._described(fold.held_out),
        )

    def _described(self, indices: Sequence[int]) -> dict[str, Any]:
        return {
            "labels": self.store.labels[list(indices)],
            "clip_ids": tuple(self.store.clip_ids[index] for index in indices),
            "subjects": tuple(self.store.subjects[index] for index in indices),
        }

    def _info(self, fold: Fold) -> dict[str, Any]:
        """Provenance of a fold's result, as far as it is known before training."""
        return {
            "run": self.folder.name,
            **self._origin(),
            "seed": self.config.seed,
            "precision": self.precision,
            "subjects": sorted({self.store.subjects[index] for index in fold.held_out}),
            "cv_kind": str(kind_of(instantiate(self.config.cv))),
            "num_folds": len(self.folds),
            "num_clips": len(self.store),
            "num_train": len(fold.train),
            "versions": versions(),
            "config": _container(self.config),
        }

    def announce(self, numbers: Sequence[int]) -> None:
        """Logs the run and the number of folds to train."""
        kind = "SYNTHETIC " if self.store.synthetic else ""
        people = self.independence.subjects_text(len(set(self.store.subjects)))
        folds = f"{len(numbers)} of {len(self.folds)} folds"
        compiled = f"{'compiled' if self.compiled else 'not compiled'} ({self.pflop:.2g} PFLOP to train)"
        _logger.info(
            "run %s: %d %sclips%s, %s, %s, %s",
            *(self.folder, len(self.store), kind, people, folds, self.precision, compiled),
        )
        for line in self._fitted.lines if self._fitted else ():
            _logger.info("%s", line)
        if not self.independence.holds:
            _logger.info("%s: %s", self.independence.caution, self.independence.sentence)


def versions() -> dict[str, str]:
    """Versions of fer3d, Python and the libraries that a run's numbers depend on."""
    found = {"fer3d": fer3d.__version__, "python": platform.python_version()}
    for name in LIBRARIES:
        # A library may have another distribution name, such as OpenCV with a GUI.
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _container(config: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    return {str(key): value for key, value in plain.items()} if isinstance(plain, dict) else {}
