"""A checkpoint's network comes back as it was, and runs no code that is not fer3d's or trusted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from bright_faces import TRUST, write_network
from prepared import TINY
from trained_networks import make_checkpoint

from fer3d.models.network import Task
from fer3d.training.checkpoint import Checkpoint, CheckpointError
from fer3d.training.networks import make_network, restore_network


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return make_checkpoint(["model/activation=leaky_relu"], num_channels=3)


def test_a_network_comes_back_as_it_was_ready_to_predict(checkpoint: Checkpoint, tmp_path: Path) -> None:
    network = make_network(checkpoint.config["model"], Task(3, 10, 32, 3))
    network.load_state_dict(checkpoint.state_dict)
    checkpoint.write(tmp_path / "last.ckpt")
    restored = restore_network(Checkpoint.read(tmp_path / "last.ckpt"))
    assert not any(module.training for module in restored.modules())
    clips = torch.rand(4, 3, 10, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = restored(clips)
        assert torch.equal(found, network.eval()(clips))
    assert found.std() > 0.01


def test_what_a_checkpoint_does_not_say_is_not_guessed(checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match="whether its clips are grey or RGB"):
        restore_network(replace(checkpoint, num_channels=None))


def test_weights_of_another_network_are_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match="does not fit the network"):
        restore_network(replace(checkpoint, emotions=("anger", "happy", "sad", "fear")))
    other = make_checkpoint(small=[*TINY, "model.hidden=[6,4]"], num_channels=3)
    with pytest.raises(CheckpointError, match=r"hidden.* is \(4, \d+\) there and \(6, \d+\) here"):
        restore_network(replace(checkpoint, config=other.config))


def test_a_network_of_ones_own_runs_where_it_is_trusted(tmp_path: Path) -> None:
    checkpoint = Checkpoint.read(write_network(tmp_path / "last.ckpt"))
    for trusted in ((), ("bright",), ("faces",)):
        with pytest.raises(CheckpointError, match=r"bright_faces\.Flat, .*not in a trusted package"):
            restore_network(checkpoint, trusted)
    assert type(restore_network(checkpoint, TRUST)).__name__ == "Flat"
