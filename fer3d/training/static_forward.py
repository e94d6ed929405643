"""Faster forward and backward passes for training batches of one shape: compiled, and recorded as CUDA graphs."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn

_logger = logging.getLogger(__name__)

Forward = Callable[[Tensor], Tensor]


class StaticForward:
    """Runs a network on training batches; those with the first batch's shape take a faster path.

    A small network's kernels run faster on a GPU than Python can launch them. A CUDA graph launches all kernels of a
    pass at once. It replays what the first call did, so the network must not decide anything in Python while training.

    Args:
        network: Maps clips `(B, C, T, H, W)` to logits `(B, num_classes)`; stays usable by itself.
        compiled: Whether to use `torch.compile`.
        recorded: Whether to record CUDA graphs on a GPU.
    """

    def __init__(self, network: nn.Module, *, compiled: bool, recorded: bool) -> None:
        self.network, self.compiled, self.recorded = network, compiled, recorded
        self._forward: Forward | None = None
        self._shape = torch.Size()

    def __call__(self, clips: Tensor) -> Tensor:
        """Returns the logits `(B, num_classes)` of clips `(B, C, T, H, W)`."""
        if self._forward is None:
            self._forward, self._shape = self._fast(clips), clips.shape
        # Other shapes, such as an epoch's last batch, would each need their own compilation and recording.
        return self._forward(clips) if clips.shape == self._shape else torch.as_tensor(self.network(clips))

    def _fast(self, clips: Tensor) -> Forward:
        forward = torch.compile(self.network, dynamic=False) if self.compiled else self.network
        if not (self.recorded and clips.is_cuda) or torch.is_anomaly_enabled():
            return forward
        # Recording runs the network a few times, which must leave no trace.
        buffers = {name: buffer.clone() for name, buffer in self.network.named_buffers()}
        random = torch.cuda.get_rng_state(clips.device)
        try:
            forward = _recorded(forward, clips)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            _logger.warning("this network's steps cannot be recorded as CUDA graphs and run without: %s", reason)
        torch.cuda.set_rng_state(random, clips.device)
        with torch.no_grad():
            for name, buffer in self.network.named_buffers():
                buffer.copy_(buffers[name])
        return forward


class _Recordable(nn.Module):
    """Gives PyTorch a module of its own, whose `forward` it may replace."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.inner = forward

    def forward(self, clips: Tensor) -> Tensor:
        return self.inner(clips)


def _recorded(forward: Forward, clips: Tensor) -> Forward:
    enabled, dtype = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    # A graph must not keep weights that autocast cast to bf16 before: they change with every step.
    with torch.autocast("cuda", dtype, enabled=enabled, cache_enabled=False):
        recorded: Forward = torch.cuda.make_graphed_callables(  # type: ignore[assignment]
            _Recordable(forward), (clips.clone(),), allow_unused_input=True
        )
    return recorded
