"""The Extended Cohn-Kanade data set (CK+), as distributed by the Affect Analysis Group, University of Pittsburgh."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from fer3d.corpora.layout import (
    IMAGE_SUFFIX,
    Distribution,
    Fault,
    Findings,
    contents,
    in_synthetic_twin,
    name_some,
    parts_below,
    plain_name,
    root_folder,
    walk,
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
# Other archives of the distribution, which are not read.
_OTHER_LABELS = re.compile(r"(?:facs|landmarks?).*")
_SUBJECT = re.compile(r"S[0-9]{3}", re.IGNORECASE)
_SEQUENCE = re.compile(r"[0-9]{3}")
_FRAME = re.compile(r"(S[0-9]{3})_([0-9]{3})_([0-9]{1,9})" + IMAGE_SUFFIX, re.IGNORECASE)
# Looser than the distributed names, so that labels without `.txt` or with ` (1)` are not ignored.
_LABEL = re.compile(r"(S[0-9]{3})_([0-9]{3})_([0-9]{1,9})_emotion.*", re.IGNORECASE)
# A label's text has 16 characters.
_MAX_LABEL_BYTES = 64

_FOREIGN_FRAME = Fault(
    "these frames are named after another sequence than their folder", "Move them to that sequence, or delete them"
)
_FOREIGN_LABEL = Fault(
    "these labels are named after another sequence than their folder", "Move them to that sequence, or delete them"
)
_MANY_LABELS = Fault("these folders contain several label files, but CK+ has one per sequence", "Keep one of each")
_NO_NUMBER = Fault("these labels must contain one number, such as 3.0000000e+00", "Unpack Emotion_labels.zip again")
_NO_CODE = Fault(
    f"these labels are not codes of CK+, 1..{len(EMOTIONS)} "
    f"({', '.join(f'{code} {emotion}' for code, emotion in enumerate(EMOTIONS, start=1))})",
    "Unpack Emotion_labels.zip again",
)
_NO_FRAMES = Fault(
    "these labelled sequences have no frames such as S005/001/S005_001_00000001.png",
    "Unpack extended-cohn-kanade-images.zip again",
)
_NO_PEAK = Fault(
    "these sequences lack the peak frame, whose number is in the name of the label file",
    "Unpack extended-cohn-kanade-images.zip again, or remove the label to leave out the sequence",
)
_PAST_PEAK = Fault(
    "these sequences continue after the peak frame, whose number is in the name of the label file, so their clips do "
    "not end at the labelled frame",
    "Delete the frames that do not belong to them",
)
_GAPS = Fault(
    "the frames of these sequences are not numbered 1, 2, 3 and so on",
    "Unpack extended-cohn-kanade-images.zip again if frames are missing",
)


class CKPlus:
    """CK+ in its own folder layout: 327 labelled sequences of 118 subjects, each from neutral to peak.

    Attributes:
        name: `ckplus`.
        emotions: The seven classes; a label file's code 1..7 is the index plus one.
        num_channels: 1; colour images are converted to grey.
        root: The folder of the images and labels, which may be nested in it.
        synthetic: Whether it is a synthetic twin. Valid after `read`.
    """

    name = "ckplus"
    emotions = EMOTIONS
    num_channels = 1

    def __init__(self, root: str | Path | None) -> None:
        self._root = root_folder(root) if root else None
        self.synthetic = False

    @property
    def root(self) -> Path:
        """The corpus's folder.

        Raises:
            CorpusError: `data.root` is not set.
        """
        if self._root is None:
            raise _DISTRIBUTION.not_found("the key data.root is not set.")
        return self._root

    def read(self) -> list[FrameSequence]:
        """Returns the labelled sequences, sorted by subject and then by sequence.

        Warns with a `CorpusWarning` if their number differs from the corpus as distributed, about every file that is
        not read, and about frames that are not numbered from 1 to the peak.

        Raises:
            CorpusError: The root is not set, is missing or does not contain CK+; a label is invalid; or a labelled
                sequence has no frames, no peak frame, or a frame or label of another sequence.
        """
        sequences, self.synthetic = read_tree(self.root)
        EXPECTED.check(sequences, "CK+", self.root)
        return sequences


def read_tree(root: Path) -> tuple[list[FrameSequence], bool]:
    """Returns the labelled sequences of any tree in CK+'s layout, and whether it is a synthetic twin.

    Raises:
        CorpusError: See `CKPlus.read`.
    """
    _DISTRIBUTION.existing_folder(root)
    sighted = walk(root, _SUBJECT, lambda _, name: bool(_FRAME.fullmatch(name) or _LABEL.fullmatch(name)))
    images = _one_folder(root, sighted.holders, _IMAGE_FOLDERS, "images", "cohn-kanade-images")
    labels = _one_folder(root, sighted.holders, _LABEL_FOLDERS, "labels", "Emotion or Emotion_labels")
    findings = Findings("CK+", root)
    sequences = _read_sequences(images, labels, findings)
    findings.note_elsewhere(
        sighted,
        (images, labels),
        lambda folder: any(map(_OTHER_LABELS.fullmatch, parts_below(root, folder))),
        lambda name: bool(_SEQUENCE.fullmatch(name)),
    )
    findings.raise_errors()
    if not sequences:
        problem = f"{labels} contains subject folders but no file named *_emotion.txt."
        raise _DISTRIBUTION.not_found(f"{problem} {findings.warnings_text()}".rstrip())
    findings.warn(stacklevel=3)
    return sequences, in_synthetic_twin(images)


def _one_folder(root: Path, candidates: Collection[Path], names: tuple[str, ...], what: str, usual: str) -> Path:
    found = [folder for folder in candidates if plain_name(folder.absolute().name) in names]
    if len(found) > 1:
        raise CorpusError(
            f"CK+ in {root.absolute()} has several folders of {what}: {name_some([str(path) for path in found])}. "
            "Remove all but one of them, or set data.root to a folder that contains only one"
        )
    if not found:
        others = [str(folder) for folder in candidates]
        raise _DISTRIBUTION.not_found(
            f"its {what} are missing: there is no folder {usual} with subject folders such as S005 in data.root, which "
            f"is {root.absolute()} and contains {contents(root)}."
            + (f" Subject folders were found in {name_some(others)} and not searched further." if others else "")
        )
    return found[0]


def _read_sequences(images: Path, labels: Path, findings: Findings) -> list[FrameSequence]:
    labelled = {
        (subject, sequence): label
        for subject, sequence, folder in _sequence_folders(labels, findings)
        if (label := _label(subject, sequence, folder, findings)) is not None
    }
    sequences: list[FrameSequence] = []
    without_frames = dict.fromkeys(labelled)
    for subject, sequence, folder in _sequence_folders(images, findings):
        if (subject, sequence) not in labelled:
            _pass_over(subject, sequence, folder, findings)
            continue
        peak, emotion = labelled[subject, sequence]
        frames = _frames(subject, sequence, folder, peak, findings)
        if frames:
            del without_frames[subject, sequence]
            sequences.append(FrameSequence(subject, sequence, emotion, frames))
    for subject, sequence in without_frames:
        findings.error(_NO_FRAMES, f"{subject}/{sequence}")
    return sorted(sequences, key=lambda sequence: (sequence.subject, sequence.sequence))


def _sequence_folders(tree: Path, findings: Findings) -> Iterator[tuple[str, str, Path]]:
    """Yields subject, sequence and folder of every sequence folder of the images or the labels."""
    subjects = findings.take(tree, "folders", lambda name: name.upper() if _SUBJECT.fullmatch(name) else None)
    for subject, subject_folder in subjects.items():
        found = findings.take(subject_folder, "folders", lambda name: name if _SEQUENCE.fullmatch(name) else None)
        for sequence, folder in found.items():
            yield subject, sequence, folder


def _parts(pattern: re.Pattern[str], name: str) -> tuple[str, str, int] | None:
    """Returns the subject, sequence and frame number in a file name."""
    match = pattern.fullmatch(name)
    return (match[1].upper(), match[2], int(match[3])) if match else None


def _label(subject: str, sequence: str, folder: Path, findings: Findings) -> tuple[int, str] | None:
    """Returns the peak's number and the emotion; `None` if unlabelled, as 266 of the 593 sequences are."""
    files = findings.take(folder, "files", lambda name: _parts(_LABEL, name))
    if len(files) > 1:
        findings.error(_MANY_LABELS, folder, f" ({name_some([path.name for path in files.values()])})")
    for (*owner, peak), file in files.items():
        if owner != [subject, sequence]:
            findings.error(_FOREIGN_LABEL, file)
        elif emotion := _emotion_in(file, findings):
            return peak, emotion
    return None


