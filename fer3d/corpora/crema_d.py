"""The Crowd-sourced Emotional Multimodal Actors Dataset (CREMA-D), as distributed on GitHub."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fer3d.corpora.layout import Distribution, Fault, Findings, contents, in_synthetic_twin, name_some, root_folder
from fer3d.corpora.sequences import CorpusError, Expected, VideoSequence
from fer3d.corpora.video_files import chosen_emotions, find_clips, find_files

EMOTIONS = ("anger", "disgust", "fear", "happy", "neutral", "sad")
# Label sources, with their columns in the table of votes.
LABELS = {"intended": None, "face": "FaceVote", "multimodal": "MultiModalVote"}

EXPECTED = Expected(
    num_sequences=7442,
    num_subjects=91,
    per_emotion={emotion: 1087 if emotion == "neutral" else 1271 for emotion in EMOTIONS},
)

KNOWN_BAD = {
    "1064_IEO_DIS_MD": "a minute with all emotions",
    "1064_TIE_SAD_XX": "no duration",
    "1076_MTI_NEU_XX": "very short",
    "1076_MTI_SAD_XX": "an error picture",
}

_DISTRIBUTION = Distribution(
    title="CREMA-D",
    layout="video files such as 1001_DFA_ANG_XX.flv, usually in a folder VideoFlash",
    origin=(
        "install Git LFS and clone https://github.com/CheyneyComputerScience/CREMA-D (licence ODbL and DbCL); if it "
        "was cloned without Git LFS, run git lfs pull there."
    ),
)

_CODES = dict(zip(("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"), EMOTIONS, strict=True))
_LETTERS = {code[0]: emotion for code, emotion in _CODES.items()}
# Actor, sentence, emotion, level.
_CLIP = re.compile(rf"1[0-9]{{3}}_[A-Z]{{3}}_(?:{'|'.join(_CODES)})_(?:XX|LO|MD|HI)", re.IGNORECASE)
_CLIP_LIKE = re.compile(r"[0-9]{4}[_ -][A-Z]{3}[_ -].*", re.IGNORECASE | re.DOTALL)
_TABLE = "summaryTable.csv"

_BAD = Fault(
    "these clips are known to be bad, but the literature keeps them",
    "They are kept here too, if they can be decoded",
)
_NO_MAJORITY = Fault(
    "the raters' votes for these clips are tied or missing, so they are left out",
    "Set data.labels=intended to keep them",
)
_NO_ROW = Fault(f"{_TABLE} has no row for these clips, so they are left out", "Download the table again")
_BAD_VOTE = Fault(
    f"these rows have a vote other than {', '.join(_LETTERS)}, or several of them separated by colons",
    "Download the table again",
)
_OTHER_VOTE = Fault("these clips have two rows with different votes", "Download the table again")


class CremaD:
    """CREMA-D under its own file names: 7,442 clips of 91 actors who say one of 12 sentences.

    Attributes:
        name: `crema_d`.
        emotions: The chosen emotions; all six unless `data.emotions` is set.
        num_channels: 3.
        root: The folder of the video files, possibly nested, and of the table of votes if the labels need it.
        labels: `intended` (the acted emotion, from the file name), `face` (majority of the raters who saw only the
            face) or `multimodal` (of those who saw and heard). For the latter two, sequences have it in their column
            `labels`, and clips without a majority are left out.
        synthetic: Whether it is a synthetic twin. Valid after `read`.
    """

    name = "crema_d"
    num_channels = 3

    def __init__(
        self, root: str | Path | None, emotions: Sequence[str] | None = None, labels: str = "intended"
    ) -> None:
        if labels not in LABELS:
            raise CorpusError(f"data.labels is {labels!r}, but must be one of {', '.join(LABELS)}")
        self._root = root_folder(root) if root else None
        self.emotions = chosen_emotions(emotions, EMOTIONS, "CREMA-D")
        self.labels = labels
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
        """Returns the clips of the chosen emotions, sorted by subject and then by sequence.

        Warns with a `CorpusWarning` if the number of intended ones differs from the corpus as distributed, about
        clips known to be bad, about clips without a majority, and about every video that is not read.

        Raises:
            CorpusError: The root is not set, is missing or does not contain CREMA-D; a clip has two files or is a Git
                LFS pointer; or the table of votes is needed and is missing or damaged.
        """
        sequences, self.synthetic = read_tree(self.root, self.labels, self.emotions)
        if self.labels == "intended":
            expected(self.emotions).check(sequences, "CREMA-D", self.root)
        return sequences


def expected(emotions: Sequence[str]) -> Expected:
    """Returns the size of the complete corpus for these emotions, by the intended labels."""
    counts = {emotion: EXPECTED.per_emotion[emotion] for emotion in emotions}
    return Expected(sum(counts.values()), EXPECTED.num_subjects, counts)


def read_tree(
    root: Path, labels: str = "intended", emotions: Sequence[str] = EMOTIONS
) -> tuple[list[VideoSequence], bool]:
    """Returns the sequences of any folder with CREMA-D's file names, and whether it is a synthetic twin.

    Raises:
        CorpusError: See `CremaD.read`.
    """
    _DISTRIBUTION.existing_folder(root)
    findings = Findings("CREMA-D", root)
    files = find_clips(root, findings, _CLIP, _CLIP_LIKE)
    findings.raise_errors()
    if not files:
        raise _DISTRIBUTION.not_found(
            f"there is no clip in data.root, which is {root.absolute()} and contains {contents(root)}. "
            f"{findings.warnings_text()}".rstrip()
        )
    found = _intended(files) if labels == "intended" else _voted(files, labels, root, findings)
    columns = {} if labels == "intended" else {"labels": labels}
    sequences = [
        VideoSequence(name[:4], name, emotion, files[name], columns=columns)
        for name, emotion in found.items()
        if emotion in emotions
    ]
    findings.raise_errors()
    if not sequences:
        raise _DISTRIBUTION.not_found(
            f"none of the {len(files)} clips in {root.absolute()} shows {', '.join(emotions)} by data.labels={labels}. "
            f"{findings.warnings_text()}".rstrip()
        )
    synthetic = any(map(in_synthetic_twin, {sequence.video.parent for sequence in sequences}))
    if not synthetic:
        for bad in sorted(KNOWN_BAD.keys() & {sequence.sequence for sequence in sequences}):
            findings.warning(_BAD, bad, f" ({KNOWN_BAD[bad]})")
    findings.warn(stacklevel=3)
    return sorted(sequences, key=lambda sequence: (sequence.subject, sequence.sequence)), synthetic


def _intended(files: Mapping[str, Path]) -> dict[str, str]:
    return {name: _CODES[name.split("_")[2]] for name in files}


def _voted(files: Mapping[str, Path], labels: str, root: Path, findings: Findings) -> dict[str, str]:
    """Returns the majority emotion of each clip that has one; records the others."""
    votes = _votes(_table(root, labels), labels, findings)
    found: dict[str, str] = {}
    for name in files:
        if name not in votes:
            findings.warning(_NO_ROW, name)
        elif votes[name] in _LETTERS:
            found[name] = _LETTERS[votes[name]]
        else:
            findings.warning(_NO_MAJORITY, name, f" ({votes[name]})" if votes[name] else "")
    return found


def _table(root: Path, labels: str) -> Path:
    tables = find_files(root, _TABLE)
    if len(tables) > 1:
        places = name_some([str(table) for table in tables])
        raise CorpusError(f"CREMA-D in {root.absolute()} has {_TABLE} several times: {places}. Keep one of them")
    if not tables:
        raise _DISTRIBUTION.not_found(
            f"data.labels={labels} needs the raters' votes in processedResults/{_TABLE}, which is not in data.root: "
            f"{root.absolute()} contains {contents(root)}. Set data.root to the whole clone, or "
            "copy the table there."
        )
    return tables[0]


def _votes(table: Path, labels: str, findings: Findings) -> dict[str, str]:
    """Returns the vote letters of each clip by name: several for a tie, none for no vote."""
    votes: dict[str, str] = {}
    for line, name, vote in _rows(table, str(LABELS[labels])):
        letters = "" if vote == "NA" else vote.replace(":", "")
        if not set(letters) <= _LETTERS.keys() or (":" in vote) != (len(letters) > 1):
            findings.error(_BAD_VOTE, table, f", line {line} ({name}: {vote!r})")
        elif votes.setdefault(name, letters) != letters:
            findings.error(_OTHER_VOTE, table, f", line {line} ({name})")
    return votes


def _rows(table: Path, column: str) -> Iterator[tuple[int, str, str]]:
    """Yields the line number, clip name and vote of every row."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip().lower() for name in next(reader, [])]
            wanted = [header.index(name.lower()) for name in ("FileName", column)]
            for row in reader:
                if row:
                    name, vote = (row[index].strip().upper() for index in wanted)
                    yield reader.line_num, name.partition(".")[0], vote
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise CorpusError(
            f"{table} is not a readable table of the raters' votes: {error}. It must be CSV with the columns "
            f"FileName and {column}; download it again, or set data.labels=intended"
        ) from error
