"""optuna-dashboard, which `make dashboard` starts, opens a study."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from killed import FoldFactory, search_once

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
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


def test_make_names_the_study_whatever_it_is_called(tmp_path: Path) -> None:
    shown = tmp_path / "bin" / "optuna-dashboard"
    shown.parent.mkdir()
    shown.write_text('#!/bin/sh\necho "$#: $1"\n', encoding="utf-8")
    shown.chmod(0o755)

    def made(*settings: str) -> subprocess.CompletedProcess[str]:
        command = ["make", "--old-file=.venv/ready", "-f", str(ROOT / "Makefile"), "dashboard", f"BIN={shown.parent}"]
        # Not as a part of the `make test` around it, which would say which folder it enters.
        alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        return subprocess.run([*command, *settings], cwd=tmp_path, capture_output=True, text=True, env=alone)

    none = made()
    assert none.returncode != 0
    assert "there is no study in outputs/search yet" in none.stderr
    (tmp_path / "outputs/search/my runs (1), é").mkdir(parents=True)
    for settings, url in [
        ([], "sqlite:///outputs/search/my runs (1), é/study.db"),
        (["STUDY=elsewhere & more"], "sqlite:///elsewhere & more/study.db"),
        (["STORAGE=postgresql://host/db"], "postgresql://host/db"),
    ]:
        assert made(*settings).stdout == f"1: {url}\n"


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
