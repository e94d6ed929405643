from __future__ import annotations

from dataclasses import astuple

import pytest
import torch

from fer3d.training.seeding import FoldSeeds


def test_the_seeds_of_a_fold_stay_what_they_are() -> None:
    # Published numbers hang on these.
    assert astuple(FoldSeeds.derive(0, 1)) == (3964924996, 1358922860, 3894904162)
    assert astuple(FoldSeeds.derive(7, 118)) == (2741990440, 2506915114, 52439257)


def test_all_seeds_of_all_folds_and_runs_differ() -> None:
    seeds = [number for seed in range(20) for fold in range(1, 119) for number in astuple(FoldSeeds.derive(seed, fold))]
    assert len(set(seeds)) == len(seeds) == 20 * 118 * 3


def test_derived_seeds_are_accepted_by_pytorch() -> None:
    for seed in astuple(FoldSeeds.derive(2**32, 10)):
        assert type(seed) is int
        torch.Generator().manual_seed(seed)


def test_a_negative_seed_is_an_error_that_names_the_key() -> None:
    with pytest.raises(ValueError, match="seed must not be negative, got -1"):
        FoldSeeds.derive(-1, 1)
