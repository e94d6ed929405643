"""Random faults in the table of a folder of videos."""

from __future__ import annotations

import random

from torture.own_folder import Folder
from torture.video_faults import Fault, Spoil, pick

# Any of these in a message refers to the whole table.
OF_THE_TABLE = ("clips.csv", "line 1:")


def cell(folder: Folder, rng: random.Random) -> Fault:
    """Another text in a cell; another valid name or time is undetectable."""
    row = rng.choice(folder.rows)
    column = rng.choice(list(folder.columns)[:5])
    old = row[column]
    texts = (
        *("", " ", old.upper(), f" {old} ", f"{old}x", "x" * 300, "a/b", "..", "é", "\u200b", "\0", "=1+1", "anna"),
        *("nan", "-1", "1e999", "99", "0.1", "0", "0,5", "1:02", "None", "happy ", "${oc.env:HOME}"),
    )
    row[column] = rng.choice(texts)
    return Fault(
        f"wrote {row[column]!r} into the column {column} of {row['row']}", (row["row"],), OF_THE_TABLE, free=True
    )


def path_cell(folder: Folder, rng: random.Random) -> Fault:
    """The same file under another path, or the file of another row."""
    row, other = rng.choice(folder.rows), rng.choice(folder.rows)
    ways = [f"./{row['path']}", f"x/../{row['path']}", str(folder.root / row["path"]), row["path"].replace("/", "\\")]
    ways += [f"{row['path']} ", row["path"].upper(), f"../{folder.root.name}/{row['path']}", f"/{row['path']}"]
    old, row["path"] = row["path"], rng.choice([*ways, other["path"], row["path"].split("/")[0], ".", "clips.csv"])
    rows = tuple(each["row"] for each in folder.rows if each["path"] in (old, row["path"]))
    return Fault(f"wrote the path {row['path']!r} instead of {old!r}", (row["row"], *rows), (old,))


def times(folder: Folder, rng: random.Random) -> Fault:
    """Another part of a video: outside of it, empty, or valid."""
    row = pick(folder, rng).row
    parts = ("0.1 0.3", "5 ", "0.2 0.1", "0 0", "0.1 0.1001", "0.47 ", " 0.001", "-1 1")
    row["start"], row["end"] = rng.choice(parts).split(" ")
    return Fault(f"made {row['row']} the part {row['start']!r} to {row['end']!r}", (row["row"],), pixels=True)


def repeated(folder: Folder, rng: random.Random) -> Fault:
    """A duplicate row, possibly with another subject or emotion."""
    row = rng.choice(folder.rows)
    copy = {**row, "row": "copy"}
    if rng.random() < 0.5:
        column = rng.choice(["subject", "emotion"])
        copy[column] = rng.choice([other[column] for other in folder.rows])
    folder.rows.insert(rng.randrange(len(folder.rows) + 1), copy)
    return Fault(f"repeated {row['row']} as {copy['subject']}, {copy['emotion']}", (row["row"], "copy"))


def swapped(folder: Folder, rng: random.Random) -> Fault:
    """Swapped subjects, emotions or paths of two rows, which is undetectable."""
    first, second = rng.sample(folder.rows, 2)
    column = rng.choice(["subject", "emotion", "path"])
    first[column], second[column] = second[column], first[column]
    return Fault(
        f"swapped the {column} of {first['row']} and {second['row']}", (first["row"], second["row"]), free=True
    )


def lost_row(folder: Folder, rng: random.Random) -> Fault:
    """A missing row: its file must be named, unless another row uses it."""
    row = folder.rows.pop(rng.randrange(len(folder.rows)))
    shared = any(other["path"] == row["path"] for other in folder.rows)
    return Fault(f"deleted the row {row['row']}", (row["row"],), (row["path"],), unknown=shared)


