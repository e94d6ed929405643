"""The benchmarks run from end to end; their figures are not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.slow


def figures(script: str, *arguments: str, into: Path) -> dict[str, Any]:
    command = [sys.executable, str(BENCHMARKS / script), "--json", str(into / "figures.json"), *arguments]
    subprocess.run(command, check=True, cwd=into)
    found: dict[str, Any] = json.loads((into / "figures.json").read_text())
    assert [name for name in found if name.startswith("failed")] == []
    return found


def test_the_script_for_a_gpu_runs_without_one(tmp_path: Path) -> None:
    found = figures(
        *("gpu.py", "--seconds", "1", "--only", "machine", "equality", "baseline", "cross_validation"), into=tmp_path
    )
    equalities = [same for name, same in found.items() if "the same numbers" in name]
    assert len(equalities) == 12
    assert all(equalities)


def test_a_figure_stands_beside_its_target(tmp_path: Path) -> None:
    sections = ("machine", "start", "preparation", "memory", "twin", "folds", "trials")
    found = figures("bench.py", "--quick", "--only", *sections, into=tmp_path)
    assert set(found["targets"]["--help: seconds"]) == {"target", "holds"}
