"""What every kind of attack has in common."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from torture.verdicts import Judgement
from torture.world import World


@dataclass(frozen=True)
class Case:
    """One attack, which its seed and number repeat.

    Attributes:
        number: Its number among those of its kind, from 0.
        rng: Draws all that is random about it.
        folder: An empty folder of its own.
    """

    number: int
    rng: random.Random
    folder: Path

    @classmethod
    def of(cls, seed: int, kind: str, number: int, folder: Path) -> Case:
        """Makes a case; the random numbers depend on the seed, the kind and the number alone."""
        return cls(number, random.Random(f"{seed} {kind} {number}"), folder)


class Attack(Protocol):
    """A kind of attack.

    Attributes:
        name: One word for the command line and the table.
        num_cases: How many cases a whole campaign has.
    """

    name: str
    num_cases: int

    @classmethod
    def on(cls, world: World) -> Self:
        """Makes what the cases of this kind need of the world; the commands that it runs have to succeed."""

    def attack(self, case: Case) -> Judgement:
        """Carries out one case and judges it."""
