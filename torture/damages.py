"""Truncated, mixed up or edited results, stores, checkpoints and studies: fer3d must not accept a wrong number."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np

from torture.answers import difference, equal, read_logits, read_study
from torture.attack import Attack, Case
from torture.commands import Done, fork
from torture.verdicts import Judgement, Verdict, judge_end
from torture.world import World

SEARCH = (
    *("-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.study_name=s"),
    *("search.pruning.threshold=0.0", "name=s"),
)


@dataclass(frozen=True)
class Victim:
    """Files to damage, and the command that reads them.

    Attributes:
        runs: Names in `RUNS` of the runs that exist.
        files: Patterns of the files to damage, below the outputs.
        command: Makes the command line from the corpora and the outputs.
        answer: Reads the command's result, which must equal that of an undamaged run.
        before: What to remove first, so that the command has work to do.
    """

    runs: tuple[str, ...]
    files: tuple[str, ...]
    command: Callable[[World, Path], list[str]]
    answer: Callable[[Path, Done], Any]
    before: tuple[str, ...] = ()


@dataclass(frozen=True)
class DamagesAttack(Attack):
    """Damages the results of commands.

    Attributes:
        world: The corpora and the runs.
    """

    world: World

    name = "damages"
    num_cases = 500

    @classmethod
    def on(cls, world: World) -> Self:
        """Runs and undamaged answers are made when the first case needs them."""
        return cls(world)

    def attack(self, case: Case) -> Judgement:
        """Damages a copy and compares the command's result."""
        name = list(VICTIMS)[case.number % len(VICTIMS)]
        victim, outputs = VICTIMS[name], case.folder / "outputs"
        answer, said = _undisturbed(self.world, name)
        _copy(self.world, victim, outputs)
        how = ""
        while not how:
            path = case.rng.choice(sorted(path for pattern in victim.files for path in outputs.glob(pattern)))
            how = case.rng.choice(damages_of(path))(path, case.rng)
        done = _ask(self.world, victim, outputs, case.folder / "here")
        places = {path.name, path.parent.name if path.parent != outputs else path.name}
        named = any(place in done.text and place not in said for place in places)
        return _judge(f"{name}: {how} {path.relative_to(outputs)}", done, victim, outputs, answer, named)


def _judge(what: str, done: Done, victim: Victim, outputs: Path, answer: Any, named: bool) -> Judgement:
    ended = judge_end(what, done)
    if ended:
        return replace(ended, vague=ended.verdict is Verdict.SENTENCE and not named)
    try:
        found = victim.answer(outputs, done)
    except Exception as error:
        return Judgement(what, Verdict.SILENT, f"status 0, but its result cannot be read: {error!r}")
    if equal(found, answer):
        return Judgement(what, Verdict.FINE, "the same answer")
    if named:
        return Judgement(what, Verdict.FINE, "told")
    return Judgement(what, Verdict.SILENT, f"another answer: {difference(found, answer)}")


def _copy(world: World, victim: Victim, outputs: Path) -> None:
    """Copies the undamaged files that the victim's command needs."""
    shutil.copytree(world.outputs / "clips", outputs / "clips")
    for run in victim.runs:
        shutil.copytree(_run_alone(world, run), outputs, dirs_exist_ok=True)
    for pattern in victim.before:
        for path in outputs.glob(pattern):
            shutil.rmtree(path)


def _ask(world: World, victim: Victim, outputs: Path, folder: Path) -> Done:
    command, *arguments = victim.command(world, outputs)
    return fork(command, arguments, folder=folder)


@cache
def _undisturbed(world: World, name: str) -> tuple[Any, str]:
    """Result and output of a victim's command without damage."""
    folder = world.folder / f"asked-{os.getpid()}"
    _copy(world, VICTIMS[name], folder / "outputs")
    done = _ask(world, VICTIMS[name], folder / "outputs", folder / "here")
    answer = VICTIMS[name].answer(folder / "outputs", done)
    shutil.rmtree(folder)
    return answer, done.text


