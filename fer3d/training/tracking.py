"""Experiment tracking: a CSV file always, Weights & Biases as configured."""

from __future__ import annotations

import hashlib
import logging
import netrc
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import urlparse

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger
from torch import Tensor

from fer3d.clips.data import FoldData
from fer3d.messages import first_line
from fer3d.training.results import FoldResult

if TYPE_CHECKING:
    import wandb

WandbMode = Literal["online", "offline", "disabled"]

_logger = logging.getLogger(__name__)
# Timeouts of W&B in seconds: to start a run (it usually takes one or two) and to upload the rest at its end.
_INIT_SECONDS, _FINISH_SECONDS = 10.0, 60.0
# Characters that W&B rejects in an id, and its length limits; an id is also part of table names.
_NOT_IN_ID = re.compile(r"[^\w.-]", re.ASCII)
_MAX_LENGTHS = {"id": 96, "group": 128, "name": 128}
# Fallback for a mode that failed in this process.
_fallback: dict[WandbMode, WandbMode] = {}


def csv_logger(*, folder: Path, run_folder: Path, fold: int, config: Mapping[str, Any]) -> Logger:
    """Creates the logger that writes `metrics.csv` to the fold's folder."""
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
    """Creates the logger of one W&B run; the folds of a run form a group, and `fold` is in each config.

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
    # Lightning would reuse a W&B run that is open in this process, set an option that W&B 0.31 warns about, and flatten
    # the configuration.
    run = start_wandb_run(
        project=project,
        entity=entity,
        mode=wandb_mode(mode),
        group=run_folder.name,
        job_type="fold",
        name=f"{run_folder.name}/fold_{fold:03d}",
        dir=run_folder,
        config={**config, "fold": fold},
    )
    run.define_metric("*", step_metric="epoch")
    return WandbLogger(experiment=run)


def start_wandb_run(*, mode: WandbMode, **settings: Any) -> wandb.Run:
    """Starts a W&B run; if W&B fails, this process logs offline from then on.

    Args:
        mode: The W&B mode.
        settings: Arguments of `wandb.init`; `id`, `group` and `name` are adapted to W&B's limits.
    """
    # Imported where it is used: it takes half a second, and a run with logger=csv does not need it.
    import wandb

    texts = {key: str(settings[key]) for key in _MAX_LENGTHS if settings.get(key)}
    modes: dict[WandbMode, None] = dict.fromkeys((_fallback.get(mode, mode), "offline", "disabled"))
    # W&B does not release the id of a run that failed to start.
    for attempt, suffix in zip(modes, ("", "-again", "-more"), strict=False):
        if "id" in texts:
            texts["id"] = settings["id"] + suffix
        try:
            return wandb.init(
                mode=attempt,
                **settings | {key: _named(key, text) for key, text in texts.items()},
                reinit="create_new",
                settings=wandb.Settings(
                    silent=True, console="off", init_timeout=_INIT_SECONDS, finish_timeout=_FINISH_SECONDS
                ),
            )
        except Exception as error:
            if attempt == "disabled":
                raise
            if attempt == "online":
                _fallback[attempt] = "offline"
            then = "logging goes on offline" if attempt == "online" else "this run is not logged"
            _logger.warning("W&B failed, and %s: %s", then, first_line(error))
    raise AssertionError("unreachable: the last mode returns or raises")


def wandb_mode(mode: str | None) -> WandbMode:
    """Determines the W&B mode without prompting: the setting, else `WANDB_MODE`, else online if there is an API key.

    Raises:
        ValueError: The mode is not online, offline or disabled, or it is online without an API key, where W&B would
            prompt for one.
    """
    chosen = mode or os.environ.get("WANDB_MODE") or ("online" if _has_wandb_key() else "offline")
    if chosen not in ("online", "offline", "disabled"):
        raise ValueError(f"logger.wandb.mode (or WANDB_MODE) must be online, offline or disabled, got {chosen!r}")
    if chosen == "online" and not _has_wandb_key():
        raise ValueError(
            "logger.wandb.mode (or WANDB_MODE) is online, but there is no W&B API key: set WANDB_API_KEY, run "
            "`wandb login`, or use logger.wandb.mode=offline"
        )
    return cast(WandbMode, chosen)


def log_fold(loggers: Sequence[Logger], result: FoldResult, data: FoldData) -> None:
    """Logs the held-out confusion matrix and sample clips, as they enter the network, to W&B."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            import wandb

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
    """Finishes a fold's W&B run, which Lightning would leave open for the next fold."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish(exit_code=0 if status == "success" else 1)


def sample_strips(data: FoldData) -> list[tuple[NDArray[np.uint8], str]]:
    """Film strips of an unchanged training clip, one per augmentation operation, and a held-out clip, with captions.

    Returns:
        Images `(H, T * W, C)` with captions.
    """
    operations = data.plan.operation
    rows = torch.stack([torch.nonzero(operations == number)[0, 0] for number in torch.unique(operations)])
    # One more training batch, with the same draws and conversion.
    train, held_out = (
        data.training_batch(rows),
        data.prediction_batch(torch.tensor(data.fold.held_out[:1], dtype=torch.long)),
    )
    names = ["as it is", *data.plan.names]
    captions = [f"training clip, {names[number + 1]}" for number in operations[data.plan.order(rows)].tolist()]
    pairs = [*zip(train.clips, train.labels, captions, strict=True)]
    pairs += [*zip(held_out.clips, held_out.labels, ["held-out clip"] * len(held_out.labels), strict=True)]
    return [(_strip(clip, data.normalise), f"{caption}: {data.emotions[int(label)]}") for clip, label, caption in pairs]


def _named(key: str, text: str) -> str:
    """A name that W&B accepts; a changed name gets a digest of the original, to stay unique."""
    taken = _NOT_IN_ID.sub("-", text) if key == "id" else text
    if taken == text and len(text) <= _MAX_LENGTHS[key]:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{taken[: _MAX_LENGTHS[key] - len(digest) - 1]}-{digest}"


def _strip(clip: Tensor, normalised: bool) -> NDArray[np.uint8]:
    unit = (clip.detach().float().cpu() + 1) / 2 if normalised else clip.detach().float().cpu()
    frames = (unit * 255).round().to(torch.uint8).permute(2, 1, 3, 0)  # (H, T, W, C)
    return frames.reshape(frames.shape[0], -1, frames.shape[-1]).numpy()


def _has_wandb_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    # The file and host that W&B itself looks up; a self-hosted server's includes its port.
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
