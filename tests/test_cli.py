"""The command `fer3d`: each subcommand is the module that `python -m` runs."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from fer3d import __version__, cli

# As the script that an installation makes.
START = "import sys; from fer3d.cli import main; sys.argv[0] = 'fer3d'; sys.exit(main())"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_names_every_command(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fer3d", *arguments])
    cli.main()
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in cli.COMMANDS)


def test_every_module_with_a_command_line_is_a_command() -> None:
    package = Path(cli.__file__).parent
    commands = {path.stem for path in package.glob("*.py") if 'if __name__ == "__main__"' in path.read_text("utf-8")}
    assert commands == set(cli.COMMANDS)
    assert all(find_spec(f"fer3d.{name}") for name in commands)


def test_the_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["fer3d", "--version"])
    cli.main()
    assert capsys.readouterr().out == f"fer3d {__version__}\n"


@pytest.mark.parametrize(("command", "said"), [("trian", "did you mean train?"), ("xyz", "there are init, prepare")])
def test_an_unknown_command_is_a_sentence_and_status_2(
    command: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fer3d", command])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith(f"fer3d: {command} is not a command; {said}")


def test_a_command_is_the_module_itself() -> None:
    for name, arguments in (("evaluate", ["--help"]), ("compare", ["--out"])):
        one, other = run("-c", START, name, *arguments), run("-m", f"fer3d.{name}", *arguments)
        assert (one.returncode, one.stdout, one.stderr) == (other.returncode, other.stdout, other.stderr)


def test_the_command_starts_soon() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run("-c", START, "--version").stdout == f"fer3d {__version__}\n"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        # A child that is started anew has to find the module again.
        (
            "from concurrent.futures import ProcessPoolExecutor\nfrom multiprocessing import get_context\n"
            "def double(x): return 2 * x\nif __name__ == '__main__':\n"
            "  with ProcessPoolExecutor(1, get_context('spawn')) as pool: print(list(pool.map(double, [21])))",
            0,
            "[42]",
        ),
        # As of test_command.py: a signal at the very end.
        (
            "import atexit, os, signal\nfrom fer3d.command import orderly_end\n"
            "with orderly_end(): atexit.register(os.kill, os.getpid(), signal.SIGTERM)",
            128 + signal.SIGTERM,
            "fer3d: stopped by SIGTERM at the very end",
        ),
    ],
)
def test_children_and_signals_are_as_under_python_m(code: str, status: int, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    # Every Python that starts then finds it as a module of fer3d's.
    (tmp_path / "sitecustomize.py").write_text(f"import fer3d; fer3d.__path__.append({str(tmp_path)!r})")
    script = tmp_path / "script.py"
    script.write_text("if __name__ == '__main__': from fer3d import cli; cli.COMMANDS['mine'] = ''; cli.main()")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, str(script), "mine"], capture_output=True, text=True, timeout=30, env=env)
    assert done.returncode == status, done.stderr
    assert said in done.stdout + done.stderr
