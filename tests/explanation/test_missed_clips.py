from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_checkpoints import KeptRun, write_kept_run

from fer3d.evaluation.protocols import LAST_EPOCH, HeldOutPredictions, held_out_predictions
from fer3d.explanation.missed_clips import MissedClip, missed_clips, missed_maps
from fer3d.training.checkpoint import Checkpoint

EMOTIONS = ("anger", "fear", "happy")


def missed_by(kept: KeptRun) -> list[MissedClip]:
    return missed_clips(held_out_predictions(kept.results, LAST_EPOCH), kept.results.emotions)


def test_every_missed_clip_has_the_map_of_the_network_that_missed_it(tmp_path: Path) -> None:
    kept = write_kept_run(tmp_path)
    missed = missed_by(kept)
    assert len(missed) > 3
    found = missed_maps(kept.results, kept.store, missed)
    assert set(found.maps) == {clip.clip_id for clip in missed}
    for evidence in found.maps.values():
        assert evidence.shape == kept.store.clips.shape[1:4]
        assert (evidence >= 0).all()
    assert any(evidence.any() for evidence in found.maps.values())
    again = missed_maps(kept.results, kept.store, missed)
    assert all((found.maps[clip_id] == again.maps[clip_id]).all() for clip_id in found.maps)


def test_missed_clips_come_the_most_confident_first() -> None:
    said = [[0.1, 0.6, 0.3], [0.8, 0.1, 0.1], [0.0, 0.05, 0.95], [0.9, 0.1, 0.0]]
    predictions = HeldOutPredictions(
        protocol=LAST_EPOCH,
        epochs={1: 1},
        clip_ids=tuple(f"S001/{number + 1:03d}" for number in range(4)),
        subjects=("S001",) * 4,
        folds=np.ones(4, dtype=np.int64),
        labels=np.array([0, 0, 1, 2]),
        probabilities=np.array(said),
    )
    assert missed_clips(predictions, EMOTIONS) == [
        MissedClip("S001/003", "fear", "happy", 0.95),
        MissedClip("S001/004", "happy", "anger", 0.9),
        MissedClip("S001/001", "anger", "fear", 0.6),
    ]


def test_clips_whose_network_was_not_kept_have_no_map_and_the_report_says_how_to_get_them(tmp_path: Path) -> None:
    kept = write_kept_run(tmp_path)
    missed = missed_by(kept)
    kept.checkpoint(1).unlink()
    gone = [clip for clip in missed if clip.clip_id in kept.results.folds[0].clip_ids]
    found = missed_maps(kept.results, kept.store, missed)
    assert len(found.maps) == len(missed) - len(gone)
    assert f"{len(gone)} clips were not kept" in found.said
    for fold in (2, 3):
        kept.checkpoint(fold).unlink()
    found = missed_maps(kept.results, kept.store, missed)
    assert found.maps == {}
    assert "save_checkpoint=true" in found.said


@pytest.mark.parametrize("what", ["another fold's", "code", "damaged"])
def test_a_network_that_cannot_be_used_is_named_without_folders(tmp_path: Path, what: str) -> None:
    kept = write_kept_run(tmp_path)
    for fold in (1, 2, 3):
        path = kept.checkpoint(fold)
        checkpoint = Checkpoint.read(path)
        if what == "damaged":
            path.write_bytes(path.read_bytes()[:-200])
        elif what == "code":
            replace(checkpoint, config={**checkpoint.config, "model": {"_target_": "os.system"}}).write(path)
        else:
            replace(checkpoint, fold=fold + 1).write(path)
    found = missed_maps(kept.results, kept.store, missed_by(kept))
    assert found.maps == {}
    assert "cannot be shown: " in found.said
    assert str(kept.folder) not in found.said
