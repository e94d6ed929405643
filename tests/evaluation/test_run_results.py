from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_runs import EMOTIONS, right, write_run

from fer3d.checked_json import sealed
from fer3d.clips.independence import Independence
from fer3d.evaluation.run_results import EvaluationError, RunResults, name_folds
from fer3d.training.results import ResultError, read_result, write_result


def edit(folder: Path, number: int, **changes: Any) -> None:
    path = folder / f"fold_{number:03d}" / "result.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(sealed({**content, **changes})), encoding="utf-8")


def test_reads_what_training_left(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [right(5, 3), right(4, 4), right(4, 0)], name="ckplus_kfold10", seed=7)
    run = RunResults.read(folder)
    assert (run.folder, run.missing, run.partial) == (folder, (), False)
    assert len(repr(run)) < 200 + len(str(folder))
    assert [fold.fold for fold in run.folds] == [1, 2, 3]
    assert [fold.num_correct.tolist() for fold in run.folds] == [[3], [4], [0]]
    assert (run.name, run.seed, run.num_folds, run.num_epochs) == ("ckplus_kfold10", 7, 3, 1)
    assert (run.emotions, run.corpus) == (EMOTIONS, "synthetic")
    assert run.folder.name == f"{run.name}-{run.digest[:8]}"


def test_folds_come_in_the_order_of_their_numbers_also_beyond_999(tmp_path: Path) -> None:
    folder = write_run(tmp_path, 0.5, num_folds=3)
    for number, other in ((2, 1002), (3, 999)):
        (folder / f"fold_{number:03d}").rename(folder / f"fold_{other:03d}")
        edit(folder, other, fold=other)
    for number in (1, 999, 1002):
        edit(folder, number, num_folds=1002)
    assert [fold.fold for fold in RunResults.read(folder, partial=True).folds] == [1, 999, 1002]


def test_other_things_in_the_folder_do_no_harm(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    for name in ("evaluation", ".fold_002.partial-host-1-ab", "fold_x", "wandb"):
        (folder / name).mkdir()
    (folder / "notes.txt").write_text("notes")
    assert len(RunResults.read(folder).folds) == 3


def test_a_partial_run_says_so(tmp_path: Path) -> None:
    folder = write_run(tmp_path, num_folds=5, only=[1, 4])
    run = RunResults.read(folder, partial=True)
    assert (run.missing, run.partial) == ((2, 3, 5), True)
    assert run.caution == "SYNTHETIC data, PARTIAL: 3 of 5 folds missing"
    assert run.provenance()["missing_folds"] == [2, 3, 5]


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: folder.write_text("")], ids=["none", "file"])
def test_a_run_is_a_folder(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "run")
    with pytest.raises(EvaluationError, match=r"run is not a run folder; .* outputs/"):
        RunResults.read(tmp_path / "run")


def test_a_run_has_folds(tmp_path: Path) -> None:
    write_run(tmp_path)
    with pytest.raises(EvaluationError, match=f"{tmp_path} holds no folds"):
        RunResults.read(tmp_path)


def test_a_renamed_fold_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path, only=[1, 2])
    (folder / "fold_002").rename(folder / "fold_003")
    with pytest.raises(ResultError, match=r"fold_003 holds another .* its fold number is 2 instead of 3"):
        RunResults.read(folder, partial=True)


def test_folds_of_different_configurations_are_refused(tmp_path: Path) -> None:
    folder, other = write_run(tmp_path, digest="a" * 64), write_run(tmp_path, digest="b" * 64)
    shutil.rmtree(folder / "fold_002")
    shutil.copytree(other / "fold_002", folder / "fold_002")
    with pytest.raises(EvaluationError, match=r"different configurations: aaaaaaaa made 1, 3; bbbbbbbb made 2\. Move"):
        RunResults.read(folder)


def test_a_clip_counts_once(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    first = read_result(folder / "fold_001")
    second = read_result(folder / "fold_002")
    write_result(replace(second, clip_ids=(*second.clip_ids[:-1], first.clip_ids[0])), folder / "fold_002")
    with pytest.raises(EvaluationError, match=rf"1 clips more than once, such as {first.clip_ids[0]} in folds 1, 2"):
        RunResults.read(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"clip_store": "f" * 64}, "clip_store is f{64} instead of c{64}"),
        ({"synthetic": False}, "synthetic is False instead of True"),
        ({"corpus": "ckplus"}, "corpus is ckplus instead of synthetic"),
        ({"num_folds": 4}, "num_folds is 4 instead of 3"),
        (Independence(num_shared=1).entries, "subject_independent"),
    ],
)
def test_folds_of_one_run_agree(tmp_path: Path, change: dict[str, object], told: str) -> None:
    folder = write_run(tmp_path)
    edit(folder, 2, **change)
    with pytest.raises(ResultError, match=rf"fold_002 holds another result .* its {told}"):
        RunResults.read(folder)


