"""The targets: tiny corpora of a real face, and the undisturbed results of the commands."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from torture.commands import fork

# With these settings a fold takes about a second.
TINY = (
    *("logger=csv", "progress=false", "faces.crop.size=32", "cv.num_folds=2", "batch_size=8", "precision=32-true"),
    *("trainer.max_epochs=2", "trainer.accelerator=cpu"),
    *("model.filters=[[2],[2],[2,2],[2,2],[2,2]]", "model.hidden=[4,4]"),
)
NUM_FRAMES = 3
OULU_FOLDERS = ("Anger", "Happiness")


@dataclass(frozen=True)
class Tree:
    """An intact corpus.

    Attributes:
        data: Its name for `data=`.
        root: Its folder.
    """

    data: str
    root: Path

    def settings(self, outputs: Path, root: Path | None = None) -> list[str]:
        """Arguments that select the corpus, or a damaged copy of it."""
        return [f"data={self.data}", f"data.root={root or self.root}", f"outputs={outputs}", *TINY]


@dataclass(frozen=True)
class World:
    """Everything that exists before the first attack.

    Attributes:
        folder: Its folder.
    """

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> World:
        """Creates it, unless it exists."""
        world = cls(folder)
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _write_ckplus(world.ckplus.root)
            _write_ckplus(world.ten_people, num_people=10, codes=(1,), num_frames=1)
            _write_oulu(world.oulu.root)
            for tree in world.trees:
                world.run("prepare", *tree.settings(world.outputs))
            (folder / "made").touch()
        return world

    @property
    def ckplus(self) -> Tree:
        """A tiny CK+."""
        return Tree("ckplus", self.folder / "CK+")

    @property
    def oulu(self) -> Tree:
        """A tiny Oulu-CASIA."""
        return Tree("oulu_casia", self.folder / "Oulu")

    @property
    def ten_people(self) -> Path:
        """Writes a CK+ with enough subjects for ten folds; returns its root."""
        return self.folder / "ten"

    @property
    def trees(self) -> tuple[Tree, Tree]:
        """Both corpora."""
        return self.ckplus, self.oulu

    @property
    def outputs(self) -> Path:
        """The outputs of the undisturbed commands."""
        return self.folder / "outputs"

    def run(self, command: str, *arguments: str) -> str:
        """Runs a command that must succeed, and returns its output.

        Raises:
            RuntimeError: The command failed.
        """
        done = fork(command, arguments, folder=self.folder / "here", limit=300)
        if done.status != 0:
            raise RuntimeError(f"fer3d.{command} {' '.join(arguments)} failed before anything was damaged: {done.text}")
        return done.text


def _write_ckplus(root: Path, num_people: int = 2, codes: Sequence[int] = (1, 2), num_frames: int = NUM_FRAMES) -> None:
    for person in range(num_people):
        for code in codes:
            subject = f"S{5 + person:03d}"
            names = [f"{subject}_{code:03d}_{number:08d}" for number in range(1, num_frames + 1)]
            label = root / "Emotion" / subject / f"{code:03d}" / f"{names[-1]}_emotion.txt"
            label.parent.mkdir(parents=True)
            label.write_text(f"   {1 + (2 * person + code) % 7:.7e}\n")
            for number, name in enumerate(names):
                image = cv2.cvtColor(_photograph(person, code, number), cv2.COLOR_BGR2GRAY)
                _write(root / "cohn-kanade-images" / subject / f"{code:03d}" / f"{name}.png", image)


def _write_oulu(root: Path) -> None:
    for person in range(2):
        for emotion, name in enumerate(OULU_FOLDERS):
            for number in range(NUM_FRAMES):
                path = root / "OriginalImg/VL/Strong" / f"P{1 + person:03d}" / name / f"{number:03d}.jpeg"
                _write(path, _photograph(person, emotion, number))


def _photograph(person: int, sequence: int, frame: int) -> NDArray[np.uint8]:
    """Images of one real face, all different, even within the face's box."""
    import skimage.data

    photograph: Any = skimage.data.astronaut()  # type: ignore[no-untyped-call]
    left, brightness = 100 + 8 * sequence, 0.55 + 0.15 * frame + 0.05 * person + 0.01 * sequence
    return np.asarray(
        cv2.convertScaleAbs(photograph[20:260, left : left + 200, ::-1], alpha=brightness), dtype=np.uint8
    )


def _write(path: Path, image: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
