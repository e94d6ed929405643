"""Type checking of the whole configuration, before anything starts.

The types are those of the code: `Settings` for `conf/train.yaml` itself, and for each part, the signature of its
`_target_`. A user's own class is checked in the same way.
"""

from __future__ import annotations

import difflib
import inspect
import json
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Le, MinLen
from hydra._internal.utils import _locate
from omegaconf import DictConfig, OmegaConf
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import SchemaError

Part = Annotated[Mapping[str, Any], "names its code by _target_"]
Parts = Mapping[str, Mapping[str, Any]]
Text = Annotated[str, MinLen(1)]
Count = Annotated[int, Ge(1)]
# The values of frames.order; see `fer3d.clips.frame_order`.
FrameOrderName = Literal["as_filmed", "reversed", "shuffled", "apex_repeated"]


class SettingsError(ValueError):
    """A setting that does not exist or has the wrong type; the message names it and says what it must be."""


@dataclass(frozen=True)
class ClipSettings:
    """The section `clips` of `conf/train.yaml`, which documents each key."""

    num_frames: Count
    on_unreadable: Literal["error", "skip"]
    clahe: bool
    normalise: bool
    memory: Annotated[float, Ge(0)] | None


@dataclass(frozen=True, kw_only=True)
class PreparationSettings:
    """The keys of `conf/train.yaml` except the parts of a training, whose code takes seconds to import."""

    data: Part
    faces: Part
    frames: Part
    cv: Part
    name: Text
    configuration: Text | None = None
    outputs: Text
    seed: Annotated[int, Ge(0)]
    batch_size: Count
    num_batches: Count | None
    learning_rate: Annotated[float, Ge(0)]
    class_weights: bool
    class_sampler: bool
    precision: Literal["auto", "32-true", "bf16-mixed"]
    compile: bool | Literal["auto"]
    cuda_graphs: bool
    start_from: Text | None
    start_names: Mapping[str, str] | None
    start_inflate: bool
    learning_rates: Mapping[str, Annotated[float, Ge(0)]] | None
    frozen: Mapping[str, Annotated[int, Ge(0)]] | None
    selected_by: Mapping[str, str | int] | None
    save_checkpoint: bool | None
    progress: bool
    clips: ClipSettings
    fold: int | Sequence[int] | None = None
    trial: int | None = None


@dataclass(frozen=True, kw_only=True)
class Settings(PreparationSettings):
    """The keys of `conf/train.yaml`, which documents each."""

    augment: Part
    model: Part
    optimizer: Part
    scheduler: Part
    trainer: Part
    callbacks: Parts
    logger: Parts
    search: Part


# Arguments that fer3d passes to a part, by the part's place.
_TOLD = {
    "model": ("num_classes", "num_frames", "size", "num_channels"),
    "optimizer": ("params",),
    "optimizer.inner": ("params",),
    "scheduler": ("optimizer", "num_steps"),
    "cv": ("subjects", "splits"),
    "cv.outer": ("subjects", "splits"),
    "cv.inner": ("subjects", "splits"),
    "hydra.sweeper.sampler": ("search_space",),
    "logger.csv": ("folder", "run_folder", "fold", "config"),
    "logger.wandb": ("folder", "run_folder", "fold", "config"),
}
# Those that a part must accept as keyword arguments; a network gets the others only if it accepts them.
_HAS_TO_TAKE = {"model": ("num_classes",), **{name: _TOLD[name] for name in ("logger.csv", "logger.wandb")}}
# Settings of a section that are no arguments of its part, and their types.
_BESIDES: dict[str, dict[str, Any]] = {"frames": {"order": FrameOrderName}}
# The method or attribute of a part that fer3d uses; a class without it is rejected.
_CALLED = {
    "data": "read",
    "faces": "extract",
    "faces.detector": "detect",
    "frames": "kept",
    "faces.crop": "crop",
    "augment": "plan",
    "model": "forward",
    "optimizer": "step",
    "optimizer.inner": "step",
    "scheduler": "step",
    "trainer": "fit",
    "logger.csv": "log_metrics",
    "logger.wandb": "log_metrics",
    "search": "protocol",
    "search.pruning": "prunes",
    "hydra.sweeper.sampler": "sample_relative",
}
# The arguments of Lightning's trainer that a user can set. fer3d sets the others, or they would change what a result
# holds: the held-out logits of all clips after each epoch.
_TRAINER = (
    "max_epochs",
    "accelerator",
    "devices",
    "deterministic",
    "benchmark",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "detect_anomaly",
    "profiler",
)
_INSTEAD_OF_TRAINER = {
    "precision": "set precision",
    "callbacks": "choose from the group callbacks, such as callbacks=learning_rate",
    "logger": "choose from the group logger, such as logger=csv",
    "enable_progress_bar": "set progress",
    "default_root_dir": "set outputs",
    "enable_checkpointing": "set save_checkpoint",
    "strategy": "a fold is trained on one device, and folds side by side as processes",
    "num_nodes": "a fold is trained on one device, and folds side by side as processes",
    **dict.fromkeys(
        ("fast_dev_run", "limit_train_batches", "limit_val_batches", "overfit_batches"),
        "debug=quick tries a run out, and num_batches makes its epochs short",
    ),
    **dict.fromkeys(("max_steps", "max_time", "min_epochs", "min_steps"), "set trainer.max_epochs"),
}
# Types that are narrower than the signature's.
_NARROWER: dict[str, Any] = {"trainer.max_epochs": Count, "trainer.accumulate_grad_batches": Count}
# The keys of a part that Hydra reads, and their types.
_HYDRAS: dict[str, Any] = {
    "_target_": str,
    "_partial_": bool,
    "_recursive_": bool,
    "_convert_": Literal["none", "partial", "object", "all"],
    "_args_": Sequence[Any],
}
# Settings by dotted names, which the command line makes groups of groups.
_BY_SUBMODULE = ("learning_rates", "frozen")
_MAX_SHOWN = 60


