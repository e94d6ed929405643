from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bright_faces import TRUST, write_network
from numpy.typing import NDArray
from trained_networks import SIZE, make_checkpoint

from fer3d.clips.frame_order import FrameOrder
from fer3d.clips.preprocess import equalise
from fer3d.prediction.networks import Ensemble, load_networks
from fer3d.prediction.trained import PredictionError
from fer3d.settings import FrameOrderName
from fer3d.training.checkpoint import Checkpoint

VIEWS = ["frames=segments", "frames.stored=12", "frames.views=3"]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """Of the real network, with three views of a clip."""
    return make_checkpoint(["clips.clahe=false", "model/activation=leaky_relu", *VIEWS])


@pytest.fixture
def write(checkpoint: Checkpoint, tmp_path: Path) -> Callable[..., Path]:
    """Writes the checkpoint with other fields, and with settings changed: `frames__views=4`; None takes one out."""

    def write(
        name: str = "last.ckpt", bias: float = 0.0, settings: dict[str, Any] | None = None, **fields: Any
    ) -> Path:
        config: Any = copy.deepcopy(checkpoint.config)
        for key, value in (settings or {}).items():
            *above, last = key.split(".")
            part = config
            for each in above:
                part = part[each]
            if value is None:
                del part[last]
            else:
                part[last] = value
        weights = dict(checkpoint.state_dict)
        (name_of_bias,) = [each for each in list(weights)[-2:] if each.endswith("bias")]
        weights[name_of_bias] = weights[name_of_bias] + torch.tensor([bias, 0.0, -bias])
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        replace(checkpoint, state_dict=weights, config=config, **fields).write(path)
        return path

    return write


def clips(number: int = 5) -> NDArray[np.uint8]:
    """Clips of noise that gets brighter and brighter."""
    noise = np.random.default_rng(0).uniform(0, 255, (number, 12, SIZE, SIZE, 1))
    return (noise * np.linspace(0.1, 1, 12)[:, None, None, None]).astype(np.uint8)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = raised / raised.sum(axis=-1, keepdims=True)
    return result


def load(*paths: Path, **settings: Any) -> Ensemble:
    return load_networks(paths, **{"device": "cpu", **settings})


def test_probabilities_are_averaged_over_the_views_of_a_clip(write: Callable[..., Path]) -> None:
    ensemble = load(write())
    network, views = ensemble.members[0].network, ensemble.trained.views
    assert len(views) == 3
    given = clips()
    each = [softmax(network.logits(np.moveaxis(given[:, list(view)], -1, 1).copy())) for view in views]
    np.testing.assert_allclose(ensemble.probabilities(given), np.mean(each, axis=0), atol=1e-6)
    assert np.ptp(each, axis=0).max() > 1e-4


@pytest.mark.parametrize("name", ["reversed", "shuffled", "apex_repeated"])
def test_every_view_comes_in_the_order_of_the_network(write: Callable[..., Path], name: FrameOrderName) -> None:
    ordered, filmed = load(write("a.ckpt", settings={"frames.order": name, "seed": 3})), load(write("b.ckpt"))
    positions = FrameOrder(name, 3).positions(10)
    assert ordered.trained.order == positions
    assert positions is not None
    given, plain = clips(), filmed.members[0].network
    views = [[view[position] for position in positions] for view in filmed.trained.views]
    each = [softmax(plain.logits(np.moveaxis(given[:, view], -1, 1).copy())) for view in views]
    np.testing.assert_allclose(ordered.probabilities(given), np.mean(each, axis=0), atol=1e-6)
    assert np.abs(ordered.probabilities(given) - filmed.probabilities(given)).max() > 1e-4


def test_a_checkpoint_from_before_there_were_orders_is_as_filmed(write: Callable[..., Path]) -> None:
    before, now = write("a.ckpt", settings={"frames.order": None}), write("b.ckpt")
    assert load(before).trained.order is None
    assert len(load(before, now).members) == 2


def test_a_temperature_divides_the_logarithms_of_the_average(write: Callable[..., Path]) -> None:
    plain = load(write()).probabilities(clips())
    found = load(write(temperature=2.5)).probabilities(clips())
    np.testing.assert_allclose(found, softmax(np.log(plain) / 2.5), atol=1e-6)


def test_several_networks_are_averaged(write: Callable[..., Path]) -> None:
    paths = [
        write("a.ckpt"),
        write("b.ckpt", bias=1.0, temperature=3.0),
        # What enters a network is its own affair.
        write("c.ckpt", settings={"clips.normalise": True}),
        # What changes no box does not matter.
        write("d.ckpt", settings={"faces.detector.batch_size": 2}),
    ]
    found = load(*paths).probabilities(clips())
    alone = [load(path).probabilities(clips()) for path in paths]
    np.testing.assert_allclose(found, np.mean(alone, axis=0), atol=1e-12)
    assert min(np.abs(alone[k] - alone[0]).max() for k in (1, 2)) > 1e-3
    assert found.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("settings", "fields", "said"),
    [
        (
            {},
            {"emotions": ("anger", "happy", "fear")},
            "emotions is anger, happy, sad in the first and anger, happy, fear",
        ),
        ({"faces.crop.margin": 0.2}, {}, r"faces.crop.margin is 0.0 in the first and 0.2 in the second"),
        ({"clips.clahe": True}, {}, "clahe is False in the first and True in the second"),
        ({"frames.order": "reversed"}, {}, "frames.order is as_filmed in the first and reversed in the second"),
        ({"frames.stored": 16}, {}, "num_stored is 12 in the first and 16 in the second"),
        ({"faces.detector.confidence": 0.9}, {}, r"faces.detector.confidence is 0.5 in the first and 0.9 in"),
    ],
)
def test_networks_whose_clips_differ_are_not_averaged(
    write: Callable[..., Path], settings: dict[str, Any], fields: dict[str, Any], said: str
) -> None:
    paths = [write("a.ckpt"), write("b.ckpt", settings=settings, **fields)]
    with pytest.raises(PredictionError, match=rf"a\.ckpt and .*b\.ckpt cannot be averaged: {said}"):
        load(*paths)


