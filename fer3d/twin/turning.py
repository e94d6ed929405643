"""Rendered people who turn their heads away, for videos in which a detector loses faces."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from fer3d.corpora.sequences import FrameSequence
from fer3d.twin.filming import draw_take, expose, pose_head
from fer3d.twin.head_model import read_head_model
from fer3d.twin.people import draw_person
from fer3d.twin.settings import TwinSettings


def film_turns(
    folder: Path, num_people: int, *, seed: int = 0, num_frames: int = 24, farthest: float = 130.0
) -> list[FrameSequence]:
    """Renders one sequence a person, grey and 640x490 like the twin of CK+'s, and returns them.

    The emotion is `neutral`. Played by `write_scene`, the strength is the share of the turn.

    Args:
        folder: Where to write the images, as PNG.
        num_people: Number of people; each turns to another side than the one before.
        seed: Decides the people, camera and light.
        num_frames: Number of frames from the frontal view to the farthest turn.
        farthest: That turn in degrees; 90 is the profile, and beyond it the face cannot be seen.

    Raises:
        CorpusError: The extra `synthetic` is not installed.
        OSError: The disk is full, or may not be written to.
    """
    head, settings = read_head_model(), TwinSettings()
    from fer3d.twin.renderer import Renderer

    renderer = Renderer(head, settings.width, settings.height)
    sequences = []
    for number in range(num_people):
        rng = np.random.default_rng([seed, number])
        person = draw_person(head, settings, rng)
        take = draw_take(person, num_frames, settings, rng)
        face = person.vertices + np.einsum("a,avi->vi", person.resting, head.actions)
        subject, paths = f"T{number + 1:03d}", []
        (folder / subject).mkdir(parents=True, exist_ok=True)
        for frame, turn in enumerate(np.linspace(0, np.deg2rad(farthest) * (-1) ** number, num_frames)):
            posed = pose_head(head, face, take.angles[0] + np.array([turn, 0, 0], np.float32))
            (light,) = renderer.shade(posed, (person.look,), take.shot)
            paths.append(folder / subject / f"{frame:03d}.png")
            paths[-1].write_bytes(cv2.imencode(".png", expose(light, take, rng))[1].tobytes())
        sequences.append(FrameSequence(subject, "001", "neutral", tuple(paths)))
    return sequences
