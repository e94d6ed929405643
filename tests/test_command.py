"""What the commands share, and how they treat a user's mistake."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fixture_types import Invoke
from prepared import PreparedCKPlus
from processes import start, wait_until

from fer3d.clips.folds import FoldError
from fer3d.command import user_errors
from fer3d.corpora.sequences import CorpusWarning


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FoldError("fold=9 does not exist"), "fer3d: fold=9 does not exist"),
        # Which may come from somebody's own code.
        (ValueError("shapes differ"), "fer3d: shapes differ\n(HYDRA_FULL_ERROR=1 shows where)"),
    ],
)
def test_an_error_is_a_sentence_and_status_1(error: Exception, said: str) -> None:
    with pytest.raises(SystemExit) as caught, user_errors():
        raise error
    assert caught.value.code == said  # Python prints it and exits with status 1


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
    process = start("-m", f"fer3d.{command}", *arguments, start_new_session=True)
    wait_until(lambda: list(outputs.glob(under_way)), process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert err.splitlines()[1:] == [f"fer3d: stopped by {name}; the same command continues"]  # after one on the corpus
    assert not list(outputs.rglob("*.partial-*"))
    assert not list(outputs.glob("ckplus-*/*"))
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


STOPPED = "fer3d: stopped by SIGTERM; the same command continues\n"
KILLED = "os.kill(os.getpid(), signal.SIGTERM)"
SIGNALS = {
    # As soon as the first line of ours has run, and long before the libraries are imported.
    "while it starts": (
        "with orderly_end(): os.kill(os.getpid(), signal.SIGINT); import torch",
        (130, "", "fer3d: stopped by Ctrl-C; the same command continues\n"),
    ),
    "replaced, as NumPy does while it is imported": (
        f"def work():\n  try: {KILLED}\n  except BaseException: raise ImportError('x')\n"
        "with orderly_end():\n  with user_errors(): work()",
        (143, "", STOPPED),
    ),
    "lost in a destructor": (
        f"class Loses:\n  def __del__(self): {KILLED}\nwith orderly_end(): Loses(); time.sleep(60)",
        (143, "", STOPPED),
    ),
    "swallowed": (
        f"with orderly_end():\n  with suppress(BaseException): {KILLED}\n  time.sleep(60)",
        (143, "", STOPPED),
    ),
    # Lightning's own handler comes after it, and would wait for the end of the epoch.
    "swallowed, and handled by others from now on": (
        f"with orderly_end():\n  with suppress(BaseException): {KILLED}\n"
        "  signal.signal(signal.SIGTERM, lambda *_: None); time.sleep(60)",
        (143, "", STOPPED),
    ),
    "tidied up after for a while": (
        f"with orderly_end():\n  try: {KILLED}\n  finally: time.sleep(1.5); print('tidy')",
        (143, "tidy\n", STOPPED),
    ),
    "tidied up after in a generator": (
        "def each():\n  try: yield\n  finally: time.sleep(1.5); print('tidy')\n"
        f"with orderly_end():\n  for _ in each(): {KILLED}",
        (143, "tidy\n", STOPPED),
    ),
    "at the very end": (
        "__spec__ = types.SimpleNamespace(name='fer3d.x')\n"
        "with orderly_end(): atexit.register(os.kill, os.getpid(), signal.SIGTERM)",
        (143, "", "fer3d: stopped by SIGTERM at the very end\n"),
    ),
    # Python takes its time to leave where there is much to tidy up, without its handlers of signals.
    "after the end": (
        "sys.argv = ['x', '--help']\nclass Late:\n"
        "  def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGTERM): kill(pid, number)\n"
        "sys.late = Late(); runpy._run_module_as_main('fer3d.evaluate')",
        (0, "usage: fer3d evaluate", ""),
    ),
    "ignored by the caller": (
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "with orderly_end(): os.kill(os.getpid(), signal.SIGINT); print('goes on')",
        (0, "goes on\n", ""),
    ),
}


@pytest.mark.parametrize(("code", "told"), SIGNALS.values(), ids=SIGNALS)
def test_a_signal_is_a_sentence_whatever_becomes_of_it(code: str, told: tuple[int, str, str]) -> None:
    libraries = "import atexit, os, runpy, signal, sys, time, types; from contextlib import suppress"
    code = f"{libraries}\nfrom fer3d.command import orderly_end, user_errors\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout[: len(told[1])], done.stderr) == told


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


def test_output_that_nobody_reads_any_more_is_no_traceback() -> None:
    command = f"{sys.executable} -m fer3d.train --help | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode in (0, 141), done.stderr) == (True, "")


@pytest.mark.parametrize(
    ("command", "said", "seconds"),
    [
        ("train", "batch_size: ", 2),
        ("prepare", "batch_size: ", 2),
        ("compare", "--partial", 1),
        ("report", "--paper", 2),
    ],
)
def test_help_is_quick(command: str, said: str, seconds: float) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    arguments = [sys.executable, "-m", f"fer3d.{command}", "--help"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert said in done.stdout
    assert done.stderr == ""
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < seconds


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("dropuot=1", "Key 'dropuot' is not in struct"),
        ("model=null", "model"),
        ("hydra/launcher=5", "hydra/launcher"),
        ("optimizer=[1]", "optimizer"),
        ("seed=1,", "seed"),
        ("name=a b,c", "name"),
        ("+=1", "fer3d: "),
        # What Hydra would merge away.
        ("search.space={}", "fer3d: search.space={} changes nothing"),
        ("augment.copies={}", "fer3d: augment.copies={} changes nothing"),
    ],
)
def test_what_hydra_cannot_compose_is_no_traceback(setting: str, said: str, invoke: Invoke) -> None:
    status, out, err = invoke("train", setting)
    assert (status, out) == (1, "")
    assert err.startswith("fer3d: ")
    assert said in err or "composed" in err
    assert "Traceback" not in err


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


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("batch_size=0", "batch_size must be a whole number of at least 1, got 0"),
        ("model.dropout=2", "model.dropout must be a probability between 0 and 1, got 2"),
        ("cv.num_folds=5", "5 subject-independent folds need as many subjects, the corpus has 4"),
        ("scheduler._partial_=false", "fer3d: scheduler cannot be made of its settings: "),
        pytest.param(
            *("trainer.accelerator=gpu", "fer3d: No supported gpu backend found!"),
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU"),
        ),
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
