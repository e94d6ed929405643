"""The check that a map means something: deletion and insertion (Petsiuk et al., BMVC 2018), over space and time.

What a map points at is taken out of the clip first, or put into an empty one first. The sooner the class's probability
falls, or rises, the better the map knows what the network looks at. Random maps, as coarse as the layer's own, are what
a map has to be better than.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

# Of the frame's height: what is blurred so much tells no emotion any more, and is still light and dark as a face is
# (docs/explain.md).
BLUR = 0.2
_CLIPS_AT_ONCE = 16


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """A class's probability while a clip is blurred, or becomes sharp, in the order of a map.

    Attributes:
        shares: Share of the voxels that are done, from 0 to 1, `(N,)`.
        deletion: Probability with that share blurred, `(N,)`.
        insertion: Probability with that share sharp, `(N,)`.
        random_deletion: The same in random orders, `(num_draws, N)`.
        random_insertion: The same in random orders, `(num_draws, N)`.
    """

    shares: NDArray[np.float64]
    deletion: NDArray[np.float64]
    insertion: NDArray[np.float64]
    random_deletion: NDArray[np.float64]
    random_insertion: NDArray[np.float64]

    @property
    def is_better_than_random(self) -> bool:
        """Whether the map is faithful on both counts: no random order deletes or inserts as well."""
        return bool(
            (self.area(self.deletion) < self.area(self.random_deletion)).all()
            and (self.area(self.insertion) > self.area(self.random_insertion)).all()
        )

    def area(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """The area under curves `(..., N)`: small is good for deletion, large for insertion."""
        return np.asarray(np.trapezoid(probabilities, self.shares, axis=-1))


def check_map(
    predict: Callable[[Tensor], Tensor],
    clip: Tensor,
    label: int,
    evidence: Tensor,
    grid: tuple[int, int, int],
    *,
    num_steps: int = 20,
    num_draws: int = 5,
    seed: int = 0,
) -> Curves:
    """Deletes and inserts the voxels of a clip in the order of a map, and in random orders.

    Args:
        predict: Returns probabilities `(B, num_classes)` of clips `(B, C, T, H, W)`.
        clip: `(C, T, H, W)`.
        label: The class.
        evidence: The map, `(T, H, W)`; equal voxels come in random order.
        grid: `(T', H', W')` of the layer that the map is of.
        num_steps: Steps of a curve.
        num_draws: Number of random maps.
        seed: Of the random maps, and of the order of equal voxels.
    """
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand((num_draws, 1, *grid), generator=generator)
    draws = F.interpolate(draws, evidence.shape, mode="trilinear")[:, 0]
    ranks = [_ranks(each.cpu(), generator).to(clip.device) for each in (evidence, *draws)]
    shares = torch.linspace(0, 1, num_steps + 1)
    blur = blurred(clip)
    whole: list[Tensor] = []
    for rank in ranks:
        done = rank < shares.view(-1, 1, 1, 1).to(clip.device)  # (N, T, H, W)
        for first, second in ((blur, clip), (clip, blur)):
            whole.append(_probabilities(predict, done[:, None], first, second, label))
    deletions, insertions = (torch.stack(whole[start::2]).numpy() for start in (0, 1))
    return Curves(shares.double().numpy(), deletions[0], insertions[0], deletions[1:], insertions[1:])


def blurred(clip: Tensor) -> Tensor:
    """Returns a clip `(C, T, H, W)` with each frame blurred by a Gaussian of a fifth of its height."""
    sigma = BLUR * clip.shape[-2]
    radius = min(round(3 * sigma), min(clip.shape[-2:]) - 1)
    at = torch.arange(-radius, radius + 1, dtype=clip.dtype, device=clip.device)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel /= kernel.sum()
    planes = F.pad(clip.flatten(0, 1)[:, None], (radius,) * 4, mode="reflect")
    planes = F.conv2d(F.conv2d(planes, kernel[None, None, None]), kernel[None, None, :, None])
    return planes[:, 0].view_as(clip)


def _ranks(evidence: Tensor, generator: torch.Generator) -> Tensor:
    """The rank of each voxel by falling evidence, as a share in [0, 1)."""
    shuffled = torch.randperm(evidence.numel(), generator=generator)
    order = shuffled[evidence.flatten()[shuffled].argsort(descending=True, stable=True)]
    ranks = torch.empty(evidence.numel())
    ranks[order] = torch.arange(evidence.numel()) / evidence.numel()
    return ranks.view_as(evidence)


def _probabilities(
    predict: Callable[[Tensor], Tensor], done: Tensor, where_done: Tensor, elsewhere: Tensor, label: int
) -> Tensor:
    with torch.no_grad():
        batches = [
            predict(torch.where(some, where_done, elsewhere))[:, label].double().cpu()
            for some in torch.split(done, _CLIPS_AT_ONCE)
        ]
    return torch.cat(batches)
