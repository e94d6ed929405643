from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fer3d.models.convolutions import POOLS
from fer3d.models.pooling import BlockAvgPool3d, BlockMaxPool3d, BlockPool3d

Triple = tuple[int, int, int]
Setting = tuple[Triple, Triple, Triple]
Pair = tuple[type[BlockPool3d], type[nn.Module]]


class GpuMaxPool3d(BlockMaxPool3d):
    """The maximum as a GPU computes it; a CPU leaves it to PyTorch."""

    forward = BlockPool3d.forward


AVERAGE: Pair = (BlockAvgPool3d, nn.AvgPool3d)
MAX: Pair = (GpuMaxPool3d, nn.MaxPool3d)
PAIRS = [
    pytest.param(AVERAGE, id="average"),
    pytest.param(MAX, id="max"),
    pytest.param((BlockMaxPool3d, nn.MaxPool3d), id="max on a CPU"),
]
# The paper's five (section 3.1), and steps between blocks on every axis.
SETTINGS: list[Setting] = [*POOLS, ((2, 1, 3), (3, 4, 3), (1, 0, 1))]
SHAPES = [(10, 12, 14), (7, 9, 11), (2, 7, 7), (3, 4, 5)]


def random_clips(shape: Triple, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(2, 3, *shape, dtype=dtype, generator=torch.Generator().manual_seed(0)).requires_grad_()


def make(pair: Pair, setting: Setting) -> tuple[BlockPool3d, nn.Module]:
    """Returns our pool and PyTorch's."""
    return pair[0](*setting), pair[1](*setting)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("pair", PAIRS)
def test_values_and_gradients_are_those_of_pytorch(
    pair: Pair, setting: Setting, shape: Triple, layout: torch.memory_format
) -> None:
    ours, theirs = make(pair, setting)
    x, y = (random_clips(shape).detach().to(memory_format=layout).requires_grad_() for _ in range(2))
    got, want = ours(x), theirs(y)
    torch.testing.assert_close(got, want)
    weights = torch.randn(want.shape)
    (got * weights).sum().backward()
    (want * weights).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("pair", PAIRS)
def test_gradients_are_exact(pair: Pair, setting: Setting) -> None:
    x = random_clips((2, 3, 4), torch.float64)[:1, :2]
    assert torch.autograd.gradcheck(pair[0](*setting), x)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("pair", PAIRS)
def test_what_is_not_a_number_is_not_lost(pair: Pair, setting: Setting) -> None:
    ours, theirs = make(pair, setting)
    x = random_clips((4, 7, 6)).detach()
    for cell in range(x[0, 0].numel()):
        damaged = x.clone()
        damaged[1, 2].view(-1)[cell] = torch.nan
        assert torch.equal(ours(damaged).isnan(), theirs(damaged).isnan())


def test_infinities_pass_through_the_maximum() -> None:
    ours, theirs = make(MAX, POOLS[4])
    x = random_clips((2, 7, 7)).detach()
    x[0, 0, 0, 3, 3], x[1] = torch.inf, -torch.inf
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("setting", POOLS[:4])
def test_one_of_equal_maxima_gets_the_gradient(setting: Setting) -> None:
    x = torch.zeros(1, 1, 4, 4, 4, requires_grad=True)
    pooled = GpuMaxPool3d(*setting)(x)
    pooled.sum().backward()
    assert x.grad is not None
    assert sorted(x.grad.unique().tolist()) == [0.0, 1.0]
    assert x.grad.sum() == pooled.numel()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("pair", PAIRS)
def test_the_dtype_stays(pair: Pair, dtype: torch.dtype) -> None:
    x = random_clips((4, 6, 6)).detach()
    pooled = pair[0](*POOLS[1])(x.to(dtype))
    assert pooled.dtype == dtype
    torch.testing.assert_close(pooled.float(), pair[1](*POOLS[1])(x), atol=0.03, rtol=0.03)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("setting", SETTINGS)
def test_the_announced_shape_is_that_of_the_result(setting: Setting, shape: Triple) -> None:
    pool = GpuMaxPool3d(*setting)
    assert pool.output_shape(shape) == tuple(pool(random_clips(shape)).shape[2:])


def test_a_pool_that_does_not_fit_announces_nothing() -> None:
    assert min(BlockAvgPool3d(*POOLS[1]).output_shape((1, 8, 8))) < 1
    assert min(BlockAvgPool3d(*POOLS[4]).output_shape((1, 1, 1))) == 1


@pytest.mark.parametrize("stride", [(1, 2, 2), (2, 1, 2), (2, 2, 1)])
@pytest.mark.parametrize("pool", [BlockAvgPool3d, BlockMaxPool3d])
def test_overlapping_windows_are_refused(pool: type[BlockPool3d], stride: Triple) -> None:
    with pytest.raises(ValueError, match="must not overlap"):
        pool((2, 2, 2), stride, (0, 0, 0))
