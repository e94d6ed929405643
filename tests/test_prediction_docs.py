"""The Python lines of docs/prediction.md are run as they stand there."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import cv2
import pytest
import skimage.data
from trained_networks import EMOTIONS, write_checkpoint
from video_files import write_video

from fer3d.prediction.table import columns

PAGE = (Path(__file__).parents[1] / "docs/prediction.md").read_text(encoding="utf-8")
(CODE,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def test_python_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    write_checkpoint(Path("outputs/RUN/fold_001/last.ckpt"))
    photograph = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    write_video(Path("talk.mp4"), [photograph[:240, 100 + 2 * k : 340 + 2 * k] for k in range(24)], rate=30)
    Path("lines.py").write_text(CODE)
    made = runpy.run_path("lines.py")
    assert list(made["table"]) == columns(EMOTIONS)
    assert made["table"].face.tolist() == [1] * len(made["table"])
    shown = PAGE[PAGE.index("The example prints") :].split("\n")[2].split()
    assert capsys.readouterr().out.split()[: len(shown)] == shown


def test_the_table_of_columns_is_complete() -> None:
    table = PAGE[PAGE.index("## The table") : PAGE.index("## How it works")]
    named = set(re.findall(r"`(\w+)`", table))
    assert {name for name in columns(["anger", "happy"]) if not name.startswith("happy_")} <= named
