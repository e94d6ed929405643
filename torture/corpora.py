"""Corpora damaged by copying, renaming and editing: fer3d must use the original data or report the problem."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np

from torture.answers import read_clips
from torture.attack import Attack, Case
from torture.commands import fork
from torture.verdicts import Judgement, Verdict, judge_end
from torture.world import Tree, World

Clips = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Mutation:
    """A change to a tree.

    Attributes:
        what: Description.
        touched: The affected files and folders; fer3d must name one of them if the clips differ.
        may_differ: Whether the affected clips may differ silently, because the change is undetectable.
        must_name: Whether fer3d must name it even if all clips are unchanged.
        warning: Alternative warning about all such files, if the affected one cannot be identified.
    """

    what: str
    touched: tuple[Path, ...]
    may_differ: bool = False
    must_name: bool = False
    warning: str = ""


# None if this draw changes nothing.
Mutate = Callable[["Copy", random.Random], Mutation | None]


@dataclass(frozen=True)
class Copy:
    """A tree to mutate."""

    tree: Tree
    root: Path

    @property
    def is_ckplus(self) -> bool:
        """Whether it has label files."""
        return self.tree.data == "ckplus"

    @property
    def frames(self) -> list[Path]:
        """All image files."""
        return sorted(path for path in self.root.rglob("*") if path.suffix in (".png", ".jpeg"))

    @property
    def labels(self) -> list[Path]:
        """All label files."""
        return sorted(self.root.rglob("*_emotion.txt"))

    @property
    def files(self) -> list[Path]:
        """All files."""
        return [*self.frames, *self.labels]

    @property
    def sequences(self) -> list[Path]:
        """The folders of frames."""
        return sorted({path.parent for path in self.frames})

    @property
    def subjects(self) -> list[Path]:
        """The folders of sequences."""
        return sorted({path.parent for path in self.sequences})

    @property
    def folders(self) -> list[Path]:
        """All folders below the root."""
        return sorted(path for path in self.root.rglob("*") if path.is_dir())


@dataclass(frozen=True)
class CorporaAttack(Attack):
    """Mutations of two corpora.

    Attributes:
        world: The corpora.
        intact: The clips of each intact corpus.
    """

    world: World
    intact: dict[str, Clips]

    name = "corpora"
    num_cases = 500

    @classmethod
    def on(cls, world: World) -> Self:
        """Reads the clip stores of the intact corpora."""
        return cls(world, {tree.data: read_clips(world.outputs, tree.data) for tree in world.trees})

    def attack(self, case: Case) -> Judgement:
        """Prepares a mutated copy and compares its clips."""
        tree = self.world.trees[case.rng.random() < 0.35]
        copy = Copy(tree, case.folder / tree.root.name)
        shutil.copytree(tree.root, copy.root, symlinks=True)
        # In turn, so that a short campaign covers every mutation.
        mutate = MUTATIONS[case.number % len(MUTATIONS)]
        mutation = None
        while mutation is None:
            mutation = mutate(copy, case.rng) if copy.is_ckplus or mutate not in OF_LABELS else None
            mutate = case.rng.choice(MUTATIONS)
        return self._judge(copy, mutation, case)

    def _judge(self, copy: Copy, mutation: Mutation, case: Case) -> Judgement:
        what = f"{copy.tree.data}: {mutation.what.replace(str(copy.root) + '/', '')}"
        settings = copy.tree.settings(case.folder / "outputs", copy.root)
        done = fork("prepare", settings, folder=case.folder / "here")
        said = done.text.replace(str(copy.root), "")
        named = any(token in said for path in mutation.touched for token in _tokens(path, copy.root))
        named = named or bool(mutation.warning and mutation.warning in said)
        ended = judge_end(what, done)
        if ended:
            return replace(ended, vague=ended.verdict is Verdict.SENTENCE and not named)
        found = read_clips(case.folder / "outputs", copy.tree.data)
        others = _differences(self.intact[copy.tree.data], found)
        if mutation.may_differ:
            allowed = {_clip_id(path, copy.root) for path in mutation.touched}
            others = {clip: how for clip, how in others.items() if not any(_belongs(clip, one) for one in allowed)}
        if (others or mutation.must_name) and not named:
            missed = ", ".join(f"{clip} {how}" for clip, how in others.items()) or "the file was passed over"
            return Judgement(what, Verdict.SILENT, missed)
        return Judgement(what, Verdict.FINE, "told" if others else "the same clips")


def _differences(intact: Clips, found: Clips) -> dict[str, str]:
    told = {}
    for clip in sorted(intact.keys() | found.keys()):
        if clip not in found:
            told[clip] = "is gone"
        elif clip not in intact:
            told[clip] = "is new"
        else:
            parts = [part for part in ("subject", "emotion", "pixels") if intact[clip][part] != found[clip][part]]
            if parts:
                told[clip] = f"has other {' and '.join(parts)}"
    return told


def _clip_id(path: Path, root: Path) -> str:
    """The sequence or subject that a path belongs to, such as `S005/001`, `S005`, or nothing."""
    parts = [part for part in path.relative_to(root).parts if part[0] in "SP" and part[1:4].isdigit()]
    if not parts:
        return ""
    after = path.relative_to(root).parts
    index = after.index(parts[0])
    return "/".join(after[index : index + 2])


def _belongs(clip: str, place: str) -> bool:
    return place == "" or clip == place or clip.startswith(f"{place}/")


def _tokens(path: Path, root: Path) -> set[str]:
    """Texts that identify a path: its name and, within a sequence, the sequence."""
    name = path.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    names = {name, repr(path.name)[1:-1]}
    clip = _clip_id(path, root)
    return names | {clip} if "/" in clip else names


# Mutations ------------------------------------------------------------------------------------------


def delete_frame(copy: Copy, rng: random.Random) -> Mutation:
    """A missing frame; undetectable in Oulu-CASIA, which does not record lengths."""
    frame = rng.choice(copy.frames)
    last = not copy.is_ckplus and frame == max(frame.parent.iterdir())
    frame.unlink()
    return Mutation(f"deleted {frame}", (frame,), may_differ=last)


def delete_folder(copy: Copy, rng: random.Random) -> Mutation:
    """A missing folder. A sequence without a label, or an empty one, may be missing."""
    folder = rng.choice(copy.folders)
    shutil.rmtree(folder)
    images = "cohn-kanade-images" in folder.relative_to(copy.root).parts
    return Mutation(f"deleted the folder {folder}", (folder,), may_differ=not images)


def delete_label(copy: Copy, rng: random.Random) -> Mutation:
    """A missing label; sequences without one are common."""
    label = rng.choice(copy.labels)
    label.unlink()
    return Mutation(f"deleted {label}", (label,), may_differ=True)


SPELLINGS: tuple[Callable[[str], str], ...] = (
    str.lower,
    str.upper,
    str.swapcase,
    lambda name: name + " ",
    lambda name: " " + name,
    lambda name: name + ".bak",
    lambda name: name + "_old",
    lambda name: name + "~",
    lambda name: "._" + name,
    lambda name: "." + name,
    lambda name: f"Copy of {name}",
    lambda name: f"{Path(name).stem} (1){Path(name).suffix}",
    lambda name: f"{Path(name).stem} copy{Path(name).suffix}",
    lambda name: f"{Path(name).stem}\u00e9{Path(name).suffix}",
    lambda name: Path(name).stem,
    lambda name: name + Path(name).suffix,
    lambda name: name.replace("0", "", 1),
    lambda name: name.replace("0", "O", 1),
    lambda name: name.replace("0", "\uff10", 1),
    lambda name: name.replace("_", "-"),
    lambda name: name.replace("0", "00", 1),
    lambda name: name + "\n",
    lambda name: name + "\udcff",
    lambda name: "x" + name,
)


def rename(copy: Copy, rng: random.Random) -> Mutation | None:
    """A misspelt name."""
    path = rng.choice([rng.choice(copy.files), rng.choice(copy.folders), rng.choice(copy.sequences + copy.subjects)])
    target = path.with_name(rng.choice(SPELLINGS)(path.name))
    if target.exists():
        return None
    path.rename(target)
    # A hidden label counts as missing, which is common; hidden frames must be noticed.
    return Mutation(f"renamed {path} to {target.name!r}", (target, path), may_differ=_is_hidden_label(target))


def _is_hidden_label(path: Path) -> bool:
    return path.name.startswith(".") and "Emotion" in path.parts


def rename_label(copy: Copy, rng: random.Random) -> Mutation:
    """A misspelt name of a label."""
    label = rng.choice(copy.labels)
    others = ("emotion.txt", "label.txt", label.name.replace("_emotion", "_emotions"), label.name + ".txt")
    target = label.with_name(
        rng.choice([*others, label.name.replace("_emotion", ""), label.name.replace("txt", "csv")])
    )
    label.rename(target)
    return Mutation(f"renamed {label} to {target.name!r}", (target, label))


def rename_expression(copy: Copy, rng: random.Random) -> Mutation | None:
    """Another name of an expression folder or a code."""
    folder = rng.choice(copy.sequences)
    target = folder.with_name(rng.choice(["Fear_old", "Angry", "happy", "Sad", "Neutral", "Fearr", "1", "Contempt"]))
    if target.exists():
        return None
    folder.rename(target)
    # The name of another expression is valid.
    known = not copy.is_ckplus and target.name in ("Angry", "happy", "Sad")
    touched = (target, folder, *([folder.parent] if known else []))
    return Mutation(f"renamed {folder} to {target.name!r}", touched, may_differ=known)


def copy_file(copy: Copy, rng: random.Random) -> Mutation | None:
    """A duplicate file."""
    path = rng.choice(copy.files)
    target = path.with_name(rng.choice(SPELLINGS[3:])(path.name))
    if target.exists():
        return None
    shutil.copy2(path, target)
    visible = not target.name.startswith(".")
    return Mutation(f"copied {path} to {target.name!r}", (target,), must_name=visible and target.suffix != ".bak")


def copy_folder(copy: Copy, rng: random.Random) -> Mutation | None:
    """A duplicate folder."""
    path = rng.choice(copy.sequences + copy.subjects)
    target = path.with_name(rng.choice(SPELLINGS[3:])(path.name))
    if target.exists():
        return None
    shutil.copytree(path, target)
    return Mutation(f"copied {path} to {target.name!r}", (target,), must_name=not target.name.startswith("."))


def extra_frame(copy: Copy, rng: random.Random) -> Mutation:
    """A copied frame, numbered after the last one or with another name."""
    frame = rng.choice(copy.frames)
    stem = frame.stem[:-1] + rng.choice("456789")
    target = frame.with_name(rng.choice([stem, stem, "frame4", "face"]) + frame.suffix)
    shutil.copy2(frame, target)
    unknown = not copy.is_ckplus and target.stem[:1].isdigit()
    return Mutation(f"copied {frame} to {target.name}", (target,), may_differ=unknown, must_name=not unknown)


def foreign_sequence(copy: Copy, rng: random.Random) -> Mutation:
    """A sequence folder with the content of another."""
    theirs, ours = rng.sample(copy.sequences, 2)
    shutil.rmtree(ours)
    shutil.copytree(theirs, ours)
    return Mutation(f"replaced {ours} by {theirs}", (ours, theirs))


def foreign_frame(copy: Copy, rng: random.Random) -> Mutation:
    """A frame of another subject, under its own name or that of the replaced frame."""
    ours = rng.choice(copy.frames)
    theirs = rng.choice([path for path in copy.frames if path.parent.parent != ours.parent.parent])
    target = rng.choice([ours, ours.with_name(theirs.name)])
    ours.unlink()
    shutil.copy2(theirs, target)
    return Mutation(f"replaced {ours} by {theirs} as {target.name}", (target, ours, theirs))


def swap_folders(copy: Copy, rng: random.Random) -> Mutation:
    """Two swapped folders; undetectable by name in Oulu-CASIA."""
    first, second = rng.sample(rng.choice([copy.sequences, copy.subjects]), 2)
    aside = copy.root / "aside"
    first.rename(aside)
    second.rename(first)
    aside.rename(second)
    return Mutation(f"swapped {first} and {second}", (first, second), may_differ=not copy.is_ckplus)


def swap_labels(copy: Copy, rng: random.Random) -> Mutation:
    """Two swapped label files."""
    first, second = rng.sample(copy.labels, 2)
    first.rename(second.parent / first.name)
    second.rename(first.parent / second.name)
    return Mutation(f"swapped {first} and {second}", (first, second))


def move(copy: Copy, rng: random.Random) -> Mutation | None:
    """A file or folder moved one level up, or into another folder."""
    path = rng.choice([*copy.files, *copy.sequences, *copy.subjects])
    targets = [path.parent.parent, rng.choice(copy.folders), copy.root]
    folder = rng.choice([folder for folder in targets if not folder.is_relative_to(path)])
    if (folder / path.name).exists():
        return None
    path.rename(folder / path.name)
    return Mutation(f"moved {path} into {folder}", (path, folder / path.name))


def add_harmless(copy: Copy, rng: random.Random) -> Mutation:
    """Files left by operating systems and archives."""
    folder = rng.choice([copy.root, *copy.folders])
    name = rng.choice([".DS_Store", "Thumbs.db", "desktop.ini", "._S005", ".git", "__MACOSX", "README.txt", "@eaDir"])
    if name in (".git", "__MACOSX", "@eaDir"):
        (folder / name).mkdir()
        (folder / name / "._S005_001_00000001.png").write_bytes(b"Mac OS X")
    else:
        (folder / name).write_bytes(b"\0\1")
    return Mutation(f"added {name} to {folder}", (folder / name,))


def add_folder(copy: Copy, rng: random.Random) -> Mutation:
    """An empty folder, possibly of a subject."""
    folder = rng.choice([copy.root, *copy.folders])
    made = folder / rng.choice(["S999", "P099", "001", "new", "Landmarks", "FACS", "lost+found", "S005", "Anger"])
    made.mkdir(exist_ok=True)
    return Mutation(f"added the empty folder {made}", (made,))


def _other_bytes(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    where = rng.randrange(1, len(data))
    flipped = bytearray(data)
    flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    hole = data[:where] + bytes(min(512, len(data) - where)) + data[where + 512 :]
    return rng.choice(
        [
            ("truncated", data[:where]),
            ("emptied", b""),
            ("flipped a bit of", bytes(flipped)),
            ("zeroed a part of", hole[: len(data)]),
            ("cut a piece out of", data[:where] + data[where + rng.randrange(1, 64) :]),
            ("wrote noise over", rng.randbytes(len(data))),
            ("wrote text over", b"<!DOCTYPE html><title>404 Not Found</title>"),
        ]
    )


def damage_frame(copy: Copy, rng: random.Random) -> Mutation:
    """A damaged image file."""
    frame = rng.choice(copy.frames)
    how, data = _other_bytes(frame.read_bytes(), rng)
    frame.write_bytes(data)
    # JPEG has no checksum: most damage is detected, and the report must say so.
    inside = frame.suffix == ".jpeg" and how.startswith(("flipped", "zeroed", "cut"))
    return Mutation(f"{how} {frame}", (frame,), warning="JPEG images" if inside else "")


def other_image(copy: Copy, rng: random.Random) -> Mutation:
    """A valid image of another kind; by itself it cannot be told from the original."""
    frame = rng.choice(copy.frames)
    image = cv2.imdecode(np.frombuffer(frame.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    kinds = {
        "16 bits": (".png", image.astype(np.uint16) * 257),
        "an alpha channel": (".png", np.dstack([image, image[..., 0]])),
        "half the size": (".png", image[::2, ::2]),
        "one pixel": (".png", image[:1, :1]),
        "no face": (".png", np.zeros_like(image)),
        "another suffix's format": (".bmp", image),
        "another format": (".webp", image),
    }
    kind = rng.choice(list(kinds))
    suffix, pixels = kinds[kind]
    frame.write_bytes(cv2.imencode(suffix, pixels)[1].tobytes())
    return Mutation(f"gave {frame} {kind}", (frame,), may_differ=True)


def damage_label(copy: Copy, rng: random.Random) -> Mutation:
    """A label that is not a code, or the same code in another spelling."""
    label = rng.choice(copy.labels)
    code = int(float(label.read_text()))
    texts = [
        f"{code}",
        f" +{code}.0 ",
        f"{code}\r\n",
        f"\ufeff{code}",
        f"{code}.5",
        f"{code} {code}",
        f"{code}\n{code}",
    ]
    texts += ["0", "8", "-1", "nan", "inf", "1e400", "", "happy", "\uff13", "0x3", f"{code},0", "1_0", "\0", "1e0e0"]
    text = rng.choice(texts)
    label.write_bytes(text.encode(rng.choice(["utf-8", "utf-8", "utf-8", "utf-16", "utf-32"])))
    return Mutation(f"wrote {text!r} into {label}", (label,))


def damage_label_bytes(copy: Copy, rng: random.Random) -> Mutation:
    """A damaged label; a flipped bit may give another valid code, which is undetectable."""
    label = rng.choice(copy.labels)
    how, data = _other_bytes(label.read_bytes(), rng)
    label.write_bytes(data)
    return Mutation(f"{how} {label}: {data[:30]!r}", (label,), may_differ=how.startswith(("flipped", "zeroed", "cut")))


def make_link(copy: Copy, rng: random.Random) -> Mutation:
    """A symbolic link in place of a file or folder."""
    path = rng.choice([rng.choice(copy.files), rng.choice(copy.folders), rng.choice(copy.sequences)])
    aside = copy.root.with_name("aside")
    kind = rng.choice(["itself", "nothing", "what was there", "its folder"])
    path.rename(aside)
    targets = {"itself": path, "nothing": path.with_name("gone"), "what was there": aside, "its folder": path.parent}
    path.symlink_to(targets[kind])
    return Mutation(f"made {path} a link to {kind}", (path,))


def add_loop(copy: Copy, rng: random.Random) -> Mutation | None:
    """A link to a parent folder."""
    folder = rng.choice(copy.folders)
    link = folder / rng.choice(["loop", "S005", "001", "Emotion"])
    if link.exists():
        return None
    link.symlink_to(rng.choice([copy.root, folder]))
    return Mutation(f"linked {link} to {link.readlink()}", (link,))


def other_kind(copy: Copy, rng: random.Random) -> Mutation:
    """A folder in place of a file, a file in place of a folder, or a pipe."""
    path = rng.choice([rng.choice(copy.files), rng.choice(copy.folders), rng.choice(copy.sequences)])
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    make: dict[str, Callable[[], None]] = {
        "a folder": path.mkdir,
        "a file": path.touch,
        "a pipe": lambda: os.mkfifo(path),
    }
    kind = rng.choice(list(make))
    make[kind]()
    labels = "Emotion" in path.relative_to(copy.root).parts and kind == "a folder" and not path.suffix
    return Mutation(f"made {path} {kind}", (path,), may_differ=labels)


def forbid(copy: Copy, rng: random.Random) -> Mutation:
    """Readable by root only."""
    path = rng.choice([rng.choice(copy.files), rng.choice(copy.folders)])
    path.chmod(0)
    return Mutation(f"forbade {path}", (path,))


def second_root(copy: Copy, rng: random.Random) -> Mutation:
    """A duplicate corpus, or one in a subfolder."""
    inner = copy.root / rng.choice(["CK+", "backup", "old (1)", "B_OriginalImg"])
    aside = copy.root.with_name("aside")
    shutil.copytree(copy.root, aside)
    if rng.random() < 0.5:
        shutil.rmtree(copy.root)
        copy.root.mkdir()
    aside.rename(inner)
    return Mutation(f"put the corpus into {inner}", (inner, *inner.iterdir()))


MUTATIONS: tuple[Mutate, ...] = (
    *(
        delete_frame,
        delete_folder,
        delete_label,
        rename,
        rename,
        rename_label,
        rename_expression,
        copy_file,
        copy_folder,
    ),
    *(extra_frame, foreign_sequence, foreign_frame, swap_folders, swap_labels, move, move, add_harmless, add_folder),
    *(damage_frame, damage_frame, damage_frame, other_image, damage_label, damage_label_bytes, make_link, add_loop),
    *(other_kind, forbid, second_root),
)
OF_LABELS = (delete_label, rename_label, swap_labels, damage_label, damage_label_bytes)
