from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from bright_faces import EMOTIONS, FACES, FLAT, TRUST, picture, sequence, write_corpus, write_network
from cameras import PatientCamera
from numpy.typing import NDArray
from omegaconf import DictConfig
from prepared import TINY
from video_files import write_video

from fer3d.clips.detectors import Image
from fer3d.clips.frame_order import FrameOrder
from fer3d.corpora.sequences import CorpusWarning
from fer3d.prediction.faces.face_stream import SeenFrame
from fer3d.prediction.predictor import PredictionSettings, Predictor
from fer3d.prediction.sources import VideoFile
from fer3d.prediction.steps import Frame, Prediction, Step, TrackedFace
from fer3d.prediction.trained import PredictionError
from fer3d.settings import FrameOrderName
from fer3d.training.checkpoint import Checkpoint
from fer3d.training.prepare import prepare
from fer3d.training.run import Run

Compose = Callable[..., DictConfig]


@dataclass
class Given:
    """A source of frames that a test made."""

    pictures: Sequence[Image]
    numbers: Sequence[int] | None = None
    is_live: bool = False
    name: str = "given"
    path: Path | None = None
    damage: str | None = None
    num_dropped: int = 0

    def frames(self) -> Iterator[Frame]:
        for number, pixels in zip(self.numbers or range(len(self.pictures)), self.pictures, strict=False):
            yield Frame(number, number / 30, pixels)

    def state(self) -> list[Any]:
        return []


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("network") / "last.ckpt")


@pytest.fixture
def load(network: Path) -> Callable[..., Predictor]:
    """Loads the network, to predict without any average over time."""
    return lambda **settings: Predictor.load(network, trusted=TRUST, device="cpu", **{"smooth": 0, **settings})


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    raised = np.exp(logits.astype(np.float64) - logits.max())
    return raised / raised.sum()


def same(one: Sequence[Prediction], other: Sequence[Prediction], atol: float = 1e-6) -> bool:
    """Whether two streams say the same; floating-point sums depend on how many clips are computed at once."""
    assert len(one) == len(other)
    for mine, its in zip(one, other, strict=True):
        assert (mine.face, mine.frame, mine.label, mine.why) == (its.face, its.frame, its.label, its.why)
        assert (mine.time_from, mine.time_to) == pytest.approx((its.time_from, its.time_to), abs=1e-9)
        assert (mine.box is None) == (its.box is None)
        assert mine.box is None or mine.box == pytest.approx(its.box)
        for ours, theirs in ((mine.probabilities, its.probabilities), (mine.smoothed, its.smoothed)):
            assert (ours is None) == (theirs is None)
            if ours is not None and theirs is not None:
                np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol)
    return True


@pytest.mark.parametrize(
    ("suffix", "length", "window", "settings"),
    [
        ("", 7, None, ["frames=last"]),
        (".mp4", 26, 1.5, ["frames=segments", "frames.stored=16", "frames.views=3", "clips.clahe=true"]),
        (".mp4", 26, 1.5, ["frames=segments", "frames.stored=16", "frames.views=3", "frames.order=reversed"]),
        pytest.param("", 7, None, ["frames=last", "frames.order=apex_repeated"], marks=pytest.mark.slow),
        pytest.param(".mp4", 26, 1.5, ["frames=uniform", "frames.stored=16"], marks=pytest.mark.slow),
        pytest.param(".mp4", 26, None, ["frames=uniform", "frames.stored=13"], marks=pytest.mark.slow),
        pytest.param(".mp4", 26, 1.5, ["frames=window", "frames.stride=3"], marks=pytest.mark.slow),
        pytest.param(".mp4", 16, None, ["frames=last", "clips.normalise=true"], marks=pytest.mark.slow),
        pytest.param("", 10, None, ["frames=last", "data.num_channels=1", "clips.clahe=true"], marks=pytest.mark.slow),
    ],
)
def test_held_out_clips_get_the_probabilities_of_the_evaluation(
    compose_config: Compose, tmp_path: Path, suffix: str, length: int, window: float | None, settings: list[str]
) -> None:
    """Whoever predicts the video of a clip gets what the fold's result says of it after the last epoch."""
    root = write_corpus(tmp_path / "corpus", [length, length + 4], suffix=suffix)
    config = compose_config(
        *("data=videos", f"data.root={root}", "data.table=clips.csv", "cv.num_folds=2", "save_checkpoint=true"),
        f"data.emotions=[{','.join(EMOTIONS)}]",
        *(setting for setting in TINY if not setting.startswith("model.")),
        *(*FLAT, *FACES, "augment=none", "trainer.max_epochs=1", *settings),
    )
    run = Run.of(config, prepare(config).store)
    (result,) = run.train(1)
    checkpoint = run.folder / "fold_001/last.ckpt"
    predictor = Predictor.load(checkpoint, trusted=TRUST, detect_every=1, smooth=0, window=window, device="cpu")
    assert {clip_id.partition("/")[0] for clip_id in result.clip_ids} == {"P0"}
    for clip_id, logits in zip(result.clip_ids, result.logits[-1], strict=True):
        (*_, last) = predictor.stream(root / f"{clip_id}{suffix}")
        assert last.probabilities is not None
        np.testing.assert_allclose(last.probabilities, softmax(logits), rtol=0, atol=1e-5)
    # Otherwise anything would be the same.
    assert np.ptp(result.logits[-1], axis=0).min() > 0.5