def checked(config: DictConfig, *, for_training: bool = True) -> DictConfig:
    """Checks a composed configuration: every key exists, and every value has the right type.

    Args:
        config: The configuration.
        for_training: Whether to check the parts of a training, which imports PyTorch; otherwise they are left out.

    Returns:
        The resolved configuration without Hydra's own part; whole numbers in place of texts are converted to texts.

    Raises:
        SettingsError: A setting is wrong; the message names its key.
    """
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    if missing := sorted(map(str, OmegaConf.missing_keys(own))):
        code = "my_module.MyClass" if missing[0].endswith("._target_") else "VALUE"
        raise SettingsError(f"{' and '.join(missing)} must be set, such as {missing[0]}={code}")
    plain: Any = OmegaConf.to_container(own, resolve=True, throw_on_missing=True)
    for key in _BY_SUBMODULE:
        if isinstance(plain.get(key), dict):
            plain[key] = _dotted(plain[key], key)
    kind = Settings if for_training else PreparationSettings
    left_out = {field.name for field in fields(Settings)} - {field.name for field in fields(kind)}
    found = check_arguments(kind, {name: value for name, value in plain.items() if name not in left_out})
    if for_training:
        _check_one_device(found["trainer"].get("devices", 1))
    if found["class_weights"] and found["class_sampler"]:
        raise SettingsError(
            "class_weights and class_sampler cannot both be true: each balances the classes, and together they would "
            "give rare classes more weight than the others; set one of them to false"
        )
    if found["cuda_graphs"] and any((found["frozen"] or {}).values()):
        raise SettingsError(
            "cuda_graphs cannot be true with frozen: a recorded step trains the same submodules in all epochs; set "
            "cuda_graphs=false"
        )
    if bad := set("/\\\0\n") & set(found["name"]):
        raise SettingsError(
            f"name must be a text that can name a folder, got {_shown(found['name'])} with {bad.pop()!r}"
        )
    return OmegaConf.create(found)


