from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_texts import assert_legible, texts
from fake_runs import write_run
from matplotlib.patches import Rectangle

from fer3d.evaluation.calibration import Calibration
from fer3d.evaluation.protocols import LAST_EPOCH
from fer3d.reporting import drawings
from fer3d.reporting.parts import Picture
from fer3d.reporting.reliability import ece_text, reliability_figure
from fer3d.reporting.report_runs import read_runs
from fer3d.reporting.theme import DARK, LIGHT, Theme, svg

TITLE = "ckplus_kfold10_inner_val: confidence and accuracy, last epoch"
CAUTION = "SYNTHETIC data, PARTIAL: 2 of 10 folds missing"


def some_clips(num_clips: int) -> Calibration:
    rng = np.random.default_rng(0)
    sure = 1 - 0.85 * rng.beta(1, 5, num_clips)
    return Calibration.of(sure, rng.random(num_clips) < sure**2)


def test_bars_are_what_the_bins_say() -> None:
    calibration = some_clips(300)
    accuracy, clips, *_ = reliability_figure(calibration, "Title").axes
    bars = [patch for patch in accuracy.patches if isinstance(patch, Rectangle)]
    assert len(bars) == len(calibration.bins) > 5
    for bar, one in zip(bars, calibration.bins, strict=True):
        assert bar.get_height() == one.score.accuracy
        assert (bar.get_x(), bar.get_x() + bar.get_width()) == pytest.approx((one.low, one.high))
    counts = {round(patch.get_x(), 6): patch.get_height() for patch in clips.patches if isinstance(patch, Rectangle)}
    assert sum(counts.values()) == 300
    assert all(counts[round(one.low, 6)] == one.score.num_clips for one in calibration.bins)
    drawn = [segment for lines in accuracy.collections for segment in lines.get_segments()]  # type: ignore[attr-defined]
    for one in calibration.bins:
        across = [[one.low, one.confidence], [one.high, one.confidence]]
        middle = (one.low + one.high) / 2
        upright = [[middle, end] for end in one.score.interval()]
        assert all(any(np.allclose(segment, want) for segment in drawn) for want in (across, upright))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("num_clips", [1, 30, 8000])
def test_it_is_legible_and_says_what_it_is_worth(num_clips: int, theme: Theme) -> None:
    calibration = some_clips(num_clips)
    figure = reliability_figure(calibration, TITLE, CAUTION, theme)
    assert_legible(figure)
    assert {CAUTION, "accuracy", "clips", "mean confidence", "calibrated"} <= set(texts(figure))
    (note,) = (text for text in texts(figure) if "Expected calibration error" in text)
    assert " ".join(note.split()) == ece_text(calibration)


def test_the_file_is_small() -> None:
    assert len(svg(reliability_figure(some_clips(8000), TITLE, CAUTION))) < 100_000


@pytest.mark.parametrize("inner_val", [None, 0.6])
def test_the_caption_tells_the_error_before_and_after_scaling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inner_val: float | None
) -> None:
    monkeypatch.setattr(drawings, "draw", lambda name, alt, caption, figure: Picture(name, alt, caption, "", "", b""))
    (one,) = read_runs([write_run(tmp_path, 0.6, inner_val=inner_val)])
    picture = drawings.reliability_picture(one)
    outcome = one.evaluation.under(LAST_EPOCH)
    assert f"{outcome.calibration.ece:.2%}" in picture.caption
    assert "SYNTHETIC data" in picture.alt
    scaled = f"{outcome.scaled.ece:.2%}" if outcome.scaled else "temperature"
    assert (scaled in picture.caption) == (inner_val is not None)
