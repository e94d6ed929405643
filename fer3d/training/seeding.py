"""Seeds of a fold, independent of other folds and of the process that trains it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class FoldSeeds:
    """Independent seeds for a fold's sources of randomness.

    Attributes:
        network: Initial weights and dropout.
        shuffle: Order of the training clips.
        augment: Draws of the augmentation.
    """

    network: int
    shuffle: int
    augment: int

    @classmethod
    def derive(cls, seed: int, fold: int) -> FoldSeeds:
        """Derives the seeds of a fold from the run's seed and the fold's number.

        Raises:
            ValueError: `seed` is negative.
        """
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        network, shuffle, augment = np.random.SeedSequence([seed, fold]).generate_state(3)
        return cls(int(network), int(shuffle), int(augment))