@cache
def _run_alone(world: World, name: str) -> Path:
    """The outputs of one run, made once, even if two processes of the campaign need them at the same time."""
    made, outputs = world.folder / "runs" / name, world.folder / f"making-{os.getpid()}"
    if not made.exists():
        shutil.copytree(world.outputs / "clips", outputs / "clips")
        world.run(*RUNS[name](world, outputs))
        shutil.rmtree(outputs / "clips")
        made.parent.mkdir(exist_ok=True)
        try:
            outputs.rename(made)
        except OSError:
            shutil.rmtree(outputs)
    return made


# The runs ------------------------------------------------------------------------------------------------------------


def _training(name: str, *more: str) -> Callable[[World, Path], list[str]]:
    return lambda world, outputs: ["train", *world.ckplus.settings(outputs), f"name={name}", *more]


def _on_all_clips(world: World, outputs: Path) -> list[str]:
    settings = [setting for setting in world.oulu.settings(outputs) if not setting.startswith("cv.")]
    return ["train", *settings, "name=start", "cv=all_clips", "save_checkpoint=true"]


def _from_start(world: World, outputs: Path) -> list[str]:
    checkpoint = next(iter(outputs.glob("start-*/fold_001/last.ckpt")), outputs / "no.ckpt")
    return [*_training("from")(world, outputs), f"start_from={checkpoint}", "+fold=1"]


RUNS: dict[str, Callable[[World, Path], list[str]]] = {
    "a": _training("a", "save_checkpoint=true"),
    "b": _training("b", "seed=1"),
    "start": _on_all_clips,
    "search": lambda world, outputs: ["train", *SEARCH, *world.ckplus.settings(outputs)],
}


# Answers of commands ------------------------------------------------------------------------------------------------


def _run(outputs: Path, name: str) -> Path:
    (run,) = outputs.glob(f"{name}-*")
    return run


def _evaluation(outputs: Path, done: Done) -> Any:
    return json.loads((_run(outputs, "a") / "evaluation/evaluation.json").read_text(encoding="utf-8"))


def _comparison(outputs: Path, done: Done) -> Any:
    return json.loads((outputs / "compared.json").read_text(encoding="utf-8"))


def _trained(name: str) -> Callable[[Path, Done], Any]:
    def answer(outputs: Path, done: Done) -> Any:
        run = _run(outputs, name)
        return {"logits": read_logits(run), "checkpoints": len(list(run.glob("fold_*/last.ckpt")))}

    return answer


def _searched(outputs: Path, done: Done) -> Any:
    (run,) = [path for path in outputs.glob("s-*") if (path / "fold_001").exists()][:1] or [outputs]
    return {"trials": read_study(outputs / "search/s"), "first run": read_logits(run)}


def _percentages(outputs: Path, done: Done) -> Any:
    """All percentages in a report."""
    (path,) = outputs.rglob("report.html")
    return re.findall(
        r"\d+(?:\.\d+)?\s?%", re.sub(r"<(style|script|svg).*?</\1>", "", path.read_text("utf-8"), flags=re.S)
    )


