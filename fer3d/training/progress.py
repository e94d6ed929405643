"""What a person sees while a fold trains."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar, RichProgressBar
from rich.console import Console


class EpochLines(ProgressBar):
    """A line an epoch, for logs and pipes, where a moving bar would be noise."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prints the epoch's curves."""
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.print(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: "
            f"train loss {values['train/loss']:.4f}, accuracy {values['train/accuracy']:.1%}; "
            f"held-out loss {values['held_out/loss']:.4f}, accuracy {values['held_out/accuracy']:.1%}"
        )

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Prints at once, also into a pipe."""
        print(*args, **kwargs, flush=True)


def progress_callback() -> ProgressBar:
    """A Rich progress bar on a terminal, a line an epoch elsewhere."""
    return RichProgressBar() if Console().is_terminal else EpochLines()
