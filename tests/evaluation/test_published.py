"""What is published on the open corpora: numbers against the corpora and the folds, and which runs belong beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_runs import right, write_run
from omegaconf import DictConfig, OmegaConf

from fer3d.corpora import crema_d, ravdess
from fer3d.corpora.sequences import Expected
from fer3d.evaluation.published import BENCHMARKS, CREMA_D, RAVDESS, Benchmark, benchmark_of, differences
from fer3d.evaluation.run_results import RunResults

SIX = [right(8, 4)] * 6
FIVE = [right(6, 3)] * 5


def run(outputs: Path, benchmark: Benchmark, **fields: Any) -> RunResults:
    settings = {
        "cv": benchmark.cv,
        "corpus": benchmark.twin,
        "emotions": benchmark.emotions,
        "correct": SIX if benchmark is RAVDESS else FIVE,
        **fields,
    }
    return RunResults.read(write_run(outputs, **settings), partial=True)


@pytest.mark.parametrize(
    ("benchmark", "expected"),
    [(RAVDESS, ravdess.expected("speech", ravdess.EMOTIONS)), (CREMA_D, crema_d.EXPECTED)],
    ids=["ravdess", "crema_d"],
)
def test_numbers_are_those_of_the_corpus(benchmark: Benchmark, expected: Expected) -> None:
    assert benchmark.emotions == tuple(expected.per_emotion)
    assert benchmark.num_clips == expected.num_sequences
    assert benchmark.num_largest == max(expected.per_emotion.values())


def test_chance_and_majority() -> None:
    assert (RAVDESS.chance, round(RAVDESS.majority, 1)) == (12.5, 13.3)
    assert (round(CREMA_D.chance, 1), round(CREMA_D.majority, 1)) == (16.7, 17.1)


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda benchmark: benchmark.corpus)
def test_folds_are_those_of_the_configuration(benchmark: Benchmark, compose_config: Callable[..., DictConfig]) -> None:
    config = compose_config(f"cv={benchmark.cv}", f"data={benchmark.corpus}")
    assert OmegaConf.to_container(config.cv.ranges) == list(map(list, benchmark.ranges))
    assert all(config.data[key] == value for key, value in benchmark.wanted.items())
    assert all(f"{first}-{last}" in benchmark.protocol for first, last in benchmark.ranges)


def test_published_numbers_as_printed_in_ascending_order() -> None:
    assert [result.accuracy for result in RAVDESS.results] == [60.50, 62.99, 73.90, 75.01, 75.56]
    assert [result.accuracy for result in CREMA_D.results] == [58.2, 66.80, 74.58, 77.37, 77.38]
    for benchmark in BENCHMARKS:
        pretrained = {result.approach for result in benchmark.results if "VoxCeleb2" in result.pretraining}
        assert pretrained == {"SVFAP-S", "SVFAP-B", "MAE-DFER"}


def test_a_corpus_and_its_twin_have_a_benchmark_and_others_none() -> None:
    assert benchmark_of("ravdess") is benchmark_of("synthetic_ravdess") is RAVDESS
    assert benchmark_of("crema_d") is benchmark_of("synthetic_crema_d") is CREMA_D
    assert benchmark_of("ckplus") is benchmark_of("videos") is None


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda benchmark: benchmark.corpus)
def test_a_run_under_the_protocol_belongs_beside_it_whatever_the_order_of_its_emotions(
    benchmark: Benchmark, tmp_path: Path
) -> None:
    assert differences(run(tmp_path, benchmark), benchmark) == []
    assert differences(run(tmp_path, benchmark, emotions=benchmark.emotions[::-1]), benchmark) == []


@pytest.mark.parametrize(
    ("benchmark", "fields", "said"),
    [
        (RAVDESS, {"cv": "kfold10"}, "its folds differ (6-fold, not cv=ravdess6)"),
        (RAVDESS, {"cv": "loso"}, "its folds differ (LOSO, not cv=ravdess6)"),
        (RAVDESS, {"cv": "crema_d5"}, "its folds differ (6-fold, not cv=ravdess6)"),
        (
            RAVDESS,
            {"overrides": ["cv.ranges=[[1,4],[5,8],[9,12],[13,16],[17,20],[21,23]]"]},
            "its folds differ (6-fold, not cv=ravdess6)",
        ),
        (RAVDESS, {"emotions": ("happy", "sad")}, "it has 2 of the 8 emotions (data.emotions)"),
        (RAVDESS, {"corpus": "ravdess", "overrides": ["data.channel=song"]}, "data.channel is song and not speech"),
        (RAVDESS, {"corpus": "ravdess", "synthetic": False}, "it holds out 48 of the corpus's 1,440 clips"),
        (RAVDESS, {"only": range(1, 6)}, "1 of its 6 folds are missing"),
        (CREMA_D, {"corpus": "crema_d", "overrides": ["data.labels=face"]}, "data.labels is face and not intended"),
    ],
)
def test_what_is_measured_in_another_way_does_not_belong_beside_it(
    benchmark: Benchmark, fields: dict[str, Any], said: str, tmp_path: Path
) -> None:
    assert differences(run(tmp_path, benchmark, **fields), benchmark) == [said]
