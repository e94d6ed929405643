from __future__ import annotations

import math
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.study import Study, create_study
from optuna.trial import Trial

from fer3d.search.space import SearchSpace, SpaceError, Value

CHOICE = CategoricalDistribution


def distribution(sweep: str) -> BaseDistribution:
    return SearchSpace.parse({}, [f"x={sweep}"]).distributions["x"]


def understood(override: str) -> Any:
    """What Hydra makes of an override, with the quotes off as in a configuration."""
    value = OverridesParser.create().parse_override(override).value()
    return getattr(value, "text", value)


def study() -> Study:
    return create_study(sampler=RandomSampler(0))


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [
        ("choice(a,b)", CHOICE(["a", "b"])),
        ("choice(true,false)", CHOICE([True, False])),
        ("a,b,c", CHOICE(["a", "b", "c"])),
        ("1,2.5,true,null", CHOICE([1, 2.5, True, None])),
        ("choice(a)", CHOICE(["a"])),
        ("sort(3,1,2)", CHOICE([1, 2, 3])),
        ("int(choice('1','2'))", CHOICE([1, 2])),
        ("range(1,4)", IntDistribution(1, 4)),
        ("range(4)", IntDistribution(0, 4)),
        ("range(1,9,2)", IntDistribution(1, 9, step=2)),
        ("range(-2,2)", IntDistribution(-2, 2)),
        ("range(0,1,0.25)", FloatDistribution(0, 1, step=0.25)),
        ("range(0.5,2.5)", FloatDistribution(0.5, 2.5, step=1)),
        ("float(range(1,3))", FloatDistribution(1, 3, step=1)),
        ("interval(0,1)", FloatDistribution(0, 1)),
        ("interval(-0.5,0.5)", FloatDistribution(-0.5, 0.5)),
        ("int(interval(2,9))", IntDistribution(2, 9)),
        ("tag(log,interval(1e-5,1e-1))", FloatDistribution(1e-5, 1e-1, log=True)),
        ("tag(log,int(interval(1,100)))", IntDistribution(1, 100, log=True)),
        ("int(tag(log,interval(1,100)))", IntDistribution(1, 100, log=True)),
    ],
)
def test_reads_what_the_stock_sweeper_reads(sweep: str, expected: BaseDistribution) -> None:
    assert distribution(sweep) == expected


@pytest.mark.parametrize("low", [1e-5, 0.001, 0.1, 0.25, 3.0])
@pytest.mark.parametrize("factor", [2.0, 10.0, 1e6])
def test_an_interval_has_the_ends_that_are_written(low: float, factor: float) -> None:
    high = low * factor
    for log in (False, True):
        sweep = f"interval({low},{high})"
        assert distribution(f"tag(log,{sweep})" if log else sweep) == FloatDistribution(low, high, log=log)


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [
        ("shuffle(range(1,4))", CHOICE([1, 2, 3, 4])),
        ("shuffle(range(0.0,0.3,0.1))", CHOICE([0.0, 0.1, 0.2, 0.3])),
        ("shuffle(a,b,c)", CHOICE(["a", "b", "c"])),
        ("shuffle(choice(1,2,3,4,5,6))", CHOICE([1, 2, 3, 4, 5, 6])),
    ],
)
def test_what_is_shuffled_has_no_order_but_is_the_same_at_each_start(sweep: str, expected: BaseDistribution) -> None:
    # Optuna refuses the same choices in another order as another space.
    assert all(distribution(sweep) == expected for _ in range(5))


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("'a b'", "a b"),
        ("'c,d'", "c,d"),
        ('"it\'s"', "it's"),
        ("'a=b'", "a=b"),
        ("[1,2]", [1, 2]),
        ("[[2],[3,4]]", [[2], [3, 4]]),
        ("{b:1}", {"b": 1}),
        ("[]", []),
        ("1e-4", 1e-4),
        ("plain", "plain"),
        ("a:b", "a:b"),
        ("true", True),
        ("-3", -3),
        ("${seed}", "${seed}"),
    ],
)
@pytest.mark.parametrize("form", ["choice({},other)", "{},other", "choice({0})"])
def test_choices_come_back_as_they_were_written(form: str, written: str, value: Any) -> None:
    space = SearchSpace.parse({}, [f"x={form.format(written)}"])
    drawn = space.distributions["x"]
    assert isinstance(drawn, CategoricalDistribution)
    assert isinstance(drawn.choices[0], str | int | float | bool)
    (override,) = space.overrides({"x": drawn.choices[0]})
    assert understood(override) == value
    assert space.examples("x")[0] == override.removeprefix("x=")


