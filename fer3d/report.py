"""Writes the report of runs or of a search, one page that needs nothing else: `python -m fer3d.report outputs/<run>`.

`python -m fer3d.report --study outputs/search/<name>` makes that of a search.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from fer3d.command import orderly_end, user_errors
from fer3d.options import CommandParser


def main(arguments: Sequence[str]) -> None:
    """Reads runs or a study, draws what they achieved, and writes `report.html` with its figures."""
    options = _parse(arguments)
    with user_errors():
        path = _study_report(options) if options.study else _runs_report(options)
        print(f"report: {path} ({path.stat().st_size / 1e6:.1f} MB)")


def _parse(arguments: Sequence[str]) -> Namespace:
    parser = CommandParser(
        "report", "Writes report.html, one self-contained page, and its figures as PNG and SVG files."
    )
    parser.add_runs(nargs="*")
    parser.add_argument(
        "--study",
        metavar="STUDY",
        help="a search instead of runs: its folder outputs/search/NAME; with --storage its name",
    )
    parser.add_argument(
        "--storage", metavar="URL", help="the database of a study that is not kept in its folder; --study is its name"
    )
    parser.add_out("report/ in the run, beside several runs, or in the study's folder")
    parser.add_partial()
    parser.add_argument("--no-clips", action="store_true", help="show no faces, as a licence may demand")
    parser.add_clips()
    parser.add_argument(
        "--paper", action="store_true", help="add the paper's tables and figures, with runs on CK+ or Oulu-CASIA beside"
    )
    options = parser.parse_args(arguments)
    if not options.study and not options.runs:
        parser.error("give the folders of runs, or a search with --study outputs/search/NAME")
    if options.study and options.runs:
        parser.error("a report is of runs or of a search: give folders of runs or --study, not both")
    if options.storage and not options.study:
        parser.error("--storage is the database of a search: name it with --study")
    if options.study and (options.partial or options.no_clips or options.clips or options.paper):
        parser.error("--partial, --no-clips, --clips and --paper are for runs and do not go with --study")
    return options


def _runs_report(options: Namespace) -> Path:
    from fer3d.reporting.report import Wing, make_report

    wing: Wing | None = None
    if options.paper:
        from fer3d.paper.sections import PaperWing

        wing = PaperWing()
    return make_report(
        options.runs,
        into=options.out,
        partial=options.partial,
        faces=not options.no_clips,
        clips=options.clips,
        wing=wing,
    )


def _study_report(options: Namespace) -> Path:
    from fer3d.reporting.study_report import make_study_report

    return make_study_report(options.study, storage=options.storage, into=options.out)


if __name__ == "__main__":
    with orderly_end("nothing was left half-written"):
        main(sys.argv[1:])
