"""Evaluates a run, or several as seeds of one configuration: `python -m fer3d.evaluate outputs/<run>`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fer3d.command import orderly_end, user_errors
from fer3d.options import CommandParser

if TYPE_CHECKING:
    from fer3d.evaluation.evaluation import Evaluation
    from fer3d.evaluation.run_results import RunResults
    from fer3d.evaluation.seeds import SeedGroup


def evaluate(arguments: Sequence[str] | None = None) -> None:
    """Prints the measures of runs under every epoch protocol and writes them beside the runs.

    Args:
        arguments: The command line; None for the real one.
    """
    options = _parser().parse_args(arguments)
    with user_errors():
        from fer3d.evaluation.evaluation import Evaluation
        from fer3d.evaluation.own_protocols import own_protocols
        from fer3d.evaluation.run_results import RunResults
        from fer3d.evaluation.seeds import SeedGroup

        own = own_protocols(options.protocol)
        _check_none_twice(options.runs)
        runs = [RunResults.read(folder, partial=options.partial) for folder in options.runs]
        if len(runs) == 1:
            _evaluate_run(Evaluation.of(runs[0], own), options.out)
        else:
            _evaluate_seeds(SeedGroup.of(runs, own), options.out)


def _evaluate_run(evaluation: Evaluation, into: Path | None) -> None:
    from fer3d.evaluation.evaluation_files import write_evaluation
    from fer3d.evaluation.evaluation_tables import evaluation_tables

    files = write_evaluation(evaluation, into)
    _announce(evaluation.run)
    for table in evaluation_tables(evaluation):
        table.print()
    _say_where(files)


def _evaluate_seeds(group: SeedGroup, into: Path | None) -> None:
    from fer3d.evaluation.evaluation_files import write_evaluation
    from fer3d.evaluation.seed_reports import seeds_tables, write_seeds

    written = [
        write_evaluation(evaluation, into / evaluation.run.info["run"] if into else None)
        for evaluation in group.evaluations
    ]
    written.append(write_seeds(group, into))
    for run in group.runs:
        _announce(run)
    for table in seeds_tables(group):
        table.print()
    for files in written:
        _say_where(files)


def _announce(run: RunResults) -> None:
    from fer3d.evaluation.run_results import name_folds

    told = run.provenance()
    caution = f" [{run.caution}]" if run.caution else ""
    people = run.independence.subjects_text(run.num_subjects)
    print(
        f"run {run.folder}: {told['num_held_out']} held-out clips{people}, {run.corpus}, "
        f"{run.cross_validation}, {run.num_epochs} epochs, seed {run.seed}{caution}"
    )
    if run.missing:
        print(f"missing folds: {name_folds(run.missing)}")


def _say_where(files: Sequence[Path]) -> None:
    print(f"{files[0].parent}: {', '.join(file.name for file in files)}")


def _check_none_twice(folders: Sequence[Path]) -> None:
    from fer3d.evaluation.run_results import EvaluationError

    seen: set[Path] = set()
    for folder in folders:
        if folder.resolve() in seen:
            raise EvaluationError(f"{folder} is given twice")
        seen.add(folder.resolve())


def _parser() -> CommandParser:
    parser = CommandParser(
        "evaluate", "Evaluates a run under every epoch protocol; several runs as seeds of one configuration."
    )
    parser.add_runs()
    parser.add_partial()
    parser.add_out("evaluation/ in the run's folder, or in one for all seeds beside it")
    parser.add_argument(
        "--protocol",
        action="append",
        default=[],
        metavar="CLASS",
        help="an epoch protocol of your own, such as my_protocol.MyRule (docs/extend.md); repeatable",
    )
    return parser


if __name__ == "__main__":
    with orderly_end("nothing was left half-written"):
        evaluate()
