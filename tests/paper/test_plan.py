"""The plans name experiments that exist, on the corpora that these use, in an order that works."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from fer3d.clips.frames import make_sampling
from fer3d.configuration import compose_train, config_folder
from fer3d.evaluation.published import benchmark_of
from fer3d.paper.ablation import VARIANTS
from fer3d.paper.plan import (
    CKPLUS,
    CREMA_D,
    OULU,
    RAVDESS,
    VIDEOS,
    Plan,
    Step,
    ablation,
    benchmark,
    comparison_of_networks,
    comparison_of_orders,
    rehearsal,
    rehearsal_of_videos,
    reproduce_ckplus,
    reproduce_oulu,
)
from fer3d.training.identity import differences

OUTPUTS = Path("outputs")
PLANS = {
    "ckplus": reproduce_ckplus(OUTPUTS),
    "oulu": reproduce_oulu(OUTPUTS),
    "rehearsal": rehearsal(OUTPUTS, Path("corpora")),
    "rehearsal_videos": rehearsal_of_videos(OUTPUTS / "videos", Path("corpora")),
    "networks": comparison_of_networks(OUTPUTS / "networks", Path("corpora")),
    "orders": comparison_of_orders(OUTPUTS / "networks", Path("corpora")),
    "ablation": ablation(OUTPUTS / "ablation", Path("corpora")),
    "ravdess": benchmark(RAVDESS, OUTPUTS),
    "crema_d": benchmark(CREMA_D, OUTPUTS),
}
CORPORA = {
    CKPLUS: ("ckplus", "synthetic"),
    OULU: ("oulu_casia", "synthetic_oulu"),
    RAVDESS: ("ravdess", "synthetic_ravdess"),
    CREMA_D: ("crema_d", "synthetic_crema_d"),
    VIDEOS: ("videos",),
}
# The dropout of each of the paper's configurations.
DROPOUT = {"c1": 0.2511, "c2": 0.4233, "c3": 0.4233, "c4": 0.2511}


@cache
def composed(step: Step) -> DictConfig:
    return compose_train(step.settings)


def names(plan: Plan) -> list[str]:
    return [step.run for step in plan.steps]


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_step_composes_on_its_corpus(plan: Plan) -> None:
    for step in plan.steps:
        if step.seed:  # composing takes a tenth of a second, and the first seed's step is the same but for the seed
            continue
        config = composed(step)
        assert config.name == step.name
        assert config.seed == (step.seed or 0)
        assert config.configuration is None or config.model.dropout == DROPOUT[config.configuration]
        corpus = instantiate(config.data)
        assert corpus.name in CORPORA[step.corpus]
        assert step.is_evaluated == ("all_clips" not in config.cv._target_)
        assert (config.start_from == "required") == (step.starts_from is not None)
        # Where nothing is held out, the network is kept.
        assert config.save_checkpoint is None


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_what_a_step_needs_comes_before_it(plan: Plan) -> None:
    assert len(set(names(plan))) == len(plan.steps)
    for number, step in enumerate(plan.steps):
        if step.starts_from is not None:
            source = plan.steps[names(plan).index(step.starts_from)]
            assert names(plan).index(step.starts_from) < number
            assert source.corpus != step.corpus
            assert not source.is_evaluated
    assert all(set(pair) <= set(names(plan)) for pair in plan.comparisons)
    seeds = {name: {step.seed for step in plan.steps if step.name == name} for name in {s.name for s in plan.steps}}
    assert all(seeds[change.base] == seeds[change.changed] for each in plan.changes.values() for change in each)


def test_the_plans_hold_every_run_of_the_papers_tables() -> None:
    assert {"ckplus_loso", "ckplus_kfold10", "ckplus_kfold10_c2", "ckplus_kfold10_c3"} <= set(names(PLANS["ckplus"]))
    assert {"oulu_kfold10", "oulu_kfold10_c1", "oulu_kfold10_c4"} <= set(names(PLANS["oulu"]))


@pytest.mark.parametrize(
    ("name", "configurations"), [("ckplus", ["c1", "c2", "c3", "c1"]), ("oulu", ["c2", "c1", "c4"])]
)
def test_runs_of_the_papers_configurations_say_which(name: str, configurations: list[str]) -> None:
    configs = [composed(step) for step in PLANS[name].steps if step.is_evaluated]
    assert [config.configuration for config in configs if config.configuration] == configurations


def test_all_networks_are_compared_with_the_same_seeds() -> None:
    plan = PLANS["networks"]
    assert plan.is_ranking
    presets = {path.stem.removesuffix("_compact") for path in (Path(config_folder()) / "model").glob("*.yaml")}
    runs = {(step.name, step.seed) for step in plan.steps}
    assert runs == {(name, seed) for name in presets - {"own", "compact"} for seed in (0, 1, 2)}


def test_each_network_is_trained_on_shuffled_frames_and_as_it_is_compared() -> None:
    plan = PLANS["orders"]
    compared = PLANS["networks"].steps
    assert plan.steps[: len(compared)] == compared
    assert plan.outputs == PLANS["networks"].outputs
    first = {step.name: OmegaConf.to_container(composed(step), resolve=True) for step in plan.steps if step.seed == 0}
    ((_, changes),) = plan.changes.items()
    assert {change.base for change in changes} == {step.name for step in compared}
    for change in changes:
        changed = differences(first[change.base], first[change.changed])
        assert changed.keys() == {"name", "frames.order"}
        assert changed["frames.order"] == ("as_filmed", "shuffled")


def test_an_ablation_changes_one_choice_of_c1_at_a_time() -> None:
    first = [step for step in PLANS["ablation"].steps if step.seed == 0]
    base, *configs = [OmegaConf.to_container(composed(step), resolve=True) for step in first]
    assert base["name"] == "c1"
    keys = {
        "activation": "model.activation._target_",
        "pooling": "model.pooling._target_",
        "temporal kernel": "model.temporal_kernel",
        "initializer": "model.initializer._target_",
        "CLAHE": "clips.clahe",
        "normalisation": "clips.normalise",
        "optimizer": "optimizer",
        "class weights": "class_weights",
        "second convolution": "model.second_conv",
        "dropout": "model.dropout",
    }
    assert keys.keys() == {variant.choice for variant in VARIANTS}
    for variant, config in zip(VARIANTS, configs, strict=True):
        changed = differences(base, config).keys() - {"name", "configuration"}
        assert changed
        assert all(name.startswith(keys[variant.choice]) for name in changed)


def test_the_rehearsal_is_both_plans() -> None:
    assert names(PLANS["rehearsal"]) == [*names(PLANS["ckplus"]), *names(PLANS["oulu"])]
    assert PLANS["rehearsal"].comparisons == (*PLANS["ckplus"].comparisons, *PLANS["oulu"].comparisons)


def test_no_plan_writes_over_the_report_of_another() -> None:
    assert len({plan.outputs / plan.report for plan in PLANS.values()}) == len(PLANS)


def test_without_the_other_corpus_its_transfer_is_left_out() -> None:
    alone = PLANS["ckplus"].without(OULU)
    assert names(alone) == ["ckplus_kfold10", "ckplus_kfold10_c2", "ckplus_kfold10_inner_val", "ckplus_loso"]
    assert alone.comparisons == (("ckplus_kfold10", "ckplus_kfold10_c2"),)
    assert names(PLANS["oulu"].without(CKPLUS)) == ["oulu_kfold10", "oulu_kfold10_c1", "oulu_kfold10_inner_val"]


@pytest.mark.slow
def test_the_rehearsal_keeps_what_the_paper_searched_for() -> None:
    """It changes the network's size, the amount of work and the learning rate, and nothing that Table 1 lists."""
    for step in PLANS["rehearsal"].steps:
        paper = compose_train([f"experiment={step.experiment}"])
        small = composed(step)
        for key in ("temporal_kernel", "second_conv", "activation", "pooling", "initializer", "dropout"):
            assert small.model[key] == paper.model[key]
        assert small.optimizer._target_ == paper.optimizer._target_
        assert (small.class_weights, small.clips) == (paper.class_weights, paper.clips)
        assert small.cv == paper.cv


