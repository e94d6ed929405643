from __future__ import annotations

import re

import pytest
from fixture_types import Compose, MakeStore

from fer3d.training.run import Run

pytestmark = pytest.mark.usefixtures("shown_messages")


@pytest.fixture
def run(compose_tiny: Compose, make_store: MakeStore) -> Run:
    return Run.of(compose_tiny("progress=true"), make_store())


def test_a_line_an_epoch_where_nobody_watches(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (result,) = run.train(1)
    captured = capsys.readouterr()
    lines = [line for line in captured.out.splitlines() if line.startswith("epoch")]
    train = r"train loss \d+\.\d{4}, accuracy \d+\.\d%"
    for epoch, (line, correct) in enumerate(zip(lines, result.num_correct, strict=True), start=1):
        accuracy = f"{correct / len(result.labels):.1%}"
        assert re.fullmatch(rf"epoch {epoch}/2: {train}; held-out loss \d+\.\d{{4}}, accuracy {accuracy}", line)
    assert captured.err == ""


@pytest.mark.slow
def test_a_bar_on_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # what tells Rich that a pipe is a terminal
    run.train(1)
    out = capsys.readouterr().out
    assert "Epoch 1/1" in out
    assert "\x1b[" in out
    assert "epoch 1/2" not in out
