from __future__ import annotations

from dataclasses import replace

from fer3d.search.owner import Owner


def test_a_process_is_known_by_what_it_writes() -> None:
    me = Owner.me()
    assert Owner.parse(str(me)) == me
    assert Owner.me() != me
    assert not me.known_dead
    assert replace(me, pid=2**22 + 1).known_dead
    assert me.is_local
    elsewhere = replace(me, machine="elsewhere")
    assert not elsewhere.is_local
    assert not replace(elsewhere, pid=2**22 + 1).known_dead
