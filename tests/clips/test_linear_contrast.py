from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from fer3d.clips.augment import RandomLinearContrast


def contrast(low: float = 0.22, high: float = 2.2, **options: Any) -> RandomLinearContrast:
    return RandomLinearContrast((low, high), **options)


def on_bytes(values: Tensor, factor: float) -> Tensor:
    """The contrast as the paper states it, on the 0..255 scale."""
    return (127 + factor * (255 * values - 127)).clip(0, 255) / 255


class TestRandomLinearContrast:
    @pytest.mark.parametrize("factor", [(2.2, 0.22), (-0.1, 1.0)])
    def test_exception(self, factor: tuple[float, float]) -> None:
        with pytest.raises(ValueError, match="factor must be a range"):
            RandomLinearContrast(factor)

    @pytest.mark.parametrize("factor", [0.0, 0.22, 1.0, 1.7, 2.2])
    def test_feature(self, factor: float) -> None:
        values = torch.arange(256).view(1, 1, 16, 16) / 255
        changed = contrast(factor, factor)(values)
        torch.testing.assert_close(changed, on_bytes(values, factor))
        assert changed.min() >= 0
        assert changed.max() <= 1

    def test_each_image_of_a_batch_has_a_factor_of_its_own_in_the_range(self) -> None:
        operation = contrast()
        values = torch.full((500, 1, 1, 1), 100 / 255)
        changed = operation(values).flatten()
        factors = operation.forward_parameters(values.shape)["factor"]
        assert len(changed.unique()) > 400
        assert factors.min() >= 0.22
        assert factors.max() <= 2.2
        # 500 draws leave no large part of the range out.
        assert factors.min() < 0.3
        assert factors.max() > 2.1

    def test_an_image_can_be_left_alone(self) -> None:
        values = torch.rand(5, 1, 2, 2)
        assert torch.equal(contrast(p=0.0)(values), values)
