"""External weights: files of other libraries, whose names and shapes are mapped to a network's own."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fer3d.training.checkpoint import (
    CLASSIFIER,
    EXTERNAL_CAUTION,
    Checkpoint,
    CheckpointError,
    starting_checkpoint,
    weights_digest,
)

_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
# What transformers calls the weights in a model's folder.
_IN_FOLDER = "model.safetensors"
# Entries that may hold the weights.
_WRAPPERS = ("state_dict", "model")
_MAX_NAMED = 4


@dataclass(frozen=True)
class Fitted:
    """What becomes of a file's weights in a network.

    Attributes:
        file: The file's name.
        loaded: The weights that have a place, by the network's names, in its shapes and types.
        num_inflated: How many of them were copied over time.
        without_place: Names in the file that have no place in the network.
        not_in_file: The network's weights that the file lacks and that start afresh.
    """

    file: str
    loaded: Mapping[str, Tensor]
    num_inflated: int
    without_place: tuple[str, ...]
    not_in_file: tuple[str, ...]

    @property
    def numbers(self) -> dict[str, int]:
        """Counts for a fold's result."""
        return {
            "num_loaded": len(self.loaded),
            "num_inflated": self.num_inflated,
            "num_without_place": len(self.without_place),
            "num_not_in_file": len(self.not_in_file),
        }

    @property
    def lines(self) -> list[str]:
        """What was loaded, what has no place and what starts afresh, each with its names abbreviated."""
        loaded, num_own = len(self.loaded), len(self.loaded) + len(self.not_in_file)
        inflated = f", {self.num_inflated} of them copied over time" if self.num_inflated else ""
        return [
            f"{loaded} of the network's {num_own} tensors start from {self.file}{inflated}: {_few(self.loaded)}",
            f"{len(self.without_place)} of the file have no place in the network: {_few(self.without_place)}",
            f"{len(self.not_in_file)} are not in the file and start afresh: {_few(self.not_in_file)}",
        ]


