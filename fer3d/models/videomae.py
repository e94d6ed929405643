"""VideoMAE (Tong et al., NeurIPS 2022) as an encoder, by the library transformers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fer3d.models.convolutions import GreyConv3d, check_at_least_one


class VideoMAEEncoder(nn.Module):
    """A vision transformer over patches of a few frames, averaged over each time step's positions.

    Names and shapes of its weights below `videomae` are those of transformers' `VideoMAEModel`.

    Args:
        input_shape: `(T, H, W)` of the clips.
        in_channels: Channels of the weights; a single grey channel stands for all of them.
        patch: Height and width of a patch in pixels; divides the frames' size.
        tubelet: Number of frames of a patch; divides the number of frames.
        width: Width of the layers.
        num_layers: Number of layers.
        num_heads: Number of attention heads; divides `width`.
        dropout: Dropout probability within the layers.
        mean: Subtracted from clips, as for the pictures that published weights were trained on.
        std: Clips are divided by it.

    Attributes:
        num_steps: Number of time steps of the features, `L`.
        num_features: Number of features per time step, `D`.

    Raises:
        ValueError: A setting is out of range, or transformers is not installed.
    """

    def __init__(
        self,
        *,
        input_shape: tuple[int, int, int],
        in_channels: int = 3,
        patch: int = 16,
        tubelet: int = 2,
        width: int = 768,
        num_layers: int = 12,
        num_heads: int = 12,
        dropout: float = 0.0,
        mean: float = 0.449,
        std: float = 0.226,
    ) -> None:
        super().__init__()
        sizes = {"patch": patch, "tubelet": tubelet, "width": width, "num_layers": num_layers, "num_heads": num_heads}
        check_at_least_one("model.encoder", in_channels=in_channels, **sizes)
        num_frames, size, _ = input_shape
        for name, part, key, whole in (
            ("patch", patch, "faces.crop.size", size),
            ("tubelet", tubelet, "clips.num_frames", num_frames),
            ("num_heads", num_heads, "model.encoder.width", width),
        ):
            if whole % part:
                raise ValueError(f"model.encoder.{name}, {part}, must divide {key}, {whole}")
        if not std > 0:
            raise ValueError(f"model.encoder.std must be positive, got {std}")
        try:
            from transformers import VideoMAEConfig, VideoMAEModel
        except ImportError as error:
            raise ValueError(
                f"model=videomae needs transformers, which cannot be imported ({error}): pip install 'fer3d[videomae]'"
            ) from error
        config = VideoMAEConfig(
            image_size=size,
            patch_size=patch,
            num_channels=in_channels,
            num_frames=num_frames,
            tubelet_size=tubelet,
            hidden_size=width,
            num_hidden_layers=num_layers,
            num_attention_heads=num_heads,
            intermediate_size=4 * width,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            use_mean_pooling=True,
        )
        # Its backward pass is deterministic on a GPU.
        config._attn_implementation = "eager"
        self.in_channels, self._mean, self._std = in_channels, mean, std
        self.videomae = VideoMAEModel(config)
        embeddings = self.videomae.embeddings
        # A buffer, which moves to the device once instead of with every batch.
        positions = embeddings.position_embeddings
        del embeddings.position_embeddings
        embeddings.register_buffer("position_embeddings", positions, persistent=False)
        extent = (tubelet, patch, patch)
        projection = GreyConv3d(in_channels, width, extent, extent)
        projection.load_state_dict(embeddings.patch_embeddings.projection.state_dict())
        embeddings.patch_embeddings.projection = projection
        self.num_steps, self._side, self.num_features = num_frames // tubelet, size // patch, width
        # Has no weights; its output is a map, which explanations find.
        self.positions = nn.Identity()

    def forward(self, clips: Tensor) -> Tensor:
        """Returns the features `(B, L, D)` of clips `(B, 1 or in_channels, T, H, W)`."""
        clips = (clips - self._mean) / self._std
        # transformers checks the number of channels that the projection sees.
        self.videomae.embeddings.patch_embeddings.num_channels = clips.shape[1]
        tokens = self.videomae(clips.transpose(1, 2)).last_hidden_state
        volume = tokens.unflatten(1, (self.num_steps, self._side, self._side)).permute(0, 4, 1, 2, 3)
        return torch.as_tensor(self.positions(volume).mean((3, 4)).transpose(1, 2))

    def own_name(self, name: str) -> str | None:
        """Returns the name here of a weight of transformers' VideoMAE models; None for those of other parts."""
        inner = name.removeprefix("videomae.")
        return f"videomae.{inner}" if inner.startswith(("embeddings.", "encoder.", "layernorm.")) else None
