"""A tiny CK+ that the real command has prepared, and the settings that make everything else tiny too."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

# Settings with which a fold takes about a second.
TINY = [
    "logger=csv",
    "progress=false",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "batch_size=8",
    "model.filters=[[2],[2],[2,2],[2,2],[2,2]]",
    "model.hidden=[4,4]",
    "precision=32-true",
]

# A folder's name with whatever means something to Hydra, a database's URL or a shell.
AWKWARD = "my runs (1), a=b & #~é%?c"

# Settings that leave the activation and the dropout of Table 1 to be searched, and trials that are fast.
NARROW = [
    *("optimizer=adam", "clips.clahe=false", "clips.normalise=false", "class_weights=false", "model.temporal_kernel=1"),
    *("model/initializer=none", "model/pooling=max", "model.second_conv=false"),
]


@dataclass(frozen=True)
class PreparedCKPlus:
    """A tiny CK+, a folder of outputs that holds its clip store, and what the command said that made it."""

    root: Path
    outputs: Path
    done: subprocess.CompletedProcess[str]

    @property
    def settings(self) -> list[str]:
        """What every command needs to find them; outputs are to be set after."""
        return ["data=ckplus", f"data.root={self.root}", "faces.crop.size=32", "cv.num_folds=2", *TINY]
