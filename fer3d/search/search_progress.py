"""Progress display of a search: bars on a terminal, otherwise one line per job with the time left."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from statistics import fmean
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from fer3d.search.objective import Steps
from fer3d.training.pace import duration

_logger = logging.getLogger(__name__)


class SearchProgress:
    """Context manager that shows a bar for the study and one per trial on a terminal, and lines otherwise.

    Args:
        num_trials: Target number of finished trials.
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
        self._num_trials = num_trials
        self._done: dict[int, int] = {}
        self._pace = _Pace()
        self._study = self._bars.add_task("trials", total=num_trials, said="")
        self._trials: dict[int, TaskID] = {}

    def __enter__(self) -> SearchProgress:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._bars.stop()

    def show(self, num_finished: int, active: Mapping[int, Steps]) -> None:
        """Updates the display.

        Args:
            num_finished: Number of the study's finished trials.
            active: Progress of each running trial, by trial number.
        """
        self._pace.see(active)
        if self._console.is_terminal:
            self._move_bars(num_finished, active)
        else:
            self._tell(num_finished, active)

    def _tell(self, num_finished: int, active: Mapping[int, Steps]) -> None:
        for number, steps in active.items():
            # Do not report the folds that a resumed trial already had.
            if steps.done > self._done.get(number, steps.done):
                done = f"{steps.last}, {steps.done} of {steps.total}, {steps.said}"
                finished = f"{num_finished} of {self._num_trials} trials finished{self._left(num_finished)}"
                self.say(f"trial {number}: {done}; {finished}")
        self._done = {number: steps.done for number, steps in active.items()}

    def _left(self, num_finished: int) -> str:
        left = self._pace.left(self._num_trials - num_finished)
        return f", {left} left" if left else ""

    def _move_bars(self, num_finished: int, active: Mapping[int, Steps]) -> None:
        self._bars.update(self._study, completed=num_finished, said=self._left(num_finished).lstrip(", "))
        for number in self._trials.keys() - active.keys():
            self._bars.remove_task(self._trials.pop(number))
        for number, steps in active.items():
            if number not in self._trials:
                self._trials[number] = self._bars.add_task(f"trial {number}", total=steps.total, said="")
            self._bars.update(self._trials[number], completed=steps.done, said=steps.said)

    def say(self, sentence: str) -> None:
        """Prints a message above the bars."""
        # Rich moves its bars out of the way of what a handler prints.
        _logger.info("%s", sentence)


class _Pace:
    """Estimates what is left of a search from the steps, such as folds, that this process saw done."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._num_steps = 0
        self._active: dict[int, Steps] = {}
        # Number of steps of each trial that ended; a pruned one has fewer.
        self._lengths: list[int] = []

    def see(self, active: Mapping[int, Steps]) -> None:
        """Takes the progress of the running trials."""
        for number, steps in active.items():
            # The steps that a resumed trial already had took no time now.
            self._num_steps += steps.done - self._active.get(number, steps).done
        for number in self._active.keys() - active.keys():
            # The last step of a trial ends it.
            self._num_steps += 1
            self._lengths.append(self._active[number].done + 1)
        self._active = dict(active)

    def left(self, num_trials: int) -> str:
        """Returns the expected time for so many more trials, the running ones among them; empty if unknown."""
        if not self._num_steps or num_trials < 1:
            return ""
        totals = [steps.total for steps in self._active.values()]
        length = fmean(self._lengths) if self._lengths else max(totals)
        begun = sum(min(steps.done, length) for steps in self._active.values())
        seconds = (time.monotonic() - self._began) / self._num_steps * (num_trials * length - begun)
        return f"{'about' if self._lengths else 'at most about'} {duration(seconds)}"
