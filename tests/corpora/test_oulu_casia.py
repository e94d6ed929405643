from __future__ import annotations

from pathlib import Path

import pytest
from refusals import error_text
from trees import OULU_FOLDERS, OULU_STRONG, make_oulu, read_part, touch

from fer3d.corpora.oulu_casia import EMOTIONS, OuluCASIA
from fer3d.corpora.sequences import CorpusWarning, FrameSequence


def test_reads_subject_sequence_emotion_and_frames(oulu: Path) -> None:
    folder = oulu / OULU_STRONG
    assert read_part(OuluCASIA(oulu)) == [
        FrameSequence(subject, name, emotion, tuple(folder / subject / name / f"00{number}.jpeg" for number in (0, 1)))
        for subject in ("P001", "P002")
        for name, emotion in zip(OULU_FOLDERS, EMOTIONS, strict=True)
    ]


@pytest.mark.parametrize(
    "folder",
    [
        "VL/Strong",
        "OriginalImg/VL/Strong",
        "B_OriginalImg/VL/Strong",
        "B_OriginalImg/OriginalImg/VL/Strong",
        "B_OriginalImg/B_OriginalImg/OriginalImg/VL/Strong",
        "Oulu_CASIA_NIR_VIS/B_OriginalImg/B_OriginalImg/OriginalImg/VL/Strong",
        "originalimg/vl/strong",
        "Original Img/Vl/STRONG",
        "preprocessed by us/OriginalImg/VL/Strong",
    ],
)
def test_original_images_under_the_roots_seen_in_the_wild(tmp_path: Path, folder: str) -> None:
    sequences = read_part(OuluCASIA(make_oulu(tmp_path, folder)))
    assert len(sequences) == 12
    assert sequences[0].frames[0] == tmp_path / folder / "P001/Anger/000.jpeg"


@pytest.mark.parametrize(
    "folder",
    [
        "PreProcess_Img/VL_Acropped/Strong",
        "PreProcess Img/VL_Acropped/Strong",
        "PreProcessImg/VL Acropped/Strong",
        "PreProcess/vl_acropped/strong",
        "B_PreProcess_Img/PreProcess_Img/VL_Acropped/Strong",
        "PreProcess_Img/VL/Strong",
        "VL_Acropped/Strong",
    ],
)
def test_cropped_images_under_the_roots_seen_in_the_wild(tmp_path: Path, folder: str) -> None:
    root = make_oulu(tmp_path, folder)
    sequences = read_part(OuluCASIA(root, images="cropped"))
    assert len(sequences) == 12
    assert sequences[0].frames[0] == tmp_path / folder / "P001/Anger/000.jpeg"
    assert "data.images=original" in error_text(OuluCASIA(root))


@pytest.mark.parametrize("images", ["original", "cropped"])
@pytest.mark.parametrize("light", ["Strong", "Weak", "Dark"])
@pytest.mark.parametrize("camera", ["VL", "NI"])
def test_camera_light_and_images_choose_the_folder(tmp_path: Path, camera: str, light: str, images: str) -> None:
    sets = {"original": "OriginalImg/{camera}/{light}", "cropped": "PreProcess_Img/{camera}_Acropped/{light}"}
    for each_camera in ("VL", "NI"):
        for each_light in ("Strong", "Weak", "Dark"):
            for pattern in sets.values():
                folder = pattern.format(camera=each_camera, light=each_light)
                make_oulu(tmp_path, folder, subjects=["P001"], emotions=["Fear"], num_frames=1)
    (sequence,) = read_part(OuluCASIA(tmp_path, camera, light, images))
    expected = sets[images].format(camera=camera, light=light)
    assert sequence.frames == (tmp_path / expected / "P001/Fear/000.jpeg",)


@pytest.mark.parametrize(
    ("folders", "emotion"),
    [
        (("Anger", "anger", "ANGRY"), "anger"),
        (("Disgust", "disgusted"), "disgust"),
        (("Fear", "fearful"), "fear"),
        (("Happiness", "happiness", "Happy"), "happy"),
        (("Sadness", "Sad"), "sadness"),
        (("Surprise", "surprised"), "surprise"),
    ],
)
def test_spellings_of_an_emotion_name_the_same_sequence(tmp_path: Path, folders: tuple[str, ...], emotion: str) -> None:
    for number, folder in enumerate(folders):
        root = make_oulu(tmp_path / str(number), subjects=["p007"], emotions=[folder])
        (sequence,) = read_part(OuluCASIA(root))
        assert sequence.emotion == emotion
        assert sequence.clip_id == f"P007/{folders[0]}"
        assert sequence.frames[0].parent == root / OULU_STRONG / "p007" / folder


