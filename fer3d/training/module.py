"""The Lightning module that trains and evaluates a network on one fold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from fer3d.clips.data import Batch
from fer3d.training.fine_tuning import FineTuning, Frozen


class DivergedError(RuntimeError):
    """The training loss or the held-out logits are no longer finite."""


class _Step(NamedTuple):
    loss: Tensor
    predicted: Tensor
    labels: Tensor


class FoldModule(pl.LightningModule):
    """Trains a network on a fold's training clips and stores its held-out logits after every epoch.

    Args:
        network: Maps clips `(B, C, T, H, W)` to logits `(B, num_classes)`.
        optimizer: Creates the optimizer from the network's parameters.
        scheduler: Creates the learning rate scheduler from the optimizer and the fold's number of steps.
        num_classes: Number of classes.
        training_forward: Computes the logits of training batches.
        class_weights: Weight of each class in the loss, `(num_classes,)`; None: all clips count alike.
        fine_tuning: Learning rates and freezing of submodules.

    Attributes:
        held_out_logits: One array `(num_held_out, num_classes)` per finished epoch.
        inner_val_logits: The same for the clips kept back for checkpoint selection.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        network: nn.Module,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        scheduler: Callable[[Optimizer, int], LRScheduler],
        num_classes: int,
        training_forward: Callable[[Tensor], Tensor],
        class_weights: Tensor | None = None,
        fine_tuning: FineTuning | None = None,
    ) -> None:
        super().__init__()
        self._training_forward = training_forward
        self.network, self._optimizer, self._scheduler = network, optimizer, scheduler
        self._fine_tuning, self._frozen = fine_tuning or FineTuning(), Frozen(network, {})
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.held_out_logits: list[NDArray[np.float32]] = []
        self.inner_val_logits: list[NDArray[np.float32]] = []
        self._logits: tuple[list[Tensor], list[Tensor]] = [], []
        self._steps: list[_Step] = []
        # `disable` keeps NaNs without a check that synchronises the device, as checked arguments would. It also ignores
        # weights (torchmetrics 1.9), so the metrics get one value per clip.
        self._train_loss, self._held_out_loss = MeanMetric(nan_strategy="disable"), MeanMetric(nan_strategy="disable")
        self._train_confusion = MulticlassConfusionMatrix(num_classes, validate_args=False)
        self._held_out_confusion = MulticlassConfusionMatrix(num_classes, validate_args=False)

    def on_train_epoch_start(self) -> None:
        """Freezes submodules in the first epoch and releases them in theirs."""
        if self.current_epoch == 0:
            self._frozen = Frozen(self.network, self._fine_tuning.frozen)
        self._frozen.release(self.current_epoch)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns the loss of a batch."""
        logits = self._training_forward(batch.clips)
        loss = F.cross_entropy(logits, batch.labels, weight=self.class_weights)
        # Metrics take dozens of small kernels, so they get a whole epoch at once.
        self._steps.append(_Step(loss.detach(), logits.detach().argmax(1), batch.labels))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Predicts a batch of held-out clips, or of `inner_val` clips (dataloader 1)."""
        logits = mean_over_views(self.network(batch.clips).float(), len(batch.labels))
        self._logits[dataloader_idx].append(logits)
        if dataloader_idx == 0:
            self._held_out_loss.update(F.cross_entropy(logits, batch.labels, reduction="none"))
            self._held_out_confusion.update(logits, batch.labels)

    def on_validation_epoch_start(self) -> None:
        """Stops a fold that has diverged.

        Raises:
            DivergedError: The epoch's training loss is not finite.
        """
        self._end_of_training_epoch()

    def on_validation_epoch_end(self) -> None:
        """Stores the epoch's logits and logs its curves.

        Raises:
            DivergedError: The logits are not finite; the epoch's last step may break the network after its last loss.
        """
        for kept, batches in zip((self.held_out_logits, self.inner_val_logits), self._logits, strict=True):
            if not batches:
                continue
            logits = torch.cat(batches).cpu().numpy()
            if not np.isfinite(logits).all():
                raise self._diverged("the held-out logits are no longer finite")
            kept.append(logits)
            batches.clear()
        self._log_curves("train", self._train_loss, self._train_confusion)
        self._log_curves("held_out", self._held_out_loss, self._held_out_confusion)

    def on_train_epoch_end(self) -> None:
        """Replaces the validation hooks in a fold without held-out clips.

        Raises:
            DivergedError: The epoch's training loss is not finite.
        """
        if not sum(self.trainer.num_val_batches):
            self._end_of_training_epoch()
            self._log_curves("train", self._train_loss, self._train_confusion)

    def configure_optimizers(self) -> Any:
        """Returns the optimizer and its learning rate scheduler, which is updated every step."""
        optimizer = self._fine_tuning.optimizer(self._optimizer, self.network)
        _fuse(optimizer)
        num_steps = int(self.trainer.estimated_stepping_batches)
        schedule = self._fine_tuning.scheduler(self._scheduler, optimizer, num_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _end_of_training_epoch(self) -> None:
        losses, predicted, labels = zip(*self._steps, strict=True)
        self._steps.clear()
        self._train_loss.update(torch.cat([loss.expand(len(part)) for loss, part in zip(losses, labels, strict=True)]))
        self._train_confusion.update(torch.cat(predicted), torch.cat(labels))
        # Only once per epoch, because reading a loss synchronises with the device.
        loss = float(self._train_loss.compute())
        if not math.isfinite(loss):
            raise self._diverged(f"the training loss became {loss}")

    def _log_curves(self, stage: str, loss: MeanMetric, confusion: MulticlassConfusionMatrix) -> None:
        self.log(f"{stage}/loss", loss.compute(), prog_bar=stage == "train")
        counts: Tensor = confusion.compute()
        right, num_clips = counts.diagonal(), counts.sum(1)
        self.log(f"{stage}/accuracy", right.sum() / num_clips.sum(), prog_bar=stage == "held_out")
        # As in the evaluation, an emotion without clips has no recall.
        self.log(f"{stage}/uar", (right / num_clips).nanmean())
        loss.reset()
        confusion.reset()

    def _diverged(self, what: str) -> DivergedError:
        return DivergedError(
            f"{what} in epoch {self.current_epoch + 1}: the fold is stopped; "
            "a lower learning_rate or precision=32-true may help"
        )


def _fuse(optimizer: Optimizer) -> None:
    """Chooses the fused implementation, one kernel for many parameters, unless the user chose one."""
    for group in optimizer.param_groups:
        free = "fused" in group and group["fused"] is None and group.get("foreach") is None
        if free and not group.get("capturable") and not group.get("differentiable"):
            group["fused"] = True


def mean_over_views(logits: Tensor, num_clips: int) -> Tensor:
    """Averages the probabilities over each clip's views; returns log-probabilities `(num_clips, num_classes)`.

    Args:
        logits: `(num_clips * K, num_classes)`, a clip's views consecutive; returned unchanged if `K` is 1.
        num_clips: Number of clips.
    """
    num_views = len(logits) // num_clips
    if num_views == 1:
        return logits
    return logits.log_softmax(1).view(num_clips, num_views, -1).logsumexp(1) - math.log(num_views)


def balanced_class_weights(num_rows_per_emotion: Tensor) -> Tensor:
    """Class weights inversely proportional to the number of rows, with mean 1 over rows.

    Args:
        num_rows_per_emotion: Number of training rows per class, including copies, `(num_classes,)`; an absent class
            gets weight 0.
    """
    num_present = int((num_rows_per_emotion > 0).sum())
    weights = num_rows_per_emotion.sum() / (num_present * num_rows_per_emotion.clamp(min=1).float())
    return torch.where(num_rows_per_emotion > 0, weights, torch.zeros(()))
