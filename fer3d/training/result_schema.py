"""The schema of `result.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    Tag,
    ValidationError,
    model_validator,
)

from fer3d.checked_json import first_error
from fer3d.clips.folds import FoldKind

FORMAT_VERSION = 2

Finite = Annotated[NonNegativeFloat, Field(allow_inf_nan=False)]


class _Entries(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _NumCorrect(_Entries):
    last_epoch: int
    best_epoch: int
    every_epoch: list[int]


class _Start(_Entries):
    corpus: str
    synthetic: bool
    clip_store: str
    digest: str
    fold: int
    weights: str


class _ExternalStart(_Entries):
    file: str
    weights: str
    subjects: None
    caution: str
    num_loaded: PositiveInt
    num_inflated: NonNegativeInt
    num_without_place: NonNegativeInt
    num_not_in_file: NonNegativeInt


def _start_kind(start: Any) -> str:
    return "external" if isinstance(start, dict) and "file" in start else "fer3d"


class _Target(_Entries):
    target: str = Field(alias="_target_")


class _Clips(_Entries):
    num_frames: PositiveInt


class _Crop(_Entries):
    size: PositiveInt


class _Faces(_Entries):
    crop: _Crop


class _SelectedBy(_Entries):
    study: str
    trial: int
    corpus: str


class _Config(_Entries):
    name: str | int | float
    cv: _Target
    model: _Target
    clips: _Clips
    faces: _Faces
    trainer: dict[str, Any]
    selected_by: _SelectedBy | None = None


class _Chosen(_Entries):
    study: str
    trial: int
    accuracy: float
    params: dict[str, Any]


class _Result(_Entries):
    format: Literal[2]
    fold: PositiveInt
    num_held_out: NonNegativeInt
    num_correct: _NumCorrect
    run: str
    digest: str
    corpus: str
    synthetic: bool
    subject_independent: bool = True
    subjects_known: bool = True
    num_shared_subjects: NonNegativeInt = 0
    clip_store: str
    start_from: (
        Annotated[
            Annotated[_Start, Tag("fer3d")] | Annotated[_ExternalStart, Tag("external")], Discriminator(_start_kind)
        ]
        | None
    )
    seed: int
    precision: str
    subjects: list[str]
    cv_kind: Annotated[FoldKind, Field(strict=False)] | None = None
    num_folds: PositiveInt
    num_clips: PositiveInt
    num_train: PositiveInt
    num_train_with_copies: dict[str, int]
    finished: str
    seconds: Finite
    clips_per_second: Finite | None = None
    num_parameters: NonNegativeInt | None = None
    gflop: Finite | None = None
    device: str
    compiled: bool | None = None
    versions: dict[str, str]
    config: _Config
    chosen: _Chosen | None = None

    @model_validator(mode="after")
    def _check_independence(self) -> Self:
        if self.subject_independent != (self.subjects_known and not self.num_shared_subjects):
            raise ValueError("subject_independent contradicts subjects_known and num_shared_subjects")
        return self


def check_entries(content: Any) -> Mapping[str, Any]:
    """Checks that every entry that fer3d reads exists and has the right type; other entries are kept.

    Raises:
        ValueError: An entry is missing or has another type; the message names the first.
    """
    if not isinstance(content, dict):
        raise ValueError(f"the file holds a {type(content).__name__} instead of an object")
    if content.get("format") != FORMAT_VERSION:
        raise ValueError(f"its format is {content.get('format')!r} instead of {FORMAT_VERSION}")
    try:
        _Result.model_validate(content)
    except ValidationError as error:
        raise ValueError(first_error(error)) from error
    return content
