"""Clips of a video, by the real detector."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from fake_checkpoints import write_kept_run

from fer3d.clips.preprocess import to_unit_range
from fer3d.explanation.gradcam import ExplanationError
from fer3d.explanation.sources import TrainedNetwork
from fer3d.explanation.video_clips import video_clip
from fer3d.prediction.sources import FrameFolder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedNetwork:
    kept = write_kept_run(tmp_path_factory.mktemp("outputs"), "model/activation=elu", synthetic=False)
    return TrainedNetwork.read(kept.checkpoint(1))


@pytest.fixture(scope="module")
def getting_darker(tmp_path_factory: pytest.TempPathFactory) -> FrameFolder:
    """A face that gets darker for a second."""
    folder = tmp_path_factory.mktemp("frames")
    picture = cv2.cvtColor(skimage.data.astronaut()[:256, 100:356], cv2.COLOR_RGB2BGR)
    for number in range(30):
        cv2.imwrite(str(folder / f"{number:03d}.png"), np.ascontiguousarray(picture * (1 - number / 60)))
    return FrameFolder(folder, str(folder))


@pytest.mark.slow
def test_the_clip_is_the_one_that_ends_nearest_to_a_second(
    trained: TrainedNetwork, getting_darker: FrameFolder
) -> None:
    early, late = (video_clip(trained, getting_darker, second=second) for second in (0.0, 1.2))
    assert (early.frames[0], late.frames[-1]) == ("0.03 s", "0.97 s")
    for clip in (early, late):
        assert clip.pixels.shape == (10, 32, 32, 1)
        first, last = (float(frame.removesuffix(" s")) for frame in (clip.frames[0], clip.frames[-1]))
        assert last - first == pytest.approx(trained.trained.span, abs=0.011)
        assert f"face 1, {first:.2f} to {last:.2f} s" in clip.name
        assert (clip.label, clip.caution) == (None, "")
    assert late.pixels.mean() < 0.8 * early.pixels.mean()
    with pytest.raises(ExplanationError, match=r"near 99 s; .* 0\.97 s"):
        video_clip(trained, getting_darker, second=99.0)


@pytest.mark.slow
def test_without_a_second_it_is_the_one_of_which_the_network_is_most_sure(
    trained: TrainedNetwork, getting_darker: FrameFolder
) -> None:
    clips = [video_clip(trained, getting_darker, second=end / 30) for end in (10, 15, 20, 25, 29)]
    with torch.no_grad():
        probabilities = torch.stack([trained.network(to_unit_range(trained.given(clip))[None])[0] for clip in clips])
    assert video_clip(trained, getting_darker).name == clips[int(probabilities.max(1).values.argmax())].name
    for emotion in (0, 3):
        best = clips[int(probabilities[:, emotion].argmax())]
        assert video_clip(trained, getting_darker, emotion=emotion).name == best.name


@pytest.mark.slow
def test_what_is_not_seen_is_named(trained: TrainedNetwork, getting_darker: FrameFolder, tmp_path: Path) -> None:
    with pytest.raises(ExplanationError, match=r"no face 7; .* 1"):
        video_clip(trained, getting_darker, face=7)
    cv2.imwrite(str(tmp_path / "1.png"), np.full((64, 64, 3), 100, dtype=np.uint8))
    with pytest.raises(ExplanationError, match="shows no face"):
        video_clip(trained, FrameFolder(tmp_path, "wall"))
    cv2.imwrite(str(tmp_path / "1.png"), cv2.imread(str(getting_darker.images[0])))
    with pytest.raises(ExplanationError, match="face 1 of short is not visible for long enough"):
        video_clip(trained, FrameFolder(tmp_path, "short"))
