"""Tables of predictions, written as CSV or Parquet."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fer3d.atomic_folder import work_folder
from fer3d.prediction.steps import Prediction
from fer3d.prediction.trained import PredictionError

if TYPE_CHECKING:
    import pandas as pd

TABLE_ENDINGS = (".csv", ".parquet")
# Rows per Parquet row group.
_GROUP = 4096
_TEXTS = ("file", "label", "why", "caution")
_NUMBERS = ("face", "frame")


def columns(emotions: Sequence[str]) -> list[str]:
    """Returns the column names of a table.

    Args:
        emotions: The class names; each has a column of probabilities and one of smoothed probabilities.
    """
    return [
        *("file", "face", "time_from", "time_to", "frame", "x1", "y1", "x2", "y2", "confidence"),
        *emotions,
        *(f"{emotion}_smoothed" for emotion in emotions),
        *("entropy", "label", "why", "caution"),
    ]


def row_of(prediction: Prediction, file: str, emotions: Sequence[str], caution: str) -> dict[str, Any]:
    """Returns a prediction as a row with every column; missing values are None."""
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
    """Context manager that streams rows to a file, which appears only when complete.

    Args:
        path: A `.csv` or `.parquet` file.
        emotions: The class names.

    Raises:
        PredictionError: See `check_table_path`; or an emotion has the name of another column.
        DiskError: The disk is full or not writable.
    """

    def __init__(self, path: Path, emotions: Sequence[str]) -> None:
        check_table_path(path)
        self._path, self._emotions = path, tuple(emotions)
        names = Counter(columns(self._emotions))
        if twice := [name for name, number in names.items() if number > 1]:
            raise PredictionError(
                f"each emotion has a column in the table, and {', '.join(twice)} would occur twice: rename the emotion"
            )
        self._rows: list[dict[str, Any]] = []
        self._is_parquet = path.suffix.lower() == ".parquet"
        self._block = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            work = stack.enter_context(work_folder(self._path)) / "table"
            # Callbacks run in reverse order and do nothing after an exception.
            stack.push(lambda kind, *_: self._take_place(work) if kind is None else None)
            if self._is_parquet:
                import pyarrow.parquet

                self._parquet = stack.enter_context(pyarrow.parquet.ParquetWriter(work, self._schema()))
                stack.push(lambda kind, *_: self._write_group() if kind is None else None)
            else:
                file = stack.enter_context(work.open("w", encoding="utf-8", newline=""))
                self._csv = csv.DictWriter(file, columns(self._emotions))
                self._csv.writeheader()
            self._block = stack.pop_all()
        return self

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds a row of `row_of`."""
        if not self._is_parquet:
            self._csv.writerow(row)
            return
        self._rows.append(dict(row))
        if len(self._rows) >= _GROUP:
            self._write_group()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._block.__exit__(kind, error, trace)

    def _take_place(self, work: Path) -> None:
        work.replace(self._path)

    def _write_group(self) -> None:
        import pyarrow

        self._parquet.write_table(pyarrow.Table.from_pylist(self._rows, self._schema()))
        self._rows.clear()

    def _schema(self) -> Any:
        import pyarrow

        kinds = {**dict.fromkeys(_TEXTS, pyarrow.string()), **dict.fromkeys(_NUMBERS, pyarrow.int64())}
        return pyarrow.schema([(name, kinds.get(name, pyarrow.float64())) for name in columns(self._emotions)])


def check_table_path(path: Path) -> None:
    """Checks that a table can be written.

    Raises:
        PredictionError: The suffix is not supported, the path is a folder, or pyarrow is not installed.
    """
    if path.suffix.lower() not in TABLE_ENDINGS:
        raise PredictionError(f"{path} must end in {' or '.join(TABLE_ENDINGS)}")
    if path.is_dir():
        raise PredictionError(f"{path} is a folder, but a table is a file: give another name")
    if path.suffix.lower() == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise PredictionError(f"{path} needs pyarrow: pip install 'fer3d[parquet]', or write a .csv") from error


def _numeric(emotions: Sequence[str]) -> Iterator[str]:
    return (name for name in columns(emotions) if name not in (*_TEXTS, *_NUMBERS))


def _rounded(value: float) -> float:
    return round(float(value), 6)
