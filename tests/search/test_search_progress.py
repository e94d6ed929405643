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


def test_what_is_left_is_told_as_soon_as_a_trial_has_finished(capsys: pytest.CaptureFixture[str]) -> None:
    with SearchProgress(9, Console(file=io.StringIO())) as progress:
        for fold in range(3):
            progress.show(2, {2: Steps(fold, 9, "", "fold 1")})
    out = capsys.readouterr().out
    assert "left" not in out
    assert len(out.splitlines()) == 2


def test_a_terminal_has_a_bar_for_the_study_and_one_for_each_trial_under_way() -> None:
    out = shown(terminal=True)
    for said in ("trials", "3/20", "4/20", "22/118", "97.25% at most", "1/118", "[22] of 118 folds :-)"):
        assert said in out
    # What is left of trial 4 is its sentence.
    assert "trial 4 " not in out.rpartition("4/20")[2]
