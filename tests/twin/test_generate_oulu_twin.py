from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from trees import read_part

from fer3d.corpora.oulu_casia import OuluCASIA
from fer3d.corpora.sequences import SYNTHETIC_MARKER
from fer3d.twin import CKPLUS, OULU, describe_twin, generate_twin, studio
from fer3d.twin.cast import plan_oulu_cast
from fer3d.twin.head_model import read_head_model
from fer3d.twin.layouts import Layout
from fer3d.twin.people import Person

SMALL = replace(OULU.settings, width=160, height=120, max_frames=9)
NUM_SUBJECTS = 2
STRONG = "OriginalImg/VL/Strong"


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("twin") / "oulu"
    generate_twin(root, 0, SMALL, NUM_SUBJECTS, num_workers=0, progress=False, layout=OULU)
    return root


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_layout_is_that_of_oulu_casia(twin: Path) -> None:
    wanted = {
        f"{STRONG}/{role.subject}/{sequence.name}/{number:03d}.jpeg"
        for role in plan_oulu_cast(0, SMALL, NUM_SUBJECTS)
        for sequence in role.sequences
        for number in range(sequence.num_frames)
    }
    assert f"{STRONG}/P002/Happiness/008.jpeg" in wanted
    assert set(digest(twin)) == {*wanted, SYNTHETIC_MARKER}
    assert sorted(path.name for path in twin.iterdir()) == ["OriginalImg", SYNTHETIC_MARKER]


def test_the_reader_of_oulu_casia_reads_it_as_synthetic(twin: Path) -> None:
    corpus = OuluCASIA(twin)
    sequences = read_part(corpus)
    assert corpus.synthetic is True
    assert [(sequence.subject, sequence.sequence, sequence.emotion) for sequence in sequences] == [
        (role.subject, sequence.name, sequence.emotion)
        for role in plan_oulu_cast(0, SMALL, NUM_SUBJECTS)
        for sequence in role.sequences
    ]


def test_the_marker_says_which_layout_and_how_it_was_made(twin: Path) -> None:
    marker = json.loads((twin / SYNTHETIC_MARKER).read_text())
    assert marker.pop("anny")
    assert marker == describe_twin(0, SMALL, NUM_SUBJECTS, OULU)
    assert marker["layout"] == "oulu_casia"


def test_by_default_a_twin_is_described_as_its_full_layout() -> None:
    assert describe_twin(0, layout=OULU) == describe_twin(0, OULU.settings, 80, OULU)
    assert (OULU.settings.width, OULU.settings.height) == (320, 240)


def test_frames_are_jpegs_in_true_colour(twin: Path) -> None:
    for path in twin.rglob("*.jpeg"):
        assert path.read_bytes().startswith(b"\xff\xd8\xff")
        frame = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert frame.shape == (SMALL.height, SMALL.width, 3)
        blue, green, red = (frame[..., band].astype(int) for band in range(3))
        assert min(np.abs(red - green).mean(), np.abs(green - blue).mean()) > 1
        # The middle of the picture is face.
        middle = slice(SMALL.height // 2 - 5, SMALL.height // 2 + 5), slice(SMALL.width // 2 - 5, SMALL.width // 2 + 5)
        assert red[middle].mean() > green[middle].mean() > 0
        assert red[middle].mean() > blue[middle].mean()


def test_a_sequence_moves_and_two_people_differ(twin: Path) -> None:
    apexes = []
    for subject in ("P001", "P002"):
        first, *_, last = sorted((twin / STRONG / subject / "Surprise").iterdir())
        images = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(int) for path in (first, last)]
        assert np.abs(images[1] - images[0]).max() > 20
        apexes.append(images[1])
    assert np.abs(apexes[0] - apexes[1]).mean() > 5


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_whoever_renders(twin: Path, tmp_path: Path) -> None:
    generate_twin(tmp_path / "again", 0, SMALL, NUM_SUBJECTS, num_workers=2, progress=False, layout=OULU)
    assert digest(tmp_path / "again") == digest(twin)


def test_nobody_is_in_both_twins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people: list[Person] = []
    draw = studio.draw_person

    def watch(*arguments: Any) -> Person:
        people.append(draw(*arguments))
        return people[-1]

    monkeypatch.setattr(studio, "draw_person", watch)
    tiny, head = replace(SMALL, width=16, height=12), read_head_model()
    layouts: tuple[Layout, ...] = (CKPLUS, OULU)
    for layout in layouts:
        filming = studio.Studio(tmp_path / layout.name, head, layout, 0, tiny)
        for role in layout.plan_cast(0, tiny, 3):
            filming.film(replace(role, sequences=role.sequences[:1]))
    assert len({person.look.skin for person in people}) == len({person.face_height for person in people}) == 6