def test_folds_of_one_run_have_as_many_epochs(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    fold = read_result(folder / "fold_003")
    write_result(replace(fold, logits=fold.logits[:-1]), folder / "fold_003")
    with pytest.raises(ResultError, match=r"fold_003 .* its number of epochs is 2 instead of 3"):
        RunResults.read(folder)


@pytest.mark.parametrize("partial", [True, False])
def test_a_run_that_holds_nothing_out_has_nothing_to_evaluate(tmp_path: Path, partial: bool) -> None:
    folder = write_run(tmp_path, only=[1])
    fold = read_result(folder / "fold_001")
    nobody = {"logits": fold.logits[:, :0], "labels": fold.labels[:0], "clip_ids": (), "subjects": ()}
    write_result(replace(fold, info={**fold.info, "num_folds": 1, "subjects": []}, **nobody), folder / "fold_001")
    with pytest.raises(EvaluationError, match=r"trained on all clips and held out none \(cv=all_clips\)"):
        RunResults.read(folder, partial=partial)


def test_a_renamed_run_is_still_the_run(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    moved = folder.rename(tmp_path / "the best one")
    assert RunResults.read(moved).provenance()["run"] == folder.name


def test_provenance_is_plain_and_complete(tmp_path: Path) -> None:
    folder = write_run(tmp_path, num_folds=2, subjects_per_fold=2, clips_per_subject=4, seed=3)
    run = RunResults.read(folder)
    found = run.provenance()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    told = {"run": folder.name, "name": "fake", "digest": run.digest, "corpus": "synthetic", "synthetic": True}
    told |= {"partial": False, "missing_folds": [], "clip_store": "c" * 64, "start_from": None, "seed": 3}
    told |= {"selected_by": None, "subject_independent": True, "subjects_known": True, "num_shared_subjects": 0}
    told |= {"precision": "32-true", "cross_validation": "2-fold", "num_folds": 2, "num_epochs": 3}
    told |= {"num_held_out": 16, "num_subjects": 4, "emotions": list(EMOTIONS)}
    assert found == told | {"versions": read_result(folder / "fold_001").info["versions"]}


def test_versions_of_all_folds_are_told_where_they_differ(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    edit(folder, 1, versions={"torch": "2.10.0", "numpy": "2.0.0"})
    edit(folder, 2, versions={"torch": "2.13.0", "numpy": "2.0.0"})
    edit(folder, 3, versions={"torch": "2.13.0", "numpy": "2.0.0", "kornia": "0.9"})
    assert RunResults.read(folder).versions == {"kornia": "0.9", "numpy": "2.0.0", "torch": "2.10.0, 2.13.0"}


def test_many_folds_are_named_in_part() -> None:
    assert name_folds([3]) == "3"
    assert name_folds(range(1, 13)) == "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12"
    assert name_folds(range(1, 119)) == "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 106 more"


@pytest.mark.parametrize(
    ("independence", "caution", "num_subjects"),
    [
        (None, "SYNTHETIC data", 6),
        (Independence(), "SYNTHETIC data", 6),
        (Independence(num_shared=2), "SYNTHETIC data, NOT SUBJECT-INDEPENDENT", 6),
        (Independence(subjects_known=False), "SYNTHETIC data, NOT SUBJECT-INDEPENDENT", None),
    ],
)
def test_a_run_says_whether_it_is_subject_independent(
    tmp_path: Path, independence: Independence | None, caution: str, num_subjects: int | None
) -> None:
    run = RunResults.read(write_run(tmp_path, independence=independence))
    assert run.caution == caution
    told = run.provenance()
    assert told["subject_independent"] is ("NOT" not in caution)
    assert told["num_subjects"] == num_subjects
    assert Independence.told(told) == (independence or Independence())


@pytest.mark.parametrize(
    ("cv", "num_folds", "independence", "name"),
    [
        ("kfold10", 3, None, "3-fold"),
        ("kfold10_balanced", 3, None, "3-fold"),
        ("loso", 3, Independence(subjects_known=False), "leave-one-clip-out"),
        ("loso", 3, Independence(num_shared=1), "LOSO"),
        ("given", 1, Independence(), "given train/test"),
        ("given", 3, Independence(num_shared=1), "given 3-fold"),
        ("ravdess6", 6, None, "6-fold"),
    ],
)
def test_the_cross_validation_has_a_name(
    tmp_path: Path, cv: str, num_folds: int, independence: Independence | None, name: str
) -> None:
    folder = write_run(tmp_path, cv=cv, num_folds=num_folds, independence=independence)
    assert RunResults.read(folder).cross_validation == name
