from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer3d.checked_json import sealed
from fer3d.clips.independence import Independence
from fer3d.training.results import (
    EpochPredictions,
    FoldResult,
    ResultError,
    facts,
    fold_folder,
    read_result,
    write_result,
)

INFO = {
    "run": "test-dddddddd",
    "digest": "d" * 64,
    "corpus": "ckplus",
    "synthetic": False,
    "clip_store": "c" * 64,
    "start_from": None,
    "seed": 7,
    "precision": "32-true",
    "subjects": ["S005"],
    "num_folds": 3,
    "num_clips": 11,
    "num_train": 7,
    "num_train_with_copies": {"anger": 10, "fear": 10, "happy": 15},
    "finished": "2026-11-23T08:00:00+00:00",
    "seconds": 1.5,
    "device": "cpu",
    "versions": {"torch": "2"},
    "config": {
        "name": "Lézoray",
        "cv": {"_target_": "fer3d.clips.folds.step_folds"},
        "model": {"_target_": "fer3d.models.cnn3d.CNN3D"},
        "clips": {"num_frames": 10},
        "faces": {"crop": {"size": 64}},
        "trainer": {"max_epochs": 3},
    },
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
        info={**INFO, "subjects": []},
    )
    write_result(everything, tmp_path)
    assert read_result(tmp_path).summary() == "fold 3: trained on all 7 clips, nothing was held out"


def test_summary_tells_the_last_epoch_from_the_best(result: FoldResult) -> None:
    assert result.num_correct.tolist() == [1, 3, 2]
    assert result.summary() == (
        "fold 3: 2 of 4 held-out clips right after the last epoch (50.0%); best epoch, chosen on these very clips and "
        "so optimistic: 75.0% (epoch 2)"
    )


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"synthetic": False}, ""),
        ({"synthetic": True}, "SYNTHETIC "),
        ({"synthetic": True, **Independence(num_shared=2).entries}, "NOT SUBJECT-INDEPENDENT SYNTHETIC "),
        ({"synthetic": True, **Independence(subjects_known=False).entries}, "NOT SUBJECT-INDEPENDENT SYNTHETIC "),
    ],
)
def test_summary_says_what_the_clips_are(result: FoldResult, changes: dict[str, Any], kind: str) -> None:
    told = replace(result, info={**result.info, **changes})
    assert told.summary().startswith(f"fold 3: 2 of 4 {kind}held-out clips right")


def delete(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def truncate(name: str, num_bytes: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:num_bytes])


