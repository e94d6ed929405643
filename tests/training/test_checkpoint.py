"""Checkpoints: what they carry, what they refuse, and what a training that starts from one does."""

from __future__ import annotations

import io
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import Compose, MakeStore
from torch import nn

from fer3d.checked_json import sealed
from fer3d.training.checkpoint import Checkpoint, CheckpointError
from fer3d.training.run import Run

OTHER_EMOTIONS = ("anger", "disgust", "fear", "happy", "sadness", "surprise")


class Small(nn.Module):
    def __init__(self, width: int = 3, num_classes: int = 2, extra: bool = False) -> None:
        super().__init__()
        self.hidden = nn.Linear(4, width)
        self.norm = nn.BatchNorm1d(width)
        self.classifier = nn.Linear(width, num_classes)
        if extra:
            self.extra = nn.Linear(2, 2)


def checkpoint_of(network: nn.Module, emotions: tuple[str, ...] = ("anger", "fear")) -> Checkpoint:
    return Checkpoint(
        state_dict={name: tensor.clone() for name, tensor in network.state_dict().items()},
        emotions=emotions,
        corpus="oulu_casia",
        synthetic=False,
        clip_store="c" * 64,
        subjects=("P001", "P002"),
        digest="d" * 64,
        fold=1,
        config={"model": {"_target_": "somewhere"}},
    )


@pytest.fixture
def written(tmp_path: Path) -> Path:
    checkpoint_of(Small()).write(tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


def test_reads_what_was_written(written: Path) -> None:
    found = Checkpoint.read(written)
    want = checkpoint_of(Small())
    assert found.state_dict.keys() == want.state_dict.keys()
    assert replace(found, state_dict={}) == replace(want, state_dict={})


def test_weights_have_a_digest_of_their_own(written: Path) -> None:
    found = Checkpoint.read(written)
    assert replace(found, config={}, digest="e" * 64).weights_digest == found.weights_digest
    changed = {name: tensor.clone() for name, tensor in found.state_dict.items()}
    changed["hidden.bias"][0] += 1e-3
    assert replace(found, state_dict=changed).weights_digest != found.weights_digest


@pytest.mark.parametrize(
    ("num_classes", "emotions", "same"),
    [(2, ("anger", "fear"), True), (2, ("anger", "happy"), False), (3, ("anger", "fear", "happy"), False)],
)
def test_other_emotions_keep_the_new_classifier(num_classes: int, emotions: tuple[str, ...], same: bool) -> None:
    source, target = Small(), Small(num_classes=num_classes)
    source.norm.running_mean += 5.0
    own = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    assert checkpoint_of(source).start(target, emotions) == same
    for name, tensor in target.state_dict().items():
        want = own if name.startswith("classifier") and not same else source.state_dict()
        assert torch.equal(tensor, want[name]), name


def test_mismatches_are_named() -> None:
    target = Small(width=5)
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"hidden.weight is \(3, 4\) there and \(5, 4\) here"):
        checkpoint_of(Small()).start(target, ("anger", "fear"))
    with pytest.raises(CheckpointError, match=r"hidden.weight is torch.float64 there and torch.float32 here"):
        checkpoint_of(Small().double()).start(Small(), ("anger", "fear"))
    with pytest.raises(CheckpointError, match=r"extra.weight is not in the checkpoint"):
        checkpoint_of(Small()).start(Small(extra=True), ("anger", "fear"))
    with pytest.raises(CheckpointError, match=r"extra.bias is not in the network"):
        checkpoint_of(Small(extra=True)).start(Small(), ("anger", "happy"))
    assert all(torch.equal(tensor, before[name]) for name, tensor in target.state_dict().items())


def test_a_network_without_a_classifier_cannot_change_its_emotions() -> None:
    network = nn.Sequential(nn.Linear(4, 2))
    with pytest.raises(CheckpointError, match="no submodule named `classifier`"):
        checkpoint_of(network).start(network, ("anger", "happy"))
    assert checkpoint_of(network).start(network, ("anger", "fear"))


