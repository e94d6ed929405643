"""What the networks are made of: convolutions, the paper's groups of them, and hidden layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fer3d.models.pooling import BlockAvgPool3d, BlockPool3d

Extent = tuple[int, int, int]
Activation = Callable[[], nn.Module]

# (kernel, stride, padding) of the pool after each group (paper, section 3.1).
POOLS: tuple[tuple[Extent, Extent, Extent], ...] = (
    ((1, 2, 2), (1, 2, 2), (0, 0, 0)),
    ((2, 2, 2), (2, 2, 2), (0, 0, 0)),
    ((2, 2, 2), (2, 2, 2), (0, 0, 0)),
    ((2, 2, 2), (2, 2, 2), (0, 0, 0)),
    ((1, 2, 2), (2, 2, 2), (0, 1, 1)),
)

# PyTorch's batch norm on a CPU is ten times slower channels last for fewer channels than this.
_MIN_CHANNELS_LAST = 16


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


def plain_convolution(
    in_channels: int, out_channels: int, temporal_kernel: int, activation: Activation
) -> nn.Sequential:
    """Creates `Conv3d(k,3,3) -> BatchNorm3d(momentum 0.1) -> activation`, which keeps its input's shape."""
    return nn.Sequential(
        _conv(in_channels, out_channels, (temporal_kernel, 3, 3)),
        nn.BatchNorm3d(out_channels, momentum=0.1),
        activation(),
    )


