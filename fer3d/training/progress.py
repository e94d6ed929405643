"""What a person sees while a fold trains."""

from __future__ import annotations

import logging
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar, RichProgressBar
from rich.console import Console

_logger = logging.getLogger(__name__)


class EpochLines(ProgressBar):
    """A line an epoch, for logs and pipes, where a moving bar would be noise."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prints the curves of the epoch before, all of which are known only now."""
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
        """Lightning's and a network's own `self.print` end here, too."""
        _logger.info("%s", " ".join(map(str, args)))


def progress_callback() -> ProgressBar:
    """A Rich progress bar on a terminal, a line an epoch elsewhere."""
    return RichProgressBar() if Console().is_terminal else EpochLines()
