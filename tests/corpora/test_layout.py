from __future__ import annotations

import re
from pathlib import Path

import pytest
from trees import touch

from fer3d.corpora import layout
from fer3d.corpora.layout import Findings, listing, name_some, plain_name, walk
from fer3d.corpora.sequences import CorpusError

SUBJECT = re.compile(r"S\d+")


@pytest.mark.parametrize(
    "name", ["Emotion_labels", "emotion labels", "EMOTION-LABELS", "Emotion_labels (2)", "Emotion_labels(3)"]
)
def test_plain_name_ignores_case_separators_and_copy_numbers(name: str) -> None:
    assert plain_name(name) == "emotionlabels"


def test_search_returns_nearest_first_and_does_not_descend_into_what_it_found(tmp_path: Path) -> None:
    for name in ("deep/deeper/S1", "near/S1", "near/S1/inner/S2"):
        (tmp_path / name).mkdir(parents=True)
    assert list(walk(tmp_path, SUBJECT).holders) == [tmp_path / "near", tmp_path / "deep/deeper"]


def test_search_stops_at_its_greatest_depth(tmp_path: Path) -> None:
    root = tmp_path / "root"
    deepest = root.joinpath(*["level"] * layout.MAX_DEPTH)
    (deepest / "S1").mkdir(parents=True)
    assert list(walk(root, SUBJECT).holders) == [deepest]
    assert list(walk(tmp_path, SUBJECT).holders) == []


def test_search_stops_at_its_greatest_number_of_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c/S1"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(layout, "MAX_FOLDERS", 4)
    assert list(walk(tmp_path, SUBJECT).holders) == [tmp_path / "c"]
    monkeypatch.setattr(layout, "MAX_FOLDERS", 3)
    assert list(walk(tmp_path, SUBJECT).holders) == []


def test_search_passes_over_a_folder_it_may_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lost+found", "near/S1"):
        (tmp_path / name).mkdir(parents=True)

    def guarded(folder: Path) -> tuple[list[Path], list[str]]:
        if folder.name == "lost+found":
            raise PermissionError(folder)
        return listing(folder)

    monkeypatch.setattr(layout, "listing", guarded)
    assert list(walk(tmp_path, SUBJECT).holders) == [tmp_path / "near"]


def test_a_folder_that_cannot_be_listed_is_an_error_that_names_it(tmp_path: Path) -> None:
    findings = Findings("corpus", tmp_path)
    assert findings.take(touch(tmp_path / "S1"), "files", int) == {}
    with pytest.raises(CorpusError, match=r"cannot be opened \(1\): S1 \(Not a directory\)"):
        findings.raise_errors()


@pytest.mark.parametrize("name", ["S011 ", " S011", "a\nb", "a\udcff", "a\x1b[31m"])
def test_names_that_would_mislead_are_quoted(name: str) -> None:
    assert name_some([name]) == repr(name)


def test_long_lists_are_shortened() -> None:
    names = [str(number) for number in range(layout.MAX_NAMED + 2)]
    assert name_some(names[:3]) == "0, 1, 2"
    assert name_some(names[: layout.MAX_NAMED]) == "0, 1, 2, 3, 4, 5, 6, 7"
    assert name_some(names) == "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