FOLD = ("a-*/fold_*/result.json", "a-*/fold_*/logits.npz")
STORE = ("clips/ckplus-*/clips.npy", "clips/ckplus-*/index.json")
TRAIN = Victim(("a", "b"), (*FOLD, *FOLD, "a-*/fold_*/*", "a-*/fold_*"), RUNS["a"], _trained("a"))
EVALUATE = Victim(
    ("a", "b"),
    (*FOLD, *FOLD, "a-*/fold_*/metrics.csv", "a-*/fold_*"),
    lambda world, outputs: ["evaluate", str(_run(outputs, "a"))],
    _evaluation,
)
COMPARE = replace(
    EVALUATE,
    command=lambda world, outputs: [
        *("compare", str(_run(outputs, "a")), str(_run(outputs, "b"))),
        *("--out", str(outputs / "compared.json")),
    ],
    answer=_comparison,
)
STORED = replace(TRAIN, files=(*STORE, *STORE, "clips/ckplus-*/*", "clips/ckplus-*"), before=("a-*",))
START = Victim(("start", "a"), ("start-*/fold_001/last.ckpt",), _from_start, _trained("from"))
STUDY = Victim(("search",), ("search/s/study.db", "search/s/study.db", "search/s/*"), RUNS["search"], _searched)
BEST = replace(
    STUDY,
    command=lambda world, outputs: ["train", f"from_study={outputs / 'search/s'}", f"outputs={outputs}", "+fold=1"],
    answer=_trained("best_of_s"),
)
VICTIMS: dict[str, Victim] = {
    "evaluate": EVALUATE,
    "train": TRAIN,
    "train on a store": STORED,
    "start from": START,
    "compare": COMPARE,
    "train again": replace(TRAIN, files=FOLD),
    "done on a store": replace(STORED, before=()),
    "evaluate again": replace(EVALUATE, files=FOLD),
    "search": STUDY,
    "search again": replace(
        STUDY, files=("s-*/fold_*/result.json", "s-*/fold_*/logits.npz", "s-*/fold_*"), before=("search",)
    ),
    "best of a search": BEST,
    "report of a search": replace(
        STUDY,
        files=("search/s/study.db",),
        command=lambda world, outputs: ["report", "--study", str(outputs / "search/s")],
        answer=_percentages,
    ),
    "report": replace(
        EVALUATE,
        files=(*FOLD, "a-*/fold_*", "clips/ckplus-*/*"),
        command=lambda world, outputs: ["report", str(_run(outputs, "a"))],
        answer=_percentages,
    ),
}


# Damages ------------------------------------------------------------------------------------------

# Returns a description; empty if this draw changes nothing.
Damage = Callable[[Path, random.Random], str]


