"""Checkpoints: a fold's last network, with the provenance needed to start another training from it or to refuse."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import torch
from pydantic import ConfigDict, ValidationError, create_model
from torch import Tensor, nn

from fer3d.checked_json import CHECKSUM, check_seal, first_error, sealed
from fer3d.training.identity import differences, leaves

FORMAT_VERSION = 1
CHECKPOINT_NAME = "last.ckpt"
# Name of the submodule that maps features to emotions.
CLASSIFIER = "classifier"
# For results of networks that started from weights which fer3d did not train.
EXTERNAL_CAUTION = "fer3d cannot know whom these weights were trained on: held-out people may be among them"
_MAX_NAMED = 6
_OTHER_CORPUS = "Start from a checkpoint of another corpus (give your own corpora different values of data.name)"


class CheckpointError(Exception):
    """A checkpoint cannot be used; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and its provenance.

    Attributes:
        state_dict: The network's parameters and buffers.
        emotions: The class names.
        corpus: The corpus's name.
        synthetic: Whether its clips are rendered.
        clip_store: The clip store's digest.
        subjects: Subjects whose clips were used for training or checkpoint selection.
        digest: The run's digest.
        fold: The fold's number.
        config: The run's resolved configuration.
        subjects_known: Whether the subjects identify people; otherwise each clip has its own.
        num_channels: 1 for grey clips, 3 for RGB; None in old checkpoints.
        temperature: Divisor that calibrates logits, fitted on `inner_val` clips; None without such clips.
        training_clips: Statistics of the training clips (see `fer3d.clips.measures`); None in old checkpoints.
        external_weights: The file from outside fer3d that this training started from, or an earlier one that led to it;
            None without any.
    """

    state_dict: Mapping[str, Tensor]
    emotions: tuple[str, ...]
    corpus: str
    synthetic: bool
    clip_store: str
    subjects: tuple[str, ...]
    digest: str
    fold: int
    config: Mapping[str, Any]
    subjects_known: bool = True
    num_channels: int | None = None
    temperature: float | None = None
    training_clips: Mapping[str, list[float]] | None = None
    external_weights: str | None = None

    def write(self, path: Path) -> None:
        """Writes tensors and plain values only, as `torch.load(weights_only=True)` requires."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "state_dict"}
        plain |= {"emotions": list(self.emotions), "subjects": list(self.subjects), "weights": self.weights_digest}
        if self.external_weights is None:
            # So that earlier versions read it.
            del plain["external_weights"]
        content = {"format": FORMAT_VERSION, **sealed(plain), "state_dict": dict(self.state_dict)}
        # Through memory, because PyTorch hides the reason of a failed write, such as a full disk.
        archive = BytesIO()
        torch.save(content, archive)
        path.write_bytes(archive.getbuffer())

    @classmethod
    def read(cls, path: Path, named: str = "start_from") -> Checkpoint:
        """Reads a checkpoint without running any code that the file may contain.

        Args:
            path: The file.
            named: The setting that names it, for messages.

        Raises:
            CheckpointError: The file does not exist, is not a checkpoint, or is damaged.
        """
        if not path.is_file():
            raise CheckpointError(
                f"{named} is {path}, which is not a file; give the last.ckpt of a run with save_checkpoint=true, such "
                "as one of cv=all_clips"
            )
        try:
            with warnings.catch_warnings():
                # torch.load warns about the pickle protocol before it raises.
                warnings.simplefilter("ignore")
                loaded = torch.load(path, map_location="cpu", weights_only=True)
            return cls._checked(loaded)
        except pickle.UnpicklingError as error:
            raise _unreadable(path, named, "it contains more than tensors and plain values") from error
        except Exception as error:  # reading a damaged archive may raise anything
            raise _unreadable(path, named, error) from error

    @classmethod
    def _checked(cls, loaded: dict[str, Any]) -> Checkpoint:
        if loaded.pop("format") != FORMAT_VERSION:
            raise ValueError(f"its format is not {FORMAT_VERSION}")
        tensors = loaded.pop("state_dict")
        check_seal(loaded)
        weights = loaded.pop("weights", None)
        loaded.pop(CHECKSUM, None)
        if not all(isinstance(loaded[name], list) for name in ("emotions", "subjects")):
            raise ValueError("its emotions or subjects are not a list")
        loaded |= {"emotions": tuple(loaded["emotions"]), "subjects": tuple(loaded["subjects"])}
        try:
            _FIELDS.model_validate({**loaded, "state_dict": tensors})
        except ValidationError as error:
            raise ValueError(first_error(error)) from error
        checkpoint = cls(**loaded, state_dict=tensors)
        if not tensors:
            raise ValueError("it has no weights")
        for name, tensor in tensors.items():
            if tensor.layout != torch.strided or not torch.isfinite(tensor).all():
                raise ValueError(f"the weights {name} are not finite")
        if weights not in (None, checkpoint.weights_digest):
            raise ValueError("its weights were edited or damaged: they do not match their digest")
        return checkpoint

    @cached_property
    def weights_digest(self) -> str:
        """SHA-256 of the weights alone."""
        return weights_digest(self.state_dict)

    def origin(self) -> dict[str, Any]:
        """Provenance for a fold's result."""
        named = ("corpus", "synthetic", "clip_store", "digest", "fold")
        origin = {name: getattr(self, name) for name in named} | {"weights": self.weights_digest}
        if self.external_weights is not None:
            origin |= {"external_weights": self.external_weights, "caution": EXTERNAL_CAUTION}
        return origin

    def check_unseen(
        self, corpus: str, clip_store: str, held_out: Collection[str], *, subjects_known: bool = True
    ) -> None:
        """Checks that the checkpoint was not trained on any held-out subject.

        With unknown subjects this checks clips instead, which is possible only within one clip store.

        Args:
            corpus: The run's corpus.
            clip_store: The digest of the run's clip store.
            held_out: All subjects that the run holds out.
            subjects_known: Whether these identify people.

        Raises:
            CheckpointError: It was trained on a held-out subject, or this cannot be determined.
        """
        if self.corpus != corpus and self.clip_store != clip_store:
            return
        if held_out and self.clip_store != clip_store and not (self.subjects_known and subjects_known):
            whose = "this run's clips" if self.subjects_known else "its clips"
            raise CheckpointError(
                f"start_from was trained on {corpus}, and the subjects of {whose} are unknown, so it may have seen the "
                f"people that this run holds out. {_OTHER_CORPUS}, or name the subjects of both"
            )
        seen = sorted(set(held_out) & set(self.subjects))
        if seen:
            who = "subjects" if subjects_known else "clips"
            raise CheckpointError(
                f"start_from was trained on {len(seen)} {who} of {corpus} that this run holds out, such as "
                f"{', '.join(seen[:_MAX_NAMED])}, so their clips would not be held out. {_OTHER_CORPUS}"
            )

    def check_same_parts(self, config: Mapping[str, Any]) -> None:
        """Checks that the weights were trained in the same kind of network.

        Equal shapes are not enough: weights trained with ReLU also fit a network with LeakyReLU, but mean something
        else there.

        Args:
            config: The resolved configuration of the run that starts from the checkpoint.

        Raises:
            CheckpointError: The network's parts or its input range differ.
        """
        found = differences(_parts(self.config), _parts(config))
        if found:
            named = "; ".join(f"{key} is {there} there and {here} here" for key, (there, here) in found.items())
            raise CheckpointError(
                f"start_from was trained with another network: {named}. Use the same settings, or train a checkpoint "
                "with those of this run"
            )

    def start(self, network: nn.Module, emotions: tuple[str, ...]) -> bool:
        """Loads the weights into a network, without those of the classifier if the emotions differ.

        Returns:
            Whether the classifier was loaded.

        Raises:
            CheckpointError: The weights do not fit the network; the message names the differences.
        """
        own = network.state_dict()
        same_emotions = self.emotions == emotions
        replaced = {name for name in own if name.partition(".")[0] == CLASSIFIER}
        if not same_emotions and not replaced:
            raise CheckpointError(
                f"start_from was trained on {', '.join(self.emotions)} and this corpus has {', '.join(emotions)}, so "
                f"the classifier must be replaced, but {type(network).__name__} has no submodule named `{CLASSIFIER}`"
            )
        left_out = set() if same_emotions else replaced
        wanted = {name: tensor for name, tensor in own.items() if name not in left_out}
        given = {
            name: tensor
            for name, tensor in self.state_dict.items()
            if same_emotions or name.partition(".")[0] != CLASSIFIER
        }
        differences = list(_differences(given, wanted))
        if differences:
            rest = len(differences) - _MAX_NAMED
            raise CheckpointError(
                f"start_from does not fit the network in {len(differences)} places: "
                f"{'; '.join(differences[:_MAX_NAMED])}{f'; and {rest} more' if rest > 0 else ''}. Use the network of "
                "the checkpoint (its configuration is in the result.json beside it)"
            )
        network.load_state_dict({**own, **given})
        return same_emotions


