from __future__ import annotations

import io

import pytest
from rich.console import Console

from fer3d.search.objective import Steps
from fer3d.search.search_progress import SearchProgress

pytestmark = pytest.mark.usefixtures("shown_messages")


def shown(*, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)
    with SearchProgress(20, console) as progress:
        progress.show(3, {4: Steps(22, 118, "97.25% at most", "fold 7"), 5: Steps(0, 118)})
        progress.say("trial 4: pruned after [22] of 118 folds :-)")
        progress.show(4, {5: Steps(1, 118, "100.00% at most", "fold 9")})
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_elsewhere_than_on_a_terminal_there_is_a_line_a_job_with_what_is_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown(terminal=False)
    told, fold = capsys.readouterr().out.splitlines()
    assert told == "trial 4: pruned after [22] of 118 folds :-)"
    assert fold.startswith("trial 5: fold 9, 1 of 118, 100.00% at most; 4 of 20 trials finished, about ")


def test_what_is_left_is_an_upper_bound_until_a_trial_has_finished(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10_000, 60))
    monkeypatch.setattr("fer3d.search.search_progress.time.monotonic", lambda: next(clock))
    with SearchProgress(4, Console(file=io.StringIO())) as progress:
        progress.show(0, {0: Steps(0, 10)})
        progress.show(0, {0: Steps(1, 10, "", "fold 1")})
        progress.show(1, {1: Steps(0, 10)})
        progress.show(1, {1: Steps(1, 10, "", "fold 1")})
    first, last = capsys.readouterr().out.splitlines()
    # One step a minute, and four trials of ten steps.
    assert first.endswith("0 of 4 trials finished, at most about 39 min left")
    # The first trial was pruned after two steps; three steps took two minutes.
    assert last.endswith("1 of 4 trials finished, about 3 min left")


def test_the_steps_of_a_resumed_trial_took_no_time(capsys: pytest.CaptureFixture[str]) -> None:
    with SearchProgress(9, Console(file=io.StringIO())) as progress:
        progress.show(2, {2: Steps(7, 9)})
        progress.show(2, {2: Steps(7, 9)})
    assert capsys.readouterr().out == ""


def test_a_terminal_has_a_bar_for_the_study_and_one_for_each_trial_under_way() -> None:
    out = shown(terminal=True)
    for said in ("trials", "3/20", "4/20", "22/118", "97.25% at most", "1/118", "[22] of 118 folds :-)"):
        assert said in out
    # What is left of trial 4 is its sentence.
    assert "trial 4 " not in out.rpartition("4/20")[2]
