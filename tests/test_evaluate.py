from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fake_runs import write_run
from fixture_types import Compose, Invoke, MakeStore

from fer3d.clips.independence import Independence
from fer3d.training.run import Run


@pytest.fixture
def evaluate(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Evaluates runs as on a terminal of 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")
    return lambda *arguments: invoke("evaluate", *map(str, arguments))


def headings(out: str) -> list[str]:
    """The line over each table; its columns stand between it and the rule."""
    blocks = [block.lstrip("\n") for block in out.split("\n\n") if "─" in block]
    return [next(line for line in block.splitlines() if not line.startswith(("run ", "missing "))) for block in blocks]


def test_shows_a_run_and_says_where_the_files_are(evaluate: Invoke, tmp_path: Path) -> None:
    folder = write_run(tmp_path, 0.6, inner_val=0.5)
    status, out, err = evaluate(folder)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == (
        f"run {folder}: 24 held-out clips of 6 subjects, synthetic, 3-fold, 3 epochs, seed 0 [SYNTHETIC data]"
    )
    assert headings(out) == [
        "Measures [SYNTHETIC data]",
        "Recall of each emotion [SYNTHETIC data]",
        "Confusion, last epoch [SYNTHETIC data]",
        "Hardest subjects, last epoch [SYNTHETIC data]",
        "Most confidently wrong clips, last epoch [SYNTHETIC data]",
    ]
    names = "evaluation.json, measures.csv, folds.csv, subjects.csv, emotions.csv, clips.csv"
    assert out.splitlines()[-1] == f"{folder / 'evaluation'}: {names}"
    assert sorted(path.name for path in (folder / "evaluation").iterdir()) == sorted(names.split(", "))
    words = " ".join(out.split())
    assert "Optimistic: held-out clips influence which epoch counts" in words
    content = json.loads((folder / "evaluation" / "evaluation.json").read_text())
    for told in content["epoch_protocols"].values():
        assert f"{told['num_correct']} of 24" in words
        assert f"{told['macro_f1']:.2%}" in words


@pytest.mark.parametrize("independence", [Independence(num_shared=1), Independence(subjects_known=False)])
def test_every_heading_says_what_is_not_subject_independent(
    evaluate: Invoke, tmp_path: Path, independence: Independence
) -> None:
    status, out, _ = evaluate(write_run(tmp_path, 0.6, synthetic=False, corpus="ckplus", independence=independence))
    assert status == 0
    said = out.splitlines()[0]
    assert said.endswith("[NOT SUBJECT-INDEPENDENT]")
    assert ("of 6 subjects" in said, "subjects unknown" in said) == (
        independence.subjects_known,
        not independence.subjects_known,
    )
    assert headings(out)
    assert all("[NOT SUBJECT-INDEPENDENT]" in heading for heading in headings(out))


def test_a_wide_loso_fits_a_screen_or_two(evaluate: Invoke, tmp_path: Path) -> None:
    status, out, _ = evaluate(write_run(tmp_path, 0.5, cv="loso", num_folds=118, clips_per_subject=3))
    assert status == 0
    assert ", LOSO, " in out
    assert len(out.splitlines()) < 80
    assert max(map(len, out.splitlines()[1:-1])) <= 100


def test_missing_folds_are_named_and_stop_it(evaluate: Invoke, tmp_path: Path) -> None:
    folder = write_run(tmp_path, num_folds=4, only=[2, 3])
    status, out, err = evaluate(folder)
    assert (status, out) == (1, "")
    assert err.startswith(f"fer3d: {folder} lacks 2 of 4 folds: 1, 4. Train them")
    assert not (folder / "evaluation").exists()


def test_partial_goes_on_and_labels_everything(evaluate: Invoke, tmp_path: Path) -> None:
    folder = write_run(tmp_path, 0.5, num_folds=4, only=[2, 3])
    status, out, _ = evaluate(folder, "--partial")
    assert status == 0
    assert "missing folds: 1, 4" in out.splitlines()
    assert len(headings(out)) == 5
    assert all("[SYNTHETIC data, PARTIAL: 2 of 4 folds missing]" in heading for heading in headings(out))
    assert json.loads((folder / "evaluation" / "evaluation.json").read_text())["missing_folds"] == [1, 4]


def test_files_go_where_they_are_asked_to(evaluate: Invoke, tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    status, out, _ = evaluate(folder, "--out", tmp_path / "elsewhere")
    assert (status, (folder / "evaluation").exists()) == (0, False)
    assert out.splitlines()[-1].startswith(f"{tmp_path / 'elsewhere'}: evaluation.json, ")
    assert (tmp_path / "elsewhere" / "evaluation.json").is_file()


def test_several_seeds_are_taken_together_and_one_by_one(evaluate: Invoke, tmp_path: Path) -> None:
    folders = [write_run(tmp_path, seed=seed) for seed in (2, 0, 1)]
    status, out, err = evaluate(*folders)
    assert (status, err) == (0, "")
    assert re.findall(r"^run .*seed (\d)", out, re.MULTILINE) == ["0", "1", "2"]
    assert headings(out) == [
        "Measures of 3 seeds [SYNTHETIC data]",
        "Recall of each emotion, 3 seeds [SYNTHETIC data]",
        "Held-out clips right, each run [SYNTHETIC data]",
    ]
    (seeds,) = tmp_path.glob("fake-seeds-*")
    assert out.splitlines()[-1] == f"{seeds / 'evaluation'}: seeds.json, seeds.csv, measures.csv"
    assert all((folder / "evaluation" / "evaluation.json").is_file() for folder in folders)


def test_seeds_can_go_elsewhere_too_each_run_in_a_folder_of_its_own(evaluate: Invoke, tmp_path: Path) -> None:
    folders = [write_run(tmp_path / "runs", seed=seed) for seed in (0, 1)]
    status, _, _ = evaluate(*folders, "--out", tmp_path / "into")
    assert status == 0
    assert sorted(path.name for path in (tmp_path / "runs").rglob("*.csv")) == []
    found = sorted(str(path.relative_to(tmp_path / "into")) for path in (tmp_path / "into").rglob("*.json"))
    assert found == sorted(["seeds.json", *(f"{folder.name}/evaluation.json" for folder in folders)])


def test_several_configurations_are_refused_before_anything_is_written(evaluate: Invoke, tmp_path: Path) -> None:
    one, other = write_run(tmp_path), write_run(tmp_path, seed=1, overrides=["batch_size=7"])
    status, out, err = evaluate(one, other)
    assert (status, out) == (1, "")
    assert "are not seeds of one configuration: they differ in batch_size (" in err
    assert list(tmp_path.rglob("evaluation")) == []


def test_a_run_given_twice_is_refused(evaluate: Invoke, tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    status, _, err = evaluate(folder, f"{folder}/../{folder.name}/")
    assert (status, "is given twice" in err) == (1, True)
    copy = shutil.copytree(folder, tmp_path / "copy")
    status, _, err = evaluate(folder, copy)
    assert (status, "have the same seed, 0" in err) == (1, True)


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_what_is_no_run_is_one_sentence(evaluate: Invoke, tmp_path: Path, name: str) -> None:
    status, out, err = evaluate(tmp_path / name)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"fer3d: {tmp_path / name} ")


def test_a_damaged_fold_is_one_sentence(evaluate: Invoke, tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    (folder / "fold_002" / "logits.npz").unlink()
    status, out, err = evaluate(folder, "--partial")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"fer3d: {folder / 'fold_002'} holds no usable fold result")


def test_a_run_is_needed(evaluate: Invoke) -> None:
    status, _, err = evaluate()
    assert (status, "the following arguments are required: RUN" in err) == (2, True)


def test_starts_without_what_only_training_needs(tmp_path: Path) -> None:
    """Lightning alone takes seconds to import."""
    code = (
        "import sys; from fer3d.evaluate import evaluate\n"
        "assert not {'torch', 'numpy', 'rich'} & set(sys.modules)\n"
        "evaluate(sys.argv[1:])\n"
        "assert not {'pytorch_lightning', 'lightning_fabric', 'wandb', 'kornia', 'cv2'} & set(sys.modules)"
    )
    folders = [str(write_run(tmp_path, seed=seed)) for seed in (0, 1)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *folders], capture_output=True, text=True, timeout=120, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_evaluates_what_training_leaves(evaluate: Invoke, compose_tiny: Compose, make_store: MakeStore) -> None:
    store = make_store()
    runs = [Run.of(compose_tiny("cv.inner_val=0.5", f"seed={seed}"), store) for seed in (0, 1)]
    num_correct = [sum(int(fold.num_correct[-1]) for fold in run.train()) for run in runs]
    status, _, err = evaluate(*(run.folder for run in runs))
    assert (status, err) == (0, "")
    for run, correct in zip(runs, num_correct, strict=True):
        content = json.loads((run.folder / "evaluation" / "evaluation.json").read_text())
        last, inner = (content["epoch_protocols"][name] for name in ("last_epoch", "inner_val"))
        assert (last["num_correct"], last["num_clips"], inner["num_clips"]) == (correct, 28, 28)
        # A folder of an evaluation is no fold, and training goes on as before.
        assert all(fold.num_correct.shape == (2,) for fold in run.train())
