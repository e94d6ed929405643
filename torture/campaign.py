"""A campaign: concurrent cases of every kind, each recorded as a line of a file, from which a campaign resumes."""

from __future__ import annotations

import json
import os
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from torture.attack import Attack, Case
from torture.verdicts import Judgement, Verdict
from torture.world import World

CASES_NAME = "cases.jsonl"
TABLE_NAME = "table.md"


@dataclass(frozen=True)
class Line:
    """The recorded line of one case.

    Attributes:
        seed: The campaign's seed.
        kind: The kind of attack.
        number: The case's number.
        seconds: Its duration.
        what: The fault that was injected.
        verdict: The verdict.
        message: The reason.
        vague: Whether the error message does not name the place.
    """

    seed: int
    kind: str
    number: int
    seconds: float
    what: str
    verdict: Verdict
    message: str
    vague: bool


@dataclass(frozen=True)
class Campaign:
    """The cases of one seed.

    Attributes:
        seed: Seed of all random numbers.
        folder: Folder of the cases and of their lines.
        attacks: The kinds of attack by name.
    """

    seed: int
    folder: Path
    attacks: Mapping[str, type[Attack]]

    def run(self, kinds: Sequence[str], num_cases: int | None = None, *, num_jobs: int = 2) -> Iterator[Line]:
        """Runs the cases of some kinds that have no line yet, and yields their lines.

        Args:
            kinds: Names of attacks.
            num_cases: Cases of each kind; None for those of a full campaign.
            num_jobs: Number of concurrent cases.
        """
        done = {(line.kind, line.number) for line in self.lines()}
        world = World.make(self.folder / "world")
        for kind in kinds:
            count = self.attacks[kind].num_cases if num_cases is None else num_cases
            numbers = [number for number in range(count) if (kind, number) not in done]
            if numbers:
                yield from self._kind(self.attacks[kind].on(world), numbers, num_jobs)

    def case(self, kind: str, number: int) -> Line:
        """Runs one case and keeps its folder, without recording a line."""
        return self._case(self.attacks[kind].on(World.make(self.folder / "world")), number, keep=True)

    def lines(self) -> list[Line]:
        """The recorded lines, without a truncated last one."""
        path = self.folder / CASES_NAME
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            path.write_text(whole, encoding="utf-8")
        fields = [json.loads(line) for line in whole.splitlines()]
        return [Line(**{**each, "verdict": Verdict(each["verdict"])}) for each in fields]

    def _kind(self, attack: Attack, numbers: Sequence[int], num_jobs: int) -> Iterator[Line]:
        for line in self._judged(attack, numbers, num_jobs):
            with (self.folder / CASES_NAME).open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(line), ensure_ascii=False) + "\n")
            yield line

    def _judged(self, attack: Attack, numbers: Sequence[int], num_jobs: int) -> Iterator[Line]:
        if num_jobs == 1:
            yield from (self._case(attack, number) for number in numbers)
            return
        # Forked before this process starts a thread, so that commands can be forked from the child.
        with ProcessPoolExecutor(num_jobs, mp_context=get_context("fork")) as pool:
            futures = [pool.submit(self._case, attack, number) for number in numbers]
            try:
                yield from (future.result() for future in as_completed(futures))
            finally:
                pool.shutdown(cancel_futures=True)

    def _case(self, attack: Attack, number: int, *, keep: bool = False) -> Line:
        folder = self.folder / "work" / f"{attack.name}-{number}"
        _remove(folder)
        folder.mkdir(parents=True)
        started = time.monotonic()
        try:
            judged = attack.attack(Case.of(self.seed, attack.name, number, folder))
        except Exception:
            # An error of the campaign itself is not a verdict on fer3d.
            judged = Judgement("the campaign itself failed", Verdict.TRACEBACK, traceback.format_exc())
        if not keep:
            _remove(folder)
        return Line(self.seed, attack.name, number, round(time.monotonic() - started, 2), **asdict(judged))


def table(lines: Sequence[Line]) -> str:
    """A Markdown table of the verdicts by kind."""
    kinds = list(dict.fromkeys(line.kind for line in lines))
    heads = ["", "cases", *(verdict.value for verdict in Verdict), "of the sentences without the place"]
    rows = [heads, ["---", *["---:"] * (len(heads) - 1)]]
    for kind in [*kinds, "all"]:
        chosen = [line for line in lines if kind in (line.kind, "all")]
        counts = Counter(line.verdict for line in chosen)
        numbers = [len(chosen), *(counts[verdict] for verdict in Verdict), sum(line.vague for line in chosen)]
        rows.append([kind, *map(str, numbers)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _remove(folder: Path) -> None:
    """Removes a case's folder, whatever its permissions."""
    if folder.exists():
        for path, _, _ in os.walk(folder):
            Path(path).chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)
