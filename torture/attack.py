"""The interface of attacks."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from torture.verdicts import Judgement
from torture.world import World


@dataclass(frozen=True)
class Case:
    """One case, reproducible by its seed, kind and number.

    Attributes:
        number: Its number among the cases of its kind, from 0.
        rng: Its random number generator.
        folder: Its own empty folder.
    """

    number: int
    rng: random.Random
    folder: Path

    @classmethod
    def of(cls, seed: int, kind: str, number: int, folder: Path) -> Case:
        """Creates a case, whose random numbers depend only on seed, kind and number."""
        return cls(number, random.Random(f"{seed} {kind} {number}"), folder)


class Attack(Protocol):
    """A kind of attack.

    Attributes:
        name: Its name on the command line and in the table.
        num_cases: Number of cases in a full campaign.
    """

    name: str
    num_cases: int

    @classmethod
    def on(cls, world: World) -> Self:
        """Prepares what the cases of this kind need; its commands must succeed."""

    def attack(self, case: Case) -> Judgement:
        """Runs one case and returns its verdict."""
