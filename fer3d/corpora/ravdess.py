"""The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS), as distributed on Zenodo."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fer3d.corpora.layout import Distribution, Fault, Findings, contents, in_synthetic_twin, root_folder
from fer3d.corpora.sequences import CorpusError, Expected, VideoSequence
from fer3d.corpora.video_files import chosen_emotions, find_clips

# In the order of their codes, 01 to 08.
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
# Disgust and surprise are spoken only.
EMOTIONS_OF = {"speech": EMOTIONS, "song": EMOTIONS[:6]}
# Actor 18 does not sing.
_NUM_ACTORS = {"speech": 24, "song": 23}
# Two statements, twice each; in two intensities, except for neutral.
_TAKES = {emotion: 4 if emotion == "neutral" else 8 for emotion in EMOTIONS}

_DISTRIBUTION = Distribution(
    title="RAVDESS",
    layout=(
        "video files such as 02-01-06-01-02-01-12.mp4 (modality 02, or 01 for takes without 02), usually in folders "
        "such as Actor_12 or Video_Speech_Actor_12/Actor_12"
    ),
    origin=(
        "download Video_Speech_Actor_01.zip to Video_Speech_Actor_24.zip (about 0.55 GB each; for data.channel=song "
        "those called Video_Song) from Zenodo, record 1188976 (https://zenodo.org/records/1188976, licence CC BY-NC-SA "
        "4.0, no registration), and unpack them into one folder."
    ),
)

# Modality, channel, emotion, intensity, statement, repetition, actor.
_CLIP = re.compile(r"0[1-3]-0[12]-0[1-8]-0[12]-0[12]-0[12]-(?:0[1-9]|1[0-9]|2[0-4])")
_CLIP_LIKE = re.compile(r"[0-9]{2}(?:[-_ ][0-9]{2}){5,}.*", re.DOTALL)
_CHANNELS = {"01": "speech", "02": "song"}
_ACTOR_FOLDER = re.compile(r"(?:.*[_ -])?actor[_ -]?([0-9]{1,2})", re.IGNORECASE | re.DOTALL)

_FOREIGN = Fault(
    "these files have the number of another actor than their folder", "Move them to that actor, or delete them"
)


class RAVDESS:
    """RAVDESS under its own file names: 1,440 spoken clips of 24 actors, each a whole utterance.

    Every take is distributed with sound (modality 01) and without (02). Both show the same frames, so reading both
    would leak between training and test: the silent file is read, or the other one if it is missing.

    Attributes:
        name: `ravdess`.
        emotions: The chosen emotions; all eight (six in song) unless `data.emotions` is set.
        num_channels: 3.
        root: The folder of the video files, possibly nested.
        channel: `speech` or `song`.
        synthetic: Whether it is a synthetic twin. Valid after `read`.
    """

    name = "ravdess"
    num_channels = 3

    def __init__(self, root: str | Path | None, emotions: Sequence[str] | None = None, channel: str = "speech") -> None:
        if channel not in EMOTIONS_OF:
            raise CorpusError(f"data.channel is {channel!r}, but must be one of {', '.join(EMOTIONS_OF)}")
        self._root = root_folder(root) if root else None
        self.emotions = chosen_emotions(emotions, EMOTIONS_OF[channel], f"RAVDESS's {channel}")
        self.channel = channel
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

    def read(self) -> list[VideoSequence]:
        """Returns one sequence per take of the chosen channel and emotions, sorted by subject and then by sequence.

        Warns with a `CorpusWarning` if their number differs from the corpus as distributed, and about every video that
        is not read.

        Raises:
            CorpusError: The root is not set, is missing or does not contain these clips; or a clip has two files or is
                in another actor's folder.
        """
        sequences, self.synthetic = read_tree(self.root, self.channel, self.emotions)
        expected(self.channel, self.emotions).check(sequences, f"RAVDESS ({self.channel})", self.root)
        return sequences


def expected(channel: str, emotions: Sequence[str]) -> Expected:
    """Returns the size of the complete corpus for a channel and emotions."""
    counts = {emotion: _NUM_ACTORS[channel] * _TAKES[emotion] for emotion in emotions}
    return Expected(sum(counts.values()), _NUM_ACTORS[channel], counts)


def read_tree(
    root: Path, channel: str = "speech", emotions: Sequence[str] = EMOTIONS
) -> tuple[list[VideoSequence], bool]:
    """Returns the sequences of any folder with RAVDESS's file names, and whether it is a synthetic twin.

    Raises:
        CorpusError: See `RAVDESS.read`.
    """
    _DISTRIBUTION.existing_folder(root)
    findings = Findings("RAVDESS", root)
    files = find_clips(root, findings, _CLIP, _CLIP_LIKE)
    for name, file in files.items():
        folder_actor = _actor_of_folder(root, file)
        if folder_actor is not None and folder_actor != int(name[-2:]):
            findings.error(_FOREIGN, file)
    findings.raise_errors()
    sequences = _sequences(files, channel, emotions)
    if not sequences:
        raise _DISTRIBUTION.not_found(
            f"there is no clip of {', '.join(emotions)} with data.channel={channel} in data.root, which is "
            f"{root.absolute()} and contains {contents(root)}. {findings.warnings_text()}".rstrip()
        )
    findings.warn(stacklevel=3)
    return sequences, any(map(in_synthetic_twin, {sequence.video.parent for sequence in sequences}))


def _sequences(files: Mapping[str, Path], channel: str, emotions: Sequence[str]) -> list[VideoSequence]:
    # Takes differ from files by the modality only; in sorted order, 02 replaces 01.
    takes = {name[3:]: name for name in sorted(files) if not name.startswith("03")}
    sequences = []
    for name in takes.values():
        _, channel_code, emotion_code, *_, actor = name.split("-")
        emotion = EMOTIONS[int(emotion_code) - 1]
        if _CHANNELS[channel_code] == channel and emotion in emotions:
            sequences.append(VideoSequence(actor, name, emotion, files[name]))
    return sorted(sequences, key=lambda sequence: (sequence.subject, sequence.sequence))


def _actor_of_folder(root: Path, file: Path) -> int | None:
    """Returns the actor number of the nearest folder that has one, or `None`."""
    below = file.parent.relative_to(root).parts if file.is_relative_to(root) else file.parent.parts
    names = [root.absolute().name, *below]
    matches = [match for name in names if (match := _ACTOR_FOLDER.fullmatch(name))]
    return int(matches[-1][1]) if matches else None
