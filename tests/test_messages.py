"""Messages of the library go through `logging`."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prepared import PreparedCKPlus

from fer3d.messages import messages_shown

LOGGER = logging.getLogger("fer3d.training.run")


def test_messages_are_plain_sentences_and_warnings_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with messages_shown(), messages_shown():
        LOGGER.info("fold %d: 50 %%", 3)
        LOGGER.warning("W&B failed")
        LOGGER.debug("no")
    LOGGER.info("no")
    assert capsys.readouterr() == ("fold 3: 50 %\n", "fer3d: W&B failed\n")
    assert not logging.getLogger("fer3d").handlers


def test_a_level_that_is_set_silences(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("fer3d"), "level", logging.WARNING)
    with messages_shown():
        LOGGER.info("no")
        LOGGER.warning("yes")
    assert capsys.readouterr() == ("", "fer3d: yes\n")


def test_a_program_with_logging_of_its_own_keeps_it(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), messages_shown(unless_configured=True):
        LOGGER.info("mine")
    assert caplog.messages == ["mine"]
    assert capsys.readouterr() == ("", "")


def test_a_broken_pipe_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        def write(self, text: str) -> None:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Closed())
    with pytest.raises(BrokenPipeError), messages_shown():
        LOGGER.info("no")


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        ["hydra/job_logging=default", "hydra/hydra_logging=default", "hydra.run.dir=${outputs}"],
        ["-m", "+fold=range(1,3)"],
        ["-m", "+fold=range(1,3)", "hydra/launcher=joblib"],
    ],
    ids=["Hydra's logging", "jobs", "joblib"],
)
def test_no_message_is_lost_or_repeated(settings: list[str], prepared: PreparedCKPlus, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fer3d.train", *prepared.settings, f"outputs={prepared.outputs}", *settings]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(re.findall(r"fold \d: ", done.stdout)) == ["fold 1: ", "fold 2: "]
