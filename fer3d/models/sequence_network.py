"""Networks of two parts: an encoder of frames or short spans of a clip, and what sums them up over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fer3d.models.cnn3d import pytorch_default
from fer3d.models.convolutions import (
    Activation,
    check_at_least_one,
    check_clips,
    conv_groups,
    hidden_layers,
    initialise,
)
from fer3d.models.pooling import BlockAvgPool3d, BlockPool3d


class SequenceNetwork(nn.Module):
    """An encoder, an aggregation over time, hidden layers and a classifier.

    Args:
        num_classes: Number of classes.
        encoder: Creates, from `input_shape`, a module that turns clips `(B, C, T, H, W)` into features `(B, L, D)` of
            `L` time steps; its attributes `num_steps` and `num_features` are `L` and `D`.
        aggregation: Creates, from `num_features` and `num_steps`, a module that turns these into `(B, E)`; its
            attribute `num_outputs` is `E`.
        num_frames: Number of frames per clip, `T`.
        size: Height and width of a frame in pixels.
        last_frame_only: Whether the network sees the last frame of a clip alone.
        hidden: Widths of hidden fully connected layers after the aggregation.
        activation: Creates an activation module of the hidden layers.
        initializer: Initialises the weights of the hidden layers and the classifier in place.
        dropout: Dropout probability after each hidden layer's activation.

    Raises:
        ValueError: A setting is out of range; the message names its key below `model`.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        encoder: Callable[..., nn.Module],
        aggregation: Callable[..., nn.Module],
        num_frames: int = 10,
        size: int = 112,
        last_frame_only: bool = False,
        hidden: Sequence[int] = (),
        activation: Activation = nn.ReLU,
        initializer: Callable[[Tensor], Tensor] = pytorch_default,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.input_shape, self._last_frame_only = (num_frames, size, size), last_frame_only
        input_shape = (1 if last_frame_only else num_frames, size, size)
        self.encoder = _create("model.encoder", encoder, input_shape=input_shape)
        sizes = {"num_features": self.encoder.num_features, "num_steps": self.encoder.num_steps}
        self.aggregation = _create("model.aggregation", aggregation, **sizes)
        self.in_channels: int = self.encoder.in_channels
        self.hidden, width = hidden_layers(self.aggregation.num_outputs, hidden, activation, dropout)
        self.classifier = nn.Linear(width, num_classes)
        for part in (self.hidden, self.classifier):
            initialise(part, initializer)

    def forward(self, clips: Tensor) -> Tensor:
        """Returns the logits `(B, num_classes)` of clips `(B, 1 or in_channels, T, H, W)`.

        Raises:
            ValueError: The clips do not have the shape that the network was built for.
        """
        check_clips(clips, self.in_channels, self.input_shape)
        features = self.encoder(clips[:, :, -1:] if self._last_frame_only else clips)
        return torch.as_tensor(self.classifier(self.hidden(self.aggregation(features))))

    def own_name(self, name: str) -> str | None:
        """Returns the name in this network of an external weight, as its encoder knows it; None without a place."""
        known = getattr(self.encoder, "own_name", None)
        if known is None:
            return name
        own = known(name)
        return None if own is None else f"encoder.{own}"


def _create(section: str, create: Callable[..., nn.Module], **known: Any) -> Any:
    for name in known.keys() & getattr(create, "keywords", {}).keys():
        raise ValueError(f"{section}.{name} cannot be set: it follows from the clips; leave it out")
    return create(**known)


