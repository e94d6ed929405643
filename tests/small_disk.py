"""A disk that is small enough to be full, or read-only."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class SmallDisk:
    """A disk of one megabyte.

    Attributes:
        folder: Where it is mounted.
    """

    folder: Path

    @classmethod
    @contextmanager
    def mounted(cls, folder: Path) -> Iterator[SmallDisk]:
        """Mounts one; skips the test where that is not allowed."""
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
        try:
            subprocess.run(mount, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("no disk may be mounted here")
        try:
            yield cls(folder)
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)

    def fill(self, num_left: int = 0) -> None:
        """Fills it up to a number of bytes."""
        with (self.folder / "filler").open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                file.truncate(max(0, file.tell() - num_left))

    def make_read_only(self) -> None:
        """Allows nobody to write to it, not even root."""
        subprocess.run(["mount", "-o", "remount,ro", str(self.folder)], check=True)
