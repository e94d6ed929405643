"""The paper's numbers as data: hyper-parameters against the experiments, and what lookups find."""

from __future__ import annotations

import numpy as np
import pytest
from fixture_types import Compose
from omegaconf import OmegaConf

from fer3d.paper.printed import (
    C1,
    C2,
    FIGURE_5,
    FIGURE_6,
    RESULTS,
    TABLE_4,
    TABLE_5,
    Architecture,
    FoldTable,
    PrintedConfusion,
    published_results,
)


@pytest.mark.parametrize(
    ("architecture", "experiment"), [(C1, "ckplus_loso"), (C1, "ckplus_kfold10"), (C2, "oulu_kfold10")]
)
def test_hyperparameters_are_those_of_the_experiments(
    architecture: Architecture, experiment: str, compose_config: Compose
) -> None:
    config = compose_config(f"experiment={experiment}")
    for setting in (*architecture.searched, *architecture.fixed):
        found = OmegaConf.select(config, setting.key)
        assert (found, type(found)) == (setting.value, type(setting.value)), setting.key


def test_tables_2_and_3_have_the_same_rows() -> None:
    assert [setting.name for setting in C1.searched] == [setting.name for setting in C2.searched]
    assert [setting.key for setting in C1.searched] == [setting.key for setting in C2.searched]


def test_lookups_keep_protocols_apart() -> None:
    accuracies = {result.approach: result.accuracy for result in published_results("ckplus", "LOSO")}
    assert accuracies == {"CNN (AlexNet)": 94.4, "DAE (DSAE)": 95.79, "the paper": 97.56}
    assert [result.accuracy for result in published_results("ckplus", "10-fold")] == [98.09, 98.57, 98.62, 99.69, 100]
    oulu = published_results("oulu_casia", "10-fold")
    assert [result.accuracy for result in oulu] == [74.17, 74.38, 81.49, 84.17, 84.72, 91.3, 93.45]
    assert [result.accuracy for result in oulu if result.note] == [91.3]
    assert [result.accuracy for result in RESULTS if result.by_paper] == [97.56, 100, 84.17]
    assert published_results("synthetic", "10-fold") == ()
    assert published_results("oulu_casia", "LOSO") == ()


def test_a_row_of_a_turned_matrix_holds_the_clips_of_an_emotion() -> None:
    assert [sum(row) for row in FIGURE_5.by_emotion] == [45, 59, 25, 69, 28, 83, 18]
    assert [sum(row) for row in FIGURE_6.by_emotion] == [80] * 6


@pytest.mark.parametrize("figure", [FIGURE_5, FIGURE_6], ids=lambda figure: figure.source)
def test_rows_of_the_figures_sum_to_1_but_for_rounding(figure: PrintedConfusion) -> None:
    assert np.shape(figure.shares) == np.shape(figure.counts) == (len(figure.emotions),) * 2
    np.testing.assert_allclose(np.sum(figure.shares, axis=1), 1, atol=0.006)


@pytest.mark.parametrize("table", [TABLE_4, TABLE_5], ids=lambda table: table.source)
def test_tables_of_folds_compare_the_first_row_with_the_others(table: FoldTable) -> None:
    assert [len(row.accuracies) for row in table.rows] == [10, 10, 10]
    assert [row.p_value is None for row in table.rows] == [True, False, False]
    assert max(row.average for row in table.rows) == table.rows[0].average
