from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_checkpoints import KeptRun, write_kept_run
from fixture_types import Invoke

from fer3d.training.checkpoint import Checkpoint


@pytest.fixture
def explain(invoke: Invoke) -> Invoke:
    return lambda *arguments: invoke("explain", *map(str, arguments))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> KeptRun:
    return write_kept_run(tmp_path_factory.mktemp("outputs"))


def told(folder: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((folder / "explanation.json").read_text())
    return content


def test_explains_clips_by_the_folds_that_held_them_out(explain: Invoke, kept: KeptRun, tmp_path: Path) -> None:
    first, second = (kept.results.folds[number].clip_ids[0] for number in (0, 2))
    status, out, err = explain(kept.folder, "--clip", first, "--clip", second, "--out", tmp_path / "into")
    assert (status, err) == (0, "")
    content = told(tmp_path / "into")
    assert content["caution"] == "SYNTHETIC data"
    assert out.count("[SYNTHETIC data]") == 2
    assert out.splitlines()[-1].startswith(f"{tmp_path / 'into'}: explanation.json, ")
    for clip, clip_id, fold in zip(content["clips"], (first, second), (1, 3), strict=True):  # type: ignore[call-overload]
        assert (clip["clip"], clip["checkpoint"]["fold"]) == (clip_id, fold)
        assert clip["checkpoint"]["weights"] == Checkpoint.read(kept.checkpoint(fold)).weights_digest
        assert clip["label"] == kept.store.clip_emotions[kept.store.clip_ids.index(clip_id)]
        assert clip["said"] == max(clip["probabilities"], key=clip["probabilities"].get)
        assert sum(clip["probabilities"].values()) == pytest.approx(1)
        (explained,) = clip["explained"]
        assert explained["emotion"] == clip["said"]
        shares = [frame["share"] for frame in explained["frames"]]
        assert len(shares) == 10
        assert sum(shares) == pytest.approx(1) or not any(shares)
        for curve in (explained["deletion"], explained["insertion"]):
            assert len(curve["probabilities"]) == len(explained["shares_of_voxels"])
            assert 0 <= curve["area"] <= 1
        assert explained["deletion"]["probabilities"][0] == pytest.approx(explained["probability"], abs=1e-5)
        assert explained["insertion"]["probabilities"][-1] == pytest.approx(explained["probability"], abs=1e-5)
        assert all((tmp_path / "into" / name).stat().st_size for name in explained["files"])


def test_emotions_layer_and_method_can_be_chosen_and_a_network_that_has_seen_the_clip_says_so(
    explain: Invoke, kept: KeptRun, tmp_path: Path
) -> None:
    clip_id = kept.results.folds[0].clip_ids[0]
    chosen = ["--emotion", "fear", "--emotion", "anger", "--layer", "features.1.0", "--method", "gradcam"]
    status, out, err = explain(kept.checkpoint(2), "--clip", clip_id, *chosen, "--out", tmp_path / "into")
    assert (status, err) == (0, "")
    content = told(tmp_path / "into")
    (clip,) = content["clips"]  # type: ignore[misc]
    assert [explained["emotion"] for explained in clip["explained"]] == ["fear", "anger"]
    assert {(explained["layer"], explained["method"]) for explained in clip["explained"]} == {
        ("features.1.0", "gradcam")
    }
    files = {file for explained in clip["explained"] for file in explained["files"]}
    assert files == {path.name for path in (tmp_path / "into").iterdir()} - {"explanation.json"}
    assert len(files) == 4
    assert out.count("[SYNTHETIC data, SEEN IN TRAINING]") == 2
    assert clip["caution"] == content["caution"] == "SYNTHETIC data, SEEN IN TRAINING"
    assert all("SEEN IN TRAINING" in path.read_text() for path in (tmp_path / "into").glob("*.svg"))


def test_explains_a_network_that_only_saw_the_last_frame(explain: Invoke, tmp_path: Path) -> None:
    kept = write_kept_run(tmp_path / "outputs", "frames.order=apex_repeated")
    clip_id = kept.results.folds[0].clip_ids[0]
    status, _, err = explain(kept.folder, "--clip", clip_id, "--out", tmp_path / "into")
    assert (status, err) == (0, "")
    (clip,) = told(tmp_path / "into")["clips"]  # type: ignore[misc, attr-defined]
    assert len(clip["explained"][0]["frames"]) == 1


@pytest.mark.slow
def test_explains_frames_of_a_folder(explain: Invoke, kept: KeptRun, tmp_path: Path, astronaut: Path) -> None:
    status, _, err = explain(kept.checkpoint(1), astronaut, "--out", tmp_path / "into")
    assert (status, err) == (0, "")
    (clip,) = told(tmp_path / "into")["clips"]  # type: ignore[misc, attr-defined]
    assert clip["clip"].startswith("astronaut, face 1, ")
    assert clip["caution"].startswith("SYNTHETIC: trained on rendered faces")
    assert clip["label"] is None
    assert clip["explained"][0]["frames"][0]["frame"].endswith(" s")
    status, _, err = explain(kept.checkpoint(1), astronaut, "--face", 2, "--out", tmp_path / "into")
    assert status == 1
    assert f"{astronaut} has no face 2; its faces are 1" in err


@pytest.fixture
def astronaut(tmp_path: Path) -> Path:
    """Frames of a real face."""
    import skimage.data

    folder = tmp_path / "astronaut"
    folder.mkdir()
    picture = cv2.cvtColor(skimage.data.astronaut()[:256, 100:356], cv2.COLOR_RGB2BGR)
    for number in range(12):
        cv2.imwrite(str(folder / f"{number:03d}.png"), np.ascontiguousarray(picture))
    return folder


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{run}"], "--clip S005/001"),
        (["{run}/nowhere", "--clip", "S001/001"], "{run}/nowhere does not exist"),
        (["{run}", "--clip", "S999/001"], "{run} contains 3 checkpoints, and none of its folds held out S999/001"),
        (["{run}", "a.mp4"], "{run} contains 3 checkpoints"),
        (["{run}/fold_001", "--clip", "S999/001"], "{run}/../clips/store does not contain clip S999/001"),
        (["{run}/fold_001", "--clip", "S001/001", "--emotion", "joy"], "joy is not an emotion of"),
        (["{run}/fold_001", "--clip", "S001/001", "--layer", "x"], "the network has no layer x with a map"),
        (["{run}/fold_001", "--clip", "S001/001", "--clips", "{run}"], "{run} does not contain the clip store"),
        (["{run}/fold_001", "a.mp4"], "a.mp4 does not exist"),
    ],
)
def test_what_cannot_be_explained_is_a_sentence(
    arguments: list[str], said: str, explain: Invoke, kept: KeptRun, tmp_path: Path
) -> None:
    run = str(kept.folder)
    given = [argument.format(run=run) for argument in arguments]
    status, out, err = explain(*given, "--out", tmp_path / "into")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert said.format(run=run).replace(f"{kept.folder.name}/../", "") in err
    assert not (tmp_path / "into").exists()


def test_a_fold_without_its_network_is_named(explain: Invoke, tmp_path: Path) -> None:
    kept = write_kept_run(tmp_path / "outputs")
    kept.checkpoint(2).unlink()
    clip_id = kept.results.folds[1].clip_ids[0]
    status, _, err = explain(kept.folder, "--clip", clip_id)
    assert status == 1
    assert f"fold 2 of {kept.folder} held out {clip_id} but has no checkpoint" in err


def test_code_of_others_runs_only_if_it_is_trusted(explain: Invoke, tmp_path: Path) -> None:
    kept = write_kept_run(tmp_path / "outputs")
    path, clip_id = kept.checkpoint(1), kept.results.folds[0].clip_ids[0]
    from dataclasses import replace

    checkpoint = Checkpoint.read(path)
    replace(checkpoint, config={**checkpoint.config, "model": {"_target_": "os.system"}}).write(path)
    status, out, err = explain(path, "--clip", clip_id)
    assert (status, out) == (1, "")
    assert "os.system" in err
