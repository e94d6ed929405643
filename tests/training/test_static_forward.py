"""The path of training batches; what only a GPU shows is in `test_cuda.py`."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from fer3d.training.module import _fuse
from fer3d.training.static_forward import StaticForward


class Counting(nn.Module):
    """A linear network that counts how often Python runs it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.calls = nn.Linear(6, 3), 0

    def forward(self, clips: Tensor) -> Tensor:
        self.calls += not torch.compiler.is_compiling()
        return torch.as_tensor(self.linear(clips.flatten(1)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_compiled_batches_have_the_networks_numbers_and_other_shapes_run_through_the_network() -> None:
    network, clips = Counting(), torch.rand(5, 1, 2, 3, 1)
    forward = StaticForward(network, compiled=True, may_fall_back=True, recorded=True)
    for batch in (clips, clips[:2], clips):
        logits = forward(batch)
        torch.testing.assert_close(logits, network.linear(batch.flatten(1)))
        (grad,) = torch.autograd.grad(logits.sum(), network.linear.bias)
        torch.testing.assert_close(grad, torch.full((3,), float(len(batch))))
    assert network.calls == 1  # the batch of two clips


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_where_compiling_fails_it_goes_on_without_if_it_may(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import torch._inductor.config

    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setattr(torch._inductor.config, "fx_graph_cache", False)
    network, clips = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(6), nn.Linear(6, 3)), torch.rand(5, 1, 2, 3, 1)
    before, random = copy.deepcopy(network), torch.get_rng_state()
    forward = StaticForward(network, compiled=True, may_fall_back=True, recorded=False)
    torch.testing.assert_close(forward(clips), before(clips))
    torch.testing.assert_close(network.state_dict(), before.state_dict())
    assert torch.equal(torch.get_rng_state(), random)
    assert not forward.compiled
    assert all(parameter.grad is None for parameter in network.parameters())
    assert len([record for record in caplog.records if record.name.startswith("fer3d")]) == 1
    torch.compiler.reset()
    with pytest.raises(Exception, match="no-such-compiler"):
        StaticForward(network, compiled=True, may_fall_back=False, recorded=False)(clips)


def test_on_a_cpu_nothing_is_recorded() -> None:
    network, clips = Counting(), torch.rand(5, 1, 2, 3, 1)
    forward = StaticForward(network, compiled=False, may_fall_back=False, recorded=True)
    for _ in range(3):
        torch.testing.assert_close(forward(clips), network(clips))
    assert network.calls == 6


def test_the_fused_optimizer_takes_the_same_steps_and_a_users_choice_stays() -> None:
    steps = []
    for fuse in (False, True):
        torch.manual_seed(0)
        network = nn.Linear(4, 3)
        optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
        if fuse:
            _fuse(optimizer)
        for _ in range(3):
            network(torch.ones(2, 4)).square().sum().backward()
            optimizer.step()
        steps.append(network.weight.detach())
    torch.testing.assert_close(*steps)
    for choice in ({"foreach": True}, {"foreach": False}, {"fused": False}):
        chosen = torch.optim.Adam(network.parameters(), **choice)
        _fuse(chosen)
        assert not chosen.param_groups[0]["fused"]
    _fuse(torch.optim.Rprop(network.parameters()))  # has no fused implementation