@dataclass(frozen=True)
class ExternalWeights:
    """The weights of a file that fer3d did not write, with the settings that map them to a network.

    Attributes:
        file: The file's name.
        tensors: Its tensors, by the names that they have there.
        names: Regular expressions and their replacements in these names, applied first (`start_names`).
        inflate: Whether weights of 2D convolutions may be copied over time (`start_inflate`).
    """

    file: str
    tensors: Mapping[str, Tensor]
    names: Mapping[str, str]
    inflate: bool = False

    @classmethod
    def read(cls, path: Path, names: Mapping[str, str] | None = None, inflate: bool = False) -> ExternalWeights:
        """Reads weights without running any code that the file may contain.

        Args:
            path: A `.safetensors` file, a folder with a `model.safetensors`, or a PyTorch state dict.
            names: See `ExternalWeights`.
            inflate: See `ExternalWeights`.

        Raises:
            CheckpointError: The file does not exist or is no state dict; or a name is no regular expression.
        """
        for pattern in names or ():
            try:
                re.compile(pattern)
            except re.error as error:
                raise CheckpointError(
                    f"start_names has {pattern!r}, which is not a regular expression: {error}"
                ) from error
        is_folder = path.is_dir()
        file = path / _IN_FOLDER if is_folder else path
        if not file.is_file():
            what = f"a folder without {_IN_FOLDER} (in one file, not in parts)" if is_folder else "not a file"
            raise CheckpointError(
                f"start_from is {path}, which is {what}; give a last.ckpt of fer3d, a .safetensors file, a folder that "
                f"holds {_IN_FOLDER}, or a PyTorch state dict ({', '.join(_SUFFIXES[1:])})"
            )
        try:
            tensors = load_file(file) if file.suffix == _SUFFIXES[0] else _load_state_dict(file)
        except CheckpointError:
            raise
        except pickle.UnpicklingError as error:
            raise _unreadable(path, "it contains more than tensors and plain values") from error
        except Exception as error:  # reading a damaged archive may raise anything
            # PyTorch parses any other file as a pickle and reports its first byte as an unknown opcode.
            other = isinstance(error, KeyError | IndexError | EOFError)
            raise _unreadable(path, "it has another file format" if other else error) from error
        if not tensors:
            raise _unreadable(path, "it has no weights")
        return cls(f"{path.name}/{_IN_FOLDER}" if is_folder else path.name, tensors, names or {}, inflate)

    @cached_property
    def weights_digest(self) -> str:
        """SHA-256 of the file's weights, as in `Checkpoint`."""
        return weights_digest(self.tensors)

    @property
    def external_weights(self) -> str:
        """The file's name, as in `Checkpoint`."""
        return self.file

    def origin(self) -> dict[str, Any]:
        """Provenance for a fold's result; `subjects` is None because nobody knows them."""
        return {"file": self.file, "weights": self.weights_digest, "subjects": None, "caution": EXTERNAL_CAUTION}

    def fitted(self, network: nn.Module) -> Fitted:
        """Maps the weights to a network, which stays as it is.

        The network's own method `own_name`, if it has one, states its name of a weight; otherwise names are equal. The
        submodule `classifier` is left out, since nobody knows which emotions it tells apart.

        Raises:
            CheckpointError: Weights have the wrong shape or type, are not finite, or two have one name; or there is
                nothing to load.
        """
        own = network.state_dict()
        own_name = getattr(network, "own_name", str)
        sources: dict[str, str] = {}
        without_place = []
        for name in self.tensors:
            mapped = own_name(self._renamed(name))
            if mapped not in own or mapped.partition(".")[0] == CLASSIFIER:
                without_place.append(name)
            elif mapped in sources:
                raise CheckpointError(
                    f"start_from has {sources[mapped]} and {name}, which are both {mapped} in the network: tell them "
                    "apart by start_names"
                )
            else:
                sources[mapped] = name
        if all(name.endswith("num_batches_tracked") for name in sources):
            raise CheckpointError(
                f"start_from is {self.file}, in which nothing has a place in the network: it has names such as "
                f"{_few(self.tensors)}, and the network such as {_few(own)}. Map them by start_names, or use another "
                "network"
            )
        faults, infinite, flat, loaded = [], [], [], {}
        for mapped, name in sources.items():
            given, wanted = self.tensors[name], own[mapped]
            if _extent_in_time(given, wanted) > 1 and not self.inflate:
                flat.append(mapped)
            elif fault := _fault(given, wanted):
                faults.append(f"{name} is {fault[0]} there and {mapped} is {fault[1]} here")
            else:
                loaded[mapped] = _as(given, wanted)
                if not torch.isfinite(loaded[mapped]).all():
                    infinite.append(name)
        if faults:
            raise CheckpointError(
                f"start_from does not fit the network in {len(faults)} places: {_few(faults, '; ')}. Use the network "
                "of the weights, or give such names no place by start_names"
            )
        if infinite:
            raise CheckpointError(
                f"start_from is {self.file}, in which {len(infinite)} tensors have values that are not finite, or too "
                f"large for the network's type: {_few(infinite)}. Its training diverged, or it is damaged: use another"
            )
        if flat:
            raise CheckpointError(
                f"start_from has 2D convolutions for {len(flat)} of the network's 3D ones ({_few(flat)}): set "
                "start_inflate=true, which copies them over time, or use a network of 2D convolutions"
            )
        inflated = [name for name, source in sources.items() if _extent_in_time(self.tensors[source], own[name]) > 1]
        not_in_file = tuple(name for name in own if name not in loaded)
        return Fitted(self.file, loaded, len(inflated), tuple(without_place), not_in_file)

    def start(self, network: nn.Module, emotions: tuple[str, ...]) -> bool:
        """Loads the weights into a network, without a classifier, as `Checkpoint.start` does for other emotions.

        Raises:
            CheckpointError: See `fitted`.
        """
        network.load_state_dict({**network.state_dict(), **self.fitted(network).loaded})
        return False

    def _renamed(self, name: str) -> str:
        for pattern, replacement in self.names.items():
            try:
                name = re.sub(pattern, replacement, name)
            except (re.error, IndexError) as error:
                raise CheckpointError(
                    f"start_names cannot replace {pattern!r} by {replacement!r} in {name}: {error}"
                ) from error
        return name


Start = Checkpoint | ExternalWeights