@pytest.mark.parametrize("sweep", ["'1',1", "choice('1',1)"])
def test_a_quoted_number_stays_a_text(sweep: str) -> None:
    space = SearchSpace.parse({}, [f"x={sweep}"])
    choices = space.grid()["x"]
    values = [understood(override) for choice in choices for override in space.overrides({"x": choice})]
    assert values == ["1", 1]
    assert [type(value) for value in values] == [str, int]


def test_a_number_and_the_truth_value_that_equals_it_are_two_choices() -> None:
    space = SearchSpace.parse({}, ["x=choice(true,1,false,0)"])
    overrides = [override for choice in space.grid()["x"] for override in space.overrides({"x": choice})]
    assert overrides == ["x=true", "x=1", "x=false", "x=0"]


plain_texts = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"]), max_size=8)


@given(st.lists(st.one_of(plain_texts, st.integers(), st.floats(allow_nan=False), st.booleans()), min_size=1))
def test_any_choices_survive_the_command_line(values: list[Any]) -> None:
    written = ",".join(
        QuotedString(value, Quote.single).with_quotes() if isinstance(value, str) else str(value).lower()
        for value in values
    )
    space = SearchSpace.parse({"x": f"choice({written})"})
    drawn = space.distributions["x"]
    assert isinstance(drawn, CategoricalDistribution)
    found = [understood(override) for choice in drawn.choices for override in space.overrides({"x": choice})]
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_drawn_numbers_survive_the_command_line(low: float, width: float) -> None:
    space = SearchSpace({"x": FloatDistribution(low, low + width), "n": IntDistribution(1, 9, log=True)})
    trial = study().ask()
    space.draw(trial)
    drawn = [understood(override) for override in space.overrides(trial.params)]
    assert drawn == [trial.params["x"], trial.params["n"]]
    assert low <= drawn[0] <= low + width
    assert 1 <= drawn[1] <= 9


def test_the_command_line_wins_over_params() -> None:
    params = {"a": "choice(1,2)", "b": "interval(0,1)", "c": 3, "d": "range(1,3)", "e": None, "f": True}
    space = SearchSpace.parse(params, ["b=0.5", "a=interval(0,9)", "c=4", "other=x"])
    assert space.distributions == {"a": FloatDistribution(0, 9), "d": IntDistribution(1, 3)}
    assert space.written == {"a": "interval(0,9)", "d": "range(1,3)"}
    assert space.fixed == ("e=null", "f=true", "b=0.5", "c=4", "other=x")


def test_a_sweep_on_the_command_line_takes_a_fixed_setting_into_the_search() -> None:
    space = SearchSpace.parse({"a": 1}, ["a=1,2"])
    assert space.distributions == {"a": CHOICE([1, 2])}
    assert space.fixed == ()


@pytest.mark.parametrize(("first", "second"), [("+a", "a"), ("a", "+a"), ("+a", "++a"), ("++a", "+a"), ("a", "++a")])
def test_a_setting_is_the_same_with_and_without_a_plus(first: str, second: str) -> None:
    space = SearchSpace.parse({first: "choice(1,2)"}, [f"{second}=3"])
    assert (space.distributions, space.fixed) == ({}, (f"{second}=3",))
    space = SearchSpace.parse({first: "choice(1,2)"}, [f"{second}=choice(5,6)"])
    assert space.distributions == {second: CHOICE([5, 6])}
    assert list(space.written) == [second]
    space = SearchSpace.parse({first: 1}, [f"{second}=choice(5,6)"])
    assert (list(space.distributions), space.fixed) == ([second], ())


def test_groups_and_added_settings_keep_their_names() -> None:
    space = SearchSpace.parse({}, ["model/activation=relu,mish", "+new.key=choice(1,2)", "~logger.wandb", "+fold=3"])
    assert list(space.distributions) == ["model/activation", "+new.key"]
    assert space.fixed == ("~logger.wandb", "+fold=3")
    assert space.overrides({"model/activation": "mish", "+new.key": 2}) == ["model/activation=mish", "+new.key=2"]


