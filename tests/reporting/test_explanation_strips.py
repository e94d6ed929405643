from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn_texts import assert_legible, texts
from matplotlib.patches import Rectangle

from fer3d.explanation.curves import Curves
from fer3d.explanation.explain_clip import Evidence, Explanation
from fer3d.explanation.gradcam import Layer, frame_shares
from fer3d.explanation.sources import ShownClip
from fer3d.reporting.explanation_strips import explanation_figure, with_map
from fer3d.reporting.theme import DARK, LIGHT, Theme

EMOTIONS = ("anger", "fear", "happy")


def explained(num_frames: int, *, faithful: bool = True) -> tuple[ShownClip, Explanation]:
    rng = np.random.default_rng(0)
    evidence = torch.from_numpy(rng.random((num_frames, 32, 32), dtype=np.float32))
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


@pytest.mark.parametrize(("num_frames", "theme"), [(3, DARK), (32, LIGHT)])
def test_clips_of_any_length_are_legible(num_frames: int, theme: Theme) -> None:
    clip, explanation = explained(num_frames)
    figure = explanation_figure(clip, explanation, EMOTIONS, ("fear", 0.93), theme)
    assert_legible(figure)
    assert len(figure.axes[0].images) == num_frames
    found = texts(figure)
    assert {"S005/001: why fear (0.93)", "SYNTHETIC data, SEEN IN TRAINING"} <= set(found)
    assert any("Label happy; the network says fear (0.93)" in text for text in found)
    assert not any("Do not believe" in text for text in found)


def test_bars_are_as_long_as_the_shares_of_frames() -> None:
    clip, explanation = explained(10)
    figure = explanation_figure(clip, explanation, EMOTIONS, ("fear", 0.93))
    bars = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    tracks, own = bars[::2], bars[1::2]
    widths = np.array([bar.get_width() / track.get_width() for bar, track in zip(own, tracks, strict=True)])
    shares = explanation.evidence.shares.numpy()
    np.testing.assert_allclose(widths, shares / shares.max())
    found = texts(figure)
    assert [f"{share:.0%}" for share in shares] == [text for text in found if text.endswith("%")]


def test_a_map_that_fails_its_check_says_so_in_the_picture() -> None:
    clip, explanation = explained(10, faithful=False)
    figure = explanation_figure(clip, explanation, EMOTIONS, ("fear", 0.93))
    assert any("The check fails" in text for text in texts(figure))


def test_a_map_without_evidence_says_so_in_the_picture() -> None:
    clip, explanation = explained(10)
    nothing = torch.zeros(10, 32, 32)
    empty = Evidence("gradcam", explanation.evidence.layer, nothing, frame_shares(nothing))
    figure = explanation_figure(clip, Explanation(1, 0.1, empty, explanation.curves), EMOTIONS, ("happy", 0.8))
    assert any("no evidence for it" in text for text in texts(figure))
    assert_legible(figure)


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
