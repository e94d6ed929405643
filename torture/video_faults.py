"""Random faults in the files of a folder of videos."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torture.own_folder import AUDIO, FACELESS, SHORT, Cells, Folder


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        what: Description.
        rows: The affected rows, by their last column; an error must name one of them.
        names: Other texts that identify them.
        pixels: Whether their pixels may differ silently, because the file has no checksum.
        free: Whether anything in their clips may differ silently, because the fault is undetectable.
        unknown: Whether, in addition, the rows' identifiers may change, or a row may disappear from the table.
    """

    what: str
    rows: tuple[str, ...]
    names: tuple[str, ...] = ()
    pixels: bool = False
    free: bool = False
    unknown: bool = False


# None if this draw changes nothing.
Spoil = Callable[[Folder, random.Random], Fault | None]


@dataclass(frozen=True)
class Picked:
    """The target of a fault.

    Attributes:
        row: A row.
        path: Its path.
        file: Its file, or one of its frames.
        rows: All rows of that path.
    """

    row: Cells
    path: Path
    file: Path
    rows: tuple[str, ...]


def pick(folder: Folder, rng: random.Random, kind: str = "any") -> Picked:
    """Chooses a row with a file to damage: `video`, `frames` or `any`."""
    are_right = {"video": Path.is_file, "frames": Path.is_dir, "any": os.path.lexists}[kind]
    row = rng.choice([row for row in folder.rows if are_right(folder.root / row["path"])])
    path = folder.root / row["path"]
    file = rng.choice(sorted(path.iterdir())) if path.is_dir() else path
    return Picked(row, path, file, tuple(each["row"] for each in folder.rows if each["path"] == row["path"]))


def cut(folder: Folder, rng: random.Random) -> Fault:
    """A truncated download or recording; a cut between two frames is undetectable."""
    picked = pick(folder, rng)
    data = picked.file.read_bytes()
    kept = rng.choice([rng.randrange(1, len(data)), max(1, len(data) - rng.randrange(1, 40)), min(64, len(data) - 1)])
    picked.file.write_bytes(data[:kept])
    return Fault(f"cut {picked.file} off after {kept} of {len(data)} bytes", picked.rows)


def other_bytes(folder: Folder, rng: random.Random) -> Fault:
    """Changed bytes in a file; codecs have no checksums."""
    picked = pick(folder, rng)
    data = bytearray(picked.file.read_bytes())
    place = rng.randrange(len(data))
    kind = rng.choice(["bit", "bytes", "zeros", "noise", "hole", "doubled", "head"])
    if kind == "bit":
        data[place] ^= 1 << rng.randrange(8)
    elif kind == "bytes":
        for _ in range(20):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif kind == "hole":
        del data[place : place + rng.randrange(1, 600)]
    elif kind == "doubled":
        data[place:place] = data[place : place + rng.randrange(1, 600)]
    else:
        place = 0 if kind == "head" else place
        end = min(len(data), place + 512)
        data[place:end] = bytes(end - place) if kind == "zeros" else rng.randbytes(end - place)
    picked.file.write_bytes(bytes(data))
    return Fault(f"wrote other bytes ({kind} at {place}) into {picked.file}", picked.rows, pixels=kind != "head")


def other_content(folder: Folder, rng: random.Random) -> Fault:
    """Other content under the name of a video or an image."""
    picked = pick(folder, rng)
    contents = {
        "nothing": b"",
        "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n",
        "a web page": b"<!DOCTYPE html><title>404 Not Found</title>",
        "a script": b"#!/bin/sh\nexit 1\n",
        "subtitles": b"1\n00:00:00,000 --> 00:00:01,000\nHello\n",
        "a playlist": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "a list of files": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        "zeros": bytes(4096),
        "noise": rng.randbytes(4096),
        "an archive": b"PK\x03\x04" + rng.randbytes(200),
        "sound": (folder.spares / AUDIO).read_bytes(),
        "sound, half of it": (folder.spares / AUDIO).read_bytes()[:900],
    }
    kind = rng.choice(list(contents))
    picked.file.write_bytes(contents[kind])
    return Fault(f"put {kind} in the place of {picked.file}", picked.rows)


def other_video(folder: Folder, rng: random.Random) -> Fault:
    """A valid video in place of another: undetectable, unless it has no face or is a duplicate."""
    picked = pick(folder, rng, "video")
    if rng.random() < 0.5:
        other = folder.spares / rng.choice([FACELESS, SHORT])
        picked.file.write_bytes(other.read_bytes())
        return Fault(f"put {other.name} in the place of {picked.file}", picked.rows, pixels=True)
    source = pick(folder, rng, "video")
    picked.file.write_bytes(source.file.read_bytes())
    return Fault(f"copied {source.file} over {picked.file}", (*picked.rows, *source.rows))


def other_ending(folder: Folder, rng: random.Random) -> Fault:
    """The suffix of another container, also in the table: FFmpeg detects the format by content."""
    picked = pick(folder, rng, "video")
    target = picked.file.with_suffix(rng.choice([".mp4", ".avi", ".mkv", ".flv", ".wmv", ".MP4", ".m4v", ".mpg"]))
    _move(folder, picked.file, target)
    return Fault(f"renamed {picked.file} to {target.name}, in the table, too", picked.rows)


