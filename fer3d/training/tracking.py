"""Where curves go: a CSV file always, Weights & Biases as configured."""

from __future__ import annotations

import netrc
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlparse

import numpy as np
import torch
import wandb
from numpy.typing import NDArray
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger
from torch import Tensor

from fer3d.clips.data import FoldData
from fer3d.training.results import FoldResult

WandbMode = Literal["online", "offline", "disabled"]


def csv_logger(*, folder: Path, run_folder: Path, fold: int, config: Mapping[str, Any]) -> Logger:
    """Makes the logger that writes `metrics.csv` into the fold's folder."""
    return CSVLogger(folder, name="", version="")


def wandb_logger(
    *,
    folder: Path,
    run_folder: Path,
    fold: int,
    config: Mapping[str, Any],
    project: str,
    entity: str | None = None,
    mode: str | None = None,
) -> Logger:
    """Makes the logger of one W&B run: the folds of a run form a group, with `fold` as a column of its config.

    Args:
        folder: The fold's folder.
        run_folder: The run's folder; its name is the group.
        fold: The fold's number.
        config: The run's configuration.
        project: The W&B project.
        entity: The W&B user or team; None: the account's default.
        mode: `online`, `offline` or `disabled`; None: see `wandb_mode`.
    """
    run_folder.mkdir(parents=True, exist_ok=True)
    # Not left to Lightning, which would go on with a W&B run that is open in this process, sets an option that W&B 0.31
    # warns about, and flattens the configuration.
    run = wandb.init(
        project=project,
        entity=entity,
        mode=wandb_mode(mode),
        group=run_folder.name,
        job_type="fold",
        name=f"{run_folder.name}/fold_{fold:03d}",
        dir=run_folder,
        config={**config, "fold": fold},
        reinit="create_new",
        settings=wandb.Settings(silent=True, console="off"),
    )
    run.define_metric("*", step_metric="epoch")
    return WandbLogger(experiment=run)


def wandb_mode(mode: str | None) -> WandbMode:
    """Decides where W&B runs go, without ever asking: the setting, else `WANDB_MODE`, else online if there is a key.

    Raises:
        ValueError: The mode is not online, offline or disabled; or it is online and there is no key, for which W&B
            would ask.
    """
    chosen = mode or os.environ.get("WANDB_MODE") or ("online" if _has_wandb_key() else "offline")
    if chosen not in ("online", "offline", "disabled"):
        raise ValueError(f"logger.wandb.mode (or WANDB_MODE) must be online, offline or disabled, got {chosen!r}")
    if chosen == "online" and not _has_wandb_key():
        raise ValueError(
            "logger.wandb.mode (or WANDB_MODE) is online, but there is no key for W&B: set WANDB_API_KEY, run "
            "`wandb login`, or use logger.wandb.mode=offline"
        )
    return cast(WandbMode, chosen)


def log_fold(loggers: Sequence[Logger], result: FoldResult, data: FoldData) -> None:
    """Logs to W&B what a curve cannot show: the held-out confusion matrix and clips as they enter the network."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            strips = [wandb.Image(strip, caption=caption) for strip, caption in sample_strips(data)]
            panels: dict[str, Any] = {"clips": strips}
            if len(result.labels):
                panels["held_out/confusion_matrix"] = wandb.plot.confusion_matrix(
                    y_true=result.labels.tolist(),
                    preds=result.logits[-1].argmax(-1).tolist(),
                    class_names=list(result.emotions),
                    title=f"Fold {result.fold}, {result.held_out_kind}, last epoch",
                )
            logger.experiment.log(panels)
            logger.experiment.summary["num_held_out"] = len(result.labels)
            logger.experiment.summary["num_correct/last_epoch"] = int(result.num_correct[-1])


def finish(loggers: Sequence[Logger], status: Literal["success", "failed"]) -> None:
    """Ends a fold's W&B run, which Lightning would leave open for the next fold."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish(exit_code=0 if status == "success" else 1)


def sample_strips(data: FoldData) -> list[tuple[NDArray[np.uint8], str]]:
    """Film strips of a training clip for each way of changing it and of a held-out clip, with captions.

    Returns:
        Pictures `(H, T * W, C)` and their captions.
    """
    operations = data.plan.operation
    rows = torch.stack([torch.nonzero(operations == number)[0, 0] for number in torch.unique(operations)])
    # A last batch of the training's own kind: same draws, same conversion.
    train, held_out = (
        data.training_batch(rows),
        data.prediction_batch(torch.tensor(data.fold.held_out[:1], dtype=torch.long)),
    )
    names = ["as it is", *data.plan.names]
    captions = [f"training clip, {names[number + 1]}" for number in operations[data.plan.order(rows)].tolist()]
    pairs = [*zip(train.clips, train.labels, captions, strict=True)]
    pairs += [*zip(held_out.clips, held_out.labels, ["held-out clip"] * len(held_out.labels), strict=True)]
    return [(_strip(clip, data.normalise), f"{caption}: {data.emotions[int(label)]}") for clip, label, caption in pairs]


def _strip(clip: Tensor, normalised: bool) -> NDArray[np.uint8]:
    unit = (clip.detach().float().cpu() + 1) / 2 if normalised else clip.detach().float().cpu()
    frames = (unit * 255).round().to(torch.uint8).permute(2, 1, 3, 0)  # (H, T, W, C)
    return frames.reshape(frames.shape[0], -1, frames.shape[-1]).numpy()


def _has_wandb_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    # The file and the host that W&B itself looks for; a self-hosted server's has its port.
    files = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    host = urlparse(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").netloc
    for file in map(Path, files):
        try:
            return netrc.netrc(file.expanduser()).authenticators(host) is not None
        except FileNotFoundError:
            continue
        except (OSError, netrc.NetrcParseError):
            return False
    return False
