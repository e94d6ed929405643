"""Folders of videos with damaged files, names and tables: every row must give its original clip, or be reported."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from torture.attack import Attack, Case
from torture.commands import Done, fork
from torture.own_folder import TABLE, Folder, copy_folder, write_folder
from torture.table_faults import TABLE_FAULTS
from torture.verdicts import Judgement, Verdict, judge_end
from torture.video_faults import FILE_FAULTS, Fault
from torture.world import World

# Detection on two of four frames: half a second per folder.
SETTINGS = (
    *("data=videos", f"data.table={TABLE}", "progress=false", "logger=csv"),
    *("frames.stored=4", "clips.num_frames=4", "faces.crop.size=16", "faces.every=4"),
)
FAULTS = (*FILE_FAULTS, *TABLE_FAULTS)
_VIDEO_ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".flv", ".webm", ".wmv", ".m4v", ".mpg")

Clips = dict[str, dict[str, str]]


@dataclass(frozen=True)
class VideosAttack(Attack):
    """Faults in a folder of videos.

    Attributes:
        source: The intact folder.
        spares: Replacement files.
        intact: The clips of the intact folder, by row.
    """

    source: Path
    spares: Path
    intact: Clips

    name = "videos"
    num_cases = 300

    @classmethod
    def on(cls, world: World) -> Self:
        """Writes and prepares the intact folder."""
        folder = world.folder / "videos"
        source, spares, outputs = (folder / name for name in ("source", "spares", "outputs"))
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            write_folder(source, spares)
            world.run("prepare", *SETTINGS, f"data.root={source}", f"outputs={outputs}")
            (folder / "made").touch()
        return cls(source, spares, read_rows(outputs))

    def attack(self, case: Case) -> Judgement:
        """Prepares a damaged copy and compares its clips."""
        folder = copy_folder(self.source, self.spares, case.folder / "my videos")
        names = _Names()
        names.note(folder)
        # In turn, so that a short campaign covers every fault; sometimes two at once.
        spoils = [FAULTS[case.number % len(FAULTS)]]
        if case.rng.random() < 0.25:
            spoils.append(case.rng.choice(FAULTS))
        faults = []
        for spoil in spoils:
            try:
                fault = spoil(folder, case.rng)
            except (OSError, IndexError, ValueError):
                continue  # the first fault removed the target of the second
            faults += [fault] if fault else []
            names.note(folder)
        folder.write()
        settings = [f"clips.on_unreadable={case.rng.choice(['error', 'skip'])}"]
        settings += [f"faces.on_no_face={case.rng.choice(['error', 'skip'])}"]
        what = "; ".join(fault.what.replace(f"{folder.root}/", "") for fault in faults)
        what = what.encode("utf-8", "backslashreplace").decode()
        outputs = case.folder / "outputs"
        command = [*SETTINGS, *settings, f"data.root='{folder.root}'", f"outputs={outputs}"]
        done = fork("prepare", command, folder=case.folder / "here", limit=60)
        return self._judge(f"{what} ({', '.join(settings)})", folder, faults, names, done, outputs)

    def _judge(
        self, what: str, folder: Folder, faults: list[Fault], names: _Names, done: Done, outputs: Path
    ) -> Judgement:
        said = _Said(done)
        ended = judge_end(what, done)
        if ended:
            named = any(map(said.names, (name for fault in faults for name in names.of(fault))))
            return replace(ended, vague=ended.verdict is Verdict.SENTENCE and not named)
        pixels, free, unknown = (
            {row for fault in faults if getattr(fault, kind) for row in fault.rows}
            for kind in ("pixels", "free", "unknown")
        )
        # A copy whose source is damaged afterwards looks like a separate video.
        pixels |= {row for fault in faults for row in fault.rows} if len(faults) > 1 else set()
        found = read_rows(outputs)
        wrong = []
        for row, how in _differences(self.intact, found).items():
            is_other = how.startswith("has other")
            if row in unknown or (is_other and row in free) or (how == "has other pixels" and row in pixels):
                continue
            if how == "is new" and unknown:
                continue
            if not any(map(said.names, names.rows.get(row, ()))):
                wrong.append(f"{row} {how}")
        wrong += [f"{path!r} was passed over" for path in self._unread(folder) if not said.names(path)]
        if wrong:
            return Judgement(what, Verdict.SILENT, ", ".join(wrong))
        same = found == self.intact
        return Judgement(what, Verdict.FINE, "the same clips" if same else "told")

    def _unread(self, folder: Folder) -> list[str]:
        """The video files that no row of the table refers to; rows that cannot be parsed are ignored."""
        if folder.content is not None:
            return []
        used = {(folder.root / row["path"].replace("\\", "/").strip()).resolve() for row in folder.rows}
        used |= {(folder.root / row["path"]).resolve() for row in folder.rows}
        files = [path for path in folder.root.rglob("*") if path.suffix.lower() in _VIDEO_ENDINGS]
        visible = [path for path in files if path.is_file() and not path.name.startswith(".")]
        # A row of a folder of frames covers the files in it.
        return [
            path.relative_to(folder.root).as_posix()
            for path in visible
            if not {path.resolve(), path.parent.resolve()} & used
        ]


class _Names:
    """Texts by which a message may identify each row: its path before and after, and its line numbers."""

    def __init__(self) -> None:
        self.rows: dict[str, set[str]] = {}

    def note(self, folder: Folder) -> None:
        lines = folder.lines()
        for row in folder.rows:
            name = Path(row["path"]).name
            texts = {row["path"], f"{row['subject']}/{Path(name).stem}", name, Path(name).stem}
            texts |= {f"line {line}" for line in lines[row["row"]]}
            self.rows.setdefault(row["row"], set()).update(text for text in texts if text.strip(" ."))

    def of(self, fault: Fault) -> set[str]:
        rows: set[str] = set().union(*(self.rows.get(row, set()) for row in fault.rows))
        return rows | set(fault.names)


class _Said:
    """The whole output, without blanks, since tables wrap lines anywhere."""

    def __init__(self, done: Done) -> None:
        # A clip may be listed among those with frames without a face for another reason.
        text = re.sub(
            r"^clips with fallbacks:.*?(?=^damaged |^the same image |^made |\Z)", "", done.text, flags=re.S | re.M
        )
        self._text = _without_blanks(text)

    def names(self, text: str) -> bool:
        """Whether it contains a text, verbatim or as its `repr`."""
        shown = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return any(_without_blanks(one) in self._text for one in (shown, repr(text)[1:-1]))


def _without_blanks(text: str) -> str:
    return re.sub(r"\s+", "", text)


def read_rows(outputs: Path) -> Clips:
    """Content of the only clip store, by the table's column `row`, or by clip name if that is empty."""
    (store,) = (outputs / "clips").glob("videos-*")
    index: dict[str, Any] = json.loads((store / "index.json").read_text(encoding="utf-8"))
    pixels = np.load(store / "clips.npy")
    return {
        clip.get("columns", {}).get("row") or clip["clip_id"]: {
            **{name: clip[name] for name in ("subject", "emotion")},
            "pixels": hashlib.sha256(pixels[number].tobytes()).hexdigest(),
        }
        for number, clip in enumerate(index["clips"])
    }


def _differences(intact: Clips, found: Clips) -> dict[str, str]:
    told = {}
    for row in sorted(intact.keys() | found.keys()):
        if row not in found:
            told[row] = "is gone"
        elif row not in intact:
            told[row] = "is new"
        else:
            parts = [part for part in ("subject", "emotion", "pixels") if intact[row][part] != found[row][part]]
            if parts:
                told[row] = f"has other {' and '.join(parts)}"
    return told