def flip_byte(folder: Path) -> None:
    data = bytearray((folder / "logits.npz").read_bytes())
    data[len(data) // 4] ^= 255
    (folder / "logits.npz").write_bytes(data)


def content(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return loaded


def write(folder: Path, changed: object) -> None:
    (folder / "result.json").write_text(json.dumps(changed), encoding="utf-8")


def lie(key: str, *value: object) -> Callable[[Path], None]:
    """Changes an entry, its key in dotted form, as somebody would who knows of the checksum; no value drops it."""

    def change(folder: Path) -> None:
        changed = content(folder)
        *parents, last = key.split(".")
        entries = changed
        for parent in parents:
            entries = entries[parent]
        entries.pop(last, None)
        entries |= dict.fromkeys([last], *value) if value else {}
        write(folder, sealed(changed))

    return change


def save(**changes: object) -> Callable[[Path], None]:
    """Saves other arrays, with the digest that they need to be read at all; None drops one."""

    def change(folder: Path) -> None:
        with np.load(folder / "logits.npz") as arrays:
            kept = {name: array for name, array in {**arrays, **changes}.items() if array is not None}
        np.savez(folder / "logits.npz", **kept)
        digest = hashlib.sha256((folder / "logits.npz").read_bytes()).hexdigest()
        write(folder, sealed({**content(folder), "logits_sha256": digest}))

    return change


LOGITS = np.zeros((3, 4, 3), dtype=np.float32)
DAMAGES = {
    "no result.json": delete("result.json"),
    "no logits.npz": delete("logits.npz"),
    "truncated result.json": truncate("result.json", 40),
    "empty result.json": truncate("result.json", 0),
    "truncated logits.npz": truncate("logits.npz", 300),
    "empty logits.npz": truncate("logits.npz", 0),
    "a flipped byte": flip_byte,
    **{f"not an object but {value}": lambda folder, value=value: write(folder, value) for value in ([], None, 3, "x")},
    "an edited entry": lambda folder: write(folder, {**content(folder), "synthetic": True}),
    "another format": lie("format", 1),
    "a contradiction about the subjects": lie("subject_independent", False),
    "shared subjects that make no difference": lie("num_shared_subjects", 2),
    "a number of subjects below none": lie("num_shared_subjects", -1),
    **{f"no {key}": lie(key) for key in ("format", "fold", *INFO, "config.cv._target_", "num_correct.last_epoch")},
    **{f"null for {key}": lie(key, None) for key in ("fold", "digest", "synthetic", "config", "versions", "seconds")},
    "a text for a number": lie("seconds", "1.5"),
    "a number for a text": lie("digest", 5),
    "no fold": lie("fold", 0),
    "no kind of cross-validation": lie("cv_kind", "random"),
    "a fold too many": lie("fold", 4),
    "other counts": lie("num_correct.every_epoch", [2, 3, 2]),
    "another best epoch": lie("num_correct.best_epoch", 4),
    "other subjects": lie("subjects", ["S005", "S010"]),
    "another number of clips": lie("num_held_out", 5),
    "seconds without end": lie("seconds", float("inf")),
    "one array": save(labels=None, clip_ids=None, subjects=None, emotions=None),
    "no subjects": save(subjects=None),
    "double logits": save(logits=LOGITS.astype(np.float64)),
    "logits of text": save(logits=LOGITS.astype(np.str_)),
    "logits of no epoch": save(logits=LOGITS[:0]),
    "logits of three clips": save(logits=LOGITS[:, :3]),
    "flat logits": save(logits=LOGITS.ravel()),
    "infinite logits": save(logits=LOGITS + np.float32("inf")),
    "whole logits that are objects": save(logits=LOGITS.astype(object)),
    "labels that are no emotion": save(labels=np.array([0, 1, 2, 3])),
    "negative labels": save(labels=np.array([0, 1, 2, -1])),
    "a table of labels": save(labels=np.array([[0, 1, 2, 1]])),
    "clip ids that are numbers": save(clip_ids=np.arange(4)),
    "a clip twice": save(clip_ids=np.array(["S005/001", "S005/002", "S005/003", "S005/001"])),
    "an emotion twice": save(emotions=np.array(["anger", "fear", "anger"])),
    "a clip too few": save(clip_ids=np.array(["S005/001", "S005/002", "S005/003"])),
    "an emotion too few": save(emotions=np.array(["anger", "fear"])),
    "a subject too few": save(subjects=np.array(["S005"] * 3)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_one_sentence_with_the_folder_and_the_way_out(damage: Callable[[Path], None], folder: Path) -> None:
    damage(folder)
    with pytest.raises(ResultError) as caught:
        read_result(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{folder} holds no usable fold result: ")
    assert message.endswith("Delete it to train the fold again")


def test_results_of_earlier_versions_are_read(folder: Path, result: FoldResult) -> None:
    earlier = {key: value for key, value in content(folder).items() if key not in ("checksum", "logits_sha256")}
    write(folder, earlier)
    found = read_result(folder)
    assert found.info == {**result.info, "cv_kind": "k_fold"}
    np.testing.assert_array_equal(found.logits, result.logits)


EXPECTED: list[tuple[str, object, str]] = [
    ("fold number", 2, "is 3 instead of 2"),
    ("digest", "e" * 64, "is d{64} instead of e{64}"),
    ("emotions", ("anger", "fear", "joy"), "differ, first in number 3, which is happy instead of joy"),
    ("number of epochs", 5, "is 3 instead of 5"),
    ("held-out clips", (("S005/001", "S005", 0),), "are 4 instead of 1"),
    ("clips kept back", (("S006/001", "S006", 0),), "are 0 instead of 1"),
]


@pytest.mark.parametrize(("name", "want", "told"), EXPECTED)
def test_another_result_than_expected_is_refused(
    folder: Path, result: FoldResult, name: str, want: object, told: str
) -> None:
    assert read_result(folder, facts(result)).fold == 3
    with pytest.raises(ResultError, match=rf"^{folder} holds another result .* its {name} {told}\. It was"):
        read_result(folder, {**facts(result), name: want})


def test_a_result_that_does_not_say_is_subject_independent(result: FoldResult, tmp_path: Path) -> None:
    write_result(result, tmp_path)
    assert facts(read_result(tmp_path))["subject_independent"] is True
    with pytest.raises(ResultError, match="its subject_independent is True instead of False"):
        read_result(tmp_path, {"subject_independent": False})
