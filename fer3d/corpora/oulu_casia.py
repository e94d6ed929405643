"""The Oulu-CASIA NIR&VIS facial expression database, as distributed by the University of Oulu."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import product
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

EMOTIONS = ("anger", "disgust", "fear", "happy", "sadness", "surprise")
CAMERAS = ("VL", "NI")
LIGHTS = ("Strong", "Weak", "Dark")
IMAGES = ("original", "cropped")

EXPECTED = Expected(num_sequences=480, num_subjects=80, per_emotion=dict.fromkeys(EMOTIONS, 80))

_DISTRIBUTION = Distribution(
    title="Oulu-CASIA",
    layout=(
        "folders such as OriginalImg/VL/Strong (original images) or PreProcess_Img/VL_Acropped/Strong (cropped images) "
        "with P001/Anger/000.jpeg and so on"
    ),
    origin=(
        "request the Oulu-CASIA NIR&VIS facial expression database from the Center for Machine Vision and Signal "
        "Analysis, University of Oulu, sign its licence agreement, and unpack B_OriginalImg (or PreProcess_Img)."
    ),
)

# The distributed folder's name identifies the sequence, however a copy spells it.
_DISTRIBUTED = dict(zip(EMOTIONS, ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise"), strict=True))
_SPELLINGS = {
    **{plain_name(folder): emotion for emotion, folder in _DISTRIBUTED.items()},
    "angry": "anger",
    "disgusted": "disgust",
    "fearful": "fear",
    "happy": "happy",
    "sad": "sadness",
    "surprised": "surprise",
}
_SUBJECT = re.compile(r"P[0-9]{3}", re.IGNORECASE)
_CROPPED = re.compile(r"[a-z]?preprocess(?:img)?")
_FRAME = re.compile(r"([0-9]{1,9})" + IMAGE_SUFFIX, re.IGNORECASE)

_DISTRIBUTED_FRAME = re.compile(r"[0-9]{3}\.jpeg", re.IGNORECASE)
_NUMBERED_FRAME = re.compile(r"[0-9]{3}" + IMAGE_SUFFIX, re.IGNORECASE)
# As `plain_name` spells them.
_RECORDINGS = frozenset(tuple(map(plain_name, recording)) for recording in product(CAMERAS, LIGHTS, IMAGES))

_NO_FRAMES = Fault("these sequence folders have no frames such as 000.jpeg", "Unpack the archive again")
_GAPS = Fault(
    "the frames of these sequences are not numbered 0, 1, 2 and so on",
    "Unpack the archive again if frames are missing",
)


class OuluCASIA:
    """Oulu-CASIA in its own folder layout: six expressions of 80 subjects under one camera and one light.

    The paper uses the visible camera in normal light, `VL` and `Strong`: 480 sequences of at least 9 frames.

    Attributes:
        name: `oulu_casia`.
        emotions: The six classes.
        num_channels: 3; images stay RGB.
        root: The folder of the images, which may be nested in it.
        camera: `VL` (visible) or `NI` (near infrared).
        light: `Strong`, `Weak` or `Dark`.
        images: `original` (320x240) or `cropped` (the distributor's crops).
        synthetic: Whether it is a synthetic twin. Valid after `read`.
    """

    name = "oulu_casia"
    emotions = EMOTIONS
    num_channels = 3

    def __init__(
        self, root: str | Path | None, camera: str = "VL", light: str = "Strong", images: str = "original"
    ) -> None:
        for key, value, options in (("camera", camera, CAMERAS), ("light", light, LIGHTS), ("images", images, IMAGES)):
            if value not in options:
                raise CorpusError(f"data.{key} is {value!r}, but must be one of {', '.join(options)}")
        self._root = root_folder(root) if root else None
        self.camera = camera
        self.light = light
        self.images = images
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
        """Returns the sequences of the chosen camera and light, sorted by subject and then by sequence.

        Warns with a `CorpusWarning` if their number differs from the corpus as distributed, about every file that is
        not read, and about frames that are not numbered from 0 without gaps.

        Raises:
            CorpusError: The root is not set, is missing or does not contain these images; or a sequence has no frames.
        """
        sequences, self.synthetic = read_tree(self.root, self.camera, self.light, self.images)
        EXPECTED.check(sequences, f"Oulu-CASIA ({self.camera}, {self.light}, {self.images})", self.root)
        return sequences


def read_tree(
    root: Path, camera: str = "VL", light: str = "Strong", images: str = "original"
) -> tuple[list[FrameSequence], bool]:
    """Returns the sequences of any tree in Oulu-CASIA's layout, and whether it is a synthetic twin.

    Raises:
        CorpusError: See `OuluCASIA.read`.
    """
    _DISTRIBUTION.existing_folder(root)
    sighted = walk(root, _SUBJECT, _is_frame)
    folder = _light_folder(root, sighted.holders, camera, light, images)
    findings = Findings("Oulu-CASIA", root)
    sequences = _read_sequences(folder, findings)
    findings.note_elsewhere(
        sighted,
        (folder,),
        lambda other: _recording(other) in _RECORDINGS or _is_cropped(root, other),
        lambda name: plain_name(name) in _SPELLINGS,
    )
    findings.raise_errors()
    if not sequences:
        problem = f"the subject folders in {folder} contain no folder such as Anger."
        raise _DISTRIBUTION.not_found(f"{problem} {findings.warnings_text()}".rstrip())
    findings.warn(stacklevel=3)
    return sequences, in_synthetic_twin(folder)


def _is_cropped(root: Path, folder: Path) -> bool:
    return any(part.endswith("cropped") or _CROPPED.fullmatch(part) for part in parts_below(root, folder))


def _is_frame(folder: Path, name: str) -> bool:
    """Whether a file looks like a frame of Oulu-CASIA; other images may also have numbers as names."""
    return bool(_DISTRIBUTED_FRAME.fullmatch(name)) or (
        plain_name(folder.name) in _SPELLINGS and bool(_NUMBERED_FRAME.fullmatch(name))
    )


def _light_folder(root: Path, candidates: Collection[Path], camera: str, light: str, images: str) -> Path:
    wanted = (camera, light, images)
    found = [folder for folder in candidates if _recording(folder) == tuple(map(plain_name, wanted))]
    if len(found) > 1:
        raise CorpusError(
            f"Oulu-CASIA in {root.absolute()} has {'/'.join(wanted)} several times: "
            f"{name_some([str(path) for path in found])}. Remove all but one of them, or set data.root to a folder "
            "that contains only one"
        )
    if not found:
        others = [str(folder) for folder in candidates]
        raise _DISTRIBUTION.not_found(
            f"there is no folder for data.camera={camera}, data.light={light}, data.images={images} in data.root, "
            f"which is {root.absolute()} and contains {contents(root)}."
            + (f" Folders with subjects such as P001 found there: {name_some(others)}." if others else "")
        )
    return found[0]


def _recording(folder: Path) -> tuple[str, str, str]:
    """Returns the camera, light and images of a folder of subjects, as `plain_name` spells them."""
    light, camera, *above = (plain_name(part) for part in reversed(folder.absolute().parts))
    cropped = camera.endswith("acropped") or bool(above and _CROPPED.fullmatch(above[0]))
    return camera.removesuffix("acropped"), light, "cropped" if cropped else "original"


def _read_sequences(light_folder: Path, findings: Findings) -> list[FrameSequence]:
    sequences: list[FrameSequence] = []
    subjects = findings.take(light_folder, "folders", lambda name: name.upper() if _SUBJECT.fullmatch(name) else None)
    for subject, subject_folder in subjects.items():
        emotions = findings.take(subject_folder, "folders", lambda name: _SPELLINGS.get(plain_name(name)))
        for emotion, folder in emotions.items():
            frames = _frames(folder, findings)
            if frames:
                sequences.append(FrameSequence(subject, _DISTRIBUTED[emotion], emotion, frames))
    return sorted(sequences, key=lambda sequence: (sequence.subject, sequence.sequence))


def _frames(folder: Path, findings: Findings) -> tuple[Path, ...]:
    found = findings.take(folder, "files", lambda name: int(match[1]) if (match := _FRAME.fullmatch(name)) else None)
    if not found:
        findings.error(_NO_FRAMES, folder)
    elif (min(found), max(found)) != (0, len(found) - 1):
        numbers = f" ({len(found)} frames, numbered from {min(found)} to {max(found)})"
        findings.warning(_GAPS, folder, numbers)
    return tuple(found[number] for number in sorted(found))
