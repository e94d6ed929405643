"""The 3D convolutional network of the paper (section 3.1, Figure 1), with all hyper-parameters of its search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fer3d.models.pooling import BlockAvgPool3d, BlockPool3d

# (kernel, stride, padding) of the pool after each group (paper, section 3.1).
POOLS = (
    ((1, 2, 2), (1, 2, 2), (0, 0, 0)),
    ((2, 2, 2), (2, 2, 2), (0, 0, 0)),
    ((2, 2, 2), (2, 2, 2), (0, 0, 0)),
    ((2, 2, 2), (2, 2, 2), (0, 0, 0)),
    ((1, 2, 2), (2, 2, 2), (0, 1, 1)),
)

# PyTorch's batch norm on a CPU is ten times slower channels last for fewer channels than this.
_MIN_CHANNELS_LAST = 16


def pytorch_default(weight: Tensor) -> Tensor:
    """The initializer `none` of Table 3: keeps PyTorch's initialization."""
    return weight


class GreyConv3d(nn.Conv3d):
    """A convolution that treats one grey channel as `in_channels` equal ones.

    Summing the weights over the input channels equals repeating the channel, at a third of the cost for RGB weights.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolves `(B, 1 or in_channels, T, H, W)`."""
        weight = self.weight if x.shape[1] == self.in_channels else self.weight.sum(1, keepdim=True)
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return torch.as_tensor(self._conv_forward(x, weight, self.bias))
        # If the convolution itself pads in time, PyTorch 2.13's bf16 weight gradient on a CPU reads uninitialised
        # memory for clips about as short as the kernel (2 frames, kernel of 3): it is NaN or wrong.
        time, height, width = (int(padding) for padding in self.padding)
        padded = F.pad(x, (0, 0, 0, 0, time, time))
        if x.shape[1] == 1 and self.stride[0] == 1 and not torch.compiler.is_compiling():
            return self._frames_as_channels(padded, weight)
        return F.conv3d(padded, weight, self.bias, self.stride, (0, height, width))

    def _frames_as_channels(self, x: Tensor, weight: Tensor) -> Tensor:
        """Convolves one channel as pictures whose channels are the frames under the kernel.

        On a CPU this takes a quarter of the time in bf16, and unlike the 3D convolution of one channel it leaves the
        clips channels last.
        """
        frames = x.squeeze(1).unfold(1, self.kernel_size[0], 1)
        pictures = frames.flatten(0, 1).permute(0, 3, 1, 2)
        _, height, width = (int(padding) for padding in self.padding)
        filtered = F.conv2d(pictures, weight.squeeze(1), self.bias, self.stride[1:], (height, width))
        clips = filtered.view(*frames.shape[:2], *filtered.shape[1:]).transpose(1, 2)
        return clips if self.out_channels >= _MIN_CHANNELS_LAST else clips.contiguous()


