"""The layouts of talking people that a twin can be written in: RAVDESS's and CREMA-D's, each a folder of videos."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import numpy as np

from fer3d.twin.actors import (
    CREMA_D_CODES,
    NUM_CREMA_D_ACTORS,
    NUM_RAVDESS_ACTORS,
    RAVDESS_CODES,
    plan_crema_d_cast,
    plan_ravdess_cast,
)
from fer3d.twin.cast import CREMA_D_STREAM, RAVDESS_STREAM, PlannedSequence, Role
from fer3d.twin.head_model import FloatArray
from fer3d.twin.layouts import Layout, Picture
from fer3d.twin.people import Person
from fer3d.twin.recording import Recorder
from fer3d.twin.settings import TwinSettings, VideoSettings
from fer3d.twin.speech import perform_talking

# That of both corpora's cameras.
_RATE = Fraction(30_000, 1001)


class TalkingLayout(Layout):
    """What the twins of talking people share.

    Attributes:
        codes: The corpus's code of each emotion that people show.
        recorder: How the videos are written.
    """

    in_colour = True
    codes: ClassVar[Mapping[str, str]]
    recorder: ClassVar[Recorder]

    def perform(
        self,
        sequence: PlannedSequence,
        person: Person,
        action_names: np.ndarray,
        settings: TwinSettings,
        rng: np.random.Generator,
    ) -> FloatArray:
        """See `speech.perform_talking`."""
        emotions, rate = tuple(self.codes), float(self.recorder.rate)
        return perform_talking(
            sequence.emotion, emotions, sequence.num_frames, rate, person, action_names, _for_video(settings), rng
        )


class RavdessLayout(TalkingLayout):
    """RAVDESS, video only: `Actor_01/02-01-06-01-01-01-01.mp4`, H.264, 1280x720 in colour.

    The camera films at half the size, which costs a quarter: no prepared face has more pixels than that.
    """

    name = "ravdess"
    title = "RAVDESS"
    format = 1
    settings = VideoSettings(
        width=640, height=360, background=(0.85, 1.15), blur=(0.8, 1.3), noise=(0.5, 1.5), num_takes=2
    )
    num_subjects = NUM_RAVDESS_ACTORS
    stream = RAVDESS_STREAM
    codes = RAVDESS_CODES
    # Faster presets look no frames ahead; where libx264 does, the same pictures do not always give the same bytes.
    recorder = Recorder("libx264", {"crf": "22", "preset": "superfast"}, _RATE, zoom=2)

    def plan_cast(self, seed: int, settings: TwinSettings, num_subjects: int) -> list[Role]:
        """See `actors.plan_ravdess_cast`."""
        return plan_ravdess_cast(seed, _for_video(settings), num_subjects)

    def write_sequence(self, root: Path, subject: str, sequence: PlannedSequence, pictures: Iterable[Picture]) -> None:
        """Writes the video, whose name is the label."""
        folder = root / f"Actor_{subject}"
        folder.mkdir(exist_ok=True)
        self.recorder.record(folder / f"{sequence.name}.mp4", pictures)


class CremaDLayout(TalkingLayout):
    """CREMA-D: `VideoFlash/1001_IEO_HAP_HI.flv`, FLV1, 480x360 in colour, and what raters would have said."""

    name = "crema_d"
    title = "CREMA-D"
    format = 1
    settings = VideoSettings(width=480, height=360)
    num_subjects = NUM_CREMA_D_ACTORS
    stream = CREMA_D_STREAM
    codes = CREMA_D_CODES
    recorder = Recorder("flv", {"qmin": "2", "qmax": "6", "b": "1500000"}, _RATE)

    def plan_cast(self, seed: int, settings: TwinSettings, num_subjects: int) -> list[Role]:
        """See `actors.plan_crema_d_cast`."""
        return plan_crema_d_cast(seed, _for_video(settings), num_subjects)

    def write_sequence(self, root: Path, subject: str, sequence: PlannedSequence, pictures: Iterable[Picture]) -> None:
        """Writes the video, whose name is the label."""
        folder = root / "VideoFlash"
        folder.mkdir(exist_ok=True)
        self.recorder.record(folder / f"{sequence.name}.flv", pictures)

    def write_tables(self, root: Path, roles: Sequence[Role], seed: int) -> None:
        """Writes `processedResults/summaryTable.csv`: raters' majorities, right as often as those of CREMA-D's raters.

        Nobody looked at the pictures: the shares of each emotion are those published for the face alone, and a person's
        face and voice together are taken for right half of the times that the face alone is not.
        """
        table = root / "processedResults" / "summaryTable.csv"
        table.parent.mkdir()
        with table.open("w", encoding="ascii", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
            writer.writerow(("", *_COLUMNS))
            rows: list[tuple[str, ...]] = []
            for role in roles:
                rng = np.random.default_rng([seed, self.stream, role.index, 1])
                rows += [(sequence.name, *_judge(sequence.emotion, rng)) for sequence in role.sequences]
            writer.writerows((str(number), *row) for number, row in enumerate(rows, start=1))


RAVDESS, CREMA_D = RavdessLayout(), CremaDLayout()

_COLUMNS = (
    "FileName",
    "VoiceVote",
    "VoiceLevel",
    "FaceVote",
    "FaceLevel",
    "MultiModalVote",
    "MultiModalLevel",
)
# How often the majority of those who saw only the face named what the actor intended.
FACE_RIGHT = {"happy": 0.96, "neutral": 0.92, "anger": 0.65, "disgust": 0.63, "fear": 0.52, "sadness": 0.33}
_TIED_SHARE = 0.1


def _judge(emotion: str, rng: np.random.Generator) -> list[str]:
    """Returns vote and level for voice, face and both; a vote is a letter, or such as `A:D` where two come first."""
    right = FACE_RIGHT[emotion]
    cells = []
    for share in (0.6, right, (1 + right) / 2):
        own, other = (CREMA_D_CODES[name][0] for name in (emotion, _other(emotion, rng)))
        if rng.random() < share:
            vote = own
        elif rng.random() < _TIED_SHARE:
            vote = ":".join(sorted((own, other)))
        else:
            vote = other
        cells += [vote, ":".join(f"{level:.2f}" for level in rng.uniform(40, 80, vote.count(":") + 1))]
    return cells


def _other(emotion: str, rng: np.random.Generator) -> str:
    """Draws what an expression is mistaken for, mostly a neutral face."""
    if emotion != "neutral" and rng.random() < 0.5:
        return "neutral"
    return str(rng.choice([name for name in CREMA_D_CODES if name != emotion]))


def _for_video(settings: TwinSettings) -> VideoSettings:
    if not isinstance(settings, VideoSettings):
        raise TypeError("A twin of talking people takes VideoSettings.")
    return settings