def _archive(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this must never be printed",)


WRONG_FILES = {
    "empty": b"",
    "text": b"no checkpoint",
    "pickle of code": pickle.dumps(_Code()),
    "archive of code": _archive({"format": 1, "state_dict": _Code()}),
    "lightning": _archive({"state_dict": {}, "pytorch-lightning_version": "2.6.6"}),
    "list": _archive([1, 2]),
    "other format": _archive({"format": 99}),
    "fields missing": _archive({"format": 1, "emotions": [], "subjects": []}),
}


@pytest.mark.parametrize("content", WRONG_FILES.values(), ids=WRONG_FILES)
def test_another_file_is_refused_in_a_sentence(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"start_from is .*last\.ckpt, which is not a checkpoint"):
        Checkpoint.read(path)
    assert "never" not in capsys.readouterr().out


def stored(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(path, weights_only=True)
    return loaded


def store_fields(path: Path, **changes: object) -> None:
    """Changes a checkpoint as somebody would who knows of the checksum; None drops a field."""
    content = {name: value for name, value in {**stored(path), **changes}.items() if value is not None}
    unsealed = {name: content.pop(name) for name in ("format", "state_dict")}
    torch.save({**unsealed, **sealed(content)}, path)


NOT_OF_THEIR_KIND: dict[str, dict[str, object]] = {
    **{f"no {name}": {name: None} for name in ("emotions", "subjects", "digest", "fold", "config", "corpus")},
    "a text of subjects": {"subjects": "P001"},
    "numbers as subjects": {"subjects": [1, 2]},
    "a text as fold": {"fold": "1"},
    "a number as digest": {"digest": 5},
    "a text as synthetic": {"synthetic": "no"},
    "a list as config": {"config": []},
    "no weights": {"state_dict": {}, "weights": None},
    "weights that are no mapping": {"state_dict": [torch.zeros(1)]},
    "weights that are no tensors": {"state_dict": {"hidden.weight": 1.0}},
    "weights that are not finite": {"state_dict": {"hidden.weight": torch.tensor([float("nan")])}},
    "other weights": {"state_dict": {"hidden.weight": torch.zeros(3)}},
    "more than there should be": {"hidden": 1},
}


@pytest.mark.parametrize("changes", NOT_OF_THEIR_KIND.values(), ids=NOT_OF_THEIR_KIND)
def test_every_field_is_checked_for_its_kind(changes: dict[str, object], written: Path) -> None:
    store_fields(written)
    assert Checkpoint.read(written).fold == 1
    store_fields(written, **changes)
    with pytest.raises(CheckpointError, match=r"start_from is .*last\.ckpt, which is not a checkpoint") as caught:
        Checkpoint.read(written)
    assert "checksum" not in str(caught.value)


def test_an_edited_checkpoint_is_refused(written: Path) -> None:
    """Without the subject that it has seen, a training could start from it that holds that subject out."""
    torch.save({**stored(written), "subjects": ["P001"]}, written)
    with pytest.raises(CheckpointError, match="it was edited or damaged"):
        Checkpoint.read(written)


def test_every_flipped_bit_of_the_weights_is_noticed(written: Path) -> None:
    content = bytearray(written.read_bytes())
    place = content.index(checkpoint_of(Small()).state_dict["norm.weight"].numpy().tobytes())
    content[place] ^= 1
    written.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        Checkpoint.read(written)


def test_checkpoints_of_earlier_versions_are_read(written: Path) -> None:
    want = Checkpoint.read(written).weights_digest
    content = stored(written)
    torch.save({name: value for name, value in content.items() if name not in ("checksum", "weights")}, written)
    assert Checkpoint.read(written).weights_digest == want


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nothing.ckpt, which is not a file"):
        Checkpoint.read(tmp_path / "nothing.ckpt")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def trained_on_all(compose_tiny: Compose, make_store: MakeStore, kept: Path) -> Path:
    """The checkpoint of a training on all clips of a colour corpus of other people; only the first test trains it."""
    store = make_store(num_subjects=3, emotions=OTHER_EMOTIONS, corpus="other", num_channels=3, negatives=["S002"])
    run = Run.of(compose_tiny("cv=all_clips", "augment=none", "optimizer.lr=0.01", f"outputs={kept}"), store)
    (result,) = run.train()
    assert (len(result.labels), result.logits.shape) == (0, (2, 0, 6))
    return run.folder / "fold_001" / "last.ckpt"


def test_training_on_all_clips_leaves_curves_and_a_checkpoint(trained_on_all: Path) -> None:
    checkpoint = Checkpoint.read(trained_on_all)
    assert checkpoint.subjects == ("S001", "S002", "S003")
    assert (checkpoint.corpus, checkpoint.emotions) == ("other", OTHER_EMOTIONS)
    header, *rows = (trained_on_all.parent / "metrics.csv").read_text().splitlines()
    assert "train/loss" in header
    assert len(rows) == 2


def test_folds_start_from_the_checkpoint(compose_tiny: Compose, make_store: MakeStore, trained_on_all: Path) -> None:
    """With a learning rate of zero, what is loaded stays, and only the classifier is the fold's own."""
    run = Run.of(compose_tiny(f"start_from={trained_on_all}", "optimizer.lr=0.0", "save_checkpoint=true"), make_store())
    (result,) = run.train(1)
    start = Checkpoint.read(trained_on_all)
    end = Checkpoint.read(run.folder / "fold_001" / "last.ckpt")
    weights = [name for name in start.state_dict if name.endswith(("weight", "bias"))]
    for name in weights:
        same = torch.equal(start.state_dict[name], end.state_dict[name]) if "classifier" not in name else False
        assert same == ("classifier" not in name), name
    assert result.info["start_from"] == start.origin()


def test_the_start_counts_for_the_digest_by_its_weights(
    compose_tiny: Compose, make_store: MakeStore, trained_on_all: Path, tmp_path: Path
) -> None:
    store = make_store()
    elsewhere = tmp_path / "copy.ckpt"
    elsewhere.write_bytes(trained_on_all.read_bytes())
    source = Checkpoint.read(trained_on_all)
    changed = {**source.state_dict, "classifier.bias": source.state_dict["classifier.bias"] + 1}
    replace(source, state_dict=changed).write(tmp_path / "changed.ckpt")
    afresh, here, copied, other = (
        Run.of(compose_tiny(*overrides), store).digest
        for overrides in (
            [],
            [f"start_from={trained_on_all}"],
            [f"start_from={elsewhere}"],
            [f"start_from={tmp_path / 'changed.ckpt'}"],
        )
    )
    assert here == copied
    assert len({afresh, here, other}) == 3


def test_a_checkpoint_that_has_seen_the_held_out_subjects_is_refused(
    compose_tiny: Compose, make_store: MakeStore
) -> None:
    store = make_store()
    everything = Run.of(compose_tiny("cv=all_clips", "save_checkpoint=true"), store)
    everything.train()
    path = everything.folder / "fold_001" / "last.ckpt"
    with pytest.raises(CheckpointError, match="4 subjects of test that this run holds out, such as S001, S002"):
        Run.of(compose_tiny(f"start_from={path}"), store)
    # The same people under another corpus's name are the same people.
    renamed = Checkpoint.read(path)
    replace(renamed, corpus="renamed").write(path)
    with pytest.raises(CheckpointError, match="would not be held out"):
        Run.of(compose_tiny(f"start_from={path}"), store)
    replace(renamed, corpus="renamed", clip_store="f" * 64).write(path)
    assert Run.of(compose_tiny(f"start_from={path}"), store).start is not None


def test_another_network_is_refused_before_it_trains(
    compose_tiny: Compose, make_store: MakeStore, trained_on_all: Path
) -> None:
    run = Run.of(compose_tiny(f"start_from={trained_on_all}", "model.temporal_kernel=5"), make_store())
    with pytest.raises(CheckpointError, match=r"features\.1\.0\.0\.weight is \(2, 3, 3, 3, 3\) there"):
        run.train(1)
    assert not list(run.folder.glob("fold_*"))


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("model/activation=leaky_relu", "model.activation._target_ is torch.nn.ReLU there and torch.nn.LeakyReLU here"),
        ("model/pooling=max", r"model.pooling._target_ is .*BlockAvgPool3d there and .*BlockMaxPool3d here"),
        ("clips.normalise=true", "clips.normalise is False there and True here"),
    ],
)
def test_weights_that_fit_and_mean_something_else_are_refused(
    setting: str, named: str, compose_tiny: Compose, make_store: MakeStore, trained_on_all: Path
) -> None:
    with pytest.raises(CheckpointError, match=named):
        Run.of(compose_tiny(f"start_from={trained_on_all}", setting), make_store())


