"""Writes the report of runs, one page that needs nothing else: `python -m fer3d.report outputs/<run>`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from fer3d.command import user_errors


def main(arguments: Sequence[str]) -> None:
    """Reads runs, draws what they achieved beside the paper, and writes `report.html` with its figures."""
    parser = ArgumentParser(
        prog="python -m fer3d.report",
        description="Writes report.html, which needs nothing else, and its figures as PNG and SVG files.",
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="a run's folder")
    parser.add_argument(
        "--into", metavar="FOLDER", type=Path, help="where the report goes; default: report/ in the run or beside runs"
    )
    parser.add_argument("--partial", action="store_true", help="go on where folds are missing, and say so everywhere")
    parser.add_argument("--no-clips", action="store_true", help="show no faces, as a licence may demand")
    parser.add_argument(
        "--clips", metavar="FOLDER", type=Path, help="where the clip stores are; default: clips/ beside each run"
    )
    options = parser.parse_args(arguments)
    with user_errors():
        from fer3d.reporting.report import make_report

        path = make_report(
            options.runs,
            into=options.into,
            partial=options.partial,
            faces=not options.no_clips,
            clips=options.clips,
        )
        print(f"report: {path} ({path.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main(sys.argv[1:])
