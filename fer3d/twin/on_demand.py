"""Twins on demand: rendered where there is nothing yet, recognised where there is one, never written over."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from fer3d.corpora.layout import shown
from fer3d.corpora.sequences import SYNTHETIC_MARKER, CorpusError, FrameSequence, VideoSequence
from fer3d.file_lock import file_lock
from fer3d.twin.layouts import CKPLUS, Layout
from fer3d.twin.settings import TwinSettings
from fer3d.twin.twin import describe_twin, generate_twin

_Sequence = TypeVar("_Sequence", FrameSequence, VideoSequence)


def read_twin(
    root: Path,
    layout: Layout,
    seed: int,
    num_subjects: int,
    read_tree: Callable[[Path], tuple[list[_Sequence], bool]],
    settings: TwinSettings | None = None,
) -> list[_Sequence]:
    """Returns the sequences of the twin in `root`, which is rendered first when nothing is there.

    Args:
        root: The twin's folder.
        layout: The twin's layout.
        seed: The twin's seed.
        num_subjects: Number of people, at most the layout's.
        read_tree: Reads a folder in that layout: its sequences, and whether it is a synthetic twin.
        settings: The twin's settings; None for the layout's own.

    Raises:
        CorpusError: `root` holds something else than this twin, or cannot be opened or written; the twin is damaged; it
            has to be rendered and the extra `synthetic` is not installed, or `num_subjects` is out of range.
    """
    try:
        # Resolved, so that a link to another disk stays a link.
        missing = root.resolve() if _is_free(root) else None
    except (OSError, RuntimeError, ValueError) as error:
        # Among others a link that leads to itself, and a name that no file can have.
        raise CorpusError(f"data.root is {shown(root.absolute())}, which cannot be opened: {error}") from error
    if missing is not None:
        try:
            lock = missing.with_name(f".{missing.name}.lock")
            with file_lock(lock, f"the synthetic twin {shown(missing)} is being rendered"):
                if _is_free(missing):
                    generate_twin(missing, seed=seed, settings=settings, num_subjects=num_subjects, layout=layout)
        except OSError as error:
            raise CorpusError(
                f"the synthetic twin cannot be written to data.root, which is {shown(root.absolute())}: {error}. Make "
                "room or give the right to write there, or set data.root to another folder"
            ) from error
    _check_marker(root, layout, describe_twin(seed, settings, num_subjects, layout))
    try:
        sequences, _ = read_tree(root)
    except CorpusError as error:
        raise CorpusError(
            f"the synthetic twin in {root} is damaged; delete that folder to have it rendered again. {error}"
        ) from error
    return sequences


def _is_free(root: Path) -> bool:
    return not root.exists() or (root.is_dir() and not any(root.iterdir()))


def _check_marker(root: Path, layout: Layout, wanted: dict[str, Any]) -> None:
    marker = root / SYNTHETIC_MARKER
    if not marker.is_file():
        raise CorpusError(
            f"data.root is {root.absolute()}, which exists but is not a synthetic twin: it has no {SYNTHETIC_MARKER}. "
            "Nothing was written there. Set data.root to a folder that does not exist yet, or read real "
            f"{layout.title} with data={layout.name}"
        )
    # A marker that says nothing of its layout means CK+'s.
    wanted, found = {"layout": CKPLUS.name, **wanted}, {"layout": CKPLUS.name, **_read_marker(marker)}
    differences = list(_differences({key: found[key] for key in wanted if key in found}, wanted))
    if differences:
        raise CorpusError(
            f"{root.absolute()} holds another synthetic twin: {'; '.join(differences)}. Set data.root to a folder that "
            "does not exist yet, or delete this one to have it rendered again"
        )


def _differences(there: dict[str, Any], here: dict[str, Any], group: str = "") -> Iterator[str]:
    for key in {**here, **there}:
        one, other = there.get(key, "not recorded"), here.get(key, "not recorded")
        if isinstance(one, dict) and isinstance(other, dict):
            yield from _differences(one, other, f"{group}{key}.")
        elif one != other:
            yield f"{group}{key} is {one} there and {other} here"


def _read_marker(marker: Path) -> dict[str, Any]:
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CorpusError(f"{marker} cannot be read: {error}. Delete the twin to have it rendered again") from error
    if not isinstance(found, dict):
        raise CorpusError(f"{marker} should hold a JSON object with the keys seed and num_subjects")
    return found
