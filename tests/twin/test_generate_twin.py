from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer3d.corpora.sequences import SYNTHETIC_MARKER, CorpusError
from fer3d.twin import TwinSettings, describe_twin, generate_twin
from fer3d.twin.cast import EMOTION_CODES, plan_cast

SMALL = replace(TwinSettings(), width=160, height=122, mean_extra_frames=0.5)
NUM_SUBJECTS = 3


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("twin") / "ckplus"
    generate_twin(root, 0, SMALL, NUM_SUBJECTS, num_workers=0, progress=False)
    return root


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read_sequences(root: Path) -> dict[str, list[np.ndarray]]:
    """Returns the frames of one sequence of each emotion."""
    names = {code: emotion for emotion, code in EMOTION_CODES.items()}
    sequences = {}
    for label in sorted(root.glob("Emotion/*/*/*.txt")):
        folder = root / "cohn-kanade-images" / label.parent.relative_to(root / "Emotion")
        frames = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(folder.iterdir())]
        sequences[names[int(float(label.read_text()))]] = frames
    return sequences


def test_the_layout_is_that_of_ckplus(twin: Path) -> None:
    for role in plan_cast(0, SMALL, NUM_SUBJECTS):
        for sequence in role.sequences:
            stem = f"{role.subject}_{sequence.name}"
            images = sorted(
                path.name for path in (twin / "cohn-kanade-images" / role.subject / sequence.name).iterdir()
            )
            assert images == [f"{stem}_{number:08d}.png" for number in range(1, sequence.num_frames + 1)]
            (label,) = (twin / "Emotion" / role.subject / sequence.name).iterdir()
            assert label.name == f"{stem}_{sequence.num_frames:08d}_emotion.txt"
            assert label.read_text() == f"   {EMOTION_CODES[sequence.emotion]}.0000000e+00\n"
    assert sorted(path.name for path in twin.iterdir()) == ["Emotion", "cohn-kanade-images", SYNTHETIC_MARKER]


def test_the_marker_says_how_the_twin_was_made(twin: Path) -> None:
    marker = json.loads((twin / SYNTHETIC_MARKER).read_text())
    assert re.match(r"\d+\.\d+", marker.pop("anny"))
    assert marker == describe_twin(0, SMALL, NUM_SUBJECTS)
    assert set(marker) == {"format", "seed", "num_subjects", "settings"}


def test_a_description_changes_with_everything_that_decides_the_images() -> None:
    one = describe_twin(0, SMALL, NUM_SUBJECTS)
    assert (one["seed"], one["num_subjects"], one["settings"]["width"]) == (0, NUM_SUBJECTS, SMALL.width)
    others = [
        describe_twin(1, SMALL, NUM_SUBJECTS),
        describe_twin(0, replace(SMALL, gaze=0.0), NUM_SUBJECTS),
        describe_twin(0, SMALL, NUM_SUBJECTS + 1),
    ]
    assert one not in others
    assert describe_twin(0) == describe_twin(0, TwinSettings(), 118)


def test_frames_are_grey_images_of_the_asked_size(twin: Path) -> None:
    for frames in read_sequences(twin).values():
        for frame in frames:
            assert frame.shape == (SMALL.height, SMALL.width)
            assert frame.dtype == np.uint8
            assert frame.std() > 10


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_whoever_renders(twin: Path, tmp_path: Path) -> None:
    generate_twin(tmp_path / "again", 0, SMALL, NUM_SUBJECTS, num_workers=2, progress=False)
    assert digest(tmp_path / "again") == digest(twin)


def test_another_seed_gives_other_images(twin: Path, tmp_path: Path) -> None:
    generate_twin(tmp_path / "other", 1, SMALL, 1, num_workers=0, progress=False)
    images = {value for name, value in digest(twin).items() if name.endswith(".png")}
    assert not images & set(digest(tmp_path / "other").values())


def test_each_emotion_moves_its_own_part_of_the_face(tmp_path: Path) -> None:
    still = replace(
        SMALL,
        **dict.fromkeys(["action_noise", "blend", "head_drift", "gaze", "blink", "action_dropout"], 0.0),
        **dict.fromkeys(["intensity", "contempt_intensity"], (1.0, 1.0)),
        noise=(0.0, 0.0),
        head_yaw=0.0,
        head_pitch=0.0,
        head_roll=0.0,
    )
    generate_twin(tmp_path / "still", 0, still, NUM_SUBJECTS, num_workers=0, progress=False)
    moved = {}
    for emotion, frames in read_sequences(tmp_path / "still").items():
        change = np.abs(frames[-1].astype(int) - frames[0].astype(int))
        # The face is centred: brows and eyes lie above the middle of the picture, the mouth below.
        top, bottom = change[: SMALL.height // 2].sum(), change[SMALL.height // 2 : SMALL.height * 4 // 5].sum()
        assert change.max() > 20, emotion
        moved[emotion] = bottom / (top + bottom)
    assert set(moved) == set(EMOTION_CODES)
    assert moved["happy"] > moved["anger"]
    assert moved["surprise"] > moved["anger"]


@pytest.mark.slow
def test_a_killed_run_leaves_no_root_and_the_next_one_tidies_up(tmp_path: Path) -> None:
    root = tmp_path / "killed"
    code = f"""
from dataclasses import replace
from pathlib import Path
from fer3d.twin import TwinSettings, generate_twin
if __name__ == "__main__":
    generate_twin(Path({str(root)!r}), 0, replace(TwinSettings(), width=160, height=122), 60, 0, False)
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(tmp_path.rglob("*_00000003.png")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (partial,) = tmp_path.iterdir()
    assert partial.name.startswith(".killed.partial-")
    assert not (partial / SYNTHETIC_MARKER).exists()

    generate_twin(root, 0, SMALL, 1, num_workers=0, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["killed"]
    assert len(list(root.rglob("*_emotion.txt"))) == 3


def test_a_folder_in_use_is_refused(twin: Path) -> None:
    with pytest.raises(CorpusError, match="not empty"):
        generate_twin(twin, 0, SMALL, 1, num_workers=0, progress=False)


def test_importing_the_package_loads_no_renderer() -> None:
    code = "import sys, fer3d.twin; print({'anny', 'warp', 'torch'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


@pytest.mark.parametrize("missing", ["anny", "warp"])
def test_without_the_extra_the_error_says_what_to_install(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(CorpusError, match=re.escape("pip install fer3d[synthetic]")):
        generate_twin(tmp_path / "root", 0, SMALL, 1, num_workers=0, progress=False)
    assert not (tmp_path / "root").exists()
