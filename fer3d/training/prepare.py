"""Prepares the clip store of a configuration, without importing PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from fer3d.clips.folds import make_folds, select_folds
from fer3d.clips.frames import make_sampling
from fer3d.clips.preparation import Preparation, prepare_clips
from fer3d.clips.store import StoreHeader
from fer3d.corpora.sequences import LabelledSequence
from fer3d.settings import checked


def prepare(config: DictConfig, *, for_training: bool = True, checks_parts: bool = True) -> Preparation:
    """Creates the clip store of a configuration, or opens it if it exists.

    Args:
        config: The configuration.
        for_training: Whether folds will be trained; what cannot be trained is then rejected before face detection.
        checks_parts: Whether that includes the network and the other parts, which the trials of a search replace.

    Raises:
        SettingsError: A setting does not exist or has the wrong type.
        CorpusError: The corpus cannot be read.
        PreparationError: An image is unreadable, or a clip shows no face.
        FoldError, CheckpointError, ValueError, MisconfigurationException: The folds or a part cannot be made as
            configured.
    """
    config = checked(config, for_training=for_training)
    return prepare_clips(
        instantiate(config.data),
        instantiate(config.faces),
        Path(config.outputs) / "clips",
        num_frames=config.clips.num_frames,
        sampling=make_sampling(config.frames),
        on_unreadable=config.clips.on_unreadable,
        progress=config.progress,
        check=partial(_check, config, checks_parts) if for_training else None,
    )


def fold_numbers(config: DictConfig) -> Any:
    """The folds in `+fold`: a number or a list; None: all."""
    fold = config.get("fold")
    return OmegaConf.to_object(fold) if OmegaConf.is_config(fold) else fold


def _check(config: DictConfig, checks_parts: bool, sequences: Sequence[LabelledSequence], header: StoreHeader) -> None:
    """Raises an error if the sequences cannot be split as configured, or the folds cannot be trained so."""
    subjects = [sequence.subject for sequence in sequences]
    splits = [sequence.columns.get("split", "") for sequence in sequences]
    select_folds(make_folds(instantiate(config.cv), subjects, splits), fold_numbers(config))
    if checks_parts:
        # Imports PyTorch.
        from fer3d.training.parts import check_settings

        check_settings(config, header)
