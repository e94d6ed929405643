from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_checkpoints import KeptRun, write_kept_run

from fer3d.clips.frame_order import FrameOrder
from fer3d.clips.preprocess import to_unit_range
from fer3d.clips.store import find_store
from fer3d.explanation.explain_clip import explain, find_evidence
from fer3d.explanation.sources import TrainedNetwork
from fer3d.prediction.networks import load_networks
from fer3d.training.checkpoint import Checkpoint


@pytest.fixture(scope="module")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> KeptRun:
    """A run whose predictions average over two views of 8 of the 10 stored frames, from calibrated networks."""
    views = ["frames=window", "frames.stored=10", "frames.stride=1", "frames.views=2", "clips.num_frames=8"]
    kept = write_kept_run(tmp_path_factory.mktemp("outputs"), *views, "clips.normalise=true", "model/activation=elu")
    path = kept.checkpoint(1)
    checkpoint = Checkpoint.read(path)
    # Whose probabilities are not all alike.
    weights = {
        name: 5 * tensor if name == "classifier.weight" else tensor for name, tensor in checkpoint.state_dict.items()
    }
    replace(checkpoint, state_dict=weights, temperature=0.5).write(path)
    return kept


def test_the_network_says_what_a_prediction_says(viewed: KeptRun) -> None:
    trained = TrainedNetwork.read(viewed.checkpoint(1))
    clip_id = viewed.results.folds[0].clip_ids[0]
    given = trained.given(trained.stored_clip(viewed.store, clip_id))
    said = trained.network(to_unit_range(given)[None]).detach().numpy()[0]
    ensemble = load_networks([viewed.checkpoint(1)], device="cpu")
    stored = viewed.store.clips[viewed.store.clip_ids.index(clip_id)]
    prepared = np.stack([ensemble.prepared(frame) for frame in stored])
    np.testing.assert_allclose(said, ensemble.probabilities(prepared[None])[0], rtol=1e-4)
    assert np.ptp(said) > 1e-3


def test_a_frames_evidence_is_the_mean_of_the_views_that_show_it(viewed: KeptRun) -> None:
    trained = TrainedNetwork.read(viewed.checkpoint(1))
    assert trained.trained.views == (tuple(range(8)), tuple(range(2, 10)))
    assert trained.kept == tuple(range(10))
    given = trained.given(trained.stored_clip(viewed.store, viewed.results.folds[0].clip_ids[0]))
    alone = TrainedNetwork.read(viewed.checkpoint(1)).network
    alone.views = torch.arange(8)[None]
    evident = []
    for label in (0, 2, 5):
        first, second = (find_evidence(alone, given[:, start : start + 8], label).map for start in (0, 2))
        want = torch.cat([first[:2], (first[2:] + second[:6]) / 2, second[6:]])
        torch.testing.assert_close(find_evidence(trained.network, given, label).map, want)
        evident.append(bool(want.any()))
    assert any(evident)


def test_a_map_lies_on_the_frames_as_filmed_whatever_their_order(tmp_path: Path) -> None:
    kept = write_kept_run(tmp_path, "frames.order=shuffled", "model/activation=elu")
    trained = TrainedNetwork.read(kept.checkpoint(1))
    shown = [trained.stored_clip(kept.store, clip_id) for clip_id in kept.results.folds[0].clip_ids[:2]]
    plain = TrainedNetwork.read(kept.checkpoint(1)).network
    plain.views = torch.arange(10)[None]
    orders = []
    for clip in shown:
        given = trained.given(clip)
        order = FrameOrder("shuffled", 0).positions(10, clip.name)
        assert order is not None
        orders.append(order)
        found = find_evidence(trained.network_for(clip), given, 2).map
        torch.testing.assert_close(found[list(order)], find_evidence(plain, given[:, list(order)], 2).map)
    assert orders[0] != orders[1]
    # A clip of a video has the order of no clip.
    video = replace(shown[0], clip_id=None)
    assert tuple(trained.network_for(video).views[0].tolist()) == trained.trained.order


def test_an_explanation_is_of_the_emotion_that_was_asked_for(viewed: KeptRun) -> None:
    trained = TrainedNetwork.read(viewed.checkpoint(1))
    given = trained.given(trained.stored_clip(viewed.store, viewed.store.clip_ids[0]))
    probabilities = trained.network(to_unit_range(given)[None])[0].detach()
    explanation = explain(trained.network, given, 2, num_draws=1)
    assert explanation.label == 2
    assert explanation.probability == pytest.approx(float(probabilities[2]), abs=1e-6)
    assert explanation.curves.insertion[-1] == pytest.approx(float(probabilities[2]), abs=1e-6)


def test_frames_that_no_view_takes_are_left_out(tmp_path: Path) -> None:
    settings = ["frames=uniform", "frames.stored=10", "clips.num_frames=8"]
    kept = write_kept_run(tmp_path, *settings)
    trained = TrainedNetwork.read(kept.checkpoint(1))
    clip = trained.stored_clip(kept.store, kept.store.clip_ids[0])
    assert len(trained.kept) == 8
    assert (clip.pixels == kept.store.clips[0][list(trained.kept)]).all()
    assert len(clip.frames) == 8


def test_a_store_is_found_by_its_content(viewed: KeptRun, tmp_path: Path) -> None:
    clips = viewed.store.folder.parent
    found = find_store(clips, viewed.store.digest)
    assert found is not None
    assert found.folder == viewed.store.folder
    assert find_store(viewed.store.folder, viewed.store.digest) is not None
    assert find_store(clips, "0" * 64) is None
    assert find_store(tmp_path / "nowhere", viewed.store.digest) is None