@pytest.mark.slow
def test_steps_on_one_corpus_share_its_clip_store() -> None:
    for plan in PLANS.values():
        stores: dict[str, object] = {}
        for step in plan.steps:
            config = composed(step)
            sampling = make_sampling(config.frames)
            what = (config.data, config.faces, sampling.num_stored(config.clips.num_frames), sampling.settings())
            assert stores.setdefault(step.corpus, what) == what


def test_the_rehearsal_of_videos_holds_the_benchmarks_own_videos_and_two_ways_of_choosing_frames() -> None:
    plan = PLANS["rehearsal_videos"]
    configs = {step.run: composed(step) for step in plan.steps}
    for corpus in (RAVDESS, CREMA_D):
        (step,) = PLANS[corpus].steps
        real, small = composed(step), configs[step.run]
        assert (small.cv, small.frames, small.clips) == (real.cv, real.frames, real.clips)
    (pair,) = plan.comparisons
    segments, uniform = (configs[name] for name in pair)
    assert segments.frames._target_ != uniform.frames._target_
    assert all(segments[key] == uniform[key] for key in segments if key not in ("frames", "name"))
    assert plan.own_videos is not None
    assert Path(configs["own_videos"].data.root) == plan.own_videos.folder
    assert plan.own_videos.twin == Path(configs["ravdess6"].data.root)


@pytest.mark.parametrize("corpus", [RAVDESS, CREMA_D])
def test_a_benchmark_is_the_literatures_protocol(corpus: str) -> None:
    (step,) = PLANS[corpus].steps
    config = compose_train([f"experiment={step.experiment}"])
    literature = benchmark_of(corpus)
    assert literature is not None
    assert tuple(map(tuple, config.cv.ranges)) == literature.ranges
    assert instantiate(config.data).emotions == literature.emotions
    assert all(config.data[key] == value for key, value in literature.wanted.items())
