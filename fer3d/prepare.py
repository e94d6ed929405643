"""Makes the clip store of a corpus: `python -m fer3d.prepare data=ckplus data.root=/data/ckplus`."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from fer3d.command import user_errors
from fer3d.configuration import config_folder


@hydra.main(config_path=config_folder(), config_name="train", version_base="1.3")
def prepare(config: DictConfig) -> None:
    """Prepares the configured corpus, unless it is prepared already, and prints the report."""
    with user_errors():
        from fer3d.training.run import prepare as prepare_store

        preparation = prepare_store(config)
        preparation.report.print()
        folder = preparation.store.folder
        print(f"made {folder}" if preparation.built else f"{folder} is there already, and nothing changed")
        print(f"look at the faces: {folder / 'contact_sheet.png'}")


if __name__ == "__main__":
    prepare()
