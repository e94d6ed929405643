"""What a person sees while a search runs: a bar for the study and one for each trial under way."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from fer3d.search.objective import Steps


class SearchProgress:
    """A context manager that shows bars on a terminal, and only sentences elsewhere.

    Args:
        num_trials: How many finished trials the study is to have.
        console: Where to write.
    """

    def __init__(self, num_trials: int, console: Console | None = None) -> None:
        self._console = console or Console()
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._study = self._bars.add_task("trials", total=num_trials, said="")
        self._trials: dict[int, TaskID] = {}

    def __enter__(self) -> SearchProgress:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._bars.stop()

    def show(self, num_finished: int, active: Mapping[int, Steps]) -> None:
        """Moves the bars.

        Args:
            num_finished: Number of the study's finished trials.
            active: How far each trial under way has come, by its number.
        """
        self._bars.update(self._study, completed=num_finished)
        for number in self._trials.keys() - active.keys():
            self._bars.remove_task(self._trials.pop(number))
        for number, steps in active.items():
            if number not in self._trials:
                self._trials[number] = self._bars.add_task(f"trial {number}", total=steps.total, said="")
            self._bars.update(self._trials[number], completed=steps.done, said=steps.said)

    def say(self, sentence: str) -> None:
        """Prints a sentence above the bars."""
        self._console.print(sentence, markup=False, highlight=False, soft_wrap=True)
