"""Predictions as rows, and as files of rows: CSV, or Parquet by its ending."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fer3d.disk import writing
from fer3d.prediction.steps import Prediction
from fer3d.prediction.trained import PredictionError

if TYPE_CHECKING:
    import pandas as pd

TABLE_ENDINGS = (".csv", ".parquet")
# Rows that a Parquet file takes at once.
_GROUP = 4096
_TEXTS = ("file", "label", "why", "caution")
_NUMBERS = ("face", "frame")


def columns(emotions: Sequence[str]) -> list[str]:
    """Returns the names of a table's columns.

    Args:
        emotions: The class names; each has its probability in a column of its name, and smoothed in another.
    """
    return [
        *("file", "face", "time_from", "time_to", "frame", "x1", "y1", "x2", "y2", "confidence"),
        *emotions,
        *(f"{emotion}_smoothed" for emotion in emotions),
        *("entropy", "label", "why", "caution"),
    ]


def row_of(prediction: Prediction, file: str, emotions: Sequence[str], caution: str) -> dict[str, Any]:
    """Returns a prediction as a row: every column, None where there is nothing to say."""
    box = [None] * 4 if prediction.box is None else [round(float(edge), 1) for edge in prediction.box]
    raw = [None] * len(emotions) if prediction.probabilities is None else map(_rounded, prediction.probabilities)
    smoothed = [None] * len(emotions) if prediction.smoothed is None else map(_rounded, prediction.smoothed)
    values = [
        *(file, prediction.face, round(prediction.time_from, 4), round(prediction.time_to, 4), prediction.frame),
        *box,
        *(None if prediction.confidence is None else round(prediction.confidence, 4), *raw, *smoothed),
        *(None if prediction.entropy is None else _rounded(prediction.entropy), prediction.label, prediction.why),
        caution,
    ]
    return dict(zip(columns(emotions), values, strict=True))


def frame_of(predictions: Iterable[Prediction], file: str, emotions: Sequence[str], caution: str) -> pd.DataFrame:
    """Returns predictions as a data frame."""
    import pandas as pd

    rows = [row_of(prediction, file, emotions, caution) for prediction in predictions]
    found = pd.DataFrame(rows, columns=columns(emotions))
    texts = {name: "string" for name in _TEXTS}
    return found.astype({**dict.fromkeys(_numeric(emotions), "float64"), **dict.fromkeys(_NUMBERS, "Int64"), **texts})


class TableWriter:
    """A context manager that writes rows as they come; the file is there whole, or not at all.

    Args:
        path: A `.csv` or `.parquet` file.
        emotions: The class names.

    Raises:
        PredictionError: The ending is another, or Parquet needs a library that is not installed.
    """

    def __init__(self, path: Path, emotions: Sequence[str]) -> None:
        check_table_path(path)
        self._path, self._emotions = path, tuple(emotions)
        self._work = path.with_name(f".{path.name}.partial-{uuid4().hex[:6]}")
        self._rows: list[dict[str, Any]] = []
        self._is_parquet = path.suffix.lower() == ".parquet"

    def __enter__(self) -> TableWriter:
        with writing(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._is_parquet:
                import pyarrow.parquet

                self._parquet = pyarrow.parquet.ParquetWriter(self._work, self._schema())
            else:
                self._file = self._work.open("w", encoding="utf-8", newline="")
                self._csv = csv.DictWriter(self._file, columns(self._emotions))
                self._csv.writeheader()
        return self

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds what `row_of` returned."""
        if self._is_parquet:
            self._rows.append(dict(row))
            if len(self._rows) >= _GROUP:
                self._write_group()
        else:
            with writing(self._path):
                self._csv.writerow(row)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with writing(self._path):
                if self._is_parquet:
                    if kind is None:
                        self._write_group()
                    self._parquet.close()
                else:
                    self._file.close()
                if kind is None:
                    self._work.replace(self._path)
        finally:
            self._work.unlink(missing_ok=True)

    def _write_group(self) -> None:
        import pyarrow

        with writing(self._path):
            self._parquet.write_table(pyarrow.Table.from_pylist(self._rows, self._schema()))
        self._rows.clear()

    def _schema(self) -> Any:
        import pyarrow

        kinds = {**dict.fromkeys(_TEXTS, pyarrow.string()), **dict.fromkeys(_NUMBERS, pyarrow.int64())}
        return pyarrow.schema([(name, kinds.get(name, pyarrow.float64())) for name in columns(self._emotions)])


def check_table_path(path: Path) -> None:
    """Makes sure that a table can be written.

    Raises:
        PredictionError: The ending is no table's, or Parquet needs a library that is not installed.
    """
    if path.suffix.lower() not in TABLE_ENDINGS:
        raise PredictionError(f"{path} should end in {' or '.join(TABLE_ENDINGS)}")
    if path.suffix.lower() == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise PredictionError(f"{path} needs pyarrow: pip install 'fer3d[parquet]', or write a .csv") from error


def _numeric(emotions: Sequence[str]) -> Iterator[str]:
    return (name for name in columns(emotions) if name not in (*_TEXTS, *_NUMBERS))


def _rounded(value: float) -> float:
    return round(float(value), 6)
