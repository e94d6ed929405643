"""A process that renders: films one person's sequences and has them written in the twin's layout."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from fer3d.processes import leave_with_parent
from fer3d.twin.cast import PlannedSequence, Role
from fer3d.twin.colour import draw_palette, tint_look, tint_take
from fer3d.twin.filming import draw_take, expose, pose_head
from fer3d.twin.head_model import HeadModel
from fer3d.twin.layouts import Layout, Picture
from fer3d.twin.look import Look
from fer3d.twin.people import Person, draw_person
from fer3d.twin.settings import TwinSettings


class Studio:
    """Films people.

    Args:
        root: The folder to write into.
        head: What the people are made of.
        layout: The corpus whose people, camera and files the twin has.
        seed: The twin's seed; a person's images depend on it and on the person's index, not on who is filmed before.
        settings: How hard, how varied and how large the twin is.
    """

    def __init__(self, root: Path, head: HeadModel, layout: Layout, seed: int, settings: TwinSettings) -> None:
        with _silent_stderr():
            from fer3d.twin.renderer import Renderer

            self._renderer = Renderer(head, settings.width, settings.height)
        self._root, self._head, self._layout, self._seed, self._settings = root, head, layout, seed, settings

    def film(self, role: Role) -> int:
        """Renders and writes all sequences of one person, and returns their number."""
        rng = self._random(1, role.index)
        person = draw_person(self._head, self._settings, rng, role.female)
        looks = tint_look(person.look, draw_palette(rng)) if self._layout.in_colour else (person.look,)
        for take_number, sequence in enumerate(role.sequences):
            pictures = self._shoot(person, looks, sequence, self._random(2, role.index, take_number))
            self._layout.write_sequence(self._root, role.subject, sequence, pictures)
        return len(role.sequences)

    def _shoot(
        self, person: Person, looks: Sequence[Look], sequence: PlannedSequence, rng: np.random.Generator
    ) -> Iterator[Picture]:
        num_frames, names = sequence.num_frames, self._head.action_names
        take = draw_take(person, num_frames, self._settings, rng)
        strengths = self._layout.perform(sequence, person, names, self._settings, rng)
        bands = tint_take(take, rng) if self._layout.in_colour else (take,)
        for frame in range(num_frames):
            face = person.vertices + np.einsum("a,avi->vi", strengths[frame], self._head.actions)
            posed = pose_head(self._head, face, take.angles[frame])
            light = self._renderer.shade(posed, looks, take.shot)
            exposed = [expose(seen, band, rng) for seen, band in zip(light, bands, strict=True)]
            yield np.dstack(exposed) if self._layout.in_colour else exposed[0]

    def _random(self, stream: int, *indices: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, self._layout.stream + stream, *indices])


_studio: Studio | None = None


def open_studio(
    root: Path, head_path: Path, kernels: Path | None, layout: Layout, seed: int, settings: TwinSettings
) -> None:
    """Prepares a worker process for `film`.

    Args:
        root: The folder to write into.
        head_path: Where `HeadModel.save` wrote the head.
        kernels: Where Warp keeps its compiled kernels; None for its own choice.
        layout: The twin's layout.
        seed: The twin's seed.
        settings: The twin's settings.
    """
    global _studio
    leave_with_parent()
    cv2.setNumThreads(1)
    if kernels is not None:
        os.environ["WARP_CACHE_PATH"] = str(kernels)
    _studio = Studio(root, HeadModel.load(head_path), layout, seed, settings)


def film(role: Role) -> int:
    """Films one person in the studio that `open_studio` prepared in this process."""
    if _studio is None:
        raise RuntimeError("open_studio comes first.")
    return _studio.film(role)


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
