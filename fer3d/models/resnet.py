"""ResNet-18 for videos, in 2D on each frame or with one of three kinds of 3D convolutions.

The kinds are R3D, MC3 and R(2+1)D of Tran et al. (CVPR 2018). Layers and names of weights are those of torchvision's
`r3d_18`, `mc3_18` and `r2plus1d_18`, so that their weights fit; `frames` has the layers of its `resnet18`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from fer3d.models.convolutions import GreyConv3d, check_at_least_one
from fer3d.models.pooling import BlockAvgPool3d

Kind = Literal["frames", "r3d", "mc3", "r2plus1d"]
# Creates a convolution from the numbers of channels in, out and between, and the stride.
_MakeConv = Callable[[int, int, int, int], nn.Module]
# Names in torchvision's resnet18, where convolution and batch norm are not in a sequence.
_IN_STEM_2D = re.compile(r"^(conv|bn)1\.")
_IN_BLOCK_2D = re.compile(r"^(layer\d\.\d)\.(conv(?=\d\.weight)|bn)(\d)\.")
_POSITIONS = {"conv": 0, "bn": 1}


class ResNetEncoder(nn.Module):
    """The convolutional part of an 18-layer ResNet, averaged over each frame's positions.

    Args:
        input_shape: `(T, H, W)` of the clips.
        kind: `frames` for 2D convolutions, `r3d` for 3D ones, `mc3` for 3D ones in the first stage only, `r2plus1d` for
            3D ones split into space and time.
        in_channels: Input channels of the first convolution; a single grey channel stands for all of them.
        downsample: Side of the pixel squares that are averaged first; 1 keeps the frames.
        width: Filters of the first stage; each further stage has twice as many.
        stem_pool: Whether a maximum pool follows the first convolution, as in 2D.
        mean: Subtracted from clips, as for the pictures that published weights were trained on.
        std: Clips are divided by it.

    Attributes:
        num_steps: Number of time steps of the features, `L`.
        num_features: Number of features per time step, `D`.

    Raises:
        ValueError: A setting is out of range; the message names its key below `model`.
    """

    def __init__(
        self,
        *,
        input_shape: tuple[int, int, int],
        kind: Kind = "frames",
        in_channels: int = 3,
        downsample: int = 1,
        width: int = 64,
        stem_pool: bool = True,
        mean: float = 0.449,
        std: float = 0.226,
    ) -> None:
        super().__init__()
        check_at_least_one("model.encoder", in_channels=in_channels, downsample=downsample, width=width)
        if not std > 0:
            raise ValueError(f"model.encoder.std must be positive, got {std}")
        self.in_channels, self._mean, self._std = in_channels, mean, std
        step = (1, downsample, downsample)
        self.shrink = BlockAvgPool3d(step, step, (0, 0, 0)) if downsample > 1 else nn.Identity()
        self.stem = _stem(kind, in_channels, width)
        self.stem_pool = nn.MaxPool2d(3, 2, 1) if stem_pool else None
        convs = (_simple, *[_in_space] * 3) if kind == "mc3" else (_CONVS[kind],) * 4
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        for number, make in enumerate(convs, start=1):
            stage = _stage(widths[number - 1], widths[number], make, 1 if number == 1 else 2)
            setattr(self, f"layer{number}", stage)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        num_frames = input_shape[0]
        # Three stages of stride 2.
        self.num_steps = -(-num_frames // 8) if kind in ("r3d", "r2plus1d") else num_frames
        self.num_features = widths[-1]

    def forward(self, clips: Tensor) -> Tensor:
        """Returns the features `(B, L, D)` of clips `(B, 1 or in_channels, T, H, W)`."""
        x = self.stem(self.shrink((clips - self._mean) / self._std))
        if self.stem_pool is not None:
            # On pictures, since the 3D pool has no deterministic backward pass on CUDA.
            pictures = self.stem_pool(x.transpose(1, 2).flatten(0, 1))
            x = pictures.unflatten(0, (-1, x.shape[2])).transpose(1, 2)
        for number in (1, 2, 3, 4):
            x = self.get_submodule(f"layer{number}")(x)
        return torch.as_tensor(x.mean((3, 4)).transpose(1, 2))

    def own_name(self, name: str) -> str | None:
        """Returns the name here of a weight of torchvision's video ResNets or its `resnet18`; None without a place."""
        if name.startswith("fc."):
            return None
        return _IN_BLOCK_2D.sub(_of_block, _IN_STEM_2D.sub(_of_stem, name))


class _Block(nn.Module):
    """Two convolutions beside a shortcut (He et al., CVPR 2016)."""

    def __init__(self, in_channels: int, channels: int, make: _MakeConv, stride: int) -> None:
        super().__init__()
        # Both convolutions have it from the first one's channels, as in torchvision.
        between = 27 * in_channels * channels // (9 * in_channels + 3 * channels)
        self.conv1 = nn.Sequential(
            make(in_channels, channels, between, stride), nn.BatchNorm3d(channels), nn.ReLU(inplace=True)
        )
        self.conv2 = nn.Sequential(make(channels, channels, between, 1), nn.BatchNorm3d(channels))
        self.relu = nn.ReLU(inplace=True)
        strides = (1, stride, stride) if make is _in_space else (stride, stride, stride)
        self.downsample = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                GreyConv3d(in_channels, channels, kernel_size=1, stride=strides, bias=False), nn.BatchNorm3d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Returns features `(B, channels, T', H', W')`."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.as_tensor(self.relu(self.conv2(self.conv1(x)) + shortcut))


def _of_stem(name: re.Match[str]) -> str:
    return f"stem.{_POSITIONS[name[1]]}."


def _of_block(name: re.Match[str]) -> str:
    return f"{name[1]}.conv{name[3]}.{_POSITIONS[name[2]]}."


def _stage(in_channels: int, channels: int, make: _MakeConv, stride: int) -> nn.Sequential:
    return nn.Sequential(_Block(in_channels, channels, make, stride), _Block(channels, channels, make, 1))


def _stem(kind: Kind, in_channels: int, width: int) -> nn.Sequential:
    if kind == "r2plus1d":
        # 45 channels between for a width of 64.
        between = max(1, 45 * width // 64)
        in_space = _norm(GreyConv3d(in_channels, between, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False))
        return nn.Sequential(*in_space, *_norm(GreyConv3d(between, width, (3, 1, 1), 1, (1, 0, 0), bias=False)))
    time = 1 if kind == "frames" else 3
    return nn.Sequential(*_norm(GreyConv3d(in_channels, width, (time, 7, 7), (1, 2, 2), (time // 2, 3, 3), bias=False)))


def _norm(conv: nn.Conv3d) -> tuple[nn.Module, ...]:
    return conv, nn.BatchNorm3d(conv.out_channels), nn.ReLU(inplace=True)


def _simple(in_channels: int, channels: int, _: int, stride: int) -> nn.Module:
    return GreyConv3d(in_channels, channels, 3, stride, 1, bias=False)


def _in_space(in_channels: int, channels: int, _: int, stride: int) -> nn.Conv3d:
    return GreyConv3d(in_channels, channels, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False)


def _split(in_channels: int, channels: int, between: int, stride: int) -> nn.Module:
    return nn.Sequential(
        *_norm(_in_space(in_channels, between, 0, stride)),
        GreyConv3d(between, channels, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
    )


_CONVS: dict[str, _MakeConv] = {"frames": _in_space, "r3d": _simple, "r2plus1d": _split}