def factorised_convolution(
    in_channels: int, out_channels: int, temporal_kernel: int, activation: Activation
) -> nn.Sequential:
    """Creates a convolution in space and one in time, each with batch norm and activation.

    The number of channels between them is that of R(2+1)D (Tran et al., CVPR 2018, section 3.5): both together have
    about as many weights as the one of `plain_convolution`.
    """
    weights = 9 * temporal_kernel * in_channels * out_channels
    between = max(1, weights // (9 * in_channels + temporal_kernel * out_channels))
    return nn.Sequential(
        _conv(in_channels, between, (1, 3, 3)),
        nn.BatchNorm3d(between, momentum=0.1),
        activation(),
        _conv(between, out_channels, (temporal_kernel, 1, 1)),
        nn.BatchNorm3d(out_channels, momentum=0.1),
        activation(),
    )


def conv_groups(
    clip_shape: tuple[int, int, int, int],
    *,
    downsample: int,
    filters: Sequence[Sequence[int]],
    temporal_kernel: int,
    activation: Activation,
    pooling: Callable[..., BlockPool3d],
    second_conv: bool = False,
    convolution: Callable[..., nn.Sequential] = plain_convolution,
    halves_time: Sequence[bool] | None = None,
    section: str = "model",
) -> tuple[nn.Sequential, tuple[int, ...]]:
    """Creates the paper's groups of convolutions with a pool each.

    Args:
        clip_shape: `(C, T, H, W)` of the input.
        downsample: See `CNN3d`.
        filters: See `CNN3d`.
        temporal_kernel: See `CNN3d`.
        activation: See `CNN3d`.
        pooling: See `CNN3d`.
        second_conv: See `CNN3d`.
        convolution: Creates a convolution with batch norm and activation.
        halves_time: For each group, whether its pool halves the number of frames; None: as in the paper.
        section: The section of the settings, for messages.

    Returns:
        The groups, and the shape `(C', T', H', W')` of their output.

    Raises:
        ValueError: A setting is out of range, or the clips are too small; the message names the key.
    """
    check_at_least_one(section, in_channels=clip_shape[0], downsample=downsample)
    if len(filters) != len(POOLS) or not all(group and min(group) > 0 for group in filters):
        raise ValueError(f"{section}.filters must be {len(POOLS)} lists of positive filter counts, got {filters}")
    if temporal_kernel < 1 or temporal_kernel % 2 == 0:
        key = f"{section}.temporal_kernel"
        raise ValueError(f"{key} must be odd and positive, so that clips keep their length, got {temporal_kernel}")
    groups = [list(group) for group in filters]
    if second_conv:
        groups[:2] = [[*group, group[-1]] for group in groups[:2]]
    pools = POOLS if halves_time is None else _pools_in_time(halves_time, section)
    channels, num_frames, size, _ = clip_shape
    step = (1, downsample, downsample)
    shrink = BlockAvgPool3d(step, step, (0, 0, 0))
    features: list[nn.Module] = [shrink] if downsample > 1 else []
    shape = shrink.output_shape((num_frames, size, size))
    for number, (group, (kernel, stride, padding)) in enumerate(zip(groups, pools, strict=True), start=1):
        pool = pooling(kernel=kernel, stride=stride, padding=padding)
        convs = [convolution(*pair, temporal_kernel, activation) for pair in zip([channels, *group], group)]  # noqa: B905
        features.append(nn.Sequential(*convs, pool))
        channels, shape = group[-1], pool.output_shape(shape)
        if min(shape) < 1:
            raise ValueError(
                f"clips of {num_frames} frames of {size}x{size} pixels are too small for the network: pool "
                f"{number} has no output; raise clips.num_frames or faces.crop.size (the paper has 10 and 112)"
                + (f" or lower {section}.downsample" if downsample > 1 else "")
            )
    return nn.Sequential(*features), (channels, *shape)


def hidden_layers(
    width: int, hidden: Sequence[int], activation: Activation, dropout: float
) -> tuple[nn.Sequential, int]:
    """Creates hidden fully connected layers with dropout after each.

    Args:
        width: Number of features that come in.
        hidden: Widths of the layers.
        activation: Creates an activation module.
        dropout: Dropout probability after each activation.

    Returns:
        The layers, and the number of features that come out.

    Raises:
        ValueError: A setting is out of range; the message names the key.
    """
    if any(width < 1 for width in hidden):
        raise ValueError(f"model.hidden must hold positive widths, got {hidden}")
    if not 0 <= dropout <= 1:
        raise ValueError(f"model.dropout must be a probability between 0 and 1, got {dropout}")
    widths = [width, *hidden]
    layers: list[nn.Module] = []
    for width_in, width_out in zip(widths, hidden):  # noqa: B905
        layers += [nn.Linear(width_in, width_out), activation(), nn.Dropout(dropout)]
    return nn.Sequential(*layers), widths[-1]


def initialise(network: nn.Module, initializer: Callable[[Tensor], Tensor]) -> None:
    """Initialises the weight of each convolution and linear layer in place."""
    for module in network.modules():
        if isinstance(module, nn.Conv3d | nn.Linear):
            initializer(module.weight)


def check_clips(clips: Tensor, in_channels: int, input_shape: Extent) -> None:
    """Checks that clips have the shape that a network was built for, with one grey channel or all channels.

    Raises:
        ValueError: They have another shape.
    """
    if clips.ndim != 5 or clips.shape[1] not in (1, in_channels) or clips.shape[2:] != input_shape:
        raise ValueError(
            f"expected clips of shape (B, 1 or {in_channels}, {', '.join(map(str, input_shape))}), "
            f"got {tuple(clips.shape)}"
        )


def check_at_least_one(section: str, **values: int) -> None:
    """Checks settings of a section that must be positive numbers.

    Raises:
        ValueError: One is below 1.
    """
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{section}.{name} must be at least 1, got {value}")


def _conv(in_channels: int, out_channels: int, kernel: Extent) -> GreyConv3d:
    time, height, width = kernel
    padding = (time // 2, height // 2, width // 2)
    # The following batch norm has a bias.
    return GreyConv3d(in_channels, out_channels, kernel_size=kernel, padding=padding, bias=False)


def _pools_in_time(halves: Sequence[bool], section: str) -> list[tuple[Extent, Extent, Extent]]:
    """The paper's pools, of which those chosen reduce time, too."""
    if len(halves) != len(POOLS):
        raise ValueError(f"{section}.halves_time must hold {len(POOLS)} values, one a pool, got {halves}")
    times = [1 + each for each in halves]
    return [
        ((time, *kernel[1:]), (time, *stride[1:]), padding)
        for time, (kernel, stride, padding) in zip(times, POOLS, strict=True)
    ]
