from __future__ import annotations

import io

from rich.console import Console

from fer3d.search.objective import Steps
from fer3d.search.search_progress import SearchProgress


def shown(*, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)
    with SearchProgress(20, console) as progress:
        progress.show(3, {4: Steps(22, 118, "97.25% at most"), 5: Steps(0, 118)})
        progress.say("trial 4: pruned after [22] of 118 folds :-)")
        progress.show(4, {5: Steps(1, 118, "100.00% at most")})
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_elsewhere_than_on_a_terminal_there_are_sentences_alone() -> None:
    assert shown(terminal=False) == "trial 4: pruned after [22] of 118 folds :-)\n"


def test_a_terminal_has_a_bar_for_the_study_and_one_for_each_trial_under_way() -> None:
    out = shown(terminal=True)
    for said in ("trials", "3/20", "4/20", "22/118", "97.25% at most", "1/118", "[22] of 118 folds :-)"):
        assert said in out
    # What is left of trial 4 is its sentence.
    assert "trial 4 " not in out.rpartition("4/20")[2]
