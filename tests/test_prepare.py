from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from fixture_types import Invoke
from prepared import PreparedCKPlus


def test_makes_a_store_and_reports_on_it(prepared_session: PreparedCKPlus) -> None:
    done = prepared_session.done
    assert done.returncode == 0, done.stderr
    (store,) = (prepared_session.outputs / "clips").iterdir()
    assert store.name.startswith("ckplus-")
    lines = done.stdout.splitlines()
    assert lines[-2:] == [f"made {store}", f"look at the faces: {store / 'contact_sheet.png'}"]
    assert (store / "contact_sheet.png").is_file()
    assert "8 of 8 sequences" in done.stdout
    assert "16 (100.00%)" in done.stdout  # faces found


def test_says_that_the_corpus_is_not_complete_and_nothing_else(prepared_session: PreparedCKPlus) -> None:
    (line,) = prepared_session.done.stderr.splitlines()
    assert line.startswith(f"fer3d: CK+ in {prepared_session.root} differs from the corpus as distributed: ")
    assert "sequences: 8 instead of 327; subjects: 4 instead of 118" in line


def test_the_second_time_nothing_changes(prepared: PreparedCKPlus, invoke: Invoke) -> None:
    (store,) = (prepared.outputs / "clips").iterdir()
    times = {path: path.stat().st_mtime_ns for path in [store, *store.iterdir()]}
    status, out, _ = invoke("prepare", *prepared.settings, f"outputs={prepared.outputs}")
    assert status == 0
    assert f"{store} is there already, and nothing changed" in out
    assert "8 of 8 sequences" in out
    assert {path: path.stat().st_mtime_ns for path in [store, *store.iterdir()]} == times


def test_nothing_imports_pytorch(write_ckplus: Callable[..., Path], tmp_path: Path) -> None:
    """Which takes seconds, and more than a corpus that is prepared already."""
    settings = ["data=ckplus", f"data.root={write_ckplus(tmp_path / 'CK+', 1, 1)}", f"outputs={tmp_path / 'outputs'}"]
    code = (
        "import runpy, sys\n"
        "for _ in range(2): runpy.run_module('fer3d.prepare', run_name='__main__', alter_sys=True)\n"
        "heavy = {'torch', 'pytorch_lightning', 'kornia', 'optuna', 'wandb'} & set(sys.modules)\n"
        "print('imported:', *heavy)"
    )
    command = [sys.executable, "-c", code, *settings, "faces.crop.size=32", "progress=false"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "made" in done.stdout
    assert "is there already" in done.stdout
    assert done.stdout.splitlines()[-1] == "imported:"


def test_a_wrong_setting_is_refused_where_it_is_one_of_a_preparation(prepared: PreparedCKPlus, invoke: Invoke) -> None:
    for setting, key in (("clips.num_frames=x", "clips.num_frames"), ("batch_size=0", "batch")):
        status, _, err = invoke("prepare", *prepared.settings, f"outputs={prepared.outputs}", setting)
        assert status == 1
        assert f"fer3d: {key}" in err
