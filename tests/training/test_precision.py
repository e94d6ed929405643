from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fer3d.training import device
from fer3d.training.device import COMPILING_PAYS, resolve_compile, resolve_precision

CPU_FLAGS = Path("/proc/cpuinfo")


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("accelerator", ["auto", "cpu", "gpu"])
def test_an_explicit_precision_is_taken_at_its_word(precision: str, accelerator: str) -> None:
    assert resolve_precision(precision, accelerator) == precision


@pytest.mark.parametrize("precision", ["16-mixed", "bf16", "32", "", "AUTO"])
def test_another_precision_is_an_error_that_names_the_choices(precision: str) -> None:
    with pytest.raises(ValueError, match=f"must be auto, 32-true or bf16-mixed, got '{precision}'"):
        resolve_precision(precision)


@pytest.mark.skipif(not CPU_FLAGS.exists(), reason="needs Linux's list of the processor's abilities")
def test_on_a_cpu_auto_is_bf16_only_with_instructions_for_it() -> None:
    fast = {"amx_bf16", "avx512_bf16"} & set(CPU_FLAGS.read_text().split())
    assert resolve_precision("auto", "cpu") == ("bf16-mixed" if fast else "32-true")


@pytest.mark.parametrize(
    ("abilities", "fast"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, True),
        ({"amx_bf16": False, "avx512_bf16": True}, True),
        ({"amx_bf16": False, "avx512_bf16": False}, False),
        ({"sve": True}, False),
    ],
)
def test_auto_follows_the_cpus_abilities(
    monkeypatch: pytest.MonkeyPatch, abilities: dict[str, bool], fast: bool
) -> None:
    # No one machine is of all kinds.
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities)
    assert resolve_precision("auto", "cpu") == ("bf16-mixed" if fast else "32-true")


@pytest.mark.parametrize(("native", "want"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_follows_the_gpus_abilities_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, native: bool, want: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    # Older GPUs emulate bf16, which is slow.
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": not native})
    assert resolve_precision("auto", "auto") == resolve_precision("auto", "gpu") == want
    assert resolve_precision("auto", "cpu") != want


def test_a_run_is_compiled_if_it_is_long_and_on_a_gpu_and_there_is_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    long, short, gpu, cpu = COMPILING_PAYS, COMPILING_PAYS / 2, torch.device("cuda"), torch.device("cpu")
    monkeypatch.setattr(device, "has_compiler", lambda: True)
    assert resolve_compile("auto", long, gpu)
    assert not resolve_compile("auto", short, gpu)
    assert not resolve_compile("auto", long, cpu)
    monkeypatch.setattr(device, "has_compiler", lambda: False)
    assert not resolve_compile("auto", long, gpu)
    for chosen in (True, False):
        assert resolve_compile(chosen, short, cpu) is chosen
