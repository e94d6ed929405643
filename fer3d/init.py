"""Writes a first table for a folder of videos: `fer3d init FOLDER`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fer3d.command import orderly_end, user_errors
from fer3d.options import CommandParser

if TYPE_CHECKING:
    from fer3d.corpora.own_videos.first_table import Guess


def init(arguments: Sequence[str] | None = None) -> None:
    """Guesses emotions and subjects from names, writes them as a table, and prints what is left to do.

    Args:
        arguments: The command line; None for `sys.argv`.
    """
    options = _parser().parse_args(arguments)
    with user_errors():
        from fer3d.corpora.layout import name_some, shown
        from fer3d.corpora.own_videos.first_table import write_first_table

        tree, rows = write_first_table(options.folder, options.table)
        if tree.closed:
            print(f"skipped, since they cannot be opened: {name_some(tree.closed)}")
        print(f"found {len(tree.videos)} video files and {len(tree.image_folders)} folders of images")
        print(f"wrote {shown(options.folder / options.table)}: {len(rows)} rows")
        _say_guesses(rows)
        _say_next(options.folder, options.table, rows)


def _say_guesses(rows: Sequence[Guess]) -> None:
    from fer3d.corpora.layout import name_some

    for name in ("emotion", "subject", *(["split"] if any(row.split for row in rows) else [])):
        counts = Counter(getattr(row, name) for row in rows)
        empty = counts.pop("", 0)
        each = name_some([f"{value} ({count})" for value, count in sorted(counts.items())])
        print(f"{name}: {f'guessed from names, {len(counts)} in all: {each}' if counts else 'nothing in the names'}")
        if empty:
            # The header is line 1. Names with line breaks, which would shift the numbers, are rare.
            lines = [str(line) for line, row in enumerate(rows, start=2) if not getattr(row, name)]
            print(f"  empty in {empty} of {len(rows)} rows, to be filled in: lines {name_some(lines)}")
    for corpus in sorted({row.corpus for row in rows if row.corpus}):
        print(f"names as in {corpus}: data={corpus} reads that corpus without a table, with its folds")


def _say_next(folder: Path, table: Path, rows: Sequence[Guess]) -> None:
    import shlex

    from fer3d.overrides import override

    where = folder.absolute()
    settings = ["data=videos", override("data.root", str(where)), override("data.table", str(table))]
    print("These are guesses: look through the table, correct it and fill in what is empty.")
    if not all(row.subject for row in rows):
        print("If the subjects are unknown, add data.subjects=unknown: everything is then NOT SUBJECT-INDEPENDENT.")
    print(f"Then: {shlex.join(['python', '-m', 'fer3d.prepare', *settings])}")


def _parser() -> CommandParser:
    parser = CommandParser(
        "init",
        "Finds video files and folders of frame images, guesses emotion and subject from their names, and writes a\n"
        "table for you to correct. It never overwrites a table.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder of the videos")
    parser.add_argument(
        "--table", type=Path, default=Path("clips.csv"), metavar="NAME", help="name of the table there (clips.csv)"
    )
    return parser


if __name__ == "__main__":
    with orderly_end("nothing was left half-written"):
        init()
