from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_texts import assert_legible
from fake_checkpoints import KeptRun, write_kept_run

from fer3d.evaluation.protocols import LAST_EPOCH, held_out_predictions
from fer3d.reporting.missed_maps import missed_maps
from fer3d.reporting.missed_strips import MissedClip, missed_clips, missed_figure
from fer3d.training.checkpoint import Checkpoint


@pytest.fixture
def kept(tmp_path: Path) -> KeptRun:
    return write_kept_run(tmp_path)


def missed_of(kept: KeptRun) -> list[MissedClip]:
    return missed_clips(held_out_predictions(kept.results, LAST_EPOCH), kept.results.emotions)


def test_every_missed_clip_has_the_map_of_the_network_that_missed_it(kept: KeptRun) -> None:
    missed = missed_of(kept)
    assert len(missed) > 3
    found = missed_maps(kept.results, kept.store, missed)
    assert set(found.maps) == {clip.clip_id for clip in missed}
    for evidence in found.maps.values():
        assert evidence.shape == kept.store.clips.shape[1:4]
        assert (evidence >= 0).all()
    assert any(evidence.any() for evidence in found.maps.values())
    assert "not kept" not in found.said
    again = missed_maps(kept.results, kept.store, missed)
    assert all((found.maps[clip_id] == again.maps[clip_id]).all() for clip_id in found.maps)


def test_maps_are_laid_over_the_frames(kept: KeptRun) -> None:
    missed = missed_of(kept)[:2]
    maps = missed_maps(kept.results, kept.store, missed).maps
    plain, laid = (missed_figure(kept.store, missed, "Missed", maps=each) for each in (None, maps))
    assert plain is not None
    assert laid is not None
    assert_legible(laid)
    for clip, before, after in zip(missed, plain.axes[0].images, laid.axes[0].images, strict=True):
        changed = (np.asarray(before.get_array()) != np.asarray(after.get_array())).any()
        assert changed == maps[clip.clip_id].any()


def test_clips_whose_network_was_not_kept_have_no_map(kept: KeptRun) -> None:
    missed = missed_of(kept)
    kept.checkpoint(1).unlink()
    gone = [clip for clip in missed if clip.clip_id in kept.results.folds[0].clip_ids]
    found = missed_maps(kept.results, kept.store, missed)
    assert len(found.maps) == len(missed) - len(gone)
    assert f"The networks of {len(gone)} clips were not kept" in found.said


def test_without_networks_a_sentence_says_how_to_get_them(kept: KeptRun) -> None:
    for fold in (1, 2, 3):
        kept.checkpoint(fold).unlink()
    found = missed_maps(kept.results, kept.store, missed_of(kept))
    assert found.maps == {}
    assert "save_checkpoint=true" in found.said


@pytest.mark.parametrize("what", ["another fold's", "code", "damaged"])
def test_a_network_that_cannot_be_used_is_named_without_folders(kept: KeptRun, what: str) -> None:
    for fold in (1, 2, 3):
        path = kept.checkpoint(fold)
        checkpoint = Checkpoint.read(path)
        if what == "damaged":
            path.write_bytes(path.read_bytes()[:-200])
        elif what == "code":
            replace(checkpoint, config={**checkpoint.config, "model": {"_target_": "os.system"}}).write(path)
        else:
            replace(checkpoint, fold=fold + 1).write(path)
    found = missed_maps(kept.results, kept.store, missed_of(kept))
    assert found.maps == {}
    assert found.said.startswith("Where the network saw that emotion cannot be shown: ")
    assert str(kept.folder) not in found.said
