"""Compares layers and methods by the faithfulness of their maps on held-out clips.

Usage: `python benchmarks/explanation.py outputs/RUN/fold_003/last.ckpt --clips outputs/clips`
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr
from torch import Tensor

from fer3d.clips.preprocess import to_unit_range
from fer3d.clips.store import find_store
from fer3d.explanation.curves import blurred
from fer3d.explanation.explain_clip import ViewedNetwork, explain
from fer3d.explanation.gradcam import METHODS, Layer, choose_layer, layers_of
from fer3d.explanation.sources import TrainedNetwork


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--clips", type=Path, required=True, help="folder of the clip stores")
    parser.add_argument("--num", type=int, default=100, help="maximum number of clips")
    parser.add_argument("--trust", action="append", default=[])
    options = parser.parse_args()
    trained = TrainedNetwork.read(options.checkpoint, options.trust)
    store = find_store(options.clips, trained.checkpoint.clip_store)
    assert store is not None, "the clip store of the checkpoint does not exist"
    unseen = [record.clip_id for record in store.records if record.subject not in trained.trained.subjects]
    clips = [trained.given(trained.stored_clip(store, clip_id)) for clip_id in unseen[: options.num]]
    effects = [frame_effects(trained.network, clip) for clip in clips]
    views = trained.network.inputs(to_unit_range(clips[0])[None])
    layers = layers_of(trained.network.network, views[0])
    default = choose_layer(layers)

    kind = "SYNTHETIC " if trained.trained.synthetic else ""
    table = Table(*("layer", "method", "deletion", "insertion", "better than random", "frames"))
    table.title = f"{len(clips)} {kind}held-out clips; default: {default}"
    for layer in last_of_each_size(layers):
        for method in METHODS:
            table.add_row(str(layer), METHODS[method], *measure(trained.network, clips, effects, layer, method))
    Console(width=110).print(table)
    print("effect of blurring each frame alone:", " ".join(f"{effect:.2f}" for effect in np.mean(effects, axis=0)))


def measure(
    network: ViewedNetwork, clips: Sequence[Tensor], effects: Sequence[NDArray[np.float64]], layer: Layer, method: str
) -> list[str]:
    """Mean areas, number of maps that beat random ones, and rank correlation of frame fractions and effects."""
    areas, num_better, ranked = [], 0, []
    for clip, effect in zip(clips, effects, strict=True):
        found = explain(network, clip, said(network, clip), layer=layer.name, method=method, num_draws=2)
        areas.append([found.curves.area(found.curves.deletion), found.curves.area(found.curves.insertion)])
        num_better += found.curves.is_better_than_random
        shares = found.evidence.shares.numpy()
        ranked.append(spearmanr(shares, effect)[0] if shares.std() > 0 and effect.std() > 0 else 0.0)
    deletion, insertion = np.mean(areas, axis=0)
    return [f"{deletion:.2f}", f"{insertion:.2f}", f"{num_better} of {len(clips)}", f"{np.mean(ranked):.2f}"]


def frame_effects(network: ViewedNetwork, clip: Tensor) -> NDArray[np.float64]:
    """Decrease of the predicted class's log-probability when a single frame is blurred, `(S,)`."""
    sharp = to_unit_range(clip)
    blur = blurred(sharp)
    others = [torch.where(torch.arange(sharp.shape[1])[:, None, None] == t, blur, sharp) for t in range(sharp.shape[1])]
    with torch.no_grad():
        logs = network(torch.stack([sharp, *others]))[:, said(network, clip)].double().log()
    effects: NDArray[np.float64] = (logs[0] - logs[1:]).numpy()
    return effects


def said(network: ViewedNetwork, clip: Tensor) -> int:
    """The predicted class of a clip."""
    with torch.no_grad():
        return int(network(to_unit_range(clip)[None])[0].argmax())


def last_of_each_size(layers: Sequence[Layer]) -> list[Layer]:
    """The last layer of each resolution, in the network's order."""
    return list({layer.grid: layer for layer in layers}.values())


if __name__ == "__main__":
    main()
