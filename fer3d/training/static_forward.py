"""Faster forward and backward passes for training batches of one shape: compiled, and recorded as CUDA graphs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from fer3d.messages import first_line

_logger = logging.getLogger(__name__)

Forward = Callable[[Tensor], Tensor]


class StaticForward:
    """Runs a network on training batches; those with the first batch's shape take a faster path.

    A small network's kernels run faster on a GPU than Python can launch them. A CUDA graph launches all kernels of a
    pass at once. It replays what the first call did, so the network must not decide anything in Python while training.

    Args:
        network: Maps clips `(B, C, T, H, W)` to logits `(B, num_classes)`; stays usable by itself.
        compiled: Whether to use `torch.compile`.
        may_fall_back: Whether to go on without compilation if it fails.
        recorded: Whether to record CUDA graphs on a GPU.
    """

    def __init__(self, network: nn.Module, *, compiled: bool, may_fall_back: bool, recorded: bool) -> None:
        self.network, self.compiled, self.may_fall_back, self.recorded = network, compiled, may_fall_back, recorded
        self._forward: Forward | None = None
        self._shape = torch.Size()

    def __call__(self, clips: Tensor) -> Tensor:
        """Returns the logits `(B, num_classes)` of clips `(B, C, T, H, W)`."""
        if self._forward is None:
            self._forward, self._shape = self._fast(clips), clips.shape
        # Other shapes, such as an epoch's last batch, would each need their own compilation and recording.
        return self._forward(clips) if clips.shape == self._shape else torch.as_tensor(self.network(clips))

    def _fast(self, clips: Tensor) -> Forward:
        forward = self._compiled(clips) if self.compiled else self.network
        if not (self.recorded and clips.is_cuda) or torch.is_anomaly_enabled():
            return forward
        with self._untouched(clips.device):
            try:
                return _recorded(forward, clips)
            except RuntimeError as error:
                _logger.warning(
                    "this network's steps cannot be recorded as CUDA graphs and run without: %s", first_line(error)
                )
        return forward

    def _compiled(self, clips: Tensor) -> Forward:
        forward: Forward = torch.compile(self.network, dynamic=False)
        if self.may_fall_back:
            # PyTorch compiles at the first call.
            with self._untouched(clips.device):
                try:
                    forward(clips).float().sum().backward()  # type: ignore[no-untyped-call]
                except Exception as error:  # the compilers behind it raise errors of many kinds
                    _logger.warning("this network cannot be compiled and runs without: %s", first_line(error))
                    self.compiled, forward = False, self.network
                self.network.zero_grad()
        return forward

    @contextmanager
    def _untouched(self, device: torch.device) -> Iterator[None]:
        """Lets the network run without leaving a trace in its buffers and in the generators of random numbers."""
        buffers = {name: buffer.clone() for name, buffer in self.network.named_buffers()}
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
        with torch.no_grad():
            for name, buffer in self.network.named_buffers():
                buffer.copy_(buffers[name])


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
