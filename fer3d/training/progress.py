"""Progress display during training."""

from __future__ import annotations

import logging
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar, RichProgressBar
from rich.console import Console

_logger = logging.getLogger(__name__)


class EpochLines(ProgressBar):
    """One line per epoch, for logs and pipes, where a progress bar would be noise."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prints the previous epoch's curves, which are complete only now."""
        self._print_epoch(trainer, trainer.current_epoch)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prints the last epoch's curves."""
        self._print_epoch(trainer, trainer.current_epoch)

    def _print_epoch(self, trainer: pl.Trainer, num_finished: int) -> None:
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        curves = [
            f"{name} loss {values[f'{stage}/loss']:.4f}, accuracy {values[f'{stage}/accuracy']:.1%}"
            for stage, name in (("train", "train"), ("held_out", "held-out"))
            if f"{stage}/loss" in values
        ]
        if curves:
            self.print(f"epoch {num_finished}/{trainer.max_epochs}: {'; '.join(curves)}")

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Logs messages, including those of `self.print` in Lightning and in networks."""
        _logger.info("%s", " ".join(map(str, args)))


def progress_callback() -> ProgressBar:
    """A Rich progress bar on a terminal, one line per epoch elsewhere."""
    return RichProgressBar() if Console().is_terminal else EpochLines()