class ConvEncoder(nn.Module):
    """The convolutions of `CNN3d` with pools that keep time: in 2D on each frame, or in 3D.

    Args:
        input_shape: `(T, H, W)` of the clips.
        in_channels: See `CNN3d`.
        downsample: See `CNN3d`.
        filters: See `CNN3d`.
        temporal_kernel: See `CNN3d`; 1 looks at each frame by itself.
        halves_time: For each of the five groups, whether its pool halves the number of time steps.
        activation: See `CNN3d`.
        pooling: See `CNN3d`.
        initializer: See `CNN3d`.

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
        in_channels: int = 3,
        downsample: int = 1,
        filters: Sequence[Sequence[int]] = ((64,), (128,), (256, 256), (512, 512), (512, 512)),
        temporal_kernel: int = 1,
        halves_time: Sequence[bool] = (False, False, False, False, False),
        activation: Activation = nn.ReLU,
        pooling: Callable[..., BlockPool3d] = BlockAvgPool3d,
        initializer: Callable[[Tensor], Tensor] = pytorch_default,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.features, (channels, self.num_steps, *sides) = conv_groups(
            (in_channels, *input_shape),
            downsample=downsample,
            filters=filters,
            temporal_kernel=temporal_kernel,
            activation=activation,
            pooling=pooling,
            halves_time=halves_time,
            section="model.encoder",
        )
        self.num_features = channels * prod(sides)
        initialise(self, initializer)

    def forward(self, clips: Tensor) -> Tensor:
        """Returns the features `(B, L, D)` of clips `(B, 1 or in_channels, T, H, W)`."""
        return torch.as_tensor(self.features(clips).transpose(1, 2).flatten(2))


class Mean(nn.Module):
    """The mean over time.

    Args:
        num_features: `D` of the features `(B, L, D)`.
        num_steps: `L`.
        layer_norm: Whether layer norm follows.
    """

    def __init__(self, *, num_features: int, num_steps: int, layer_norm: bool = False) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(num_features) if layer_norm else nn.Identity()
        self.num_outputs = num_features

    def forward(self, features: Tensor) -> Tensor:
        """Returns `(B, D)`."""
        return torch.as_tensor(self.norm(features.mean(1)))


class Attention(nn.Module):
    """A mean over time with learned weights, which depend on each time step's features (Ilse et al., ICML 2018).

    Args:
        num_features: `D` of the features `(B, L, D)`.
        num_steps: `L`.
        width: Width of the layer that computes the weights.
    """

    def __init__(self, *, num_features: int, num_steps: int, width: int = 128) -> None:
        super().__init__()
        check_at_least_one("model.aggregation", width=width)
        self.score = nn.Sequential(nn.Linear(num_features, width), nn.Tanh(), nn.Linear(width, 1))
        self.num_outputs = num_features

    def forward(self, features: Tensor) -> Tensor:
        """Returns `(B, D)`."""
        return torch.as_tensor((self.score(features).softmax(1) * features).sum(1))


class Recurrent(nn.Module):
    """The last output of an LSTM or a GRU.

    Args:
        num_features: `D` of the features `(B, L, D)`.
        num_steps: `L`.
        cell: `lstm` or `gru`.
        width: Number of units of each layer.
        num_layers: Number of layers.
    """

    def __init__(
        self,
        *,
        num_features: int,
        num_steps: int,
        cell: Literal["lstm", "gru"] = "lstm",
        width: int = 256,
        num_layers: int = 1,
    ) -> None:
        super().__init__()
        check_at_least_one("model.aggregation", width=width, num_layers=num_layers)
        make = nn.LSTM if cell == "lstm" else nn.GRU
        self.recurrent = make(num_features, width, num_layers, batch_first=True)
        self.num_outputs = width

    def forward(self, features: Tensor) -> Tensor:
        """Returns `(B, width)`."""
        outputs, _ = self.recurrent(features)
        return torch.as_tensor(outputs[:, -1])


class Transformer(nn.Module):
    """The mean over time of a transformer's outputs, with learned positions (Vaswani et al., NeurIPS 2017).

    Args:
        num_features: `D` of the features `(B, L, D)`.
        num_steps: `L`.
        width: Width of the layers.
        num_layers: Number of layers.
        num_heads: Number of attention heads; divides `width`.
        dropout: Dropout probability within the layers.
    """

    def __init__(
        self,
        *,
        num_features: int,
        num_steps: int,
        width: int = 256,
        num_layers: int = 2,
        num_heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_at_least_one("model.aggregation", width=width, num_layers=num_layers, num_heads=num_heads)
        if not 0 <= dropout <= 1:
            raise ValueError(f"model.aggregation.dropout must be a probability between 0 and 1, got {dropout}")
        if width % num_heads:
            raise ValueError(
                f"model.aggregation.width, {width}, must be a multiple of model.aggregation.num_heads, {num_heads}"
            )
        self.embed = nn.Linear(num_features, width)
        self.positions = nn.Parameter(0.02 * torch.randn(1, num_steps, width))
        layer = nn.TransformerEncoderLayer(
            width, num_heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        # Nested tensors are for sequences of several lengths.
        self.layers = nn.TransformerEncoder(layer, num_layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.num_outputs = width

    def forward(self, features: Tensor) -> Tensor:
        """Returns `(B, width)`."""
        return torch.as_tensor(self.layers(self.embed(features) + self.positions).mean(1))