def test_draws_each_setting_once_and_within_its_range() -> None:
    space = SearchSpace.parse(
        {"a": "choice(x,y)", "b": "range(0,1,0.25)", "c": "int(interval(3,5))", "d": "tag(log,interval(1e-3,1))"}
    )
    made = study()
    trials = [made.ask() for _ in range(20)]
    for trial in trials:
        space.draw(trial)
        before = dict(trial.params)
        space.draw(trial)
        assert trial.params == before
    assert {trial.params["a"] for trial in trials} == {"x", "y"}
    assert {trial.params["b"] for trial in trials} <= {0, 0.25, 0.5, 0.75, 1}
    assert {trial.params["c"] for trial in trials} == {3, 4, 5}
    assert all(1e-3 <= trial.params["d"] <= 1 for trial in trials)
    assert len({trial.params["d"] for trial in trials}) == 20


def test_further_settings_of_a_trial_are_written_too() -> None:
    space = SearchSpace.parse({}, ["x=choice('a b',c)"])
    assert space.overrides({"x": "a b", "+y": 0.5, "z": None, "w": False}) == ["x=a\\ b", "+y=0.5", "z=null", "w=false"]


@pytest.mark.parametrize(
    ("sweep", "values"),
    [
        ("choice(a,1,true)", ["a", 1, True]),
        ("range(1,4)", [1, 2, 3, 4]),
        ("range(2,8,3)", [2, 5, 8]),
        ("range(0,1,0.25)", [0, 0.25, 0.5, 0.75, 1]),
        ("range(0.0,0.3,0.1)", [0, 0.1, 0.2, 0.3]),
        ("range(0.1,0.7,0.2)", [0.1, 0.3, 0.5, 0.7]),
        ("int(interval(1,3))", [1, 2, 3]),
    ],
)
def test_a_grid_has_all_values_and_both_ends(sweep: str, values: list[Value]) -> None:
    space = SearchSpace.parse({}, [f"x={sweep}"])
    assert space.grid() == {"x": values}
    assert all(space.distributions["x"]._contains(space.distributions["x"].to_internal_repr(value)) for value in values)


@pytest.mark.parametrize("sweep", ["interval(0,1)", "tag(log,interval(1,2))", "tag(log,int(interval(1,9)))"])
def test_an_interval_has_no_grid(sweep: str) -> None:
    space = SearchSpace.parse({}, ["a=1,2", f"x={sweep}"])
    with pytest.raises(SpaceError, match="x is drawn from an interval: use choice or range"):
        space.grid()


def test_examples_are_all_choices_or_both_ends() -> None:
    space = SearchSpace.parse({}, ["a=choice(x,true)", "b=range(1,9)", "c=interval(0,1)", "d=choice([1],[2,3])"])
    examples = {name: space.examples(name) for name in space.distributions}
    assert examples == {"a": ["x", "true"], "b": ["1", "9"], "c": ["0.0", "1.0"], "d": ["[1]", "[2,3]"]}


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ("choice(", "cannot be parsed"),
        ("choice()", "cannot be parsed|cannot be searched"),
        ("choise(a,b)", "cannot be parsed: .*choise"),
        ("range(4,1)", "x=range\\(4,1\\) cannot be searched: .*low <= high"),
        ("interval(1,0)", "x=interval\\(1,0\\) cannot be searched: .*low <= high"),
        ("tag(log,interval(0,1))", "cannot be searched: .*low > 0"),
        ("range(1,5,0)", "cannot be searched: .*step"),
        ("glob(*)", "x=glob\\(\\*\\) cannot be searched: write choice\\(a, b\\), range"),
    ],
)
def test_what_cannot_be_searched_is_a_sentence(sweep: str, message: str) -> None:
    for params, overrides in (({"x": sweep}, []), ({}, [f"x={sweep}"])):
        with pytest.raises(SpaceError, match=message):
            SearchSpace.parse(params, overrides)


def test_a_trial_that_has_some_settings_already_draws_the_rest() -> None:
    made = study()
    made.enqueue_trial({"a": 2})
    space = SearchSpace.parse({}, ["a=range(1,3)", "b=interval(0,1)"])
    trial: Trial = made.ask()
    space.draw(trial)
    assert trial.params["a"] == 2
    assert not math.isnan(trial.params["b"])
