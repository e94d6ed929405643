from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_steps import EMOTIONS, made_steps
from small_disk import SmallDisk

from fer3d.disk import DiskError
from fer3d.prediction.steps import Prediction
from fer3d.prediction.table import TableWriter, check_table_path, columns, frame_of, row_of
from fer3d.prediction.trained import PredictionError

TEXTS = ("file", "label", "why", "caution")
NAME = 'a "b", c\nd ü.mp4'


@pytest.fixture(scope="module")
def predictions() -> list[Prediction]:
    """Of faces that come and go, with labels and with reasons for none."""
    return [prediction for step in made_steps(100, num_faces=2) for prediction in step.predictions]


@pytest.fixture(scope="module")
def rows(predictions: list[Prediction]) -> list[dict[str, Any]]:
    nobody = Prediction(None, 9.0, 9.0, 270, None, None, None, None, None, "", "no face")
    return [row_of(prediction, NAME, EMOTIONS, "SYNTHETIC") for prediction in (*predictions, nobody)]


def written(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    with TableWriter(path, EMOTIONS) as writer:
        for row in rows:
            writer.add(row)
    return path


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(
        path, keep_default_na=False, na_values={name: "" for name in columns(EMOTIONS) if name not in TEXTS}
    )


def test_a_row_has_every_column_and_says_what_was_predicted(predictions: list[Prediction]) -> None:
    prediction = next(each for each in predictions if each.label)
    row = row_of(prediction, "a.mp4", EMOTIONS, "")
    assert list(row) == columns(EMOTIONS)
    told = (row["face"], row["frame"], row["label"], row["why"])
    assert told == (prediction.face, prediction.frame, prediction.label, "")
    assert [row["x1"], row["y1"], row["x2"], row["y2"]] == pytest.approx(list(prediction.box or ()), abs=0.051)
    for ending, shares in (("", prediction.probabilities), ("_smoothed", prediction.smoothed)):
        assert [row[f"{emotion}{ending}"] for emotion in EMOTIONS] == pytest.approx(np.asarray(shares), abs=1e-6)


def test_probabilities_add_up_to_1_wherever_there_are_some(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    found = read(written(tmp_path / "a.csv", rows))
    for names in (list(EMOTIONS), [f"{emotion}_smoothed" for emotion in EMOTIONS]):
        sums = found[names].sum(axis=1, skipna=False)
        assert sums.dropna().to_numpy() == pytest.approx(1, abs=1e-5)
        assert sums.isna().tolist() == [not row["entropy"] for row in rows]
        assert sums.notna().sum() > 5
    # Either a label or a reason for none.
    assert ((found["label"] == "") == (found["why"] != "")).all()


@pytest.mark.parametrize("number", [0, 30])
def test_csv_and_parquet_hold_the_same(tmp_path: Path, rows: list[dict[str, Any]], number: int) -> None:
    one, other = (read(written(tmp_path / f"a{suffix}", rows[:number])) for suffix in (".csv", ".parquet"))
    assert len(one) == number
    assert set(one["file"]) == ({NAME} if number else set())
    pd.testing.assert_frame_equal(one, other, check_dtype=False)


def test_a_data_frame_is_what_a_file_holds(
    tmp_path: Path, rows: list[dict[str, Any]], predictions: list[Prediction]
) -> None:
    frame = frame_of(predictions, NAME, EMOTIONS, "SYNTHETIC")
    pd.testing.assert_frame_equal(frame, read(written(tmp_path / "a.parquet", rows[:-1])), check_dtype=False)
    assert frame["face"].dtype == "Int64"
    assert list(frame_of([], NAME, EMOTIONS, "")) == columns(EMOTIONS)


def test_parquet_files_of_many_rows_are_written_in_parts(
    tmp_path: Path, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer3d.prediction.table._GROUP", 4)
    whole = read(written(tmp_path / "a.parquet", rows))
    pd.testing.assert_frame_equal(whole, read(written(tmp_path / "a.csv", rows)), check_dtype=False)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_is_there_whole_or_not_at_all(tmp_path: Path, rows: list[dict[str, Any]], suffix: str) -> None:
    path = tmp_path / "new" / f"a{suffix}"

    def broken_off() -> Iterator[dict[str, Any]]:
        yield rows[0]
        assert path.exists() == bool(before)
        raise KeyboardInterrupt

    before = b""
    with pytest.raises(KeyboardInterrupt):
        written(path, broken_off())
    assert list(path.parent.iterdir()) == []
    before = written(path, rows).read_bytes()
    with pytest.raises(KeyboardInterrupt):
        written(path, broken_off())
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    assert written(path, rows[:3]).read_bytes() != before


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    small_disk: SmallDisk, rows: list[dict[str, Any]], suffix: str
) -> None:
    small_disk.fill(num_left=60_000)
    path = small_disk.folder / f"a{suffix}"
    generator = np.random.default_rng(0)

    def endless() -> Iterator[dict[str, Any]]:
        for number in range(200_000):
            yield {**rows[0], "anger": float(generator.uniform()), "frame": number}

    with pytest.raises(DiskError, match=r"a\.(csv|parquet) cannot be written: No space left on device"):
        written(path, endless())
    assert [each.name for each in small_disk.folder.iterdir()] == ["filler"]


def test_what_can_be_no_table_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match=r"a\.xlsx must end in \.csv or \.parquet"):
        check_table_path(tmp_path / "a.xlsx")
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(PredictionError, match=r"b\.csv is a folder"):
        check_table_path(tmp_path / "b.csv")
    check_table_path(tmp_path / "C.CSV")


@pytest.mark.parametrize("emotions", [("happy", "face"), ("happy", "happy_smoothed"), ("label",)])
def test_emotions_that_are_called_as_columns_are_refused(tmp_path: Path, emotions: tuple[str, ...]) -> None:
    with pytest.raises(PredictionError, match="twice"):
        TableWriter(tmp_path / "a.csv", emotions)


def test_parquet_without_its_library_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(PredictionError, match=r"needs pyarrow: pip install 'fer3d\[parquet\]'"):
        TableWriter(tmp_path / "a.parquet", EMOTIONS)
