"""The command `fer3d`: `fer3d train ...` is `python -m fer3d.train ...`, and so on."""

from __future__ import annotations

import difflib
import runpy
import sys
from pathlib import Path

from fer3d import __version__

COMMANDS = {
    "init": "write a first table for a folder of videos",
    "prepare": "find the faces of a corpus and write its clips",
    "train": "train folds, cross-validate, search",
    "predict": "predict emotions over time in any video",
    "evaluate": "measure a run under every epoch protocol",
    "compare": "compare runs, paired over held-out clips",
    "report": "write the report of runs or of a search",
    "explain": "show where and when a network has evidence for an emotion",
    "export": "write a trained network as an ONNX file",
    "reproduce": "carry out a plan: the paper's, a benchmark's, a rehearsal's",
}
_HELP = "\n".join(
    [
        "usage: fer3d COMMAND ...",
        "",
        *(f"  {name:10} {what}" for name, what in COMMANDS.items()),
        "",
        "`fer3d COMMAND --help` shows the options of a command; `python -m fer3d.COMMAND` is the same command.",
    ]
)


def main() -> None:
    """Runs the module that the first argument names, as the main module."""
    command, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("--help", [])
    if command in ("-h", "--help"):
        print(_HELP)
    elif command == "--version":
        print(f"fer3d {__version__}")
    elif command in COMMANDS:
        sys.argv[1:] = arguments
        if not sys.flags.safe_path:
            # As with `python -m`, the user's own modules are found in the working directory.
            sys.path[0] = str(Path.cwd())
        runpy.run_module(f"fer3d.{command}", run_name="__main__", alter_sys=True)
    else:
        like = difflib.get_close_matches(command, COMMANDS, 1)
        instead = f"did you mean {like[0]}?" if like else f"there are {', '.join(COMMANDS)}"
        print(f"fer3d: {command} is not a command; {instead}", file=sys.stderr)
        sys.exit(2)
