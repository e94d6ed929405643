"""Path patterns such as `{subject}/{emotion}/*.mp4`, which extract labels from the paths of videos."""

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
# Not available in patterns: the file itself or a table provides them.
_NOT_ALLOWED = ("path", "start", "end")


class PathPattern:
    """A pattern of paths relative to a corpus's root.

    `{subject}`, `{emotion}` and any other name in braces match a non-empty part of a folder or file name, as short as
    possible; a repeated name matches the same text. `*` and `?` match any text and any character within a name, `**/`
    any number of folders. A pattern that ends in `/` matches folders of frame images.

    Args:
        pattern: The pattern.
        subjects_known: Whether `{subject}` is required.

    Raises:
        CorpusError: The pattern is invalid, or lacks the emotion or subject.
    """

    def __init__(self, pattern: str, subjects_known: bool) -> None:
        self._pattern = pattern
        self._subjects_known = subjects_known
        self.is_of_folders = pattern.endswith("/")
        self._tokens = self._parsed(pattern.removesuffix("/"))
        names = [text for kind, text in self._tokens if kind == "name"]
        self._repeated = [name for name, count in Counter(names).items() if count > 1]
        if "emotion" not in names:
            raise self._wrong("it has no {emotion}, so the emotion is unknown")
        if subjects_known and "subject" not in names:
            raise self._wrong("it has no {subject}. " + NO_SUBJECTS)

    def rows(self, tree: VideoTree) -> list[Row]:
        """Returns a row for each matching path.

        Raises:
            CorpusError: No path matches.
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
                f"There are no video files, but {len(tree.image_folders)} folders of images, which need a pattern that "
                f"ends in /: {name_some(tree.image_folders)}"
            )
        return f"There are no video files and no folders of images below {shown(tree.root.absolute())}"

    def _parsed(self, pattern: str) -> list[tuple[str, str]]:
        """Splits the pattern into parts, each with its kind and text."""
        if pattern.startswith(("/", "./", "../")):
            raise self._wrong("it must be relative to data.root, without / or . at the start")
        tokens: list[tuple[str, str]] = []
        for token in _TOKEN.finditer(pattern):
            kind, text = str(token.lastgroup), token[0]
            if kind == "bad":
                raise self._wrong(f"its brace {text} is unbalanced")
            if kind == "name":
                if tokens and tokens[-1][0] == "name":
                    raise self._wrong(f"there must be text between {text} and the name before it")
                text = token["name"]
                if not _NAME.fullmatch(text) or text in _NOT_ALLOWED:
                    raise self._wrong(
                        f"{{{text}}} is not a valid name: use lower-case letters, digits and _, but not "
                        f"{', '.join(_NOT_ALLOWED)}"
                    )
            tokens.append((kind, text))
        return tokens

    def _match(
        self, path: str, index: int, start: int, bound: Mapping[str, str], failed: set[Hashable]
    ) -> Mapping[str, str] | None:
        """Matches the rest of a path with the rest of the pattern, trying each combination once."""
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
            f"data.pattern is {shown(self._pattern)}: {problem}. Expected one such as {{subject}}/{{emotion}}/*.mp4 "
            "relative to data.root; quote it on the command line: 'data.pattern=\"{subject}/{emotion}/*.mp4\"'"
        )


def _ends(kind: str, text: str, path: str, start: int) -> Iterable[int]:
    """Possible end positions of a part of the pattern that begins at `start`, preferred ones first.

    Args:
        kind: A group name of `_TOKEN`.
        text: The text to match; empty for an unbound name.
        path: The path.
        start: Position of the first character.
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
