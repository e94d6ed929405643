from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_texts import assert_legible
from fake_checkpoints import write_kept_run
from PIL import Image

from fer3d.clips.store import ClipStore
from fer3d.evaluation.protocols import LAST_EPOCH, held_out_predictions
from fer3d.evaluation.run_results import EvaluationError
from fer3d.explanation.curves import Curves
from fer3d.explanation.explain_clip import Evidence, Explanation
from fer3d.explanation.gradcam import Layer, frame_shares
from fer3d.explanation.missed_clips import MissedClip, missed_clips, missed_maps
from fer3d.explanation.sources import ShownClip
from fer3d.reporting.strips import explanation_figure, missed_figure, missed_strips, webp, with_map
from fer3d.reporting.theme import png, style, svg

EMOTIONS = ("anger", "fear", "happy")
MakeStore = Callable[..., ClipStore]


def missed_of(store: ClipStore) -> list[MissedClip]:
    return [
        MissedClip(clip_id, emotion, "surprise", 0.9)
        for clip_id, emotion in zip(store.clip_ids, store.clip_emotions, strict=True)
    ]


def explained(num_frames: int, *, faithful: bool = True, empty: bool = False) -> tuple[ShownClip, Explanation]:
    rng = np.random.default_rng(0)
    evidence = torch.from_numpy(rng.random((num_frames, 32, 32), dtype=np.float32)) * (not empty)
    shares = np.linspace(0, 1, 21)
    good, random = (1 - shares) ** 4, np.stack([1 - shares, 1 - shares**2])
    own = good if faithful else 1 - shares**4
    clip = ShownClip(
        name="S005/001",
        pixels=rng.integers(0, 255, (num_frames, 32, 32, 1), dtype=np.uint8),
        frames=tuple(f"{number:03d}.png" for number in range(num_frames)),
        caution="SYNTHETIC data, SEEN IN TRAINING",
        label="happy",
    )
    found = Evidence("hirescam", Layer("features.3.0", (5, 14, 14)), evidence, frame_shares(evidence))
    return clip, Explanation(1, 0.93, found, Curves(shares, own, 1 - own, random, 1 - random))


@pytest.mark.parametrize(("num_frames", "rows", "columns"), [(2, 1, 2), (10, 1, 10), (16, 2, 8)])
@pytest.mark.parametrize("num_channels", [1, 3])
def test_frames_stand_side_by_side_in_order(
    num_channels: int, num_frames: int, rows: int, columns: int, make_store: MakeStore
) -> None:
    store = make_store(num_subjects=1, num_frames=num_frames, num_channels=num_channels)
    (strip,) = missed_strips(store, missed_of(store)[2:3], {})
    side = (strip.width + 2) // columns
    assert strip.size == (columns * side - 2, rows * side - 2)
    for number, frame in enumerate(store.clips[2]):
        row, column = divmod(number, columns)
        box = (column * side, row * side, (column + 1) * side - 2, (row + 1) * side - 2)
        shown = np.asarray(strip.crop(box).resize((32, 32), Image.Resampling.BOX), dtype=float)
        assert np.abs(shown - frame).mean() < 12


def test_a_sheet_holds_all_strips_below_its_heading(make_store: MakeStore) -> None:
    store = make_store(num_subjects=2, size=112)
    missed = missed_of(store)[:12]
    strips = missed_strips(store, missed, {})
    sheet = missed_figure(strips, missed, "What is missed " * 9, "SYNTHETIC data", "Which clips these are.")
    with style():
        found = assert_legible(sheet)
    assert {clip.clip_id for clip in missed} <= set(found)
    words = " ".join(found)
    assert "What is missed " * 8 in words
    assert "SYNTHETIC data Which clips these are." in words
    assert f"{missed[0].emotion}, predicted surprise (0.9)" in words
    assert [axes.images[0].get_size() for axes in sheet.axes] == [(strip.height, strip.width) for strip in strips]
    pixels = np.asarray(Image.open(io.BytesIO(png(sheet))).convert("RGB"))
    # What must not be overlooked is red.
    assert (pixels[:200] == (179, 38, 30)).all(-1).any()
    assert "[SYNTHETIC data]</title>" in svg(sheet)
    # Noise is the hardest to compress.
    assert sum(len(webp(strip)) for strip in strips) < 600_000


def test_a_clip_of_another_store_is_refused(make_store: MakeStore) -> None:
    with pytest.raises(EvaluationError, match="does not hold S999/001"):
        missed_strips(make_store(num_subjects=1), [MissedClip("S999/001", "fear", "happy", 0.9)], {})


def test_maps_are_laid_over_the_frames(tmp_path: Path) -> None:
    kept = write_kept_run(tmp_path)
    missed = missed_clips(held_out_predictions(kept.results, LAST_EPOCH), kept.results.emotions)
    found = missed_maps(kept.results, kept.store, missed)
    for clip, plain, laid in zip(
        missed, missed_strips(kept.store, missed, {}), missed_strips(kept.store, missed, found.maps), strict=True
    ):
        assert (np.asarray(plain) != np.asarray(laid)).any() == found.maps[clip.clip_id].any()


@pytest.mark.parametrize("num_channels", [1, 3])
def test_a_map_colours_what_it_points_at_and_nothing_else(num_channels: int) -> None:
    frames = np.random.default_rng(0).integers(0, 200, (3, 8, 8, num_channels), dtype=np.uint8)
    evidence = np.zeros((3, 8, 8), dtype=np.float32)
    evidence[1, 2:4, 2:4] = 0.004
    drawn = with_map(frames, evidence)
    plain = np.broadcast_to(frames, (3, 8, 8, 3))
    assert (drawn[evidence == 0] == plain[evidence == 0]).all()
    assert (drawn[evidence > 0] != plain[evidence > 0]).any(axis=-1).all()
    assert (with_map(frames, np.zeros_like(evidence)) == plain).all()


@pytest.mark.parametrize(
    ("num_frames", "faithful", "empty", "doubt"),
    [
        (3, True, False, ""),
        (10, False, False, "The check fails"),
        (10, True, True, "no evidence"),
        (32, True, False, ""),
    ],
)
def test_an_explanation_is_legible_and_says_whether_to_believe_it(
    num_frames: int, faithful: bool, empty: bool, doubt: str
) -> None:
    clip, explanation = explained(num_frames, faithful=faithful, empty=empty)
    figure = explanation_figure(clip, explanation, EMOTIONS, ("fear", 0.93))
    with style():
        found = assert_legible(figure)
    assert sum(len(axes.images) for axes in figure.axes) == num_frames
    assert [f"{share:.0%}" for share in explanation.evidence.shares.numpy()] == [t for t in found if t.endswith("%")]
    words = " ".join(found)
    assert "S005/001: why fear (0.93)" in words
    assert "SYNTHETIC data, SEEN IN TRAINING" in words
    assert "Label happy; the network says fear (0.93)" in words
    assert (doubt in words) if doubt else (explanation.doubt == "")
