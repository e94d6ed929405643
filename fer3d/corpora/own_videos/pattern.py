"""A pattern of paths, such as `{subject}/{emotion}/*.mp4`, that says what the folders and names of videos mean."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping

from fer3d.corpora.layout import name_some, shown
from fer3d.corpora.own_videos.table import NO_SUBJECTS, Row
from fer3d.corpora.own_videos.tree import VideoTree
from fer3d.corpora.sequences import CorpusError

_TOKEN = re.compile(
    r"\{(?P<name>[^{}]*)\}|(?P<folders>\*\*/)|(?P<stars>\*+)|(?P<one>\?)|(?P<text>[^{}*?]+)|(?P<bad>[{}])"
)
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
# These are told by the file itself, or by a table.
_NOT_ALLOWED = ("path", "start", "end")


class PathPattern:
    """A pattern of paths relative to a corpus's root.

    `{subject}`, `{emotion}` and any other name in braces stand for a part of the path or of a name, as short as may be
    and never empty; a name that is there twice stands for the same text. `*` and `?` stand for any text and any
    character within a part, `**/` for any number of folders. A pattern that ends in `/` is of folders of frame images.

    Args:
        pattern: The pattern.
        subjects_known: Whether `{subject}` has to be in it.

    Raises:
        CorpusError: It cannot be understood, or says nothing of emotion or subject.
    """

    def __init__(self, pattern: str, subjects_known: bool) -> None:
        self._pattern = pattern
        self._subjects_known = subjects_known
        self.is_of_folders = pattern.endswith("/")
        self._tokens = self._parsed(pattern.removesuffix("/"))
        names = [text for kind, text in self._tokens if kind == "name"]
        self._repeated = [name for name, count in Counter(names).items() if count > 1]
        if "emotion" not in names:
            raise self._wrong("it has no {emotion}, so that nothing says what is shown")
        if subjects_known and "subject" not in names:
            raise self._wrong("it has no {subject}. " + NO_SUBJECTS)

    def rows(self, tree: VideoTree) -> list[Row]:
        """Returns a row for each path that matches.

        Raises:
            CorpusError: None does.
        """
        rows = []
        for path in tree.image_folders if self.is_of_folders else tree.videos:
            found = self._match(path, 0, 0, {}, set())
            if found is None:
                continue
            said = {name: text.strip() for name, text in found.items()}
            emotion = said.pop("emotion")
            subject = said.pop("subject") if self._subjects_known else ""
            rows.append(Row("", path, emotion, subject, columns=said))
        if not rows:
            raise self._wrong(f"no {self._what()} below data.root matches it. {self._there(tree)}")
        return rows

    def _what(self) -> str:
        return "folder of images" if self.is_of_folders else "video file"

    def _there(self, tree: VideoTree) -> str:
        if tree.videos:
            return f"There are {len(tree.videos)} video files: {name_some(tree.videos)}"
        if tree.image_folders:
            return (
                f"There are no video files, and {len(tree.image_folders)} folders of images, which a pattern that ends "
                f"in / is of: {name_some(tree.image_folders)}"
            )
        return f"There are neither video files nor folders of images below {shown(tree.root.absolute())}"

    def _parsed(self, pattern: str) -> list[tuple[str, str]]:
        """Returns the kind and the text of each part of the pattern."""
        if pattern.startswith(("/", "./", "../")):
            raise self._wrong("it must be relative to data.root, without / or . at its start")
        tokens: list[tuple[str, str]] = []
        for token in _TOKEN.finditer(pattern):
            kind, text = str(token.lastgroup), token[0]
            if kind == "bad":
                raise self._wrong(f"its brace {text} has no other one")
            if kind == "name":
                if tokens and tokens[-1][0] == "name":
                    raise self._wrong(f"{text} and the name before it have nothing between them")
                text = token["name"]
                if not _NAME.fullmatch(text) or text in _NOT_ALLOWED:
                    raise self._wrong(
                        f"{{{text}}} is no name: use lower-case letters, digits and _, and none of "
                        f"{', '.join(_NOT_ALLOWED)}"
                    )
            tokens.append((kind, text))
        return tokens

    def _match(
        self, path: str, index: int, start: int, bound: Mapping[str, str], failed: set[Hashable]
    ) -> Mapping[str, str] | None:
        """Matches what is left of a path with what is left of the pattern, each combination once."""
        if index == len(self._tokens):
            return bound if start == len(path) else None
        tried = (index, start, *(bound.get(name) for name in self._repeated))
        if tried in failed:
            return None
        kind, text = self._tokens[index]
        for end in _ends(kind, bound.get(text, "") if kind == "name" else text, path, start):
            now = {**bound, text: path[start:end]} if kind == "name" else bound
            if (found := self._match(path, index + 1, end, now, failed)) is not None:
                return found
        failed.add(tried)
        return None

    def _wrong(self, problem: str) -> CorpusError:
        return CorpusError(
            f"data.pattern is {shown(self._pattern)}: {problem}. A pattern reads like {{subject}}/{{emotion}}/*.mp4, "
            "relative to data.root; in quotes on the command line: 'data.pattern=\"{subject}/{emotion}/*.mp4\"'"
        )


def _ends(kind: str, text: str, path: str, start: int) -> Iterable[int]:
    """Where a part of the pattern may end that begins at `start`, the preferred place first.

    Args:
        kind: As `_TOKEN` names it.
        text: What has to stand there; for a name empty where that is open.
        path: The path.
        start: The first character.
    """
    part = path.find("/", start)
    part = len(path) if part < 0 else part
    if kind == "text" or (kind == "name" and text):
        return [start + len(text)] if path.startswith(text, start) else []
    if kind == "name":
        return range(start + 1, part + 1)
    if kind == "one":
        return [start + 1] if start < part else []
    if kind == "folders":
        return [start, *(place + 1 for place in range(start, len(path)) if path[place] == "/")]
    return range(len(path) if len(text) > 1 else part, start - 1, -1)
