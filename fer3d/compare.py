"""Compares runs on the clips that all held out: `python -m fer3d.compare outputs/<run> outputs/<run>`, or more runs.

Two runs are compared by themselves. Three or more are grouped first: the seeds of one configuration are one entry.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer3d.command import orderly_end, user_errors
from fer3d.options import CommandParser

if TYPE_CHECKING:
    from fer3d.evaluation.ranking import Ranking
    from fer3d.evaluation.run_results import RunResults

_PICTURES = (".svg", ".png")


def compare(arguments: Sequence[str] | None = None) -> None:
    """Prints how runs compare under every epoch protocol that applies to all; `--out` writes the numbers.

    Args:
        arguments: The command line; None for the real one.
    """
    options = _parse(arguments)
    with user_errors():
        from fer3d.evaluation.run_results import RunResults

        folders = (options.first, options.second, *options.more)
        runs = [RunResults.read(folder, partial=options.partial) for folder in folders]
        if len(runs) == 2:
            _compare_two(runs[0], runs[1], options.out)
        else:
            _compare_many(runs, options)


def _compare_two(first: RunResults, second: RunResults, out: Path | None) -> None:
    from fer3d.evaluation.comparison import compare_runs, comparison_json
    from fer3d.evaluation.comparison_tables import comparison_tables

    comparisons = compare_runs(first, second)
    for table in comparison_tables(comparisons):
        table.print()
    _say_differences(first, second)
    _say_left_out((first, second))
    if out:
        _write(out, comparison_json(comparisons))


def _compare_many(runs: Sequence[RunResults], options: Namespace) -> None:
    from fer3d.evaluation.entries import entries_of
    from fer3d.evaluation.ranking import rank_entries, rankings_json
    from fer3d.evaluation.ranking_tables import costs_table, pairs_table, standings_table

    entries = entries_of(runs, dict(options.label))
    rankings = rank_entries(entries)
    for entry in entries:
        print(f"{entry.label}: {', '.join(run.folder.name for run in entry.runs)}")
    print()
    costs_table(entries, rankings[0].caution).print()
    for ranking in rankings:
        for table in (standings_table(ranking), pairs_table(ranking)):
            table.print()
        print(f"{ranking.sentence}\n")
    _say_left_out([run for entry in entries for run in entry.runs])
    if options.out:
        _write(options.out, rankings_json(rankings))
    if options.picture:
        _draw(options.picture, rankings)


def _say_differences(first: RunResults, second: RunResults) -> None:
    """Prints the settings in which the runs differ, except for names, folders and logging."""
    from fer3d.clips.frame_order import without_default
    from fer3d.training.identity import differences

    apart = ("name", "configuration", "outputs", "logger", "progress", "search", "selected_by", "save_checkpoint")
    ours, theirs = (
        {key: run.config[key] for key in run.config if key not in apart}
        # Runs of earlier versions lack the order of frames.
        | {"frames": without_default(run.config["frames"])}
        for run in (first, second)
    )
    found = differences(ours, theirs)
    print("settings that differ, as first | second:" if found else "no setting differs")
    for key, (one, other) in found.items():
        print(f"  {key}: {one} | {other}")


def _say_left_out(runs: Sequence[RunResults]) -> None:
    """Prints which epoch protocols apply to only some of the runs."""
    from fer3d.evaluation.protocols import PROTOCOLS, protocols_of

    for protocol in PROTOCOLS:
        able = [str(run.folder) for run in runs if protocol in protocols_of(run)]
        if 0 < len(able) < len(runs):
            has = "has" if len(able) == 1 else "have"
            print(f"{protocol.name} is left out: only {', '.join(able)} {has} the predictions that it takes")


def _write(path: Path, content: Any) -> None:
    from fer3d.atomic_file import write_file
    from fer3d.evaluation.tables import json_text

    write_file(path, json_text(content))
    print(f"written: {path}")


def _draw(path: Path, rankings: Sequence[Ranking]) -> None:
    """Draws the last epoch's ranking, the one protocol that applies to all runs and is not optimistic."""
    from fer3d.atomic_file import write_file
    from fer3d.evaluation.protocols import LAST_EPOCH
    from fer3d.reporting.ranking_figures import ranking_figure
    from fer3d.reporting.theme import png, svg

    (ranking,) = (each for each in rankings if each.protocol is LAST_EPOCH)
    figure = ranking_figure(ranking)
    write_file(path, png(figure) if path.suffix.lower() == ".png" else svg(figure))
    print(f"written: {path}")


def _parse(arguments: Sequence[str] | None) -> Namespace:
    parser = _parser()
    # Intermixed, so that runs may follow an option.
    options = parser.parse_intermixed_args(arguments)
    if options.out and (options.out.is_dir() or not options.out.suffix):
        parser.error(f"--out {options.out} must name a file, such as {options.out / 'comparison.json'}")
    if options.out and options.out.suffix.lower() in _PICTURES:
        parser.error(f"--out {options.out} is for the numbers, as JSON; a picture is written by --picture")
    if options.picture and (options.picture.is_dir() or options.picture.suffix.lower() not in _PICTURES):
        parser.error(f"--picture {options.picture} must name a file that ends in {' or '.join(_PICTURES)}")
    if not options.more and (options.picture or options.label):
        parser.error("--picture and --label are for three or more runs")
    options.label = [label.partition("=")[::2] for label in options.label]
    for name, pattern in options.label:
        if not name or not pattern:
            parser.error("--label takes NAME=RUN, such as --label small=outputs/<run>")
    if len(dict(options.label)) < len(options.label):
        parser.error("--label gives one name to several runs: a name is of one entry")
    return options


def _parser() -> CommandParser:
    parser = CommandParser(
        "compare",
        "Compares runs under every epoch protocol, paired over the folds and clips that all of them held out.\n"
        "Of three or more runs, those that differ only in the seed are one entry.",
    )
    parser.add_argument(
        "first", type=Path, metavar="RUN", help="folder of the run that may be better, such as outputs/<run>"
    )
    parser.add_argument("second", type=Path, metavar="OTHER", help="folder of the reference run")
    parser.add_argument(
        "more", nargs="*", type=Path, metavar="MORE", help="folders of more runs; their order then changes nothing"
    )
    parser.add_partial()
    parser.add_argument("--out", type=Path, metavar="FILE", help="a JSON file for the numbers (they are only printed)")
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="FILE",
        help="an SVG or PNG file for accuracy against cost and the mean ranks, last epoch; for three or more runs",
    )
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="NAME=RUN",
        help="a name for the entry of a run, given by its folder or a pattern like '*-compact-*'; repeatable",
    )
    return parser


if __name__ == "__main__":
    with orderly_end("nothing was left half-written"):
        compare()
