"""The Extended Cohn-Kanade data set (CK+), as distributed by the Affect Analysis Group, University of Pittsburgh."""

from __future__ import annotations

import re
from pathlib import Path

from fer3d.corpora.layout import (
    IMAGE_SUFFIX,
    Distribution,
    contents,
    folders_holding,
    in_synthetic_twin,
    name_some,
    numbered_frames,
    plain_name,
    subfolders,
)
from fer3d.corpora.sequences import CorpusError, Expected, FrameSequence

EMOTIONS = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")

EXPECTED = Expected(
    num_sequences=327,
    num_subjects=118,
    per_emotion=dict(zip(EMOTIONS, (45, 18, 59, 25, 69, 28, 83), strict=True)),
)

_DISTRIBUTION = Distribution(
    title="CK+",
    layout=(
        "a folder cohn-kanade-images with S005/001/S005_001_00000001.png and so on, and a folder Emotion or "
        "Emotion_labels with S005/001/S005_001_00000011_emotion.txt and so on"
    ),
    origin=(
        "request CK+ from the Affect Analysis Group, University of Pittsburgh (jeffcohn.net, page Resources), sign its "
        "licence for non-commercial research, and unpack extended-cohn-kanade-images.zip and Emotion_labels.zip into "
        "one folder."
    ),
)

_IMAGE_FOLDERS = ("cohnkanadeimages", "extendedcohnkanadeimages")
_LABEL_FOLDERS = ("emotion", "emotions", "emotionlabel", "emotionlabels")
_SUBJECT = re.compile(r"S\d+", re.IGNORECASE)
_FRAME = re.compile(r"S\d+_\d+_(\d+)" + IMAGE_SUFFIX, re.IGNORECASE)
# Looser than the distributed name, so that `..._emotion (1).txt` is noticed and not passed over.
_LABEL = re.compile(r"[^.].*_emotion.*\.txt", re.IGNORECASE)


class CKPlus:
    """CK+ in its own folder layout: 327 labelled sequences of 118 subjects, each from neutral to peak.

    Attributes:
        name: `ckplus`.
        emotions: The seven classes; a label file's code 1..7 is the index into them plus one.
        num_channels: 1: the images are grey or made grey.
        root: The folder that holds the images and the labels, at any of the depths seen in the wild.
        synthetic: Whether the folder read is a synthetic twin.
    """

    name = "ckplus"
    emotions = EMOTIONS
    num_channels = 1

    def __init__(self, root: str | Path | None) -> None:
        self._root = Path(root).expanduser() if root else None
        self.synthetic = False

    @property
    def root(self) -> Path:
        """The folder that holds the corpus.

        Raises:
            CorpusError: None is configured.
        """
        if self._root is None:
            raise _DISTRIBUTION.not_found("the key data.root is not set.")
        return self._root

    def read(self) -> list[FrameSequence]:
        """Returns the labelled sequences, sorted by subject and then by sequence.

        Warns with a `CorpusWarning` when their number differs from the corpus as distributed.

        Raises:
            CorpusError: The root is not set, is missing or does not hold CK+; a label cannot be read; a labelled
                sequence has no frames.
        """
        sequences, self.synthetic = read_tree(self.root)
        EXPECTED.check(sequences, "CK+", self.root)
        return sequences


def read_tree(root: Path) -> tuple[list[FrameSequence], bool]:
    """Returns the labelled sequences of a tree in CK+'s layout, however many, and whether it is a synthetic twin.

    Raises:
        CorpusError: As `CKPlus.read`.
    """
    _DISTRIBUTION.existing_folder(root)
    candidates = folders_holding(root, _SUBJECT)
    images = _one_folder(root, candidates, _IMAGE_FOLDERS, "images", "cohn-kanade-images")
    labels = _one_folder(root, candidates, _LABEL_FOLDERS, "labels", "Emotion or Emotion_labels")
    return _read_sequences(images, labels), in_synthetic_twin(images)


def _one_folder(root: Path, candidates: list[Path], names: tuple[str, ...], what: str, usual: str) -> Path:
    found = [folder for folder in candidates if plain_name(folder.absolute().name) in names]
    if len(found) > 1:
        raise CorpusError(
            f"CK+ in {root.absolute()} has its {what} more than once: {name_some([str(path) for path in found])}. "
            "Remove all but one of them, or set data.root to a folder that holds only one"
        )
    if not found:
        raise _DISTRIBUTION.not_found(
            f"its {what} are missing: no folder called {usual} with subject folders such as S005 lies in data.root, "
            f"which is {root.absolute()} and holds {contents(root)}."
        )
    return found[0]


def _read_sequences(images: Path, labels: Path) -> list[FrameSequence]:
    image_folders = {folder.name.upper(): folder for folder in _subject_folders(images)}
    sequences: list[FrameSequence] = []
    without_frames: list[str] = []
    for subject_folder in _subject_folders(labels):
        subject = subject_folder.name.upper()
        for label_folder in subfolders(subject_folder):
            emotion = _read_emotion(label_folder)
            if emotion is None:
                continue
            frames = _frames(image_folders.get(subject), label_folder.name)
            if frames:
                sequences.append(FrameSequence(subject, label_folder.name, emotion, frames))
            else:
                without_frames.append(f"{subject}/{label_folder.name}")
    if without_frames:
        raise CorpusError(
            f"CK+ has no frames for {len(without_frames)} labelled sequence(s): {name_some(without_frames)}. Their "
            f"labels are in {labels}, and their images should be in {images}, with names such as "
            "S005/001/S005_001_00000001.png. Unpack extended-cohn-kanade-images.zip again"
        )
    if not sequences:
        raise _DISTRIBUTION.not_found(f"{labels} holds subject folders but not one file named *_emotion.txt.")
    return sorted(sequences, key=lambda sequence: (sequence.subject, sequence.sequence))


def _subject_folders(folder: Path) -> list[Path]:
    return [path for path in subfolders(folder) if _SUBJECT.fullmatch(path.name)]


def _frames(subject_folder: Path | None, sequence: str) -> tuple[Path, ...]:
    if subject_folder is None or not (subject_folder / sequence).is_dir():
        return ()
    return numbered_frames(subject_folder / sequence, _FRAME)


def _read_emotion(label_folder: Path) -> str | None:
    """Returns the emotion of one sequence, or `None` where it is not labelled, as 266 of the 593 are not."""
    files = sorted(path for path in label_folder.iterdir() if _LABEL.fullmatch(path.name))
    if not files:
        return None
    if len(files) > 1:
        names = name_some([path.name for path in files])
        raise CorpusError(f"{label_folder} holds {len(files)} label files where CK+ has one: {names}")
    return _emotion_in(files[0])


def _emotion_in(file: Path) -> str:
    try:
        text = file.read_text(encoding="ascii")
        value = float(text)
    except ValueError as error:
        raise CorpusError(f"{file} should hold one number, such as 3.0000000e+00, and does not: {error}") from error
    if value not in range(1, len(EMOTIONS) + 1):
        codes = ", ".join(f"{code} {emotion}" for code, emotion in enumerate(EMOTIONS, start=1))
        raise CorpusError(f"{file} holds {text.strip()}, which is not one of CK+'s codes 1..{len(EMOTIONS)}: {codes}")
    return EMOTIONS[int(value) - 1]