def test_the_detector_may_run_in_another_engine(write: Callable[..., Path]) -> None:
    pytest.importorskip("openvino")
    trained = load(write()).trained
    assert "engine" not in trained.detector().settings()
    assert trained.detector("openvino").settings()["engine"] == "openvino"
    with pytest.raises(PredictionError, match=r"--detector-engine tpu: .*engine must be one of opencv, openvino"):
        trained.detector("tpu")


def test_a_runs_folder_stands_for_all_its_folds(write: Callable[..., Path], tmp_path: Path) -> None:
    paths = [write(f"run/fold_{number:03d}/last.ckpt") for number in (2, 10, 1)]
    (tmp_path / "run/fold_003").mkdir()
    assert [member.path for member in load(tmp_path / "run").members] == sorted(paths)
    assert [member.path for member in load(tmp_path / "run/fold_010").members] == [paths[1]]
    with pytest.raises(PredictionError, match=r"fold_003 contains no checkpoint.*save_checkpoint=true"):
        load(tmp_path / "run/fold_003")


def test_what_is_no_network_is_a_sentence(write: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match="--with"):
        load()
    with pytest.raises(PredictionError, match=r"--with is .*nothing\.ckpt, which is not a file"):
        load(tmp_path / "nothing.ckpt")
    path = write()
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(PredictionError, match=r"--with is .*last\.ckpt, which is not a checkpoint"):
        load(path)


def test_a_checkpoint_of_an_earlier_version_says_so_and_which_it_is(write: Callable[..., Path]) -> None:
    with pytest.raises(PredictionError, match=r"last\.ckpt: .*an old version of fer3d wrote it"):
        load(write(num_channels=None))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"frames": None}, "key 'frames'"),
        ({"faces.crop": None}, "key 'crop'"),
        ({"model.hidden": "many"}, "CNN3d"),
        ({"frames.stored": 3}, "frames.stored is 3"),
        ({"frames.order": "sorted"}, "frames.order must be one of"),
        ({"model.colour": "blue"}, "colour"),
    ],
)
def test_settings_that_make_no_network_are_a_sentence(
    write: Callable[..., Path], settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(PredictionError, match=rf"last\.ckpt contains settings .*({said})"):
        load(write(settings=settings))


def test_code_of_another_package_runs_only_where_it_is_trusted(tmp_path: Path) -> None:
    path = write_network(tmp_path / "mine.ckpt")
    with pytest.raises(PredictionError, match=r"mine\.ckpt: .*bright_faces\.Flat, .*--trust bright_faces"):
        load(path)
    assert load(path, trusted=TRUST).trained.emotions == ("anger", "happy", "sad")


@pytest.mark.parametrize("key", ["model.activation", "frames", "faces.detector", "faces.crop"])
def test_no_part_of_a_checkpoint_runs_other_code(write: Callable[..., Path], tmp_path: Path, key: str) -> None:
    path = write(settings={f"{key}._target_": "pathlib.Path.touch", f"{key}._args_": [str(tmp_path / "made")]})
    with pytest.raises(PredictionError, match=r"pathlib\.Path\.touch, .*not in a trusted package"):
        load(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("device", ["gpu", "meta", "mps", "cuda:99", "cpu:1", ""])
def test_a_device_that_is_not_there_is_named(write: Callable[..., Path], device: str) -> None:
    with pytest.raises(PredictionError, match=r"--device .*(auto, cpu or cuda|CUDA GPUs)"):
        load(write(), device=device)


def test_crops_are_equalised_where_training_equalised_them(write: Callable[..., Path]) -> None:
    crop = clips(1)[0, 0]
    np.testing.assert_array_equal(load(write()).prepared(crop), crop)
    equalised = load(write(settings={"clips.clahe": True})).prepared(crop)
    np.testing.assert_array_equal(equalised, equalise(crop[None, None])[0, 0])
    assert (equalised != crop).any()


def test_what_was_learnt_from_rendered_faces_says_so(write: Callable[..., Path]) -> None:
    real, rendered = write("real.ckpt", synthetic=False), write("rendered.ckpt", synthetic=True)
    assert load(real).caution == ""
    for paths in ((rendered,), (real, rendered)):
        assert load(*paths).caution == "SYNTHETIC: trained on rendered faces (test)"
