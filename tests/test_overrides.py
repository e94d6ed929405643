from __future__ import annotations

import math
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from fer3d.overrides import given_text, override

# Three question marks are OmegaConf's for a value that is missing.
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.text("ab1 .,:=&#~%?'\"\\${}[]()@|+-/é\t\n"),
    st.sampled_from(["2024", "1e3", "null", "true", "NaN", "inf", "0x1", "1_0", "", " a ", "${seed}", "\\${a}", "x${"]),
).filter(lambda text: text != "???")
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXTS)
KEYS = st.from_regex(r"[A-Za-z_][\w]*", fullmatch=True).filter(
    lambda key: key.isascii() and key.lower() not in ("null", "true", "false", "inf", "nan")
)
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))


@settings(max_examples=100)
@given(VALUES)
def test_every_plain_value_is_read_back_as_it_is(value: Any) -> None:
    line = override("x", value)
    read = OmegaConf.create({"x": OverridesParser.create().parse_override(line).value()})
    back: Any = OmegaConf.to_container(read, resolve=True)
    assert back["x"] == value
    assert repr(back["x"]) == repr(value)


def test_what_needs_no_quotes_has_none() -> None:
    assert override("+trial", 3) == "+trial=3"
    assert override("name", "best_of_s") == "name=best_of_s"
    assert override("outputs", "/data/runs") == "outputs=/data/runs"
    assert override("name", "2024") == "name='2024'"
    assert math.isnan(OverridesParser.create().parse_override(override("x", math.nan)).value())  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [{1: 2}, object(), {3}])
def test_what_cannot_be_written_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="cannot be written as"):
        override("x", value)


@pytest.mark.parametrize("text", ["a b (1), c=d & #~é%?'\"", "2024", " x ", "a\\", "${seed}", "[x", "a:b"])
def test_hydra_composes_it_as_it_is(text: str, tmp_path: Any) -> None:
    (tmp_path / "config.yaml").write_text("name: x\nseed: 0\n", encoding="utf-8")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        assert compose("config", overrides=[override("name", text)]).name == text


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("from_study=outputs/search/a", "outputs/search/a"),
        ("from_study='outputs/my runs (1)/search/a'", "outputs/my runs (1)/search/a"),
        ("from_study=outputs/my runs (1)/search/a", "outputs/my runs (1)/search/a"),
        ("from_study=2024", "2024"),
        (override("from_study", "a/d${seed} (1)"), "a/d${seed} (1)"),
        ("from_study=a,b", "a,b"),
        ("study_storage=postgresql+psycopg://me@host/db?a=b&c=d", "postgresql+psycopg://me@host/db?a=b&c=d"),
    ],
)
def test_arguments_are_taken_with_and_without_quotes(argument: str, text: str) -> None:
    assert given_text(argument) == text


def test_a_part_of_a_configuration_is_written_as_what_it_holds() -> None:
    config = OmegaConf.create({"filters": [[4], [16]], "augment": {"copies": {"flip": 1}}})
    assert override("filters", config.filters) == "filters=[[4],[16]]"
    assert override("augment", config.augment) == "augment={copies:{flip:1}}"
