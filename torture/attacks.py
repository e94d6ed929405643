"""The kinds of attack by their names."""

from __future__ import annotations

from collections.abc import Mapping

from torture.attack import Attack
from torture.corpora import CorporaAttack
from torture.damages import DamagesAttack
from torture.settings import SettingsAttack

ATTACKS: Mapping[str, type[Attack]] = {attack.name: attack for attack in (CorporaAttack, SettingsAttack, DamagesAttack)}
