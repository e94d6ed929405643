"""The kinds of attack by name."""

from __future__ import annotations

from collections.abc import Mapping

from torture.attack import Attack
from torture.corpora import CorporaAttack
from torture.damages import DamagesAttack
from torture.disk import DiskAttack
from torture.processes import KillsAttack, SignalsAttack, TogetherAttack
from torture.settings import SettingsAttack
from torture.videos import VideosAttack

_KINDS: tuple[type[Attack], ...] = (
    *(
        CorporaAttack,
        VideosAttack,
        SettingsAttack,
        DamagesAttack,
        KillsAttack,
        SignalsAttack,
        TogetherAttack,
        DiskAttack,
    ),
)
ATTACKS: Mapping[str, type[Attack]] = {kind.name: kind for kind in _KINDS}
