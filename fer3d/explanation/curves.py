"""Faithfulness of a map: deletion and insertion curves (Petsiuk et al., BMVC 2018) over space and time.

Voxels are removed from the clip, or inserted into a blurred one, in the order of the map. The faster the class's
probability falls, or rises, the more faithful the map. The baseline is random maps at the layer's resolution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

# Standard deviation as a fraction of the frame's height: hides the emotion but keeps the brightness of a face
# (docs/explain.md).
BLUR = 0.2
_CLIPS_AT_ONCE = 16


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Deletion and insertion curves of a map, and of random maps.

    Attributes:
        shares: Fraction of the voxels that are deleted or inserted, from 0 to 1, `(N,)`.
        deletion: Probability of the class with that fraction blurred, `(N,)`.
        insertion: Probability of the class with that fraction sharp, `(N,)`.
        random_deletion: Deletion curves of random maps, `(num_draws, N)`.
        random_insertion: Insertion curves of random maps, `(num_draws, N)`.
    """

    shares: NDArray[np.float64]
    deletion: NDArray[np.float64]
    insertion: NDArray[np.float64]
    random_deletion: NDArray[np.float64]
    random_insertion: NDArray[np.float64]

    @property
    def is_better_than_random(self) -> bool:
        """Whether both curves beat those of every random map."""
        return bool(
            (self.area(self.deletion) < self.area(self.random_deletion)).all()
            and (self.area(self.insertion) > self.area(self.random_insertion)).all()
        )

    def area(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Area under curves `(..., N)`; lower is better for deletion, higher for insertion."""
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
    """Computes the deletion and insertion curves of a map and of random maps.

    Args:
        predict: Returns probabilities `(B, num_classes)` of clips `(B, C, T, H, W)`.
        clip: `(C, T, H, W)`.
        label: The class.
        evidence: The map, `(T, H, W)`; ties are broken at random.
        grid: `(T', H', W')` of the map's layer.
        num_steps: Number of steps of a curve.
        num_draws: Number of random maps.
        seed: Seed of the random maps and of the ties.
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
    """Returns a clip `(C, T, H, W)` with a Gaussian blur of a fifth of its height in each frame."""
    sigma = BLUR * clip.shape[-2]
    radius = min(round(3 * sigma), min(clip.shape[-2:]) - 1)
    at = torch.arange(-radius, radius + 1, dtype=clip.dtype, device=clip.device)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel /= kernel.sum()
    planes = F.pad(clip.flatten(0, 1)[:, None], (radius,) * 4, mode="reflect")
    planes = F.conv2d(F.conv2d(planes, kernel[None, None, None]), kernel[None, None, :, None])
    return planes[:, 0].view_as(clip)


def _ranks(evidence: Tensor, generator: torch.Generator) -> Tensor:
    """The rank of each voxel by decreasing evidence, as a fraction in [0, 1)."""
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
