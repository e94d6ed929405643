"""optuna-dashboard, which `make dashboard` starts, opens a study."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from killed import FoldFactory, search_once

ROOT = Path(__file__).parents[2]


def test_it_shows_a_study(tmp_path: Path) -> None:
    search_once(tmp_path, FoldFactory(), num_trials=2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    dashboard = Path(sys.executable).with_name("optuna-dashboard")
    command = [str(dashboard), "--port", str(port), "--quiet", f"sqlite:///{tmp_path / 'study.db'}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            studies = json.loads(_get(f"http://127.0.0.1:{port}/api/studies", process))["study_summaries"]
        finally:
            process.kill()
    assert [study["study_name"] for study in studies] == ["s"]


def test_make_names_the_study() -> None:
    def made(*settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["make", "--dry-run", "dashboard", *settings], cwd=ROOT, capture_output=True, text=True)

    assert "optuna-dashboard sqlite:///outputs/search/x/study.db" in made("STUDY=outputs/search/x").stdout
    assert "optuna-dashboard postgresql://host/db" in made("STORAGE=postgresql://host/db").stdout


def _get(url: str, process: subprocess.Popen[bytes]) -> bytes:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urlopen(url, timeout=10) as answer:
                content: bytes = answer.read()
                return content
        except URLError:
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.1)
