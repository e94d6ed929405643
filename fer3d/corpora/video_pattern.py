"""A pattern of paths, such as `{subject}/{emotion}/*.mp4`, that says what the folders and names of videos mean."""

from __future__ import annotations

import re
from collections.abc import Callable

from fer3d.corpora.layout import name_some, shown
from fer3d.corpora.sequences import CorpusError
from fer3d.corpora.video_table import NO_SUBJECTS, Row
from fer3d.corpora.video_tree import VideoTree

_TOKEN = re.compile(r"\{(?P<name>[^{}]*)\}|(?P<any>\*\*/)|(?P<stars>\*+)|(?P<one>\?)|(?P<text>[^{}*?]+)|(?P<bad>[{}])")
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
        names: set[str] = set()
        self.is_of_folders = pattern.endswith("/")
        self._regex = re.compile(self._compiled(pattern.removesuffix("/"), names), re.DOTALL)
        if "emotion" not in names:
            raise self._wrong("it has no {emotion}, so that nothing says what is shown")
        if subjects_known and "subject" not in names:
            raise self._wrong("it has no {subject}. " + NO_SUBJECTS)

    def rows(self, tree: VideoTree) -> tuple[list[Row], list[str]]:
        """Returns a row for each path that matches, and the videos that do not.

        Raises:
            CorpusError: None does.
        """
        rows, others = [], []
        for path in tree.image_folders if self.is_of_folders else tree.videos:
            match = self._regex.fullmatch(path)
            if match is None:
                others.append(path)
                continue
            said = {name: text.strip() for name, text in match.groupdict().items()}
            emotion = said.pop("emotion")
            subject = said.pop("subject") if self._subjects_known else ""
            rows.append(Row("", path, emotion, subject, columns=said))
        if self.is_of_folders:
            others = tree.videos
        if not rows:
            raise self._wrong(f"no {self._what()} below data.root matches it. {self._there(tree)}")
        return rows, others

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

    def _compiled(self, pattern: str, names: set[str]) -> str:
        if pattern.startswith(("/", "./", "../")):
            raise self._wrong("it must be relative to data.root, without / or . at its start")
        made: list[str] = []
        last = ""
        for token in _TOKEN.finditer(pattern):
            kind, text = str(token.lastgroup), token[0]
            if kind == "bad":
                raise self._wrong(f"its brace {text} has no other one")
            if kind == "name" and last == "name":
                raise self._wrong(f"{text} and the name before it have nothing between them")
            made.append(self._placeholder(token["name"], names) if kind == "name" else _PLAIN[kind](text))
            last = kind
        return "".join(made)

    def _placeholder(self, name: str, names: set[str]) -> str:
        if not _NAME.fullmatch(name) or name in _NOT_ALLOWED:
            raise self._wrong(
                f"{{{name}}} is no name: use lower-case letters, digits and _, and none of {', '.join(_NOT_ALLOWED)}"
            )
        if name in names:
            return f"(?P={name})"
        names.add(name)
        return f"(?P<{name}>[^/]+?)"

    def _wrong(self, problem: str) -> CorpusError:
        return CorpusError(
            f"data.pattern is {shown(self._pattern)}: {problem}. A pattern reads like {{subject}}/{{emotion}}/*.mp4, "
            "relative to data.root; in quotes on the command line: 'data.pattern=\"{subject}/{emotion}/*.mp4\"'"
        )


_PLAIN: dict[str, Callable[[str], str]] = {
    "any": lambda _: "(?:[^/]+/)*",
    "stars": lambda stars: ".*" if len(stars) > 1 else "[^/]*",
    "one": lambda _: "[^/]",
    "text": re.escape,
}