def header(folder: Folder, rng: random.Random) -> Fault:
    """Columns that are reordered, renamed, or missing."""
    names = list(folder.columns)
    kind = rng.choice(["order", "name", "twice", "missing"])
    if kind == "order":
        rng.shuffle(names)
        folder.columns = {name: folder.columns[name] for name in names}
        return Fault("put the columns in another order", ())
    name = rng.choice(names)
    if kind == "missing":
        del folder.columns[name]
    else:
        folder.columns[name] = (
            rng.choice(names) if kind == "twice" else rng.choice(["", name.upper(), "label", "x", " "])
        )
    every = tuple(row["row"] for row in folder.rows)
    return Fault(f"{kind}: the column {name}", every, OF_THE_TABLE, unknown=True)


def writing(folder: Folder, rng: random.Random) -> Fault:
    """The same table in the format of another program."""
    folder.delimiter = rng.choice([",", ";", "\t", "|"])
    text = folder.text
    ways = {
        "with a byte-order mark": text.encode("utf-8-sig"),
        "in UTF-16": text.encode("utf-16"),
        "in UTF-32": text.encode("utf-32"),
        "with other line ends": text.replace("\n", "\r\n").encode(),
        "with old line ends": text.replace("\n", "\r").encode(),
        "with blank lines": text.replace("\n", "\n\n").encode(),
        "without a last line end": text.rstrip("\n").encode(),
        "in Latin-1": text.replace("happy", "fröhlich").encode("latin-1", "replace"),
        "with a title": f"my clips\n{text}".encode(),
        "with a comment": f"{text}# the end\n".encode(),
    }
    way = rng.choice(list(ways))
    folder.content = ways[way]
    every = tuple(row["row"] for row in folder.rows)
    unknown = way in ("in Latin-1", "with a title", "with a comment") or folder.delimiter == "|"
    return Fault(
        f"wrote the table {way} and {folder.delimiter!r}", every if unknown else (), OF_THE_TABLE, unknown=unknown
    )


def table_bytes(folder: Folder, rng: random.Random) -> Fault:
    """A byte that is missing, changed or added: usually another name, which is undetectable."""
    content = folder.text.encode()
    place = rng.randrange(len(content))
    odd = rng.choice([b",", b'"', b"\n", b"\0", b"\xff", b";", b"\t", b"/", b"..", b" ", b"\\", b"\r", b"'", b"x", b""])
    folder.content = content[:place] + odd + content[place + rng.randrange(3) :]
    number = content[:place].count(b"\n") + 1
    rows = tuple(row for row, lines in folder.lines().items() if lines & {number, number + 1} and row)
    every = tuple(row["row"] for row in folder.rows)
    return Fault(
        f"put {odd!r} at byte {place} of the table", every if number == 1 else rows, OF_THE_TABLE, unknown=True
    )


def no_table(folder: Folder, rng: random.Random) -> Fault:
    """A missing, replaced or truncated table; the rows before the cut must be used or named."""
    content = folder.text.encode()
    choices = {"cut": content[: rng.randrange(len(content))], "empty": b"", "blank": b"\n \n", "zeros": bytes(99)}
    choices |= {"a spreadsheet": b"PK\x03\x04" + bytes(60), "a header": content[: content.index(b"\n")]}
    kind = rng.choice([*choices, "a folder"])
    if kind == "a folder":
        folder.table.mkdir()
    else:
        folder.content = choices[kind]
    # The truncated row may have a shorter name.
    last = len(choices["cut"].splitlines())
    rows = tuple(row for row, lines in folder.lines().items() if last in lines)
    lost = tuple(row["row"] for row in folder.rows)
    return Fault(
        f"{kind} in the place of the table", rows if kind == "cut" and last > 1 else lost, OF_THE_TABLE, unknown=True
    )


TABLE_FAULTS: tuple[Spoil, ...] = (
    *(cell, cell, path_cell, times, repeated, swapped, lost_row, header, writing, table_bytes, no_table),
)