def starting_weights(
    config: Mapping[str, Any], *, corpus: str, clip_store: str, held_out: Collection[str], subjects_known: bool = True
) -> Start | None:
    """Reads and validates what every fold of a run starts from: a checkpoint of fer3d or external weights.

    Args:
        config: The run's configuration.
        corpus: The run's corpus.
        clip_store: The digest of the run's clip store.
        held_out: All subjects that the run holds out.
        subjects_known: Whether these identify people.

    Raises:
        CheckpointError: See `ExternalWeights.read` and `starting_checkpoint`; or a setting for external weights is
            set without them.
    """
    start_from, names, inflate = config["start_from"], config["start_names"], config["start_inflate"]
    if start_from and start_from != "required":
        path = Path(start_from)
        if path.suffix in _SUFFIXES or path.is_dir():
            return ExternalWeights.read(path, names, inflate)
    start = starting_checkpoint(
        start_from,
        config=config,
        corpus=corpus,
        clip_store=clip_store,
        held_out=held_out,
        subjects_known=subjects_known,
    )
    for key, value in {"start_names": names, "start_inflate": inflate}.items():
        if value:
            raise CheckpointError(
                f"{key} is for external weights, and start_from is {start_from or 'null'}: leave it out"
            )
    return start


def _load_state_dict(file: Path) -> dict[str, Tensor]:
    with warnings.catch_warnings():
        # torch.load warns about the pickle protocol before it raises.
        warnings.simplefilter("ignore")
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    if isinstance(loaded, dict) and {"format", "emotions", "subjects"} <= loaded.keys():
        raise CheckpointError(
            f"start_from is {file}, which is a checkpoint of fer3d: give it a name that ends in .ckpt, since fer3d "
            "checks whom its own checkpoints were trained on"
        )
    # Training scripts write the weights beside the epoch and the like.
    wrapped = [loaded[name] for name in _WRAPPERS if isinstance(loaded, dict) and isinstance(loaded.get(name), Mapping)]
    inner = wrapped[0] if len(wrapped) == 1 else loaded
    if not isinstance(inner, Mapping):
        raise _unreadable(file, f"it holds a {type(inner).__name__}")
    for name, tensor in inner.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor) or tensor.layout != torch.strided:
            raise _unreadable(
                file, f"its entry {name!r} is not a tensor; write the entry with the weights to a file of its own"
            )
    return dict(inner)


def _unreadable(path: Path, reason: object) -> CheckpointError:
    what = str(reason).partition("\n")[0]
    return CheckpointError(
        f"start_from is {path}, which cannot be read as weights: {what}. It must hold tensors by their names, as "
        f"safetensors or as a PyTorch state dict, alone or in an entry {' or '.join(_WRAPPERS)}"
    )


def _extent_in_time(given: Tensor, wanted: Tensor) -> int:
    """The extent in time of a 3D convolution that a 2D one's weights `(O, I, h, w)` fit; 0 for all others."""
    fits = given.ndim == 4 and wanted.ndim == 5 and given.shape == wanted[:, :, 0].shape
    return wanted.shape[2] if fits else 0


def _fault(given: Tensor, wanted: Tensor) -> tuple[object, object] | None:
    """What is different, there and here; None if the weights fit."""
    if given.shape != wanted.shape and not _extent_in_time(given, wanted):
        return tuple(given.shape), tuple(wanted.shape)
    if given.is_floating_point() != wanted.is_floating_point() or given.is_complex():
        return given.dtype, wanted.dtype
    return None


def _as(given: Tensor, wanted: Tensor) -> Tensor:
    """Weights in the shape and type of the network's; see `ExternalWeights.inflate`."""
    given = given.to(wanted.dtype)
    if extent := _extent_in_time(given, wanted):
        # So that a still clip gives what the picture gives (Carreira and Zisserman, CVPR 2017).
        return given.unsqueeze(2).expand_as(wanted) / extent
    return given


def _few(names: Iterable[str], separator: str = ", ") -> str:
    names = list(names)
    rest = len(names) - _MAX_NAMED
    return separator.join(names[:_MAX_NAMED]) + (f"{separator}and {rest} more" if rest > 0 else "") or "none"
