"""Makes the clip store of a corpus: finds the faces in its videos and writes them as clips.

fer3d prepare data=ckplus data.root=/data/ckplus
fer3d prepare data=videos data.root=/data/videos data.table=clips.csv
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer3d.command import orderly_end, run_hydra, user_errors

if TYPE_CHECKING:
    from omegaconf import DictConfig


def prepare(config: DictConfig) -> None:
    """Prepares the configured corpus, unless it is prepared already, and prints the report."""
    with user_errors():
        from fer3d.training.prepare import prepare as prepare_store

        preparation = prepare_store(config, for_training=False)
        preparation.report.print()
        folder = preparation.store.folder
        print(f"made {folder}" if preparation.built else f"{folder} is there already, and nothing changed")
        print(f"look at the faces: {folder / 'contact_sheet.png'}")


if __name__ == "__main__":
    with orderly_end():
        run_hydra("prepare", prepare, __doc__)
