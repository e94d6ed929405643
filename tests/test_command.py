"""What the commands share, and how they treat a user's mistake."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from prepared import PreparedCKPlus

from fer3d.clips.folds import FoldError
from fer3d.command import user_errors
from fer3d.corpora.sequences import CorpusWarning

Invoke = Callable[..., tuple[int, str, str]]


def test_an_error_of_ours_is_a_sentence_and_status_1() -> None:
    with pytest.raises(SystemExit) as caught, user_errors():
        raise FoldError("fold=9 does not exist")
    assert caught.value.code == "fer3d: fold=9 does not exist"  # Python prints it and exits with status 1


def test_an_error_of_somebodys_own_code_says_how_to_find_it() -> None:
    with pytest.raises(SystemExit) as caught, user_errors():
        raise ValueError("shapes differ")
    assert caught.value.code == "fer3d: shapes differ\n(HYDRA_FULL_ERROR=1 shows where)"


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), user_errors():
        _ = 1 / 0


def test_the_whole_traceback_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(FoldError), user_errors():
        raise FoldError("fold=9 does not exist")


def test_a_corpus_warning_is_a_sentence_and_others_are_untouched(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        warnings.warn("9 instead of 327", CorpusWarning, stacklevel=1)
        warnings.warn("old", DeprecationWarning, stacklevel=1)

    with pytest.warns(DeprecationWarning, match="old"):
        user_errors()(work)()
    assert capsys.readouterr().err == "fer3d: 9 instead of 327\n"


@pytest.mark.parametrize(
    ("command", "under_way", "number", "status", "name"),
    [
        pytest.param("prepare", "clips/.ckplus-*.unfinished", signal.SIGINT, 130, "Ctrl-C", marks=pytest.mark.slow),
        pytest.param("train", "ckplus-*/.fold_001.partial-*", signal.SIGTERM, 143, "SIGTERM", marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_a_command_in_a_sentence_and_leaves_nothing_half_written(
    command: str,
    under_way: str,
    number: signal.Signals,
    status: int,
    name: str,
    write_ckplus: Callable[..., Path],
    prepared: PreparedCKPlus,
    tmp_path: Path,
) -> None:
    outputs, settings = prepared.outputs, prepared.settings
    if command == "prepare":
        outputs, settings = tmp_path / "fresh", ["data=ckplus", f"data.root={write_ckplus(tmp_path / 'CK+', 9, 7, 9)}"]
    arguments = [*settings, f"outputs={outputs}", "progress=false", "trainer.max_epochs=100000"]
    process = subprocess.Popen(
        [sys.executable, "-m", f"fer3d.{command}", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list(outputs.glob(under_way)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert err.splitlines()[1:] == [f"fer3d: stopped by {name}; the same command continues"]  # after one on the corpus
    assert not list(outputs.rglob("*.partial-*"))
    assert not list(outputs.glob("ckplus-*/*"))
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def run_code(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)


def test_a_signal_while_a_command_starts_is_a_sentence_too(tmp_path: Path) -> None:
    # As soon as the first line of ours has run, and long before the libraries are imported.
    code = "import os, signal, sys; from fer3d.command import orderly_end\n"
    code += "with orderly_end(): os.kill(os.getpid(), signal.SIGINT); import torch"
    done = run_code(code)
    assert (done.returncode, done.stderr) == (130, "fer3d: stopped by Ctrl-C; the same command continues\n")


def test_a_signal_whose_exception_a_library_replaces_is_a_sentence_too() -> None:
    """As NumPy does while it is imported."""
    code = "import os, signal; from fer3d.command import orderly_end, user_errors\n"
    code += "def work():\n  try: os.kill(os.getpid(), signal.SIGTERM)\n  except BaseException: raise ImportError('x')\n"
    code += "with orderly_end():\n  with user_errors(): work()"
    done = run_code(code)
    assert (done.returncode, done.stderr) == (143, "fer3d: stopped by SIGTERM; the same command continues\n")


@pytest.mark.parametrize(
    "work",
    [
        "class Loses:\n  def __del__(self): os.kill(os.getpid(), signal.SIGTERM)\ndef work(): Loses()",
        "def work():\n  try: os.kill(os.getpid(), signal.SIGTERM)\n  except BaseException: pass",
        # Lightning's own handler comes after it, and would wait for the end of the epoch.
        "def work():\n  with suppress(BaseException): os.kill(os.getpid(), signal.SIGTERM)\n"
        "  signal.signal(signal.SIGTERM, lambda *_: None)",
    ],
)
def test_a_signal_whose_exception_is_lost_is_a_sentence_too(work: str) -> None:
    code = "import os, signal, time; from contextlib import suppress; from fer3d.command import orderly_end\n"
    code += f"{work}\nwith orderly_end():\n  work()\n  time.sleep(60)"
    done = run_code(code)
    assert (done.returncode, done.stderr) == (143, "fer3d: stopped by SIGTERM; the same command continues\n")


@pytest.mark.parametrize(
    "work",
    [
        "def work():\n  try: os.kill(os.getpid(), signal.SIGTERM)\n  finally: time.sleep(1.5); print('tidy')",
        "def each():\n  try: yield\n  finally: time.sleep(1.5); print('tidy')\n"
        "def work():\n  for _ in each(): os.kill(os.getpid(), signal.SIGTERM)",
    ],
)
def test_what_is_tidied_up_after_a_signal_may_take_its_time(work: str) -> None:
    code = f"import os, signal, time; from fer3d.command import orderly_end\n{work}\nwith orderly_end(): work()"
    done = run_code(code)
    assert (done.returncode, done.stdout) == (143, "tidy\n")
    assert done.stderr == "fer3d: stopped by SIGTERM; the same command continues\n"


def test_a_signal_amid_an_import_ends_the_command_at_once(tmp_path: Path) -> None:
    """Some libraries abort, or raise another exception, where one comes while they are imported."""
    code = "import os, signal\ntry: os.kill(os.getpid(), signal.SIGINT)\nexcept BaseException: os.abort()\n"
    (tmp_path / "aborts.py").write_text(code, encoding="utf-8")
    code = "from fer3d.command import orderly_end\nwith orderly_end('all is well'): import aborts"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
    )
    assert (done.returncode, done.stderr) == (130, "fer3d: stopped by Ctrl-C; all is well\n")


def test_a_signal_at_the_very_end_is_a_sentence_too() -> None:
    code = "import atexit, os, signal, types; from fer3d.command import orderly_end\n"
    code += "__spec__ = types.SimpleNamespace(name='fer3d.x')\n"
    code += "with orderly_end(): atexit.register(os.kill, os.getpid(), signal.SIGTERM)"
    done = run_code(code)
    assert (done.returncode, done.stderr) == (143, "fer3d: stopped by SIGTERM at the very end\n")


def test_a_signal_after_the_end_changes_nothing() -> None:
    """Python takes its time to leave where there is much to tidy up, without its handlers of signals."""
    code = "import os, runpy, signal, sys; sys.argv = ['x', '--help']\nclass Late:\n"
    code += "  def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGTERM): kill(pid, number)\n"
    code += "sys.late = Late(); runpy._run_module_as_main('fer3d.evaluate')"
    done = run_code(code)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_signal_that_the_caller_ignores_stays_ignored() -> None:
    code = "import os, signal; from fer3d.command import orderly_end\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    code += "with orderly_end(): os.kill(os.getpid(), signal.SIGINT); print('goes on')"
    done = run_code(code)
    assert (done.returncode, done.stdout) == (0, "goes on\n")


def test_output_that_nobody_reads_any_more_is_no_traceback() -> None:
    command = f"{sys.executable} -m fer3d.train --help | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode in (0, 141), done.stderr) == (True, "")


@pytest.mark.parametrize("command", ["train", "prepare"])
def test_help_is_quick(command: str) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", f"fer3d.{command}", "--help"], capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "batch_size: " in done.stdout
    assert done.stderr == ""
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2


def test_a_misspelt_key_is_hydras_error_before_any_work(invoke: Invoke) -> None:
    status, out, err = invoke("train", "dropuot=1")
    assert (status, out) == (1, "")
    assert "Key 'dropuot' is not in struct" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("setting", ["model=null", "hydra/launcher=5", "optimizer=[1]", "seed=1,", "name=a b,c", "+=1"])
def test_what_hydra_cannot_compose_is_no_traceback(setting: str, invoke: Invoke) -> None:
    status, out, err = invoke("train", setting)
    assert (status, out) == (1, "")
    assert err.startswith("fer3d: ")
    assert setting.split("=")[0] in err or "composed" in err
    assert "Traceback" not in err


def test_a_part_that_lacks_what_its_class_needs_is_no_traceback(invoke: Invoke, prepared: PreparedCKPlus) -> None:
    arguments = [*prepared.settings, f"outputs={prepared.outputs}", "+fold=1", "scheduler._partial_=false"]
    status, _, err = invoke("train", *arguments)
    assert status == 1
    assert "fer3d: scheduler cannot be made of its settings: " in err
    assert "Traceback" not in err


@pytest.mark.parametrize("setting", ["search.space={}", "augment.copies={}"])
def test_what_hydra_would_merge_away_is_refused(setting: str, invoke: Invoke) -> None:
    status, out, err = invoke("train", setting)
    assert (status, out) == (1, "")
    assert err.startswith(f"fer3d: {setting} changes nothing")


def test_a_missing_corpus_is_one_message(invoke: Invoke, tmp_path: Path) -> None:
    for command in ("train", "prepare"):
        status, out, err = invoke(command, "data=ckplus", f"data.root={tmp_path / 'nowhere'}")
        assert (status, out) == (1, "")
        assert err.startswith(f"fer3d: CK+ cannot be read: data.root is {tmp_path / 'nowhere'}, which does not exist.")
        assert "Traceback" not in err


def test_a_damaged_image_is_named(invoke: Invoke, write_ckplus: Callable[..., Path], tmp_path: Path) -> None:
    root = write_ckplus(tmp_path / "CK+", num_subjects=2, num_sequences=1)
    image = root / "cohn-kanade-images/S006/001/S006_001_00000002.png"
    image.write_bytes(image.read_bytes()[:-3000])
    status, _, err = invoke("prepare", "data=ckplus", f"data.root={root}", f"outputs={tmp_path / 'outputs'}")
    note, message = err.splitlines()
    assert status == 1
    assert note.startswith(f"fer3d: CK+ in {root} differs from the corpus as distributed: sequences: 2 instead of 327")
    assert f"{image} is not a readable image" in message
    assert "clips.on_unreadable=skip" in message


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_one_message(invoke: Invoke, prepared: PreparedCKPlus) -> None:
    changes = [f"outputs={prepared.outputs}", "trainer.accelerator=gpu"]
    status, _, err = invoke("train", *prepared.settings, *changes, "+fold=1")
    assert status == 1
    assert err.splitlines()[1] == "fer3d: No supported gpu backend found!"
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("batch_size=0", "batch_size must be a whole number of at least 1, got 0"),
        ("model.dropout=2", "model.dropout must be a probability between 0 and 1, got 2"),
        ("cv.num_folds=5", "5 subject-independent folds need as many subjects, the corpus has 4"),
        ("precision=8-bit", 'precision must be one of auto, 32-true, bf16-mixed, got "8-bit"'),
        ("seed=-1", "seed must be a whole number of at least 0, got -1"),
        ("trainer.max_epochs=0", "trainer.max_epochs must be a whole number of at least 1, got 0"),
        ("data.root=${oc.env:FER3D_NOT_SET}", "FER3D_NOT_SET"),
    ],
)
def test_an_impossible_setting_is_one_message(
    setting: str, message: str, invoke: Invoke, prepared: PreparedCKPlus
) -> None:
    status, _, err = invoke("train", *prepared.settings, f"outputs={prepared.outputs}", "+fold=1", setting)
    assert status == 1
    assert message in err
    assert any(line.startswith("fer3d: ") for line in err.splitlines()[-2:])
    assert "Traceback" not in err
