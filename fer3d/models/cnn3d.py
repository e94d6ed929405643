"""The 3D convolutional network of the paper (section 3.1, Figure 1), with all hyper-parameters of its search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor, nn

from fer3d.models.convolutions import (
    check_clips,
    conv_groups,
    factorised_convolution,
    hidden_layers,
    initialise,
    plain_convolution,
)
from fer3d.models.pooling import BlockAvgPool3d, BlockPool3d


def pytorch_default(weight: Tensor) -> Tensor:
    """The initializer `none` of Table 3: keeps PyTorch's initialization."""
    return weight


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

    _convolution = staticmethod(plain_convolution)

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
        if num_classes < 2:
            raise ValueError(f"a classifier needs at least 2 classes, but the corpus has {num_classes}")
        self.in_channels = in_channels
        self.input_shape = (num_frames, size, size)
        self.features, output_shape = conv_groups(
            (in_channels, *self.input_shape),
            downsample=downsample,
            filters=filters,
            second_conv=second_conv,
            temporal_kernel=temporal_kernel,
            activation=activation,
            pooling=pooling,
            convolution=self._convolution,
        )
        self.hidden, width = hidden_layers(prod(output_shape), hidden, activation, dropout)
        self.classifier = nn.Linear(width, num_classes)
        initialise(self, initializer)

    def forward(self, clips: Tensor) -> Tensor:
        """Returns the logits `(B, num_classes)` of clips `(B, 1 or in_channels, T, H, W)`.

        Raises:
            ValueError: The clips do not have the shape that the network was built for.
        """
        check_clips(clips, self.in_channels, self.input_shape)
        return torch.as_tensor(self.classifier(self.hidden(self.features(clips).flatten(1))))


class FactorisedCNN3d(CNN3d):
    """`CNN3d` with `factorised_convolution`: each of its convolutions is one in space and one in time."""

    _convolution = staticmethod(factorised_convolution)