def test_frames_are_sorted_by_number_and_start_anywhere(tmp_path: Path) -> None:
    for name in ("100.jpeg", "99.JPG", "002.png", "010.jpeg"):
        touch(tmp_path / OULU_STRONG / "P001/Fear" / name)
    with pytest.warns(CorpusWarning) as caught:
        (sequence,) = OuluCASIA(tmp_path).read()
    assert [frame.name for frame in sequence.frames] == ["002.png", "010.jpeg", "99.JPG", "100.jpeg"]
    assert f"{OULU_STRONG}/P001/Fear (4 frames, numbered from 2 to 100)" in str(caught[0].message)


@pytest.mark.parametrize("missing", ["000", "001"])
def test_missing_frames_are_named(tmp_path: Path, missing: str) -> None:
    make_oulu(tmp_path, num_frames=3)
    (tmp_path / OULU_STRONG / f"P002/Fear/{missing}.jpeg").unlink()
    with pytest.warns(CorpusWarning) as caught:
        assert len(OuluCASIA(tmp_path).read()) == 12
    assert f"{OULU_STRONG}/P002/Fear (2 frames" in str(caught[0].message)


@pytest.mark.parametrize(
    ("moved", "to", "named"),
    [
        ("P002/Anger", "", "Anger/000.jpeg and 1 more in its folder"),
        ("P002/Anger", "OriginalImg/VL", "OriginalImg/VL/Anger/000.jpeg and 1 more in its folder"),
        ("P002/Anger", "OriginalImg/VL/Weak", "OriginalImg/VL/Weak/Anger/000.jpeg and 1 more in its folder"),
        ("P002/Anger/001.jpeg", "", "001.jpeg"),
        ("P002", "OriginalImg/VL", "OriginalImg/VL/P002"),
        ("P002", "", "P002"),
    ],
)
def test_what_lies_beside_its_folder_is_named(oulu: Path, moved: str, to: str, named: str) -> None:
    make_oulu(oulu, "OriginalImg/VL/Weak", subjects=["P003"])
    source = oulu / OULU_STRONG / moved
    source.rename(oulu / to / source.name)
    with pytest.warns(CorpusWarning) as caught:
        OuluCASIA(oulu).read()
    assert sum(f"(1): {named}. " in str(warning.message) for warning in caught) == 1


def test_a_sequence_without_frames_is_an_error_that_names_it(oulu: Path) -> None:
    for frame in (oulu / OULU_STRONG / "P002/Fear").iterdir():
        frame.unlink()
    (oulu / OULU_STRONG / "P001/Sadness/000.jpeg").rename(oulu / OULU_STRONG / "P001/Sadness/first.jpeg")
    (oulu / OULU_STRONG / "P001/Sadness/001.jpeg").unlink()
    message = error_text(OuluCASIA(oulu))
    assert f"(2): {OULU_STRONG}/P001/Sadness, {OULU_STRONG}/P002/Fear." in message
    assert str(oulu) in message


@pytest.mark.parametrize(
    ("second", "named"),
    [
        ("P001/Happy/000.jpeg", f"{OULU_STRONG}/P001/Happiness and Happy"),
        ("p001/Fear/000.jpeg", f"{OULU_STRONG}/P001 and p001"),
        ("P001/Fear/001.png", "001.jpeg and 001.png"),
    ],
    ids=["emotion", "subject", "frame"],
)
def test_two_names_of_one_thing_are_an_error(oulu: Path, second: str, named: str) -> None:
    touch(oulu / OULU_STRONG / second)
    assert named in error_text(OuluCASIA(oulu))


def test_two_copies_are_an_error_that_names_both(oulu: Path) -> None:
    make_oulu(oulu, "copy/OriginalImg/VL/Strong")
    message = error_text(OuluCASIA(oulu))
    assert "VL/Strong/original several times" in message
    assert str(oulu / OULU_STRONG) in message
    assert str(oulu / "copy" / OULU_STRONG) in message


def test_subjects_without_any_sequence_are_an_error(tmp_path: Path) -> None:
    touch(tmp_path / OULU_STRONG / "P001/000.jpeg")
    assert f"the subject folders in {tmp_path / OULU_STRONG} contain no folder such as Anger" in error_text(
        OuluCASIA(tmp_path)
    )


def test_a_root_with_another_camera_and_light_names_them(tmp_path: Path) -> None:
    make_oulu(tmp_path, "OriginalImg/NI/Dark")
    message = error_text(OuluCASIA(tmp_path))
    assert f"found there: {tmp_path / 'OriginalImg/NI/Dark'}." in message
    assert "data.camera=VL, data.light=Strong, data.images=original" in message
