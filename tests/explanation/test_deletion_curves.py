from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fer3d.explanation.curves import blurred, check_map


def spot(clips: Tensor) -> Tensor:
    """Probabilities that know one place of one half of the frames: the sharper it is there, the surer class 1."""
    seen = clips[:, 0, 4:, 4:8, 4:8].var((1, 2, 3))
    share = seen / 0.25
    return torch.stack([1 - share, share], 1)


@pytest.fixture
def clip() -> Tensor:
    return (torch.rand((1, 8, 16, 16), generator=torch.Generator().manual_seed(0)) > 0.5).float()


def place() -> Tensor:
    evidence = torch.zeros(8, 16, 16)
    evidence[4:, 4:8, 4:8] = 1
    return evidence


def test_the_true_place_is_deleted_and_inserted_at_once(clip: Tensor) -> None:
    curves = check_map(spot, clip, 1, place(), (4, 4, 4), num_steps=16)
    whole, nothing = (float(spot(each[None])[0, 1]) for each in (clip, blurred(clip)))
    assert nothing < 0.1 < 0.9 < whole
    # The place is one voxel in 32: by the first of 16 steps all of it is done.
    np.testing.assert_allclose(curves.shares, np.linspace(0, 1, 17))
    np.testing.assert_allclose(curves.deletion, [whole] + 16 * [nothing], atol=1e-6)
    np.testing.assert_allclose(curves.insertion, [nothing] + 16 * [whole], atol=1e-6)
    assert curves.is_better_than_random
    assert curves.area(curves.deletion) == pytest.approx(nothing + (whole - nothing) / 32)
    assert curves.area(curves.insertion) == pytest.approx(whole - (whole - nothing) / 32)


def test_a_map_of_everything_else_is_worse_than_random(clip: Tensor) -> None:
    curves = check_map(spot, clip, 1, 1 - place(), (4, 4, 4))
    assert not curves.is_better_than_random
    assert curves.area(curves.deletion) > curves.area(curves.random_deletion).max()
    assert curves.area(curves.insertion) < curves.area(curves.random_insertion).min()


def test_every_curve_goes_from_the_clip_to_nothing_or_back(clip: Tensor) -> None:
    curves = check_map(spot, clip, 1, torch.rand(8, 16, 16), (2, 4, 4), num_steps=4, num_draws=3)
    whole, nothing = (float(spot(each[None])[0, 1]) for each in (clip, blurred(clip)))
    assert curves.random_deletion.shape == curves.random_insertion.shape == (3, 5)
    for own, random, start, end in (
        (curves.deletion, curves.random_deletion, whole, nothing),
        (curves.insertion, curves.random_insertion, nothing, whole),
    ):
        for curve in (own, *random):
            assert (curve[0], curve[-1]) == (pytest.approx(start), pytest.approx(end))


def test_equal_voxels_come_in_random_order_and_the_same_one_again(clip: Tensor) -> None:
    """An empty map says nothing: in the order in which voxels lie, it would delete the first frames first."""

    def seconds(clips: Tensor) -> Tensor:
        halves = torch.stack([clips[:, 0, :4].var((1, 2, 3)), clips[:, 0, 4:].var((1, 2, 3))], 1)
        return halves / halves.sum(1, keepdim=True)

    first, again = (check_map(seconds, clip, 1, torch.zeros(8, 16, 16), (4, 4, 4)) for _ in range(2))
    assert np.ptp(first.deletion) < 0.1
    assert (first.deletion == again.deletion).all()
    assert (first.random_insertion == again.random_insertion).all()


def test_blurring_keeps_light_and_shape_and_takes_what_is_small() -> None:
    flat = torch.full((3, 2, 20, 30), 0.3)
    torch.testing.assert_close(blurred(flat), flat)
    chess = (torch.arange(20)[:, None] + torch.arange(30)) % 2.0
    soft = blurred(chess.expand(1, 2, 20, 30))
    assert soft.shape == (1, 2, 20, 30)
    assert (soft - 0.5).abs().max() < 0.05
