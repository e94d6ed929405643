"""What only a CUDA GPU can show; skipped where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fixture_types import Compose, Invoke, MakeStore
from prepared import PreparedCKPlus
from test_run_numbers import SMALL
from trained_networks import write_checkpoint

from fer3d.memory import free_bytes
from fer3d.prediction.torch_network import read_checkpoint
from fer3d.training.results import read_result
from fer3d.training.run import Run
from fer3d.training.static_forward import StaticForward

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")


@pytest.fixture
def on_gpu(compose_tiny: Compose) -> Compose:
    return lambda *overrides: compose_tiny("trainer.accelerator=gpu", *overrides)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize(
    "parts",
    [
        [],
        ["model/pooling=max", "optimizer=lookahead", "model/activation=prelu"],
        ["class_weights=true", "clips.normalise=true"],
    ],
)
def test_a_fold_gives_the_same_numbers_twice(
    on_gpu: Compose, make_store: MakeStore, tmp_path: Path, precision: str, parts: list[str]
) -> None:
    store = make_store()
    logits = []
    for name in ("first", "second"):
        run = Run.of(on_gpu(*parts, f"precision={precision}", f"outputs={tmp_path / name}"), store)
        logits.append(run.fold_result(1).logits)
    np.testing.assert_array_equal(*logits)


def test_streamed_clips_give_the_numbers_of_clips_on_the_gpu(
    on_gpu: Compose, make_store: MakeStore, tmp_path: Path
) -> None:
    store = make_store()
    logits = []
    for memory in ("null", "0"):
        run = Run.of(on_gpu(f"clips.memory={memory}", f"outputs={tmp_path / memory}"), store)
        logits.append(run.fold_result(1).logits)
    np.testing.assert_array_equal(*logits)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_recorded_steps_give_the_numbers_of_steps_launched_one_by_one(
    on_gpu: Compose, make_store: MakeStore, tmp_path: Path, precision: str
) -> None:
    store = make_store()
    logits = []
    for recorded in ("true", "false"):
        settings = ["model.dropout=0.5", f"precision={precision}", f"cuda_graphs={recorded}"]
        logits.append(Run.of(on_gpu(*settings, f"outputs={tmp_path / recorded}"), store).fold_result(1).logits)
    np.testing.assert_array_equal(*logits)


def test_a_network_that_cannot_be_recorded_trains_without(caplog: pytest.LogCaptureFixture) -> None:
    class Undecided(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) if x.sum().item() > 0 else -super().forward(x)

    network, x = Undecided(4, 3).cuda(), torch.rand(5, 4, device="cuda")
    logits = StaticForward(network, compiled=False, may_fall_back=False, recorded=True)(x)
    torch.testing.assert_close(logits, network(x))
    assert "CUDA graphs" in caplog.text


def test_it_learns(on_gpu: Compose, make_store: MakeStore) -> None:
    settings = [*SMALL, "optimizer.lr=0.01"]
    result = Run.of(on_gpu(*settings), make_store(num_subjects=8)).fold_result(1)
    assert (result.logits[-1].argmax(1) == result.labels).mean() > 0.7  # chance is 1/7


def test_the_gpu_agrees_with_the_cpu(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "last.ckpt")
    clips = np.random.default_rng(0).integers(0, 256, (3, 1, 10, 32, 32), dtype=np.uint8)
    cpu, gpu = (read_checkpoint(path, device, ())[1].logits(clips) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(gpu, cpu, rtol=1e-3, atol=1e-3)


def test_the_command_trains_on_the_gpu_by_itself_and_keeps_a_checkpoint(
    prepared: PreparedCKPlus, invoke: Invoke
) -> None:
    settings = [setting for setting in prepared.settings if not setting.startswith(("trainer.acc", "precision"))]
    status, out, err = invoke("train", *settings, f"outputs={prepared.outputs}", "+fold=1", "save_checkpoint=true")
    assert (status, err) == (0, "")
    assert "bf16-mixed" in out
    (fold,) = prepared.outputs.glob("*/fold_001")
    assert read_result(fold).info["device"] == torch.cuda.get_device_name()
    assert torch.load(fold / "last.ckpt", weights_only=True)


def test_free_memory_of_the_gpu_is_asked_for() -> None:
    assert 0 < free_bytes(torch.device("cuda")) <= torch.cuda.mem_get_info()[1]