@pytest.mark.parametrize("name", ["reversed", "shuffled", "apex_repeated"])
def test_a_network_gets_the_frames_of_a_video_in_its_order(network: Path, tmp_path: Path, name: FrameOrderName) -> None:
    """The same as from a network as filmed whose weights lie where the frames are."""
    filmed = Checkpoint.read(network)
    config: Any = {**filmed.config, "frames": {**filmed.config["frames"], "order": name}, "seed": 5}
    ordered = replace(filmed, config=config)
    positions = FrameOrder(name, 5).positions(10)
    assert positions is not None
    weights = filmed.state_dict["classifier.weight"].view(len(EMOTIONS), -1, 10, 64)
    moved = torch.zeros_like(weights).index_add_(2, torch.tensor(positions), weights)
    equal = replace(filmed, state_dict={**filmed.state_dict, "classifier.weight": moved.flatten(1)})
    found = {}
    for key, checkpoint in {"filmed": filmed, "ordered": ordered, "equal": equal}.items():
        checkpoint.write(tmp_path / f"{key}.ckpt")
        predictor = Predictor.load(tmp_path / f"{key}.ckpt", trusted=TRUST, device="cpu", smooth=0)
        found[key] = list(predictor.stream(Given(sequence(1, 30))))
    assert same(found["ordered"], found["equal"], atol=1e-5)
    (*_, one), (*_, other) = found["ordered"], found["filmed"]
    assert one.probabilities is not None
    assert other.probabilities is not None
    assert np.abs(one.probabilities - other.probabilities).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("num_frames", [6, 15])
def test_real_faces_get_the_probabilities_of_the_evaluation_too(
    compose_config: Compose, write_ckplus: Callable[..., Path], tmp_path: Path, num_frames: int
) -> None:
    root = write_ckplus(tmp_path / "CK+", num_frames=num_frames)
    config = compose_config(
        *("data=ckplus", f"data.root={root}", "faces.crop.size=32", "cv.num_folds=2", "save_checkpoint=true"),
        *(setting for setting in TINY if not setting.startswith("model.")),
        *(*FLAT, "augment=none", "clips.clahe=true"),
    )
    with pytest.warns(CorpusWarning):
        run = Run.of(config, prepare(config).store)
    results = run.train()
    predictor = Predictor.load(run.folder, trusted=TRUST, detect_every=1, smooth=0, device="cpu")
    assert len(predictor.ensemble.members) == 2
    for result in results:
        assert np.ptp(result.logits[-1], axis=0).max() > 1e-3
        for clip_id, logits in zip(result.clip_ids, result.logits[-1], strict=True):
            # Of the two networks, only the one that has not seen the subject is asked.
            (*_, last) = predictor.stream(root / "cohn-kanade-images" / clip_id)
            assert last.probabilities is not None
            np.testing.assert_allclose(last.probabilities, softmax(logits), rtol=0, atol=1e-5)


def test_a_camera_and_a_file_of_the_same_frames_get_the_same_numbers(
    load: Callable[..., Predictor], tmp_path: Path
) -> None:
    pictures = [*sequence(0, 22), *[picture()] * 20, *sequence(2, 23, seed=1)]
    path = write_video(tmp_path / "a.mkv", pictures, rate=30, codec="ffv1", pix_fmt="bgr0")
    predictor = load(smooth=0.5, detect_every=3)
    of_file = list(predictor.stream(path))
    camera = PatientCamera(cv2.VideoCapture(str(path)))
    assert same(list(predictor.stream(camera)), of_file)
    assert camera.num_dropped == 0
    assert {prediction.label for prediction in of_file} == {"", "anger", "sad"}


