"""Renders and writes the synthetic twin of a corpus in parallel; the folder appears only when it is complete."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fer3d.atomic_folder import atomic_folder
from fer3d.cores import count_cores
from fer3d.corpora.sequences import SYNTHETIC_MARKER, CorpusError
from fer3d.processes import leave_with_parent
from fer3d.twin.cast import PlannedSequence, Role
from fer3d.twin.filming import draw_take, expose, pose_head, tint_take
from fer3d.twin.head_model import HeadModel, anny_version, read_head_model
from fer3d.twin.layouts import CKPLUS, Layout, Picture
from fer3d.twin.people import Look, Person, draw_palette, draw_person, tint_look
from fer3d.twin.settings import TwinSettings


def generate_twin(
    root: Path,
    seed: int = 0,
    settings: TwinSettings | None = None,
    num_subjects: int | None = None,
    num_workers: int | None = None,
    progress: bool = True,
    layout: Layout = CKPLUS,
) -> None:
    """Renders the synthetic twin of a corpus into `root`, in the corpus's own folder layout.

    The folder is made under a temporary name beside `root` and renamed when it is complete; its marker file
    `synthetic_twin.json` is written last. Leftovers of killed runs are removed. The same seed, settings and number of
    subjects give the same bytes on one machine, whatever the number of workers.

    Args:
        root: The folder to make; it must not exist, or be empty.
        seed: Seed of all random draws.
        settings: Difficulty, variety and size of the twin; None for the layout's default.
        num_subjects: Number of people, at most the layout's; None for all of them, which gives the corpus's counts.
        num_workers: Number of rendering processes; None for one per core, 0 to render in this process.
        progress: Whether to show a progress bar.
        layout: The corpus that the twin imitates.

    Raises:
        CorpusError: The extra `synthetic` is not installed, `root` is in use, a number is out of range, or a file could
            not be written.
        OSError: The disk is full or not writable.
    """
    root = root.absolute()
    settings = settings or layout.settings
    num_subjects = layout.num_subjects if num_subjects is None else num_subjects
    roles = layout.plan_cast(seed, settings, num_subjects)
    if root.exists() and any(root.iterdir()):
        raise CorpusError(f"{root} is not empty; remove it, or name another folder for the synthetic twin.")
    head = read_head_model()
    with atomic_folder(root) as partial:
        if num_workers == 0:
            studio = _Studio(partial, head, layout, seed, settings)
            counts: Iterable[int] = map(studio.film, roles)
        else:
            counts = _film_in_parallel(partial, head, layout, seed, settings, roles, num_workers or count_cores())
        task = f"Rendering the synthetic twin of {layout.title}"
        _watch(counts, task, sum(len(role.sequences) for role in roles), progress)
        layout.write_tables(partial, roles, seed)
        marker = {**describe_twin(seed, settings, num_subjects, layout), "anny": anny_version()}
        (partial / SYNTHETIC_MARKER).write_text(json.dumps(marker, indent=2) + "\n", encoding="utf-8")


def describe_twin(
    seed: int, settings: TwinSettings | None = None, num_subjects: int | None = None, layout: Layout = CKPLUS
) -> dict[str, Any]:
    """Returns what determines a twin's images, as recorded in its marker file; CK+'s layout is not recorded."""
    description = {
        **({} if layout.name == CKPLUS.name else {"layout": layout.name}),
        "format": layout.format,
        "seed": seed,
        "num_subjects": layout.num_subjects if num_subjects is None else num_subjects,
        "settings": asdict(settings or layout.settings),
    }
    return cast(dict[str, Any], json.loads(json.dumps(description)))


def _film_in_parallel(
    partial: Path,
    head: HeadModel,
    layout: Layout,
    seed: int,
    settings: TwinSettings,
    roles: list[Role],
    num_workers: int,
) -> Iterator[int]:
    backstage = partial / "backstage"
    backstage.mkdir()
    head.save(backstage / "head.npz")
    kernels = None if _has_user_cache() else backstage / "kernels"
    pool = ProcessPoolExecutor(
        num_workers,
        # A forked process would inherit locks that the caller's threads hold.
        mp_context=get_context("spawn"),
        initializer=_open_studio,
        initargs=(partial, backstage / "head.npz", kernels, layout, seed, settings),
    )
    try:
        # Longest jobs first, so that no worker starts one at the end.
        longest_first = sorted(roles, key=lambda role: -sum(sequence.num_frames for sequence in role.sequences))
        for future in as_completed([pool.submit(_film, role) for role in longest_first]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
    shutil.rmtree(backstage)


def _watch(counts: Iterable[int], description: str, total: int, progress: bool) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not progress) as bar:
        task = bar.add_task(description, total=total)
        for count in counts:
            bar.advance(task, count)


def _has_user_cache() -> bool:
    """Returns whether Warp's default cache of compiled kernels is writable."""
    if "WARP_CACHE_PATH" in os.environ:
        return True
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(cache, os.W_OK)


class _Studio:
    """Films people.

    Args:
        root: The folder to write into.
        head: What the people are made of.
        layout: The corpus that the twin imitates.
        seed: The twin's seed. A person's images depend on it and on the person's index, not on the order of rendering.
        settings: Difficulty, variety and size of the twin.
    """

    def __init__(self, root: Path, head: HeadModel, layout: Layout, seed: int, settings: TwinSettings) -> None:
        with _silent_stderr():
            from fer3d.twin.renderer import Renderer

            self._renderer = Renderer(head, settings.width, settings.height)
        self._root, self._head, self._layout, self._seed, self._settings = root, head, layout, seed, settings

    def film(self, role: Role) -> int:
        """Renders and writes all sequences of one person; returns their number."""
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


_studio: _Studio | None = None


def _open_studio(
    root: Path, head_path: Path, kernels: Path | None, layout: Layout, seed: int, settings: TwinSettings
) -> None:
    """Prepares a worker process for `_film`.

    Args:
        root: The folder to write into.
        head_path: Where `HeadModel.save` wrote the head.
        kernels: Where Warp caches its compiled kernels; None for its default.
        layout: The twin's layout.
        seed: The twin's seed.
        settings: The twin's settings.
    """
    global _studio
    leave_with_parent()
    cv2.setNumThreads(1)
    if kernels is not None:
        os.environ["WARP_CACHE_PATH"] = str(kernels)
    _studio = _Studio(root, HeadModel.load(head_path), layout, seed, settings)


def _film(role: Role) -> int:
    """Films one person in the studio that `_open_studio` made in this process."""
    if _studio is None:
        raise RuntimeError("call _open_studio first")
    return _studio.film(role)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Hides stderr of C code: without a GPU, Warp warns from every process, which breaks the progress bar."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