def _dotted(settings: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The values of nested groups by their dotted names."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        inner = {name: value}
        if value and isinstance(value, dict):
            inner = {f"{name}.{each}": at for each, at in _dotted(value, key).items()}
        if twice := found.keys() & inner:
            raise SettingsError(f"{key}.{min(twice)} is set twice")
        found |= inner
    return found


def check_arguments(target: Callable[..., Any], given: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Checks settings against the signature of the class or function that takes them.

    Args:
        target: A class or a function.
        given: The settings as plain values; `_target_` and the like are Hydra's.
        place: The dotted name of the section.

    Returns:
        The settings; whole numbers in place of texts are converted to texts.

    Raises:
        SettingsError: A setting does not exist or has the wrong type; or a section of `Settings` lacks one (a part may
            get it from a search).
    """
    parameters = inspect.signature(target).parameters
    hints, told, besides = _hints(target), _told(place), _BESIDES.get(place, {})
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    lacking = [] if takes_any else [name for name in _HAS_TO_TAKE.get(place, ()) if name not in parameters]
    if lacking:
        raise SettingsError(
            f"{place}._target_ must name a class or function that takes {', '.join(lacking)}, which fer3d passes"
        )
    known = [
        name
        for name, parameter in parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD and name not in told
    ]
    found: dict[str, Any] = {}
    # Plain values first, since parts refer to them.
    for name, value in sorted(given.items(), key=lambda item: isinstance(item[1], dict)):
        key = f"{place}.{name}" if place else str(name)
        if name in _HYDRAS and "_target_" in given:
            found[name] = value
        elif name in besides:
            found[name] = _check(besides[name], value, key)
        elif name in told:
            raise SettingsError(f"{key} cannot be set: {told[name]}")
        elif name in known or takes_any:
            found[name] = _check(_NARROWER.get(key, hints.get(str(name), Any)), value, key)
        else:
            raise _unknown(key, str(name), [*known, *besides])
    if is_dataclass(target):
        for name in known:
            if name not in given and parameters[name].default is inspect.Parameter.empty:
                raise SettingsError(f"{place}.{name} is missing".lstrip("."))
    return {name: found[name] for name in given}


def _told(place: str) -> Mapping[str, str]:
    """The arguments that cannot be set in a section, and why."""
    if place != "trainer":
        return dict.fromkeys(_TOLD.get(place, ()), "fer3d knows it from the clips and folds; leave it out")
    import pytorch_lightning as pl

    # A user's own class may have more arguments than Lightning's.
    others = [name for name in inspect.signature(pl.Trainer).parameters if name not in _TRAINER]
    why = "fer3d sets it, or it would change what a result means"
    return {name: f"{why}; {_INSTEAD_OF_TRAINER.get(name, 'leave it out')}" for name in others}


def _check(expected: Any, value: Any, key: str) -> Any:
    if isinstance(value, dict) and "_target_" in value:
        return _check_part(value, key)
    if expected == Part and isinstance(value, dict):
        raise SettingsError(f"{key} must name its code by _target_, got {_shown(value)}")
    if is_dataclass(expected) and isinstance(value, dict):
        section: Any = expected
        return check_arguments(section, value, key)
    if _holds_parts(value):
        items: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else enumerate(value)
        made = {name: _check(_element(expected), each, f"{key}.{name}") for name, each in items}
        return made if isinstance(value, dict) else list(made.values())
    faults = _faults(expected, value)
    if not faults:
        return value
    # Hydra reads 2024 as a number; where a text is expected, it is converted.
    if isinstance(value, int) and not isinstance(value, bool) and not _faults(expected, str(value)):
        return str(value)
    # The innermost setting at fault.
    place, inner = max((_found(value, fault) for fault in faults), key=lambda found: len(found[0]))
    element = _element(expected)
    if isinstance(value, dict) and place in value and element is not Any:
        return {name: _check(element, each, f"{key}.{name}") for name, each in value.items()}
    within = f", and {key}.{place} is {_shown(inner)}" if place else ""
    raise SettingsError(f"{key} must be {_described(expected)}, got {_shown(value)}{within}")


def _element(expected: Any) -> Any:
    """The type of the elements of a mapping or sequence; Any if it is not annotated."""
    for one in get_args(expected) if get_origin(expected) in (Union, types.UnionType) else (expected,):
        if one == Parts:
            return Part
        if isinstance(get_origin(one), type) and issubclass(get_origin(one), Mapping | Sequence):
            return get_args(one)[-1]
    return Any


def _found(value: Any, fault: Sequence[int | str]) -> tuple[str, Any]:
    """The dotted name and the value of the setting at fault."""
    names = []
    for name in fault:
        if isinstance(value, dict) and name in value:
            names.append(str(name))
            value = value[name]
    return ".".join(names), value


def _check_part(part: dict[str, Any], key: str) -> dict[str, Any]:
    target = part["_target_"]
    try:
        made = _locate(target)
    except Exception as error:
        why = " ".join(str(error).split())
        raise SettingsError(f"{key}._target_ must name a class or function, got {_shown(target)}: {why}") from error
    if not callable(made):
        raise SettingsError(f"{key}._target_ must name a class or function, got {_shown(target)}")
    called = _CALLED.get(key)
    if called and called not in _hints(made) and not hasattr(made, called) and inspect.isclass(made):
        raise SettingsError(f"{key}._target_ must name a class with {called}, which {_shown(target)} lacks")
    for name, kind in _HYDRAS.items():
        if name in part and _faults(kind, part[name]):
            raise SettingsError(f"{key}.{name} must be {_described(kind)}, got {_shown(part[name])}")
    try:
        return check_arguments(made, part, key)
    except (TypeError, ValueError) as error:
        if isinstance(error, SettingsError):
            raise
        return part  # a C function without a signature


def _check_one_device(devices: Any) -> None:
    if devices != 1 and not (isinstance(devices, list) and len(devices) == 1):
        raise SettingsError(
            f"trainer.devices must be 1, or [2] for the third GPU, got {_shown(devices)}: a fold is trained on one "
            "device, and folds side by side as processes"
        )


def _unknown(key: str, name: str, known: Collection[str]) -> SettingsError:
    like = difflib.get_close_matches(name, known, 1)
    instead = (
        f"did you mean {key.removesuffix(name)}{like[0]}?"
        if like
        else f"there are {', '.join(sorted(known)) or 'none'}"
    )
    return SettingsError(f"{key} is not a setting; {instead}")


@cache
def _hints(target: Callable[..., Any]) -> Mapping[str, Any]:
    """The types of a target's arguments; unresolvable ones are left out."""
    annotated = target.__init__ if inspect.isclass(target) and not is_dataclass(target) else target
    annotated = inspect.unwrap(annotated)
    try:
        return get_type_hints(annotated, include_extras=True)
    except Exception:
        pass
    hints: dict[str, Any] = {}
    for name, annotation in getattr(annotated, "__annotations__", {}).items():
        # Some libraries import the types of their annotations for type checkers only.
        lone = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            hints |= get_type_hints(lone, vars(inspect.getmodule(annotated)), include_extras=True)
        except Exception:
            continue
    return hints


@cache
def _adapter(expected: Any) -> TypeAdapter[Any] | None:
    """The adapter that checks values of a type; None if there is none."""
    # Some types bring their own configuration, and some exist only for type checkers and cannot be checked.
    for config in (ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False), None):
        with suppress(PydanticUserError, SchemaError, TypeError, NameError):
            return TypeAdapter(expected, config=config)
    return None


def _faults(expected: Any, value: Any) -> list[tuple[int | str, ...]]:
    """The locations at which a value violates a type; empty if it does not."""
    adapter = _adapter(expected)
    if adapter is None:
        # A plain value cannot be an instance of a type that cannot be checked, such as a Protocol.
        return [()] if isinstance(expected, type) else []
    try:
        # As JSON, where a list also stands for a tuple; strict, so that neither "no" nor 1 counts as a boolean.
        adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        return [fault["loc"] for fault in error.errors(include_url=False, include_input=False)]
    except TypeError:
        return [()]
    return []


def _holds_parts(value: Any) -> bool:
    if isinstance(value, dict):
        return "_target_" in value or any(map(_holds_parts, value.values()))
    return isinstance(value, list) and any(map(_holds_parts, value))


_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
    type(None): "null",
}


def _described(expected: Any) -> str:
    origin, arguments = get_origin(expected), get_args(expected)
    if origin is Annotated:
        least = [f" of at least {bound.ge}" for bound in arguments[1:] if isinstance(bound, Ge)]
        most = [f" of at most {bound.le}" for bound in arguments[1:] if isinstance(bound, Le)]
        return _described(arguments[0]) + " and".join([*least, *most])
    if origin is Literal:
        return "one of " + ", ".join(_shown(choice).strip('"') for choice in arguments)
    if origin in (Union, types.UnionType):
        words = [_described(argument) for argument in arguments]
        return " or ".join(dict.fromkeys(words))
    if (isinstance(origin, type) and issubclass(origin, Mapping)) or is_dataclass(expected):
        return "a group of settings"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        inner = [_described(argument) for argument in arguments if argument is not Ellipsis]
        return f"[{', '.join(inner)}]" if origin is tuple and Ellipsis not in arguments else f"[{inner[0]}, ...]"
    return _WORDS.get(expected) or str(getattr(expected, "__name__", expected))


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except TypeError:
        text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
