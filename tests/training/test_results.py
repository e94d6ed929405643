from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer3d.training.results import (
    EpochPredictions,
    FoldResult,
    ResultError,
    fold_folder,
    read_result,
    write_result,
)

INFO = {
    "digest": "d" * 64,
    "seed": 7,
    "subjects": ["S005"],
    "versions": {"torch": "2"},
    "seconds": 1.5,
    "config": {"name": "Lézoray"},
}


@pytest.fixture
def result() -> FoldResult:
    """Three epochs that get 1, 3 and 2 of 4 clips right."""
    labels = np.array([0, 1, 2, 1], dtype=np.int64)
    said = np.array([[0, 0, 0, 0], [0, 1, 0, 1], [0, 1, 1, 2]])
    logits = np.random.default_rng(0).normal(size=(3, 4, 3)).astype(np.float32) + 9 * np.eye(3, dtype=np.float32)[said]
    clip_ids = ("S005/001", "S005/002", "S005/003", "S005/006")
    return FoldResult(
        fold=3,
        logits=logits.astype(np.float32),
        labels=labels,
        clip_ids=clip_ids,
        subjects=("S005",) * 4,
        emotions=("anger", "fear", "happy"),
        info=INFO,
    )


@pytest.fixture
def folder(tmp_path: Path, result: FoldResult) -> Path:
    """A folder that holds the result."""
    folder = fold_folder(tmp_path, result.fold)
    folder.mkdir()
    write_result(result, folder)
    return folder


def test_folders_sort_like_folds(tmp_path: Path) -> None:
    assert fold_folder(tmp_path, 3) == tmp_path / "fold_003"
    assert fold_folder(tmp_path, 99) < fold_folder(tmp_path, 118)


def test_reads_what_was_written(folder: Path, result: FoldResult) -> None:
    found = read_result(folder)
    assert (found.fold, found.clip_ids, found.emotions) == (result.fold, result.clip_ids, result.emotions)
    assert (found.subjects, found.inner_val) == (result.subjects, None)
    np.testing.assert_array_equal(found.logits, result.logits)
    np.testing.assert_array_equal(found.labels, result.labels)
    assert (found.logits.dtype, found.labels.dtype) == (np.float32, np.int64)
    assert {key: found.info[key] for key in INFO} == INFO


def test_result_is_json_that_a_person_can_read(folder: Path) -> None:
    text = (folder / "result.json").read_text(encoding="utf-8")
    assert "Lézoray" in text
    assert text.count("\n") > 10
    found = json.loads(text)
    assert found["num_correct"] == {"last_epoch": 2, "best_epoch": 3, "every_epoch": [1, 3, 2]}
    assert (found["fold"], found["num_held_out"]) == (3, 4)


def test_logits_can_be_read_without_fer3d(folder: Path) -> None:
    with np.load(folder / "logits.npz", allow_pickle=False) as arrays:
        shapes = {name: array.shape for name, array in arrays.items()}
    assert shapes == {"logits": (3, 4, 3), "labels": (4,), "clip_ids": (4,), "subjects": (4,), "emotions": (3,)}


def test_clips_kept_back_are_read_as_written(tmp_path: Path, result: FoldResult) -> None:
    kept = EpochPredictions(
        logits=np.arange(18, dtype=np.float32).reshape(3, 2, 3),
        labels=np.array([2, 0]),
        clip_ids=("S010/001", "S011/004"),
        subjects=("S010", "S011"),
    )
    write_result(replace(result, inner_val=kept), tmp_path)
    found = read_result(tmp_path)
    assert found.inner_val is not None
    np.testing.assert_array_equal(found.inner_val.logits, kept.logits)
    np.testing.assert_array_equal(found.inner_val.labels, kept.labels)
    assert (found.inner_val.clip_ids, found.inner_val.subjects) == (kept.clip_ids, kept.subjects)
    np.testing.assert_array_equal(found.logits, result.logits)


def test_a_fold_that_holds_out_nothing_says_so(tmp_path: Path, result: FoldResult) -> None:
    everything = replace(
        result,
        logits=np.empty((3, 0, 3), dtype=np.float32),
        labels=np.empty(0, dtype=np.int64),
        clip_ids=(),
        subjects=(),
        info={**INFO, "num_train": 7},
    )
    write_result(everything, tmp_path)
    assert read_result(tmp_path).summary() == "fold 3: trained on all 7 clips, nothing was held out"


def test_summary_tells_the_last_epoch_from_the_best(result: FoldResult) -> None:
    assert result.num_correct.tolist() == [1, 3, 2]
    assert result.summary() == (
        "fold 3: 2 of 4 held-out clips right after the last epoch (50.0%); best epoch, chosen on these very clips and "
        "so optimistic: 75.0% (epoch 2)"
    )


@pytest.mark.parametrize(("synthetic", "kind"), [(True, "SYNTHETIC held-out clips"), (False, "held-out clips")])
def test_summary_calls_synthetic_clips_synthetic(result: FoldResult, synthetic: bool, kind: str) -> None:
    told = replace(result, info={**result.info, "synthetic": synthetic})
    assert told.summary().startswith(f"fold 3: 2 of 4 {kind} right")


def delete(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def truncate(name: str, num_bytes: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:num_bytes])


def flip_byte(folder: Path) -> None:
    data = bytearray((folder / "logits.npz").read_bytes())
    data[len(data) // 4] ^= 255
    (folder / "logits.npz").write_bytes(data)


def edit(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        (folder / "result.json").write_text(json.dumps({**content, **changes}), encoding="utf-8")

    return change


def drop_key(folder: Path) -> None:
    content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    del content["fold"]
    (folder / "result.json").write_text(json.dumps(content), encoding="utf-8")


def make_list(folder: Path) -> None:
    (folder / "result.json").write_text("[]", encoding="utf-8")


def save_other_arrays(folder: Path) -> None:
    np.savez(folder / "logits.npz", logits=np.zeros((1, 2, 3)))


DAMAGES = {
    "no result.json": delete("result.json"),
    "no logits.npz": delete("logits.npz"),
    "truncated result.json": truncate("result.json", 40),
    "empty result.json": truncate("result.json", 0),
    "no object": make_list,
    "no fold": drop_key,
    "truncated logits.npz": truncate("logits.npz", 300),
    "empty logits.npz": truncate("logits.npz", 0),
    "a flipped byte": flip_byte,
    "missing arrays": save_other_arrays,
    "another format": edit(format=1),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_one_sentence_with_the_folder_and_the_way_out(damage: Callable[[Path], None], folder: Path) -> None:
    damage(folder)
    with pytest.raises(ResultError) as caught:
        read_result(folder)
    message = str(caught.value)
    assert message.startswith(f"{folder} holds no usable fold result: ")
    assert message.endswith("Delete it to train the fold again.")


def test_arrays_that_do_not_fit_together_are_refused(tmp_path: Path, result: FoldResult) -> None:
    write_result(replace(result, clip_ids=result.clip_ids[:-1]), tmp_path)
    with pytest.raises(ResultError, match=r"logits of shape \(3, 4, 3\)"):
        read_result(tmp_path)
    write_result(replace(result, emotions=("anger", "fear")), tmp_path)
    with pytest.raises(ResultError, match=r"logits of shape \(3, 4, 3\)"):
        read_result(tmp_path)
