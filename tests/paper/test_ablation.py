from __future__ import annotations

from pathlib import Path

from fer3d.paper.ablation import VARIANTS


def test_names_of_variants_are_unique_and_name_folders() -> None:
    names = [variant.name for variant in VARIANTS]
    assert len(set(names)) == len(names)
    assert all(name.replace("_", "").isalnum() and Path(name).name == name for name in names)
