"""Settings that came in a file run nobody's code but that of the packages that may be named."""

from __future__ import annotations

from typing import Any

import pytest

from fer3d.trusted_targets import TargetError, check_targets

MODELS = ("fer3d.models", "torch.nn")


@pytest.mark.parametrize(
    "settings",
    [
        {"_target_": "fer3d.models.cnn3d.CNN3d", "activation": {"_target_": "torch.nn.ReLU"}, "hidden": [4, 4]},
        {"parts": [{"_target_": "torch.nn.ReLU"}, {"_target_": "fer3d.models.pooling.BlockAvgPool3d"}]},
        {"no": "code"},
    ],
)
def test_code_of_the_packages_may_be_named(settings: dict[str, Any]) -> None:
    check_targets(settings, MODELS, "the network")


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "fer3d.atomic_file.write_file",
        "fer3d.models_of_mine.Network",
        "fer3d.models",
        "${oc.env:SHELL}",
        "hydra.utils.instantiate",
        "",
    ],
)
@pytest.mark.parametrize(
    "wrap", [lambda part: part, lambda part: {"a": [{"b": part}]}, lambda part: {"_args_": [part]}]
)
def test_other_code_is_refused_at_any_depth(target: str, wrap: Any) -> None:
    with pytest.raises(TargetError, match=r"the network .*not in a trusted package.*--trust"):
        check_targets(wrap({"_target_": target}), MODELS, "the network")


@pytest.mark.parametrize("wrap", [lambda text: text, lambda text: [{"b": text}], lambda text: {"_args_": (1, text)}])
def test_interpolations_are_refused(wrap: Any) -> None:
    """Hydra would instantiate what an interpolation resolves to."""
    settings = {
        "_target_": "torch.nn.Linear",
        "bias": wrap("${oc.create:{_target_: builtins.open, _args_: [made, w]}}"),
    }
    with pytest.raises(TargetError, match=r"\$\{"):
        check_targets(settings, MODELS, "the network")


@pytest.mark.parametrize(
    "target",
    [
        "fer3d.models.cnn3d.torch.os.system",
        "fer3d.models.network.inspect.os.system",
        "torch.nn.modules.module.torch.load",
        "fer3d.models.convolutions.POOLS",
    ],
)
def test_another_package_reached_through_a_module_is_refused(target: str) -> None:
    with pytest.raises(TargetError, match="defined outside"):
        check_targets({"_target_": target}, MODELS, "the network")


def test_a_target_that_does_not_exist_is_named() -> None:
    with pytest.raises(TargetError, match=r"fer3d\.models\.cnn3d\.Nothing, .* imported"):
        check_targets({"_target_": "fer3d.models.cnn3d.Nothing"}, MODELS, "the network")


def test_trust_is_for_whole_packages() -> None:
    check_targets({"_target_": "decimal.Decimal"}, ("decimal",), "the number")
    with pytest.raises(TargetError, match="--trust fractions"):
        check_targets({"_target_": "fractions.Fraction"}, ("decimal", "fraction"), "the number")