def test_rates_and_starting_values_may_be_others(
    compose_tiny: Compose, make_store: MakeStore, trained_on_all: Path
) -> None:
    others = ("model.dropout=0.1", "model/initializer=none", "clips.clahe=true")
    assert Run.of(compose_tiny(f"start_from={trained_on_all}", *others), make_store()).start is not None


def test_an_experiment_that_needs_a_start_asks_for_it(compose_tiny: Compose, make_store: MakeStore) -> None:
    config = compose_tiny("experiment=ckplus_kfold10_c3", "data.root=/data", "augment=none")
    with pytest.raises(CheckpointError, match="set start_from to its checkpoint"):
        Run.of(config, make_store())


def test_inner_validation_is_kept_out_of_training(compose_tiny: Compose, make_store: MakeStore) -> None:
    store = make_store(num_subjects=6)
    plain, kept = (Run.of(compose_tiny(f"cv.inner_val={share}"), store) for share in (0.0, 0.34))
    (without,), (result,) = plain.train(1), kept.train(1)
    assert without.inner_val is None
    assert result.inner_val is not None
    assert result.inner_val.logits.shape == (2, 7, 7)
    assert set(result.inner_val.subjects).isdisjoint(result.subjects)
    assert result.info["num_train"] == without.info["num_train"] - 7
    assert result.clip_ids == without.clip_ids
    indices = [store.clip_ids.index(clip_id) for clip_id in result.inner_val.clip_ids]
    np.testing.assert_array_equal(result.inner_val.labels, store.labels[indices])


