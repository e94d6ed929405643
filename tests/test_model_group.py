"""Every network of the group `model` trains, resumes, is exported, explained and searched, as the paper's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from fixture_types import Compose, Invoke
from prepared import TINY, PreparedCKPlus

from fer3d.configuration import config_folder
from fer3d.models.network import Task, check_bf16_convolutions, check_network, use_channels_last
from fer3d.training.networks import make_network
from fer3d.training.results import read_result

# `own` names no code: test_extend.py runs what docs/extend.md puts there.
NETWORKS = sorted({path.stem for path in (Path(config_folder()) / "model").glob("*.yaml")} - {"own"})
COMPACT = [name for name in NETWORKS if f"{name}_compact" not in NETWORKS and name not in ("cnn3d", "compact")]
QUICK = ("c3d_lstm_compact", "frame_compact")
ALSO_QUICK = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in COMPACT]
SMALL = [setting for setting in TINY if not setting.startswith("model.")]


def tiny(name: str) -> list[str]:
    """Settings that make a network of the group tiny, too."""
    filters = "filters=[[2],[2],[2],[2],[2]]"
    if name in ("cnn3d", "compact", "factorised"):
        return [f"model={name}", f"model.{filters}", "model.hidden=[4,4]"]
    if name.startswith("videomae"):
        return [f"model={name}", "model.encoder.width=6", "model.encoder.num_layers=2", "model.encoder.num_heads=2"]
    is_resnet = "18" in name or ("_compact" not in name and name != "c3d_lstm")
    return [f"model={name}", "model.encoder.width=2" if is_resnet else f"model.encoder.{filters}"]


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_keeps_the_contract(name: str, num_channels: int, compose_config: Compose) -> None:
    task = Task(num_classes=5, num_frames=10, size=32, num_channels=num_channels)
    network = make_network(compose_config(*tiny(name)).model, task)
    check_network(network, task, batch_size=2, normalise=False)
    use_channels_last(network)
    check_bf16_convolutions(network, task)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(torch.rand(2, *task.clip_shape)).isfinite().all()


@pytest.mark.parametrize("name", ALSO_QUICK)
def test_trains_resumes_exports_and_explains(name: str, prepared: PreparedCKPlus, invoke: Invoke) -> None:
    corpus = [setting for setting in prepared.settings if setting not in TINY]
    settings = [*corpus, *SMALL, *tiny(name), "name=group", f"outputs={prepared.outputs}", "+fold=1"]
    settings += ["save_checkpoint=true"]
    status, _, err = invoke("train", *settings)
    assert status == 0, err
    (run,) = prepared.outputs.glob("group-*")
    result = read_result(run / "fold_001")
    assert result.info["num_parameters"] > 0
    assert result.info["gflop"] > 0
    assert result.info["clips_per_second"] > 0
    assert "done already" in invoke("train", *settings)[1]

    exported = prepared.outputs / "network.onnx"
    status, _, err = invoke("export", str(run / "fold_001/last.ckpt"), "--out", str(exported))
    assert status == 0, err
    assert exported.is_file()

    clip = result.clip_ids[0]
    status, _, err = invoke("explain", str(run), "--clip", clip, "--out", str(prepared.outputs / "why"))
    assert status == 0, err
    (explained,) = json.loads((prepared.outputs / "why/explanation.json").read_text())["clips"]
    shares = [frame["share"] for frame in explained["explained"][0]["frames"]]
    assert len(shares) == 10
    if name == "frame_compact":
        # It has not seen any other frame.
        assert not any(shares[:-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPACT)
def test_is_searched(name: str, prepared: PreparedCKPlus, invoke: Invoke) -> None:
    corpus = [setting for setting in prepared.settings if setting not in TINY]
    settings = [*corpus, *SMALL, *tiny(name), f"outputs={prepared.outputs}", "hydra.sweeper.n_trials=1"]
    status, out, err = invoke("train", f"search={name.removesuffix('_compact')}", *settings)
    assert status == 0, err
    assert re.search(r"^best: trial", out, re.MULTILINE), out


def test_describes_a_network_without_training_it(prepared: PreparedCKPlus, invoke: Invoke) -> None:
    settings = [*prepared.settings, f"outputs={prepared.outputs}"]
    status, out, err = invoke("train", "--describe", *settings)
    assert status == 0, err
    told = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in out.strip().splitlines())
    assert told["network"] == "CNN3d"
    assert int(told["parameters"].replace(",", "")) > 0
    assert "clips/s (cpu, 32-true, not compiled, batches of 8)" in told["training"]
    assert not list(prepared.outputs.glob("*/fold_*"))


@pytest.mark.parametrize("search", ["hydra/sweeper=optuna", "search=cnn_lstm"])
def test_a_search_cannot_be_described(search: str, invoke: Invoke) -> None:
    status, out, err = invoke("train", "--describe", search)
    assert (status, out) == (1, "")
    assert "--describe is about a configuration, not a search" in err


def test_a_space_for_another_network_is_refused_by_name(prepared: PreparedCKPlus, invoke: Invoke) -> None:
    settings = [*prepared.settings, f"outputs={prepared.outputs}"]
    status, _, err = invoke("train", "search=cnn_lstm", *settings)
    assert status == 1
    assert "varies model.aggregation.width, which this configuration lacks" in err
