from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from fer3d.clips.store import ClipStore
from fer3d.training.run import Run

Explain = Callable[..., tuple[int, str, str]]


@pytest.fixture
def explain(invoke: Callable[..., tuple[int, str, str]]) -> Explain:
    return lambda *arguments: invoke("explain", *map(str, arguments))


@pytest.fixture
def trained(compose_tiny: Callable[..., DictConfig], make_store: Callable[..., ClipStore]) -> tuple[Run, ClipStore]:
    store = make_store()
    run = Run.of(compose_tiny("save_checkpoint=true", "faces.crop.size=32"), store)
    run.train()
    return run, store


def test_explains_a_clip_of_the_store_that_the_run_was_trained_on(
    explain: Explain, trained: tuple[Run, ClipStore], tmp_path: Path
) -> None:
    run, store = trained
    status, _, err = explain(run.folder, "--clip", store.clip_ids[0], "--clips", store.folder)
    assert (status, err) == (0, "")
    told = json.loads((run.folder / "explanation" / "explanation.json").read_text())
    (clip,) = told["clips"]
    assert clip["clip"] == store.clip_ids[0]
