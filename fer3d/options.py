"""The options of the commands that read runs and checkpoints: the same name, meaning and words in each."""

from __future__ import annotations

import argparse
from pathlib import Path


class CommandParser(argparse.ArgumentParser):
    """A parser of a command's arguments, with the options that commands share.

    Args:
        command: The command, such as `report`.
        meaning: What it does, and examples; lines stay as they are.
    """

    def __init__(self, command: str, meaning: str) -> None:
        super().__init__(
            prog=f"fer3d {command}",
            description=meaning,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def add_runs(self, nargs: str = "+") -> None:
        """Adds `RUN ...`, folders of runs."""
        self.add_argument("runs", nargs=nargs, type=Path, metavar="RUN", help="a run's folder, such as outputs/<run>")

    def add_out(self, where: str, metavar: str = "FOLDER") -> None:
        """Adds `--out`, where results go.

        Args:
            where: Where they go without it, in a phrase.
            metavar: What it names.
        """
        self.add_argument("--out", type=Path, metavar=metavar, help=f"where results go ({where})")

    def add_partial(self) -> None:
        """Adds `--partial`, which accepts incomplete runs."""
        self.add_argument("--partial", action="store_true", help="accept missing folds; every result is marked PARTIAL")

    def add_clips(self) -> None:
        """Adds `--clips`, the folder of the clip stores."""
        help = "the folder of the clip stores (clips/ beside the run)"
        self.add_argument("--clips", type=Path, metavar="FOLDER", help=help)

    def add_trust(self) -> None:
        """Adds `--trust`, packages whose code a checkpoint may name."""
        help = "a package of your own whose code the checkpoint may name; repeatable"
        self.add_argument("--trust", action="append", default=[], metavar="PACKAGE", help=help)
