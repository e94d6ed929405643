"""What corpus classes of a user's own may get wrong, and what is done about the order of their sequences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fer3d.corpora.checked import read_checked
from fer3d.corpora.ckplus import CKPlus
from fer3d.corpora.sequences import CorpusError, FrameSequence, VideoSequence

VIDEO, FRAME = Path("a.mp4"), Path("a.png")


def clip(subject: Any = "anna", sequence: Any = "1", emotion: Any = "happy", **more: Any) -> VideoSequence:
    return VideoSequence(subject, sequence, emotion, **{"video": VIDEO, **more})


@dataclass
class Mine:
    """A corpus of a user's own."""

    sequences: Any
    name: Any = "mine"
    emotions: Any = ("angry", "happy")
    num_channels: Any = 3
    synthetic: Any = False
    subjects_known: Any = True
    root: Any = field(default=Path("faces"))

    def read(self) -> Any:
        return self.sequences


class Bare:
    """It has nothing but `read`."""

    def read(self) -> list[VideoSequence]:
        raise AssertionError("the corpus was read")


def refused(corpus: Any) -> str:
    with pytest.raises(CorpusError) as caught:
        read_checked(corpus)
    assert type(corpus).__qualname__ in str(caught.value)
    return str(caught.value)


def test_sequences_come_in_the_order_of_subjects_and_names() -> None:
    frames = FrameSequence("ben", "1", "angry", (FRAME,), {"split": "train"})
    corpus = Mine([clip("cleo"), frames, clip("anna", "2", start=0.5, end=1), clip("anna", "10")])
    assert [each.clip_id for each in read_checked(corpus)] == ["anna/10", "anna/2", "ben/1", "cleo/1"]
    assert read_checked(corpus)[2] is frames
    assert read_checked(Mine([])) == []


def test_what_ckplus_returns_is_left_as_it_is(write_ckplus: Any, tmp_path: Path) -> None:
    corpus = CKPlus(write_ckplus(tmp_path))
    with pytest.warns(UserWarning, match="differs"):
        assert read_checked(corpus) == list(corpus.read())


@pytest.mark.parametrize(
    ("attribute", "wrong"),
    [
        *(("name", name) for name in ("My Corpus", "../x", "", 3, "ckplus", "ravdess", "synthetic_mine")),
        *(("num_channels", number) for number in (2, "3", None)),
        *(("emotions", emotions) for emotions in (["a", "b"], (), ("a",), ("a", "a"), ("a", 1), ("a/b", "c"), None)),
        *(("synthetic", value) for value in (None, 1)),
        ("subjects_known", "unknown"),
        *(("root", root) for root in ("faces", None)),
    ],
)
def test_a_wrong_attribute_is_named(attribute: str, wrong: Any) -> None:
    said = refused(Mine([clip()], **{attribute: wrong}))
    assert f"its {attribute}" in said
    assert said.count("; ") == 0


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (clip(emotion="bored"), "'bored'"),
        (clip(emotion=1), "not one of its emotions"),
        (clip(subject=""), "a subject that is empty or not a string: number 2"),
        (clip(subject=3), "a subject that is empty"),
        (clip(subject="a/b"), "a subject with /"),
        (clip(sequence=" "), "a sequence name that is empty"),
        (clip(sequence=7), "a sequence name that is empty"),
        (clip(video="a.mp4"), "a video that is not a Path: anna/1"),
        (clip(start=2, end=2), "an end that is not after the start"),
        (clip(end=0), "an end that is not after the start"),
        (clip(start=-1), "not a non-negative number of seconds"),
        (clip(end=float("nan")), "not a non-negative number of seconds"),
        (clip(start="1"), "not a non-negative number of seconds"),
        (clip(columns={"split": 1}), "columns that do not map strings"),
        (clip(columns=None), "columns that do not map strings"),
        (FrameSequence("anna", "1", "happy", ()), "frames that are not a non-empty tuple"),
        (FrameSequence("anna", "1", "happy", [FRAME]), "frames that are not a non-empty tuple"),  # type: ignore[arg-type]
        (FrameSequence("anna", "1", "happy", ("a.png",)), "frames that are not a non-empty tuple"),  # type: ignore[arg-type]
        (("anna", "1"), "other than FrameSequence and VideoSequence: ('anna', '1')"),
    ],
)
def test_a_wrong_sequence_is_named(wrong: Any, named: str) -> None:
    assert named in refused(Mine([clip("ben"), wrong]))


def test_all_faults_are_named_at_once() -> None:
    said = refused(Mine([clip(emotion="bored"), clip("ben", video="b.mp4"), clip("cleo", video="c.mp4")]))
    assert "'bored'" in said
    assert "not a Path: ben/1, cleo/1" in said
    said = refused(Bare())
    assert all(f"its {name} is None" in said for name in ("name", "num_channels", "synthetic"))


def test_one_clip_twice_is_named() -> None:
    assert "same subject and name: anna/1" in refused(Mine([clip(), clip(emotion="angry"), clip("ben")]))


def test_what_is_no_list_is_named() -> None:
    def lazily() -> Iterator[VideoSequence]:
        yield clip()

    assert "must return a list" in refused(Mine(None))
    assert "must return a list" in refused(Mine(lazily()))


def test_an_error_of_the_class_passes() -> None:
    class Broken(Mine):
        def read(self) -> Any:
            raise KeyError("label")

    with pytest.raises(KeyError, match="label"):
        read_checked(Broken([]))