def weights_digest(state_dict: Mapping[str, Tensor]) -> str:
    """SHA-256 of weights: their names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state_dict.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(np.ascontiguousarray(tensor.contiguous().view(-1).view(torch.uint8).numpy()).data)
    return digest.hexdigest()


_FIELDS = create_model(
    "_FIELDS",
    __config__=ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True),
    **{  # type: ignore[call-overload]
        # Old checkpoints lack entries that have a default.
        name: (kind, getattr(Checkpoint, name, ...))
        for name, kind in get_type_hints(Checkpoint).items()
    },
)


def _parts(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that give weights their meaning: the network's classes and its input range."""
    parts = {name: value for name, value in config["model"].items() if name != "initializer"}
    targets = {name: value for name, value in leaves(parts, "model.") if name.endswith("_target_")}
    return {**targets, "clips.normalise": config["clips"]["normalise"]}


def _differences(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    found = []
    for name in [*wanted, *(name for name in given if name not in wanted)]:
        if name not in given:
            found.append(f"{name} is not in the checkpoint")
        elif name not in wanted:
            found.append(f"{name} is not in the network")
        elif given[name].shape != wanted[name].shape:
            found.append(f"{name} is {tuple(given[name].shape)} there and {tuple(wanted[name].shape)} here")
        elif given[name].dtype != wanted[name].dtype:
            found.append(f"{name} is {given[name].dtype} there and {wanted[name].dtype} here")
    return found


def _unreadable(path: Path, named: str, reason: object) -> CheckpointError:
    what = str(reason).partition("\n")[0]
    if isinstance(reason, KeyError):
        # PyTorch parses any other file as a pickle and reports its first byte as an unknown opcode.
        is_entry = isinstance(reason.args[0], str)
        what = f"missing entry {reason}" if is_entry else "it has another file format"
    again = (
        "; if it is damaged, delete it and run the run's command again"
        if path.suffix == Path(CHECKPOINT_NAME).suffix
        else ""
    )
    return CheckpointError(
        f"{named} is {path}, which is not a checkpoint of this version of fer3d: {what}. Give the last.ckpt "
        f"of a run with save_checkpoint=true{again}"
    )


def lacking(path: Path, digest: str, fold: int) -> str | None:
    """Describes why a fold has no valid checkpoint, such as `without last.ckpt`; None if it has one.

    Args:
        path: Expected path of the checkpoint.
        digest: The run's digest.
        fold: The fold's number.
    """
    if not path.exists():
        return f"without {path.name}"
    try:
        found = Checkpoint.read(path)
    except CheckpointError:
        return f"with a damaged {path.name}"
    return None if (found.digest, found.fold) == (digest, fold) else f"with the {path.name} of another fold or run"


def starting_checkpoint(
    start_from: str | None,
    *,
    config: Mapping[str, Any],
    corpus: str,
    clip_store: str,
    held_out: Collection[str],
    subjects_known: bool = True,
) -> Checkpoint | None:
    """Reads and validates the checkpoint that every fold of a run starts from.

    Args:
        start_from: Its path; `required` if the user must name one; None: folds start from scratch.
        config: The run's configuration.
        corpus: The run's corpus.
        clip_store: The digest of the run's clip store.
        held_out: All subjects that the run holds out.
        subjects_known: Whether these identify people.

    Raises:
        CheckpointError: It is missing, belongs to another network, or was trained on a held-out subject.
    """
    if start_from == "required":
        raise CheckpointError(
            f"{config['name']} starts from a network trained on another corpus: set start_from to its checkpoint, such "
            "as outputs/oulu_all-<digest>/fold_001/last.ckpt"
        )
    if not start_from:
        return None
    start = Checkpoint.read(Path(start_from))
    start.check_same_parts(config)
    start.check_unseen(corpus, clip_store, held_out, subjects_known=subjects_known)
    return start
