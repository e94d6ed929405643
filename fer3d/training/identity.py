"""The identity of a run: a digest of everything that changes its numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from fer3d.clips.frame_order import without_default

# Sections and keys of the configuration that change a run's numbers. `data` and `faces` count by the digest of the
# clips, and `start_from` by the digest of the weights.
COUNTED = (
    "seed",
    "model",
    "optimizer",
    "scheduler",
    "augment",
    "cv",
    "trainer",
    "batch_size",
    "class_weights",
)
COUNTED_CLIPS = ("clahe", "normalise")
# Keys that count only if they are set: runs without them keep their names.
COUNTED_IF_SET = (
    "callbacks",
    "num_batches",
    "class_sampler",
    "cuda_graphs",
    "start_names",
    "start_inflate",
    "learning_rates",
    "frozen",
)
# Trainer settings that choose hardware or diagnostics and change no numbers.
UNCOUNTED_TRAINER = ("accelerator", "devices", "detect_anomaly", "profiler")


def counted_settings(
    config: Mapping[str, Any], *, precision: str, compiled: bool, clip_store: str, start_from: str | None
) -> dict[str, Any]:
    """The settings that identify a run: two runs with equal ones are the same.

    Args:
        config: The resolved configuration.
        precision: The resolved number format.
        compiled: The resolved `compile`.
        clip_store: The clip store's digest.
        start_from: The digest of the weights that the folds start from; None if they start from scratch.
    """
    counted = {key: config[key] for key in COUNTED} | {key: config[key] for key in COUNTED_IF_SET if config.get(key)}
    if "start_names" in counted:
        # One replacement after the other, so their order counts.
        counted["start_names"] = [list(pair) for pair in config["start_names"].items()]
    counted["trainer"] = {key: value for key, value in config["trainer"].items() if key not in UNCOUNTED_TRAINER}
    counted |= {key: config["clips"][key] for key in COUNTED_CLIPS}
    frames = without_default(config["frames"])
    if _count(frames):
        counted |= {"frames": frames, "num_frames": config["clips"]["num_frames"]}
    counted |= {"precision": precision, "compile": compiled}
    return counted | {"clip_store": clip_store, "start_from": start_from}


def _count(frames: Mapping[str, Any]) -> bool:
    """Whether the section `frames` counts by itself; for the last frames, the clip store's digest covers it."""
    return "order" in frames or str(frames["_target_"]) != "fer3d.clips.frames.LastFrames"


def run_digest(counted: Mapping[str, Any]) -> str:
    """The SHA-256 digest of what `counted_settings` returns."""
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()


def leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the leaf settings with their dotted names."""
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{name}.")
        else:
            yield name, value


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Both values of each setting that differs between two configurations, by its dotted name; None if absent."""
    ours, theirs = dict(leaves(first)), dict(leaves(second))
    return {key: (ours.get(key), theirs.get(key)) for key in ours | theirs if ours.get(key) != theirs.get(key)}
