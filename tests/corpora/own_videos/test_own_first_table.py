"""What the names of folders and files are taken for."""

from __future__ import annotations

import pytest

from fer3d.corpora.own_videos.first_table import Guess, guess_rows, table_text


def guessed(*paths: str) -> list[tuple[str, str, str]]:
    return [(row.emotion, row.subject, row.split) for row in guess_rows(paths)]


@pytest.mark.parametrize(
    ("paths", "emotions", "subjects"),
    [
        (["s1/happy/a.mp4", "s1/sad/a.mp4", "s2/happy/a.mp4"], "happy sad happy", "s1 s1 s2"),
        (["happy/s1/a.mp4", "sad/s1/a.mp4", "happy/s2/a.mp4"], "happy sad happy", "s1 s1 s2"),
        (
            ["all/Anna/Happiness/1.avi", "all/Anna/Anger/1.avi", "all/Ben/Anger/2.avi"],
            "happiness anger anger",
            "Anna Anna Ben",
        ),
        (["s01_happy_1.mp4", "s01_sad_1.mp4", "s02_sad_1.mp4"], "happy sad sad", "s01 s01 s02"),
        (["happy/s01.mp4", "sad/s01.mp4", "sad/s02.mp4"], "happy sad sad", "s01 s01 s02"),
        (
            ["happy/anna-1.mp4", "sad/anna-1.mp4", "sad/ben-1.mp4", "happy/ben-2.mp4"],
            "happy sad sad happy",
            "anna anna ben ben",
        ),
        (["HappyAnna01.mp4", "sadAnna02.mp4"], "happy sad", "? ?"),
        (["happy/001.mp4", "happy/002.mp4", "sad/001.mp4", "sad/002.mp4"], "happy happy sad sad", "? ? ? ?"),
        (["a.mp4", "b.mp4"], "? ?", "? ?"),
        (["s1/happy_or_sad.mp4", "s1/happy.mp4", "s2/happy.mp4"], "? happy happy", "s1 s1 s2"),
        (["s1/joy/a.mp4", "s1/happy/b.mp4", "s2/happy/c.mp4"], "happy happy happy", "s1 s1 s2"),
    ],
)
def test_guesses(paths: list[str], emotions: str, subjects: str) -> None:
    found = guess_rows(paths)
    assert " ".join(row.emotion or "?" for row in found) == emotions
    assert " ".join(row.subject or "?" for row in found) == subjects


def test_names_of_ravdess_and_crema_d_are_known() -> None:
    assert guessed("Actor_12/02-01-06-01-02-01-12.mp4") == [("fearful", "12", "")]
    assert guessed("VideoFlash/1001_DFA_ANG_XX.flv") == [("anger", "1001", "")]
    assert guess_rows(["1001_DFA_ANG_XX.flv"])[0].corpus == "crema_d"


def test_a_level_of_splits_is_one() -> None:
    paths = ["train/s1/happy/a.mp4", "Test/s2/sad/a.mp4", "validation/s1/sad/b.mp4", "s2/sad/c.mp4"]
    assert guessed(*paths) == [("happy", "s1", "train"), ("sad", "s2", "test"), ("sad", "s1", "val"), ("sad", "s2", "")]


def test_the_table_is_csv() -> None:
    text = table_text([Guess('a "b", c.mp4', "happy", "s1"), Guess("d.mp4")])
    assert text == 'path,emotion,subject\n"a ""b"", c.mp4",happy,s1\nd.mp4,,\n'
    assert table_text([Guess("d.mp4", split="train")]).splitlines() == ["path,emotion,subject,split", "d.mp4,,,train"]
