"""What may go wrong with the files of a folder of own videos, at random."""

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
    """What was done.

    Attributes:
        what: In words.
        rows: The rows concerned, by their last column, one of which an error has to name.
        names: What else may stand for them.
        pixels: Whether their pixels may be other ones unsaid: nothing in the file tells.
        free: Whether anything of their clips may be other unsaid: nobody could know what was meant.
        unknown: Whether, besides, what tells the rows apart may be another text, or a row have no trace in the table.
    """

    what: str
    rows: tuple[str, ...]
    names: tuple[str, ...] = ()
    pixels: bool = False
    free: bool = False
    unknown: bool = False


# None: this draw changes nothing.
Spoil = Callable[[Folder, random.Random], Fault | None]


@dataclass(frozen=True)
class Picked:
    """What a fault is about.

    Attributes:
        row: A row.
        path: The path that it has.
        file: Its file, or one of its frames.
        rows: All rows of that path.
    """

    row: Cells
    path: Path
    file: Path
    rows: tuple[str, ...]


def pick(folder: Folder, rng: random.Random, kind: str = "any") -> Picked:
    """Chooses a row of which there is something to spoil: `video`, `frames` or `any`."""
    are_right = {"video": Path.is_file, "frames": Path.is_dir, "any": os.path.lexists}[kind]
    row = rng.choice([row for row in folder.rows if are_right(folder.root / row["path"])])
    path = folder.root / row["path"]
    file = rng.choice(sorted(path.iterdir())) if path.is_dir() else path
    return Picked(row, path, file, tuple(each["row"] for each in folder.rows if each["path"] == row["path"]))


def cut(folder: Folder, rng: random.Random) -> Fault:
    """A download or a recording that broke off; what is cut off between two frames leaves no trace."""
    picked = pick(folder, rng)
    data = picked.file.read_bytes()
    kept = rng.choice([rng.randrange(1, len(data)), max(1, len(data) - rng.randrange(1, 40)), min(64, len(data) - 1)])
    picked.file.write_bytes(data[:kept])
    return Fault(f"cut {picked.file} off after {kept} of {len(data)} bytes", picked.rows)


def other_bytes(folder: Folder, rng: random.Random) -> Fault:
    """Bytes of a file are other ones; a codec has no checksum."""
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
    """Something else under the name of a video or an image."""
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
    """A proper video in the place of another: nobody could know, unless it has no face, or is there twice."""
    picked = pick(folder, rng, "video")
    if rng.random() < 0.5:
        other = folder.spares / rng.choice([FACELESS, SHORT])
        picked.file.write_bytes(other.read_bytes())
        return Fault(f"put {other.name} in the place of {picked.file}", picked.rows, pixels=True)
    source = pick(folder, rng, "video")
    picked.file.write_bytes(source.file.read_bytes())
    return Fault(f"copied {source.file} over {picked.file}", (*picked.rows, *source.rows))


def other_ending(folder: Folder, rng: random.Random) -> Fault:
    """The ending of another container, in the table, too: FFmpeg looks at the content."""
    picked = pick(folder, rng, "video")
    target = picked.file.with_suffix(rng.choice([".mp4", ".avi", ".mkv", ".flv", ".wmv", ".MP4", ".m4v", ".mpg"]))
    _move(folder, picked.file, target)
    return Fault(f"renamed {picked.file} to {target.name}, in the table, too", picked.rows)


ODD = (
    *("a b", " a", "a ", "a=b", "a,b", "a;b", 'a"b', "a'b", "a\nb", "a\tb", "a\\b", "a:b", "a|b", "a..b", ".a", "#a"),
    *("$a", "-a", "é", "e\u0301", "笑", "\u202ea", "%s", "{a}", "[a]", "*", "~", "&", "?", "a" * 200),
)


def odd_name(folder: Folder, rng: random.Random) -> Fault | None:
    """A name that means something to some shell or parser, in the table, too."""
    picked = pick(folder, rng)
    target = picked.path.with_name(rng.choice(ODD) + picked.path.suffix)
    if target.exists():
        return None
    _move(folder, picked.path, target)
    return Fault(
        f"renamed {picked.path} to {target.name!r}, in the table, too", picked.rows, (repr(target.name)[1:-1],)
    )


def renamed(folder: Folder, rng: random.Random) -> Fault:
    """A name that the table does not know."""
    picked = pick(folder, rng)
    name, stem, ending = picked.file.name, picked.file.stem, picked.file.suffix
    names = [name.upper(), f" {name}", f"{stem}.bak", f"Copy of {name}", f"._{name}", f"{name}\n"]
    name = rng.choice([*names, f"{stem}\udcff{ending}", f"{stem} (1){ending}"])
    picked.file.rename(picked.file.with_name(name))
    return Fault(f"renamed {picked.file} to {name!r}", picked.rows, (name, repr(name)[1:-1]))


def gone(folder: Folder, rng: random.Random) -> Fault:
    """A file, a frame or a folder is missing; nothing tells how many frames there were."""
    picked = pick(folder, rng)
    if rng.random() < 0.3 and picked.path.is_dir():
        picked.file.unlink()
        return Fault(f"deleted {picked.file}", picked.rows, pixels=True)
    shutil.rmtree(picked.path) if picked.path.is_dir() else picked.path.unlink()
    return Fault(f"deleted {picked.path}", picked.rows)


def other_kind(folder: Folder, rng: random.Random) -> Fault:
    """A folder, a pipe or a link in the place of a file."""
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
    """Nobody may read it, except root."""
    picked = pick(folder, rng)
    path = rng.choice([picked.file, picked.path.parent])
    path.chmod(0)
    others = tuple(row["row"] for row in folder.rows if (folder.root / row["path"]).is_relative_to(path))
    return Fault(f"forbade {path}", (*picked.rows, *others), (path.name,))


def frames(folder: Folder, rng: random.Random) -> Fault:
    """Something else among the frames of a folder."""
    picked = pick(folder, rng, "frames")
    names = ("cover.jpg", "notes.txt", "9 (1).png", ".hidden.png", "Thumbs.db", "100.png", "5.PNG", "clip.mp4")
    target = picked.file.with_name(rng.choice(names))
    target.write_bytes(rng.choice([picked.file.read_bytes(), b"\0\1", (folder.spares / SHORT).read_bytes()]))
    # A further frame with the next number is as good as any.
    return Fault(f"added {target}", picked.rows, (target.name,), pixels=target.name in ("100.png", "5.PNG"))


def unknown_file(folder: Folder, rng: random.Random) -> Fault:
    """A video that the table does not know of has to be named, which `torture.videos` checks of every file."""
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
