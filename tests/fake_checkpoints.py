"""Runs with the networks of their folds, none of which was ever trained, and their clip store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from fake_clips import write_store
from fake_runs import write_run
from prepared import TINY

from fer3d.clips.store import ClipStore
from fer3d.evaluation.run_results import RunResults
from fer3d.models.network import Task
from fer3d.training.checkpoint import CHECKPOINT_NAME, Checkpoint
from fer3d.training.networks import make_network
from fer3d.training.results import fold_folder

SIZE = 32


@dataclass(frozen=True)
class KeptRun:
    """A run that kept its networks.

    Attributes:
        folder: The run's folder.
        store: Its clip store, in `clips` beside the run.
        results: What its folds say.
    """

    folder: Path
    store: ClipStore
    results: RunResults

    def checkpoint(self, fold: int) -> Path:
        """Where the network of a fold lies."""
        return fold_folder(self.folder, fold) / CHECKPOINT_NAME


def write_kept_run(outputs: Path, *overrides: str, correct: float = 0.5, synthetic: bool = True) -> KeptRun:
    """Writes a run of three folds, its clip store, and a network of random weights for each fold."""
    settings: Sequence[str] = [*TINY, f"faces.crop.size={SIZE}", *overrides]
    draft = write_run(outputs / "draft", correct, synthetic=synthetic)
    store = write_store(draft, outputs / "clips" / "store", SIZE)
    folder = write_run(outputs, correct, overrides=settings, clip_store=store.digest, synthetic=synthetic)
    results = RunResults.read(folder)
    for fold in results.folds:
        torch.manual_seed(fold.fold)
        task = Task(len(results.emotions), results.config["clips"]["num_frames"], SIZE, 1)
        network = make_network(results.config["model"], task)
        Checkpoint(
            state_dict=network.state_dict(),
            emotions=results.emotions,
            corpus=results.corpus,
            synthetic=results.synthetic,
            clip_store=store.digest,
            subjects=tuple(sorted(set(store.subjects) - set(fold.subjects))),
            digest=results.digest,
            fold=fold.fold,
            config=results.config,
            num_channels=1,
        ).write(fold_folder(folder, fold.fold) / CHECKPOINT_NAME)
    return KeptRun(folder, store, results)
