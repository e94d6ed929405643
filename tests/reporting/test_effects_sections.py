from __future__ import annotations

import numpy as np
from drawn_texts import assert_legible
from fake_entries import make_entry

from fer3d.evaluation.effects import Change, Effects
from fer3d.reporting.effects_sections import EffectsWing, effects_figure
from fer3d.reporting.page import DataTable, Picture
from fer3d.reporting.theme import style


def made(num_folds: int = 10, changes: int = 4) -> Effects:
    rng = np.random.default_rng(0)
    names = [f"a change with a long name: {number}" for number in range(changes)]
    tables = {"base": rng.random((2, 60)) < 0.8} | {name: rng.random((2, 60)) < 0.5 for name in names}
    runs = [run for name, table in tables.items() for run in make_entry(name, table, num_folds=num_folds).runs]
    return Effects.of("changes", [Change(name, name, "base") for name in names], runs)


def test_the_figure_is_legible_and_marked() -> None:
    """Warnings are errors, so it is drawn without them, too, even with one fold, which gives no interval."""
    for effects in (made(), made(changes=1), made(num_folds=1), made(changes=20)):
        figure = effects_figure(effects)
        with style():
            found = " ".join(" ".join(assert_legible(figure)).split())
        assert "SYNTHETIC data" in found
        assert all(effect.change.label in found for effect in effects.effects)


def test_each_set_of_changes_has_a_picture_and_a_table_with_its_caution() -> None:
    effects = made()
    (section,) = EffectsWing((effects,)).opening(())
    picture, table = section.parts
    assert isinstance(picture, Picture)
    assert isinstance(table, DataTable)
    assert section.caution == "SYNTHETIC data"
    assert all(effect.change.label in picture.alt for effect in effects.effects)
    assert table.table == effects.table()