def delete(path: Path, rng: random.Random) -> str:
    """A deleted file or folder."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return "deleted"


def cut_off(path: Path, rng: random.Random) -> str:
    """A truncated file."""
    data = path.read_bytes()
    path.write_bytes(data[: rng.choice([0, 1, rng.randrange(len(data)), len(data) - 1])])
    return f"cut {len(data)} bytes down to {path.stat().st_size}:"


def flip(path: Path, rng: random.Random) -> str:
    """A flipped bit."""
    data = bytearray(path.read_bytes())
    place = rng.randrange(len(data))
    data[place] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return f"flipped a bit of byte {place} of"


def blank(path: Path, rng: random.Random) -> str:
    """A zeroed disk block."""
    data = bytearray(path.read_bytes())
    place = rng.randrange(len(data))
    data[place : place + 512] = bytes(len(data[place : place + 512]))
    path.write_bytes(data)
    return f"zeroed 512 bytes from {place} of"


def append(path: Path, rng: random.Random) -> str:
    """Trailing bytes."""
    with path.open("ab") as file:
        file.write(rng.randbytes(rng.randrange(1, 100)))
    return "appended to"


def noise(path: Path, rng: random.Random) -> str:
    """Unrelated content."""
    path.write_bytes(rng.choice([rng.randbytes(300), b"<!DOCTYPE html>", b"{}", b"[]", b"null\n", b"\x80\x04."]))
    return f"wrote {path.read_bytes()[:10]!r} over"


def other_kind(path: Path, rng: random.Random) -> str:
    """A folder, or a link to itself."""
    delete(path, rng)
    kind = rng.choice(["a folder", "a link to itself", "a file"])
    {"a folder": path.mkdir, "a link to itself": lambda: path.symlink_to(path), "a file": path.touch}[kind]()
    return f"put {kind} in the place of"


def swap(path: Path, rng: random.Random) -> str:
    """Another file of the same name, of the same run or another."""
    depth = 2 if path.parent.name.startswith("fold_") else 1
    root = path.parents[depth]
    others = [other for other in sorted(root.glob("/".join(["*"] * depth + [path.name]))) if other != path]
    if path.name.startswith("fold_"):
        others = [other for other in sorted(root.glob("*/fold_*")) + sorted(root.glob("fold_*")) if other != path]
    if not others:
        return ""
    other = rng.choice(others)
    delete(path, rng)
    (shutil.copytree if other.is_dir() else shutil.copy2)(other, path)
    return f"copied {other.parent.name}/{other.name} to"


def edit_json(path: Path, rng: random.Random) -> str:
    """A key that is missing, or has another value or type."""
    content = json.loads(path.read_text(encoding="utf-8"))
    places = list(_places(content))
    # Prefer top-level keys, which are few and are read first.
    parent, key = rng.choice([place for place in places if place[0] is content] if rng.random() < 0.6 else places)
    old = parent[key]
    if rng.random() < 0.3:
        del parent[key]
        how = f"deleted {key!r} of"
    else:
        new = [None, [], {}, "", "abc", 0, -1, 7, 1.5, True, 10**30, float("nan"), [old], {"a": old}]
        parent[key] = rng.choice([one for one in new if one != old])
        how = f"wrote {key!r}: {parent[key]!r} into"
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
    return how


def edit_arrays(path: Path, rng: random.Random) -> str:
    """An array that is missing, or has another shape, type or values."""
    with np.load(path) as file:
        arrays = dict(file)
    name = rng.choice(list(arrays))
    array = arrays[name]
    changes: dict[str, Callable[[], Any]] = {
        "deleted": lambda: None,
        "halved": lambda: array[: len(array) // 2],
        "doubled": lambda: np.concatenate([array, array]),
        "flattened": lambda: array.reshape(-1),
        "turned round": lambda: array[::-1],
        "made a number": lambda: np.array(3),
        "emptied": lambda: array[:0],
        "made objects": lambda: array.astype(object),
        "made text": lambda: (
            array.astype(str) if array.dtype.kind != "U" else np.arange(array.size).reshape(array.shape)
        ),
        "rolled": lambda: np.roll(array, 1, axis=-1),
        "made NaN": lambda: np.full(array.shape, np.nan),
        "shifted": lambda: array + 1 if array.dtype.kind != "U" else np.char.add(array, "x"),
        "made doubles": lambda: array.astype(float) if array.dtype.kind != "U" else array[..., None],
    }
    how = rng.choice(list(changes))
    changed = changes[how]()
    if changed is not None and np.array_equal(changed, array) and changed.dtype == array.dtype:
        return ""
    arrays.pop(name) if changed is None else arrays.update({name: changed})
    np.savez_compressed(path, **arrays)
    return f"{how} {name!r} of"


def edit_pixels(path: Path, rng: random.Random) -> str:
    """Other pixels, fewer clips or another data type."""
    array = np.load(path)
    how = rng.choice(
        ["brightened a clip of", "turned round", "halved", "made floats of", "flattened", "swapped clips of"]
    )
    changed = {
        "brightened a clip of": np.concatenate([array[:1] ^ 1, array[1:]]),
        "turned round": array[::-1],
        "halved": array[: len(array) // 2],
        "made floats of": array.astype(np.float32),
        "flattened": array.reshape(-1),
        "swapped clips of": array[[1, 0, *range(2, len(array))]],
    }[how]
    np.save(path, changed)
    return how


def edit_database(path: Path, rng: random.Random) -> str:
    """A missing row or table."""
    import sqlite3

    connection = sqlite3.connect(path)
    tables = [name for (name,) in connection.execute("select name from sqlite_master where type='table'")]
    table = rng.choice(sorted(tables))
    how = rng.choice([f"delete from {table}", f"drop table {table}"])
    with connection:
        empty = connection.execute(f"select count(*) from {table}").fetchone() == (0,)
        connection.execute(how)
    connection.close()
    return "" if empty else f"{how} in"


def damages_of(path: Path) -> tuple[Damage, ...]:
    """The damages that apply to a file or folder."""
    if path.is_dir():
        return delete, other_kind, swap, swap
    common: tuple[Damage, ...] = (delete, cut_off, flip, blank, append, noise, other_kind, swap)
    if path.suffix == ".json":
        return (*common, *[edit_json] * 8)
    if path.suffix == ".npz":
        return (*common, *[edit_arrays] * 8)
    if path.suffix == ".npy":
        return (*common, *[edit_pixels] * 4)
    if path.suffix == ".db":
        # SQLite has no checksums: a flipped bit in a number is undetectable.
        return delete, cut_off, noise, other_kind, edit_database, edit_database
    return common


def _places(content: Any) -> Any:
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in list(items):
        yield content, key
        yield from _places(value)