ODD = (
    *("a b", " a", "a ", "a=b", "a,b", "a;b", 'a"b', "a'b", "a\nb", "a\tb", "a\\b", "a:b", "a|b", "a..b", ".a", "#a"),
    *("$a", "-a", "é", "e\u0301", "笑", "\u202ea", "%s", "{a}", "[a]", "*", "~", "&", "?", "a" * 200),
)


def odd_name(folder: Folder, rng: random.Random) -> Fault | None:
    """A name that is special to a shell or parser, also in the table."""
    picked = pick(folder, rng)
    target = picked.path.with_name(rng.choice(ODD) + picked.path.suffix)
    if target.exists():
        return None
    _move(folder, picked.path, target)
    return Fault(
        f"renamed {picked.path} to {target.name!r}, in the table, too", picked.rows, (repr(target.name)[1:-1],)
    )


def renamed(folder: Folder, rng: random.Random) -> Fault:
    """A name that is not in the table."""
    picked = pick(folder, rng)
    name, stem, ending = picked.file.name, picked.file.stem, picked.file.suffix
    names = [name.upper(), f" {name}", f"{stem}.bak", f"Copy of {name}", f"._{name}", f"{name}\n"]
    name = rng.choice([*names, f"{stem}\udcff{ending}", f"{stem} (1){ending}"])
    picked.file.rename(picked.file.with_name(name))
    return Fault(f"renamed {picked.file} to {name!r}", picked.rows, (name, repr(name)[1:-1]))


def gone(folder: Folder, rng: random.Random) -> Fault:
    """A missing file, frame or folder; the number of frames is not recorded."""
    picked = pick(folder, rng)
    if rng.random() < 0.3 and picked.path.is_dir():
        picked.file.unlink()
        return Fault(f"deleted {picked.file}", picked.rows, pixels=True)
    shutil.rmtree(picked.path) if picked.path.is_dir() else picked.path.unlink()
    return Fault(f"deleted {picked.path}", picked.rows)


def other_kind(folder: Folder, rng: random.Random) -> Fault:
    """A folder, a pipe or a link in place of a file."""
    picked = pick(folder, rng)
    file, aside = picked.file, picked.file.with_name("aside.bin")
    file.rename(aside)
    kinds: dict[str, Callable[[], None]] = {
        "an empty folder": file.mkdir,
        "a pipe": lambda: os.mkfifo(file),
        "a link to nothing": lambda: file.symlink_to("nowhere"),
        "a link to itself": lambda: file.symlink_to(file.name),
        "a link to the folder": lambda: file.symlink_to(file.parent),
        "a link to a device": lambda: file.symlink_to("/dev/zero"),
        "a link to what it was": lambda: file.symlink_to(aside),
    }
    kind = rng.choice(list(kinds))
    kinds[kind]()
    return Fault(f"put {kind} in the place of {file}", picked.rows)


def forbidden(folder: Folder, rng: random.Random) -> Fault:
    """Readable by root only."""
    picked = pick(folder, rng)
    path = rng.choice([picked.file, picked.path.parent])
    path.chmod(0)
    others = tuple(row["row"] for row in folder.rows if (folder.root / row["path"]).is_relative_to(path))
    return Fault(f"forbade {path}", (*picked.rows, *others), (path.name,))


def frames(folder: Folder, rng: random.Random) -> Fault:
    """An extra file among the frames of a folder."""
    picked = pick(folder, rng, "frames")
    names = ("cover.jpg", "notes.txt", "9 (1).png", ".hidden.png", "Thumbs.db", "100.png", "5.PNG", "clip.mp4")
    target = picked.file.with_name(rng.choice(names))
    target.write_bytes(rng.choice([picked.file.read_bytes(), b"\0\1", (folder.spares / SHORT).read_bytes()]))
    # An additional frame with the next number is valid.
    return Fault(f"added {target}", picked.rows, (target.name,), pixels=target.name in ("100.png", "5.PNG"))


def unknown_file(folder: Folder, rng: random.Random) -> Fault:
    """A video that is not in the table must be named; `torture.videos` checks this for every file."""
    target = folder.root / rng.choice(["", "anna", "new/er"]) / rng.choice(["x.mp4", "y\n.MOV", "z\udcff.avi", "n.txt"])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes((folder.spares / SHORT).read_bytes())
    return Fault(f"added {target}", (), (repr(target.name)[1:-1],))


def _move(folder: Folder, path: Path, target: Path) -> None:
    path.rename(target)
    old, new = (one.relative_to(folder.root).as_posix() for one in (path, target))
    for row in folder.rows:
        row["path"] = new if row["path"] == old else row["path"]


FILE_FAULTS: tuple[Spoil, ...] = (
    *(cut, cut, cut, other_bytes, other_bytes, other_bytes, other_content, other_content, other_video, other_ending),
    *(odd_name, odd_name, renamed, gone, other_kind, other_kind, forbidden, frames, unknown_file),
)
