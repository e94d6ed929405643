"""What a run's network costs: parameters, operations and speed on this machine."""

from __future__ import annotations

from collections.abc import Iterator

from fer3d.training.device import training_device
from fer3d.training.pace import duration, training_rate
from fer3d.training.parts import clip_gflop, num_updates
from fer3d.training.run import Run


def describe(run: Run) -> Iterator[tuple[str, str]]:
    """Describes a run's network; the last two values take a few training steps. Nothing is stored.

    Args:
        run: The run.

    Yields:
        Names and values for people.

    Raises:
        ValueError, MisconfigurationException: See `Run.check`.
    """
    run.check([fold.number for fold in run.folds])
    config, header = run.config, run.store.header
    network, tuning = run.training().network(), run.training().fine_tuning
    parameters = list(network.parameters())
    num_all = sum(parameter.numel() for parameter in parameters)
    num_trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    gflop = clip_gflop(config, run.store)
    colours = {1: "grey", 3: "RGB"}.get(header.num_channels, f"{header.num_channels} channels")
    yield "run", run.folder.name
    yield "network", type(network).__name__
    yield "clips", f"{config.clips.num_frames} frames of {header.size}x{header.size}, {colours}"
    yield "parameters", f"{num_all:,}" + (f", of which {num_trained:,} are trained" if num_trained < num_all else "")
    if tuning.learning_rates:
        yield "learning rates", ", ".join(f"{name} {factor:g} times" for name, factor in tuning.learning_rates.items())
    if frozen := [f"{name} in the first {number} epochs" for name, number in tuning.frozen.items() if number]:
        yield "frozen", ", ".join(frozen)
    yield "GFLOP a clip", f"{gflop:.3g} to predict, about {3 * gflop:.3g} to train" if gflop else "unknown"
    rate = training_rate(run)
    device = training_device(config.trainer.accelerator, config.trainer.devices)
    how = f"{device}, {run.precision}, {'compiled' if run.compiled else 'not compiled'}, batches of {config.batch_size}"
    yield "training", f"{rate:,.3g} clips/s ({how}), beside whatever else runs here"
    seconds = duration(num_updates(config, run.store, run.folds) / rate)
    yield "all folds", f"about {seconds} for {len(run.folds)} folds of {config.trainer.max_epochs} epochs"