def test_a_camera_that_drops_frames_gets_predictions_all_the_same(load: Callable[..., Predictor]) -> None:
    """Even where the frames whose number is a multiple of the stride are just those that are dropped."""
    kept = [number for number in range(120) if number % 5 in (1, 3)]
    source = Given([picture((10, 10, 1, 100))] * len(kept), kept, is_live=True)
    found = list(load(stride=5).stream(source))
    assert {later.frame - earlier.frame for earlier, later in pairwise(found[:-1])} == {5}
    assert found[-1].label == "happy"


def test_a_live_source_gets_its_predictions_at_once(load: Callable[..., Predictor]) -> None:
    given = 0

    class Live(Given):
        def frames(self) -> Iterator[Frame]:
            nonlocal given
            for frame in super().frames():
                given += 1
                yield frame

    for prediction in load(detect_every=2, stride=4).stream(Live(sequence(0, 40), is_live=True)):
        # The frame itself, the tracker's next look, and the frame that shows whether the face goes on.
        assert given - prediction.frame <= 2 + 2


def test_nothing_from_before_a_cut_or_an_absence_gets_into_a_clip(
    load: Callable[..., Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the same person is before and after it; who that is does not depend on the tracker here."""
    cut, away, back, end = 22, 41, 44, 63
    face = TrackedFace(1, (10, 10, 30, 30), 0.9)

    def seen(frames: Iterator[Frame], *_: object, **__: object) -> Iterator[SeenFrame]:
        for frame in frames:
            yield SeenFrame(frame, () if away <= frame.number < back else (face,), frame.number == cut)

    monkeypatch.setattr("fer3d.prediction.predictor.face_stream", seen)
    found = list(load(stride=1).stream(Given([picture((10, 10, 0, 100))] * end)))
    assert [prediction.frame for prediction in found] == list(range(end))
    assert {prediction.why for prediction in found[away:back]} == {"no face"}
    for start, stop in ((0, cut), (cut, away), (back, end)):
        for prediction in found[start:stop]:
            assert prediction.time_from >= start / 30 - 1e-9
            is_early = prediction.frame < start + 9
            assert prediction.why.startswith("too few frames" if is_early else "")
            assert (prediction.label == "anger") == (not is_early)


def test_a_face_that_goes_gets_a_last_prediction(load: Callable[..., Predictor]) -> None:
    pictures = [*sequence(0, 33), *[picture()] * 25, *sequence(1, 7)]
    found = list(load(stride=10, detect_every=1).stream(Given(pictures)))
    ends = [prediction for prediction in found if prediction.frame == len(pictures) - 1]
    # Of too few frames for a whole clip, and enough for a short one.
    assert [prediction.probabilities is not None for prediction in ends] == [True]
    gone = [prediction for prediction in found if prediction.face is not None and prediction.frame < 58][-1]
    assert gone.frame % 10 != 0
    assert gone.probabilities is not None


def test_what_comes_later_changes_nothing(load: Callable[..., Predictor]) -> None:
    pictures = [*sequence(0, 40), *sequence(2, 40)]
    predictor = load(smooth=0.4, stride=3, detect_every=4)
    whole = list(predictor.stream(Given(pictures)))
    for length in (40, 61):
        part = list(predictor.stream(Given(pictures[:length])))
        # The tracker looks ahead by one look, and the last frame has a prediction of its own.
        known = [prediction for prediction in part if prediction.frame < length - 5]
        assert len(known) > 8
        assert same(known, whole[: len(known)])


@pytest.mark.parametrize("num_waiting", [1, 7])
def test_how_many_clips_are_computed_at_once_changes_nothing(
    load: Callable[..., Predictor], monkeypatch: pytest.MonkeyPatch, num_waiting: int
) -> None:
    predictor = load(smooth=0.5, stride=2)
    want = list(predictor.stream(Given(sequence(0, 60))))
    monkeypatch.setattr("fer3d.prediction.predictor._MAX_WAITING", num_waiting)
    assert same(list(predictor.stream(Given(sequence(0, 60)))), want)


def test_every_face_gets_a_prediction_of_its_own(load: Callable[..., Predictor]) -> None:
    pictures = [picture((5 + k // 8, 8, 0, 100), (36 - k // 8, 12, 2, 100)) for k in range(41)]
    found = list(load(stride=10).stream(Given(pictures)))
    assert [(one.frame, one.face) for one in found] == [(k, n) for k in range(0, 41, 10) for n in (1, 2)]
    assert {(one.face, one.label) for one in found if one.label} == {(1, "anger"), (2, "sad")}
    only_one = list(load(stride=10, max_faces=1).stream(Given(pictures)))
    assert {prediction.face for prediction in only_one} == {1}


def test_every_frame_comes_out_once_in_order_with_its_predictions(load: Callable[..., Predictor]) -> None:
    pictures = [*sequence(0, 33), *[picture()] * 30]
    for with_pixels in (False, True):
        steps: list[Step] = list(load(stride=4).steps(Given(pictures), with_pixels=with_pixels))
        assert [step.frame.number for step in steps] == list(range(63))
        for step, pixels in zip(steps, pictures, strict=True):
            assert (step.frame.pixels is pixels) == with_pixels
            assert all(prediction.frame == step.frame.number for prediction in step.predictions)
            assert {prediction.face for prediction in step.predictions} <= {None, *(face.face for face in step.faces)}
            is_due = step.frame.number % 4 == 0
            assert not is_due or len(step.predictions) == max(len(step.faces), 1)


@pytest.mark.parametrize(("num_frames", "num_predictions"), [(1, 1), (2, 2), (4, 2), (5, 2)])
def test_a_very_short_video_gets_a_row_that_says_so(
    load: Callable[..., Predictor], num_frames: int, num_predictions: int
) -> None:
    found = list(load(stride=4).stream(Given(sequence(0, num_frames))))
    assert len(found) == num_predictions
    assert all(prediction.why.startswith("too few frames") for prediction in found)
    (nobody,) = load().stream(Given([picture()]))
    assert (nobody.face, nobody.why, nobody.box, nobody.label) == (None, "no face", None, "")


@pytest.mark.parametrize("sizes", [(48, 64), (30, 400), (2, 2)])
def test_frames_may_change_their_size(load: Callable[..., Predictor], sizes: tuple[int, int]) -> None:
    other = [np.full((*sizes, 3), 20, np.uint8)] * 12
    grey = [frame[..., 0] for frame in sequence(0, 15)]
    steps = list(load().steps(Given([*sequence(0, 15), *other, *grey])))
    assert len(steps) == 42
    assert steps[-1].predictions[-1].probabilities is not None


def test_the_table_of_a_video_is_its_stream(load: Callable[..., Predictor], tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", sequence(1, 30))
    table = load()(path)
    found = list(load().stream(VideoFile(path, "a")))
    assert table["frame"].tolist() == [prediction.frame for prediction in found]
    assert table["label"].tolist() == [prediction.label for prediction in found]
    assert set(table["file"]) == {str(path)}
    with_clip = table.dropna(subset=list(EMOTIONS))
    assert with_clip[list(EMOTIONS)].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)


def test_a_detector_without_engines_has_none_to_choose_from(load: Callable[..., Predictor]) -> None:
    with pytest.raises(PredictionError, match=r"--detector-engine openvino: .* arguments"):
        load(detector_engine="openvino")


def test_what_is_no_single_video_is_refused(load: Callable[..., Predictor], tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    with pytest.raises(PredictionError, match="contains 2"):
        load()(tmp_path)
    with pytest.raises(PredictionError, match="does not exist"):
        next(load().stream(tmp_path / "nothing.mp4"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("stride", 0), ("detect_every", -1), ("max_faces", 0), ("max_entropy", 0), ("max_entropy", 1.1)),
        *(
            ("window", 0),
            ("window", float("nan")),
            ("window", float("inf")),
            ("smooth", -0.1),
            ("smooth", float("nan")),
        ),
    ],
)
def test_settings_out_of_range_are_named_before_a_network_is_read(name: str, value: float) -> None:
    with pytest.raises(PredictionError, match=f"--{name.replace('_', '-')} must be .*, got {value}"):
        PredictionSettings(**{name: value})
    with pytest.raises(PredictionError, match=f"--{name.replace('_', '-')} must be"):
        Predictor.load("no such file", **{name: value})
