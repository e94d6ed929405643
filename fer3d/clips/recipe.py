"""How clips of a store are made: the settings that shape them, and the steps from a sequence to its clip."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import av
import cv2
import numpy as np

from fer3d.clips.detectors import Image
from fer3d.clips.faces import FaceExtraction
from fer3d.clips.frames import FrameSampling
from fer3d.clips.sequence_frames import inputs, num_images, read_frames
from fer3d.clips.store import FORMAT_VERSION, StoreHeader
from fer3d.clips.unfinished import MadeClip
from fer3d.corpora.sequences import Corpus, LabelledSequence, VideoSequence

UnreadablePolicy = Literal["error", "skip"]


@dataclass(frozen=True)
class Recipe:
    """How the clips of a store are made.

    Attributes:
        corpus: Source of the sequences.
        faces: Turns frames into face crops.
        sampling: Chooses the frames to store.
        num_frames: Number of frames per clip that the network takes.
        on_unreadable: What to do about an unreadable file.
    """

    corpus: Corpus
    faces: FaceExtraction
    sampling: FrameSampling
    num_frames: int
    on_unreadable: UnreadablePolicy

    def header(self, sequences: Sequence[LabelledSequence]) -> StoreHeader:
        """Returns the header of the store for these sequences; its key is a digest of everything that matters."""
        corpus = self.corpus
        settings = {
            "faces": self.faces.settings(),
            "num_frames": self.sampling.num_stored(self.num_frames),
            "num_channels": corpus.num_channels,
            "on_unreadable": self.on_unreadable,
            # The default adds no entry, so that keys of existing stores stay valid.
            **({"frames": kept} if (kept := self.sampling.settings()) else {}),
        }
        subjects_known = getattr(corpus, "subjects_known", True)
        decoders = {"av": av.__version__} if any(isinstance(each, VideoSequence) for each in sequences) else {}
        inputs = {
            "format": FORMAT_VERSION,
            "opencv": cv2.__version__,
            **decoders,
            "settings": settings,
            "emotions": corpus.emotions,
            "synthetic": corpus.synthetic,
            **({} if subjects_known else {"subjects_known": False}),
            "clips": [
                [s.clip_id, s.subject, s.emotion, self.inputs(s), *([dict(s.columns)] if s.columns else [])]
                for s in sequences
            ],
        }
        return StoreHeader(
            corpus=corpus.name,
            synthetic=corpus.synthetic,
            emotions=tuple(corpus.emotions),
            num_channels=corpus.num_channels,
            num_frames=self.sampling.num_stored(self.num_frames),
            size=self.faces.crop.size,
            key=hashed(inputs),
            settings=settings,
            versions={"opencv": cv2.__version__, "numpy": np.__version__, **decoders},
            subjects_known=subjects_known,
        )

    def extraction(self) -> dict[str, Any]:
        """Returns everything that determines a clip's pixels, apart from its files."""
        return {
            "format": FORMAT_VERSION,
            "versions": {"opencv": cv2.__version__, "av": av.__version__},
            "faces": {name: value for name, value in self.faces.settings().items() if name != "on_no_face"},
            "num_frames": self.sampling.num_stored(self.num_frames),
            "num_channels": self.corpus.num_channels,
            "frames": self.sampling.settings(),
        }

    def inputs(self, sequence: LabelledSequence) -> list[Any]:
        """Returns what identifies a clip's input files: names, sizes and modification times."""
        return inputs(sequence, self.sampling, self.num_frames, self.corpus.root)

    def num_images(self, sequence: LabelledSequence) -> int:
        """Returns the maximum number of frames to read of a sequence."""
        return num_images(sequence, self.sampling, self.num_frames)

    def allows(self, clip: MadeClip) -> bool:
        """Whether an existing clip may be reused: full-frame fallbacks only under the policy `full_frame`."""
        return "full_frame" not in clip.sources or self.faces.on_no_face == "full_frame"

    def make(self, sequence: LabelledSequence, is_wanted: Callable[[], bool]) -> tuple[MadeClip, Image] | None:
        """Makes a clip. Thread-safe.

        Args:
            sequence: The labelled sequence.
            is_wanted: Called after the files are read; False stops before face detection.

        Returns:
            The clip and its pixels, (T, H, W, C); None if not wanted any more.

        Raises:
            UnreadableError: A file is unreadable.
            NoFaceError: No frame has a face and the policy does not allow the full frame.
        """
        frames = read_frames(sequence, self.sampling, self.num_frames)
        if not is_wanted():
            return None
        crops = self.faces.extract(frames.pixels, self.corpus.num_channels).arranged(frames.order)
        made = MadeClip(
            frames=tuple(frames.names[position] for position in frames.order),
            boxes=tuple(face.box for face in crops.faces),
            confidences=tuple(face.confidence for face in crops.faces),
            sources=tuple(face.source for face in crops.faces),
            images=frames.images(),
            damage=frames.damage,
        )
        return made, crops.crops


def hashed(content: Any) -> str:
    """SHA-256 of JSON-compatible values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
