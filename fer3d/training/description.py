"""What a run's network costs: parameters, operations and speed on this machine."""

from __future__ import annotations

from fer3d.training.device import training_device
from fer3d.training.pace import duration, training_rate
from fer3d.training.parts import clip_gflop, num_updates
from fer3d.training.run import Run

_NUM_STEPS = 10


def describe(run: Run) -> list[tuple[str, str]]:
    """Describes a run's network, which trains for a few steps; nothing is stored.

    Args:
        run: The run.

    Returns:
        Names and values for people.

    Raises:
        ValueError, MisconfigurationException: See `Run.check`.
    """
    run.check([fold.number for fold in run.folds])
    config, header = run.config, run.store.header
    network = run.training().network()
    parameters = list(network.parameters())
    num_all = sum(parameter.numel() for parameter in parameters)
    num_trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    gflop = clip_gflop(config, run.store)
    rate = training_rate(run, _NUM_STEPS)
    device = training_device(config.trainer.accelerator, config.trainer.devices)
    how = f"{device}, {run.precision}, {'compiled' if run.compiled else 'not compiled'}, batches of {config.batch_size}"
    seconds = duration(num_updates(config, run.store, run.folds) / rate)
    colours = {1: "grey", 3: "RGB"}.get(header.num_channels, f"{header.num_channels} channels")
    tuning = run.training().fine_tuning
    rates = ", ".join(f"{name} {factor:g} times" for name, factor in tuning.learning_rates.items())
    frozen = ", ".join(f"{name} in the first {number} epochs" for name, number in tuning.frozen.items() if number)
    return [
        ("network", type(network).__name__),
        ("clips", f"{config.clips.num_frames} frames of {header.size}x{header.size}, {colours}"),
        ("parameters", f"{num_all:,}" + (f", of which {num_trained:,} are trained" if num_trained < num_all else "")),
        *([("learning rates", rates)] if rates else []),
        *([("frozen", frozen)] if frozen else []),
        ("GFLOP a clip", f"{gflop:.3g} to predict, about {3 * gflop:.3g} to train" if gflop else "unknown"),
        ("training", f"{rate:,.3g} clips/s ({how})"),
        ("all folds", f"about {seconds} for {len(run.folds)} folds of {config.trainer.max_epochs} epochs"),
    ]