def _emotion_in(file: Path, findings: Findings) -> str | None:
    content = findings.read(file, _MAX_LABEL_BYTES)
    if content is None:
        return None
    try:
        value = float(content.decode("ascii"))
    except ValueError:
        findings.error(_NO_NUMBER, file, f" contains {content!r}" if content else " is empty")
        return None
    if value not in range(1, len(EMOTIONS) + 1):
        findings.error(_NO_CODE, file, f" contains {content.decode('ascii').strip()}")
        return None
    return EMOTIONS[int(value) - 1]


def _frames(subject: str, sequence: str, folder: Path, peak: int, findings: Findings) -> tuple[Path, ...]:
    found = findings.take(folder, "files", lambda name: _parts(_FRAME, name))
    frames = {number: path for (*owner, number), path in sorted(found.items()) if owner == [subject, sequence]}
    for (*owner, _), path in found.items():
        if owner != [subject, sequence]:
            findings.error(_FOREIGN_FRAME, path)
    if not frames:
        return ()
    first, last = min(frames), max(frames)
    if peak not in frames:
        findings.error(_NO_PEAK, f"{subject}/{sequence}", f" (frame {peak})")
    elif last > peak:
        findings.warning(_PAST_PEAK, f"{subject}/{sequence}", f" (to frame {last} instead of {peak})")
    if (first, last) != (1, len(frames)):
        findings.warning(_GAPS, f"{subject}/{sequence}", f" ({len(frames)} frames, numbered from {first} to {last})")
    return tuple(frames.values())


def _pass_over(subject: str, sequence: str, folder: Path, findings: Findings) -> None:
    """Records unexpected files in the folder of an unlabelled sequence."""

    def own_frame(name: str) -> str | None:
        return name if (parts := _parts(_FRAME, name)) and parts[:2] == (subject, sequence) else None

    findings.take(folder, "files", own_frame)
