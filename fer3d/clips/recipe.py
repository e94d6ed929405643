"""How the clips of a store are made: the settings that shape them, and the way from one sequence to its clip."""

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
        corpus: Where the sequences come from.
        faces: How frames become face crops.
        sampling: Which frames of a sequence the store keeps.
        num_frames: Number of frames that the network takes of a clip.
        on_unreadable: What an unreadable file does.
    """

    corpus: Corpus
    faces: FaceExtraction
    sampling: FrameSampling
    num_frames: int
    on_unreadable: UnreadablePolicy

    def header(self, sequences: Sequence[LabelledSequence]) -> StoreHeader:
        """Returns what the store of some sequences says about itself; its key is made of all that matters."""
        corpus = self.corpus
        settings = {
            "faces": self.faces.settings(),
            "num_frames": self.sampling.num_stored(self.num_frames),
            "num_channels": corpus.num_channels,
            "on_unreadable": self.on_unreadable,
            # Stores that were made before there was a choice keep their names.
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
        """Returns what a clip's pixels depend on besides its files."""
        return {
            "format": FORMAT_VERSION,
            "versions": {"opencv": cv2.__version__, "av": av.__version__},
            "faces": {name: value for name, value in self.faces.settings().items() if name != "on_no_face"},
            "num_frames": self.sampling.num_stored(self.num_frames),
            "num_channels": self.corpus.num_channels,
            "frames": self.sampling.settings(),
        }

    def inputs(self, sequence: LabelledSequence) -> list[Any]:
        """Returns what a clip's pixels depend on besides: its files' names, sizes and times of change."""
        return inputs(sequence, self.sampling, self.num_frames, self.corpus.root)

    def num_images(self, sequence: LabelledSequence) -> int:
        """Returns how many frames of a sequence are read, at most."""
        return num_images(sequence, self.sampling, self.num_frames)

    def allows(self, clip: MadeClip) -> bool:
        """Returns whether a clip that was made before may be used: not, if its faces were not found and have to be."""
        return "full_frame" not in clip.sources or self.faces.on_no_face == "full_frame"

    def make(self, sequence: LabelledSequence, is_wanted: Callable[[], bool]) -> tuple[MadeClip, Image] | None:
        """Makes a clip. May be called from several threads at once.

        Args:
            sequence: The labelled sequence.
            is_wanted: Whether anybody still wants it, which is asked once its files have turned out to be readable.

        Returns:
            The clip and its pixels, (T, H, W, C); None where nobody wants it.

        Raises:
            UnreadableError: A file of it is unreadable.
            NoFaceError: No frame has a face, and the policy does not allow the full frame.
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
    """Returns the SHA-256 of plain values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