class CNN3d(nn.Module):
    """Five groups of convolutions with a pool each, two hidden fully connected layers, and a classifier.

    Each convolution is `Conv3d(k,3,3) -> BatchNorm3d(momentum 0.1) -> activation` and keeps its input's shape. The
    paper gives filter counts only in its figures; the defaults are those of C3D (Tran et al., ICCV 2015), on which it
    builds.

    Args:
        num_classes: Number of classes.
        in_channels: Input channels of the first convolution; a single grey channel stands for all of them.
        num_frames: Number of frames per clip, `T`.
        size: Height and width of a frame in pixels.
        downsample: Side of the pixel squares that are averaged before the first convolution; 1, as in the paper, keeps
            the frames.
        filters: For each of the five groups, the filter count of each convolution.
        second_conv: Whether groups 1 and 2 repeat their last convolution.
        hidden: Widths of the hidden fully connected layers.
        temporal_kernel: Extent `k` of every convolution in time; odd.
        activation: Creates an activation module.
        pooling: Creates a pool from `kernel`, `stride` and `padding`.
        initializer: Initialises the weight of each convolution and linear layer in place.
        dropout: Dropout probability after each hidden layer's activation.

    Raises:
        ValueError: A setting is out of range; the message names its key below `model`.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        num_frames: int = 10,
        size: int = 112,
        downsample: int = 1,
        filters: Sequence[Sequence[int]] = ((64,), (128,), (256, 256), (512, 512), (512, 512)),
        second_conv: bool = False,
        hidden: Sequence[int] = (4096, 4096),
        temporal_kernel: int = 3,
        activation: Callable[[], nn.Module] = nn.ReLU,
        pooling: Callable[..., BlockPool3d] = BlockAvgPool3d,
        initializer: Callable[[Tensor], Tensor] = pytorch_default,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _check(num_classes, in_channels, downsample, filters, hidden, temporal_kernel, dropout)
        groups = [list(group) for group in filters]
        if second_conv:
            groups[:2] = [[*group, group[-1]] for group in groups[:2]]
        self.in_channels = in_channels
        self.input_shape = (num_frames, size, size)

        step = (1, downsample, downsample)
        shrink = BlockAvgPool3d(step, step, (0, 0, 0))
        features: list[nn.Module] = [shrink] if downsample > 1 else []
        channels, shape = in_channels, shrink.output_shape(self.input_shape)
        for number, (group, (kernel, stride, padding)) in enumerate(zip(groups, POOLS, strict=True), start=1):
            pool = pooling(kernel=kernel, stride=stride, padding=padding)
            convs = [_conv(*pair, temporal_kernel, activation()) for pair in zip([channels, *group], group)]  # noqa: B905
            features.append(nn.Sequential(*convs, pool))
            channels, shape = group[-1], pool.output_shape(shape)
            if min(shape) < 1:
                raise ValueError(
                    f"clips of {num_frames} frames of {size}x{size} pixels are too small for the network: pool "
                    f"{number} has no output; raise clips.num_frames or faces.crop.size (the paper has 10 and 112)"
                    + (" or lower model.downsample" if downsample > 1 else "")
                )
        self.features = nn.Sequential(*features)

        widths = [channels * prod(shape), *hidden]
        layers: list[nn.Module] = []
        for width_in, width in zip(widths, hidden):  # noqa: B905
            layers += [nn.Linear(width_in, width), activation(), nn.Dropout(dropout)]
        self.hidden = nn.Sequential(*layers)
        self.classifier = nn.Linear(widths[-1], num_classes)

        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.Linear):
                initializer(module.weight)

    def forward(self, clips: Tensor) -> Tensor:
        """Returns the logits `(B, num_classes)` of clips `(B, 1 or in_channels, T, H, W)`.

        Raises:
            ValueError: The clips do not have the shape that the network was built for.
        """
        if clips.ndim != 5 or clips.shape[1] not in (1, self.in_channels) or clips.shape[2:] != self.input_shape:
            raise ValueError(
                f"expected clips of shape (B, 1 or {self.in_channels}, {', '.join(map(str, self.input_shape))}), "
                f"got {tuple(clips.shape)}"
            )
        return torch.as_tensor(self.classifier(self.hidden(self.features(clips).flatten(1))))


def _conv(in_channels: int, out_channels: int, temporal_kernel: int, activation: nn.Module) -> nn.Sequential:
    conv = GreyConv3d(
        in_channels,
        out_channels,
        kernel_size=(temporal_kernel, 3, 3),
        padding=(temporal_kernel // 2, 1, 1),
        bias=False,  # the following batch norm has one
    )
    return nn.Sequential(conv, nn.BatchNorm3d(out_channels, momentum=0.1), activation)


def _check(
    num_classes: int,
    in_channels: int,
    downsample: int,
    filters: Sequence[Sequence[int]],
    hidden: Sequence[int],
    temporal_kernel: int,
    dropout: float,
) -> None:
    if num_classes < 2:
        raise ValueError(f"a classifier needs at least 2 classes, but the corpus has {num_classes}")
    if in_channels < 1:
        raise ValueError(f"model.in_channels must be at least 1, got {in_channels}")
    if downsample < 1:
        raise ValueError(f"model.downsample must be at least 1, got {downsample}")
    if len(filters) != len(POOLS) or not all(group and min(group) > 0 for group in filters):
        raise ValueError(f"model.filters must be {len(POOLS)} lists of positive filter counts, got {filters}")
    if any(width < 1 for width in hidden):
        raise ValueError(f"model.hidden must hold positive widths, got {hidden}")
    if temporal_kernel < 1 or temporal_kernel % 2 == 0:
        raise ValueError(
            f"model.temporal_kernel must be odd and positive, so that clips keep their length, got {temporal_kernel}"
        )
    if not 0 <= dropout <= 1:
        raise ValueError(f"model.dropout must be a probability between 0 and 1, got {dropout}")