@pytest.mark.parametrize(("seen", "held_out"), [(True, False), (False, True), (False, False)])
def test_within_one_corpus_nobody_can_tell_what_unknown_subjects_have_seen(seen: bool, held_out: bool) -> None:
    start = replace(checkpoint_of(Small()), subjects_known=seen)
    with pytest.raises(CheckpointError, match=r"subjects of .* are unknown, so it may have seen"):
        start.check_unseen("oulu_casia", "f" * 64, ["S005"], subjects_known=held_out)
    # Nothing is held out, or nothing of this corpus.
    start.check_unseen("oulu_casia", "f" * 64, [], subjects_known=held_out)
    start.check_unseen("ckplus", "f" * 64, ["S005"], subjects_known=held_out)


def test_within_one_clip_store_clips_of_unknown_subjects_are_told_apart() -> None:
    start = replace(checkpoint_of(Small()), subjects_known=False)
    start.check_unseen("oulu_casia", "c" * 64, ["P003"], subjects_known=False)
    with pytest.raises(CheckpointError, match="1 clips of oulu_casia that this run holds out, such as P002"):
        start.check_unseen("oulu_casia", "c" * 64, ["P002", "P003"], subjects_known=False)


def test_a_checkpoint_that_says_nothing_of_its_subjects_knows_them(written: Path) -> None:
    store_fields(written, subjects_known=False)
    assert not Checkpoint.read(written).subjects_known
    store_fields(written, subjects_known=None)
    assert Checkpoint.read(written).subjects_known
