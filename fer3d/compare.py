"""Compares two runs on the clips that both held out: `python -m fer3d.compare outputs/<run> outputs/<run>`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fer3d.command import orderly_end, user_errors
from fer3d.options import CommandParser

if TYPE_CHECKING:
    from fer3d.evaluation.comparison import Comparison
    from fer3d.evaluation.run_results import RunResults


def compare(arguments: Sequence[str] | None = None) -> None:
    """Prints how two runs compare under every epoch protocol that applies to both; `--out` writes the numbers.

    Args:
        arguments: The command line; None for the real one.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.out and (options.out.is_dir() or not options.out.suffix):
        parser.error(f"--out {options.out} must name a file, such as {options.out / 'comparison.json'}")
    with user_errors():
        from fer3d.evaluation.comparison import compare_runs
        from fer3d.evaluation.comparison_tables import comparison_tables
        from fer3d.evaluation.run_results import RunResults

        first, second = (RunResults.read(folder, partial=options.partial) for folder in (options.first, options.second))
        comparisons = compare_runs(first, second)
        for table in comparison_tables(comparisons):
            table.print()
        _say_differences(first, second)
        _say_left_out(first, second)
        if options.out:
            _write(options.out, comparisons)


def _say_differences(first: RunResults, second: RunResults) -> None:
    """Prints the settings in which the runs differ, except for names, folders and logging."""
    from fer3d.training.identity import differences

    apart = ("name", "configuration", "outputs", "logger", "progress", "search", "selected_by", "save_checkpoint")
    ours, theirs = ({key: run.config[key] for key in run.config if key not in apart} for run in (first, second))
    found = differences(ours, theirs)
    print("settings that differ, as first | second:" if found else "no setting differs")
    for key, (one, other) in found.items():
        print(f"  {key}: {one} | {other}")


def _say_left_out(first: RunResults, second: RunResults) -> None:
    """Prints which epoch protocols apply to only one of the runs."""
    from fer3d.evaluation.protocols import protocols_of

    for run, other in ((first, second), (second, first)):
        for protocol in protocols_of(run):
            if protocol not in protocols_of(other):
                print(f"{protocol.name} is left out: only {run.folder} has the predictions that it takes")


def _write(path: Path, comparisons: Sequence[Comparison]) -> None:
    from fer3d.atomic_file import write_file
    from fer3d.evaluation.comparison import comparison_json
    from fer3d.evaluation.tables import json_text

    write_file(path, json_text(comparison_json(comparisons)))
    print(f"written: {path}")


def _parser() -> CommandParser:
    parser = CommandParser(
        "compare", "Compares two runs under every epoch protocol, paired over the folds and clips that both held out."
    )
    parser.add_argument(
        "first", type=Path, metavar="RUN", help="folder of the run that may be better, such as outputs/<run>"
    )
    parser.add_argument("second", type=Path, metavar="OTHER", help="folder of the reference run")
    parser.add_partial()
    parser.add_argument("--out", type=Path, metavar="FILE", help="a JSON file for the numbers (they are only printed)")
    return parser


if __name__ == "__main__":
    with orderly_end("nothing was left half-written"):
        compare()
