"""A run: one configuration on one clip store, as many folds as asked for, in a folder named by what it computes."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger
from torch import Tensor

import fer3d
from fer3d.atomic_folder import atomic_folder
from fer3d.clips.folds import Fold, select_folds
from fer3d.clips.preparation import Preparation, prepare_clips
from fer3d.clips.preprocess import load_clips
from fer3d.clips.store import ClipStore
from fer3d.training.fold import TrainedFold, Training, train_fold
from fer3d.training.precision import resolve_precision
from fer3d.training.results import FoldResult, fold_folder, read_result, write_result
from fer3d.training.seeding import FoldSeeds
from fer3d.training.tracking import finish, log_fold

# Sections and keys of the configuration that change a run's numbers; the clips themselves count by their digest.
COUNTED = (
    "seed",
    "model",
    "optimizer",
    "scheduler",
    "augment",
    "cv",
    "trainer",
    "batch_size",
    "class_weights",
    "compile",
)
COUNTED_CLIPS = ("clahe", "normalise")
# Trainer settings that say where to compute, not what.
UNCOUNTED_TRAINER = ("accelerator", "devices")
LIBRARIES = ("torch", "pytorch-lightning", "kornia", "opencv-python-headless", "numpy", "scikit-learn", "hydra-core")


def prepare(config: DictConfig) -> Preparation:
    """Makes or finds the clip store that a configuration asks for.

    Raises:
        CorpusError: The corpus cannot be read.
        PreparationError: An image is unreadable, or a clip shows no face.
    """
    return prepare_clips(
        instantiate(config.data),
        instantiate(config.faces),
        Path(config.outputs) / "clips",
        num_frames=config.clips.num_frames,
        on_unreadable=config.clips.on_unreadable,
        progress=config.progress,
    )


@dataclass(frozen=True)
class Run:
    """One configuration on one clip store.

    Attributes:
        config: The configuration, resolved.
        store: The clip store.
        folds: All folds of the cross-validation.
        precision: The number format, resolved.
        digest: SHA-256 of everything that changes the numbers.
        folder: Where the fold results go.
    """

    config: DictConfig
    store: ClipStore
    folds: list[Fold]
    precision: str
    digest: str
    folder: Path

    @classmethod
    def of(cls, config: DictConfig, store: ClipStore) -> Run:
        """Makes the run of a configuration.

        Raises:
            FoldError: The corpus cannot be split as asked.
            ValueError: A setting is out of range.
        """
        config = config.copy()
        precision = resolve_precision(config.precision, config.trainer.accelerator)
        digest = run_digest(_container(config), precision, store.digest)
        folder = Path(config.outputs) / f"{config.name}-{digest[:8]}"
        return cls(config, store, instantiate(config.cv)(store.subjects), precision, digest, folder)

    def train(self, numbers: int | Iterable[int] | None = None) -> list[FoldResult]:
        """Trains folds one after the other, skips those that are done, and says what it does.

        Args:
            numbers: A fold's number, several, or None for all.

        Raises:
            FoldError: There is no such fold.
            ResultError: A result on disk cannot be read.
            DivergedError: A fold's training loss is no longer finite.
        """
        chosen = select_folds(self.folds, numbers)
        self._announce(chosen)
        results = []
        for fold in chosen:
            folder = fold_folder(self.folder, fold.number)
            if folder.exists():
                results.append(read_result(folder))
                print(f"done already, {results[-1].summary()}", flush=True)
            else:
                results.append(self._train(fold, folder))
                print(results[-1].summary(), flush=True)
        return results

    def _train(self, fold: Fold, folder: Path) -> FoldResult:
        loggers: list[Logger] = []
        status: Literal["success", "failed"] = "failed"
        try:
            with atomic_folder(folder) as work:
                loggers += self._loggers(fold, work)
                trained = train_fold(
                    self._training(),
                    clips=self._loaded_clips,
                    labels=torch.from_numpy(self.store.labels),
                    emotions=self.store.emotions,
                    fold=fold,
                    seeds=FoldSeeds.derive(self.config.seed, fold.number),
                    loggers=loggers,
                    folder=work,
                    progress=self.config.progress,
                )
                if self.config.save_checkpoint:
                    torch.save(self._checkpoint(trained.network, fold), work / "last.ckpt")
                result = self._result(fold, trained)
                write_result(result, work)
            # The result is safe by now, whatever becomes of a connection.
            log_fold(loggers, result, trained.data)
            status = "success"
        finally:
            finish(loggers, status)
        return result

    def _loggers(self, fold: Fold, folder: Path) -> Iterator[Logger]:
        """Makes the loggers one by one, so that those made before one that fails can be finished."""
        config = {**_container(self.config), **self._origin(), "precision": self.precision}
        for make in instantiate(self.config.logger).values():
            yield make(folder=folder, run_folder=self.folder, fold=fold.number, config=config)

    def _training(self) -> Training:
        config, header = self.config, self.store.header
        network = partial(
            instantiate,
            config.model,
            num_classes=len(header.emotions),
            num_frames=header.num_frames,
            size=header.size,
        )
        return Training(
            network=network,
            optimizer=instantiate(config.optimizer),
            scheduler=instantiate(config.scheduler),
            augmentation=instantiate(config.augment),
            trainer=instantiate(config.trainer),
            batch_size=config.batch_size,
            normalise=config.clips.normalise,
            class_weights=config.class_weights,
            precision=self.precision,  # type: ignore[arg-type]
            compile=config.compile,
        )

    @cached_property
    def _loaded_clips(self) -> Tensor:
        return load_clips(self.store.clips, clahe=self.config.clips.clahe)

    def _checkpoint(self, network: torch.nn.Module, fold: Fold) -> dict[str, Any]:
        """What `torch.load(weights_only=True)` accepts: tensors and plain values."""
        return {
            "state_dict": network.state_dict(),
            "emotions": list(self.store.emotions),
            "config": _container(self.config),
            "digest": self.digest,
            "fold": fold.number,
        }

    def _origin(self) -> dict[str, Any]:
        return {
            "digest": self.digest,
            "corpus": self.store.corpus,
            "synthetic": self.store.synthetic,
            "clip_store": self.store.digest,
        }

    def _result(self, fold: Fold, trained: TrainedFold) -> FoldResult:
        return FoldResult(
            fold=fold.number,
            logits=trained.logits,
            labels=self.store.labels[list(fold.held_out)],
            clip_ids=tuple(self.store.clip_ids[index] for index in fold.held_out),
            emotions=self.store.emotions,
            info=self._info(fold, trained),
        )

    def _info(self, fold: Fold, trained: TrainedFold) -> dict[str, Any]:
        rows = trained.data.num_rows_per_emotion.tolist()
        return {
            "run": self.folder.name,
            **self._origin(),
            "seed": self.config.seed,
            "precision": self.precision,
            "subjects": sorted({self.store.subjects[index] for index in fold.held_out}),
            "num_train": len(fold.train),
            "num_train_with_copies": dict(zip(self.store.emotions, rows, strict=True)),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(trained.seconds, 2),
            "device": trained.device,
            "versions": {"fer3d": fer3d.__version__, "python": platform.python_version()}
            | {name: version(name) for name in LIBRARIES},
            "config": _container(self.config),
        }

    def _announce(self, chosen: list[Fold]) -> None:
        kind = "SYNTHETIC " if self.store.synthetic else ""
        print(
            f"run {self.folder}: {len(self.store)} {kind}clips of {len(set(self.store.subjects))} subjects, "
            f"{len(chosen)} of {len(self.folds)} folds, {self.precision}",
            flush=True,
        )


def run_digest(config: Mapping[str, Any], precision: str, clip_store: str) -> str:
    """SHA-256 of everything that changes a run's numbers: settings, seed, precision and clips."""
    counted = {key: config[key] for key in COUNTED}
    counted["trainer"] = {key: value for key, value in config["trainer"].items() if key not in UNCOUNTED_TRAINER}
    counted |= {key: config["clips"][key] for key in COUNTED_CLIPS}
    counted |= {"precision": precision, "clip_store": clip_store}
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()


def _container(config: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    return {str(key): value for key, value in plain.items()} if isinstance(plain, dict) else {}
