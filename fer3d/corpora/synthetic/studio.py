"""A process that renders: films one person's sequences and writes them in CK+'s layout."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import connection, parent_process
from pathlib import Path

import cv2
import numpy as np

from fer3d.corpora.sequences import CorpusError
from fer3d.corpora.synthetic.cast import EMOTION_CODES, PlannedSequence, Role
from fer3d.corpora.synthetic.expressions import perform
from fer3d.corpora.synthetic.filming import draw_take, expose, pose_head
from fer3d.corpora.synthetic.head_model import HeadModel
from fer3d.corpora.synthetic.people import Person, draw_person
from fer3d.corpora.synthetic.settings import TwinSettings

IMAGES, LABELS = "cohn-kanade-images", "Emotion"
# Noise does not compress: a higher level takes several times as long for a few percent.
_PNG_OPTIONS = (cv2.IMWRITE_PNG_COMPRESSION, 1)


class Studio:
    """Films people.

    Args:
        root: The folder to write into.
        head: What the people are made of.
        seed: The twin's seed; a person's images depend on it and on the person's index, not on who is filmed before.
        settings: How hard, how varied and how large the twin is.
    """

    def __init__(self, root: Path, head: HeadModel, seed: int, settings: TwinSettings) -> None:
        with _silent_stderr():
            from fer3d.corpora.synthetic.renderer import Renderer

            self._renderer = Renderer(head, settings.width, settings.height)
        self._root, self._head, self._seed, self._settings = root, head, seed, settings

    def film(self, role: Role) -> int:
        """Renders and writes all sequences of one person, and returns their number."""
        person = draw_person(self._head, self._settings, np.random.default_rng([self._seed, 1, role.index]))
        for take_number, sequence in enumerate(role.sequences):
            rng = np.random.default_rng([self._seed, 2, role.index, take_number])
            self._film_sequence(role.subject, person, sequence, rng)
        return len(role.sequences)

    def _film_sequence(self, subject: str, person: Person, sequence: PlannedSequence, rng: np.random.Generator) -> None:
        num_frames, names = sequence.num_frames, self._head.action_names
        take = draw_take(person, num_frames, self._settings, rng)
        strengths = perform(sequence.emotion, num_frames, person, names, self._settings, rng)
        images = self._root / IMAGES / subject / sequence.name
        images.mkdir(parents=True)
        for frame in range(num_frames):
            face = person.vertices + np.einsum("a,avi->vi", strengths[frame], self._head.actions)
            posed = pose_head(self._head, face, take.angles[frame])
            image = expose(self._renderer.shade(posed, person.look, take.shot), take, rng)
            path = images / f"{subject}_{sequence.name}_{frame + 1:08d}.png"
            if not cv2.imwrite(str(path), image, _PNG_OPTIONS):
                raise CorpusError(f"Could not write {path}.")
        labels = self._root / LABELS / subject / sequence.name
        labels.mkdir(parents=True)
        label = labels / f"{subject}_{sequence.name}_{num_frames:08d}_emotion.txt"
        label.write_text(f"   {EMOTION_CODES[sequence.emotion]:.7e}\n", encoding="ascii")


_studio: Studio | None = None


def open_studio(root: Path, head_path: Path, kernels: Path | None, seed: int, settings: TwinSettings) -> None:
    """Prepares a worker process for `film`.

    Args:
        root: The folder to write into.
        head_path: Where `HeadModel.save` wrote the head.
        kernels: Where Warp keeps its compiled kernels; None for its own choice.
        seed: The twin's seed.
        settings: The twin's settings.
    """
    global _studio
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    if kernels is not None:
        os.environ["WARP_CACHE_PATH"] = str(kernels)
    _studio = Studio(root, HeadModel.load(head_path), seed, settings)


def film(role: Role) -> int:
    """Films one person in the studio that `open_studio` prepared in this process."""
    if _studio is None:
        raise RuntimeError("open_studio comes first.")
    return _studio.film(role)


def _leave_with_parent() -> None:
    """Ends a worker whose parent was killed, which otherwise would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Hides what C code writes: without a GPU, Warp warns so from every process, into the progress bar."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
