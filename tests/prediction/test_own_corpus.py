from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bright_faces import EMOTIONS, TRUST, write_corpus, write_network
from known_networks import known
from trees import mark_synthetic, touch

from fer3d.corpora.sequences import SYNTHETIC_MARKER
from fer3d.prediction.camera import Camera
from fer3d.prediction.own_corpus import has_seen
from fer3d.prediction.predictor import Predictor
from fer3d.prediction.sources import FrameFolder
from fer3d.prediction.trained import PredictionError
from fer3d.twin import RAVDESS, describe_twin

FILE = Path("outputs/run/fold_001/last.ckpt")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three subjects, P0 to P2, each with a folder of frames an emotion."""
    return write_corpus(tmp_path / "corpus", [1, 1, 1])


def data_of(corpus: Path | str, **settings: Any) -> dict[str, Any]:
    told = {"root": str(corpus), "table": "clips.csv", "emotions": list(EMOTIONS)}
    return {"_target_": "fer3d.corpora.own_videos.Videos", **told, **settings}


def test_a_subject_of_the_training_has_been_seen_and_others_have_not(corpus: Path, tmp_path: Path) -> None:
    trained = known(data=data_of(corpus), subjects=("P0", "P2"))
    seen = [has_seen(trained, FILE, corpus / f"P{number}" / "happy") for number in range(3)]
    assert seen == [True, False, True]
    assert not has_seen(trained, FILE, None)
    # The same name elsewhere is another person.
    assert not has_seen(trained, FILE, write_corpus(tmp_path / "other", [1]) / "P0" / "happy")


def test_links_lead_to_whom_they_show(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(corpus / "P0" / "sad")
    (tmp_path / "corpus too").symlink_to(corpus)
    for data in (data_of(corpus), data_of(tmp_path / "corpus too")):
        assert has_seen(known(data=data, subjects=("P0",)), FILE, tmp_path / "link")


def test_a_video_without_a_label_tells_who_it_is_by_its_path(corpus: Path) -> None:
    (corpus / "P1/more").mkdir()
    trained = known(data=data_of(corpus), subjects=("P1",))
    assert has_seen(trained, FILE, corpus / "P1/more")
    assert not has_seen(known(data=data_of(corpus), subjects=("P0",)), FILE, corpus / "P1/more")
    # So it is where the corpus cannot be read any more.
    (corpus / "clips.csv").unlink()
    assert has_seen(trained, FILE, corpus / "P1/happy")


def test_the_table_and_not_the_path_says_who_is_seen(corpus: Path) -> None:
    """A video's parts may show several people, too."""
    table = corpus / "clips.csv"
    table.write_text(table.read_text().replace("happy,P0", "happy,Anna"))
    assert has_seen(known(data=data_of(corpus), subjects=("Anna",)), FILE, corpus / "P0/happy")
    assert not has_seen(known(data=data_of(corpus), subjects=("P0",)), FILE, corpus / "P0/happy")


def test_everybody_in_one_video_counts(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [40], suffix=".mp4")
    rows = ["path,emotion,subject,start,end", "P0/happy.mp4,happy,Anna,0,0.5", "P0/happy.mp4,sad,Ben,0.5,1"]
    (corpus / "clips.csv").write_text("\n".join(rows))
    for subject in ("Anna", "Ben"):
        assert has_seen(known(data=data_of(corpus), subjects=(subject,)), FILE, corpus / "P0/happy.mp4")


def test_a_corpus_of_a_relative_name_is_found_from_elsewhere(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = known(data=data_of("corpus"), subjects=("P0",))
    monkeypatch.chdir(tmp_path)
    assert has_seen(trained, FILE, corpus / "P0/happy")
    monkeypatch.chdir("/")
    assert has_seen(trained, tmp_path / FILE, corpus / "P0/happy")
    assert not has_seen(trained, tmp_path / FILE, corpus / "P1/happy")


@pytest.mark.parametrize("module", ["fer3d.twin.corpora", "fer3d.corpora.synthetic_ravdess"])
def test_people_of_a_twin_are_known_under_the_name_that_its_reader_has_had(module: str, tmp_path: Path) -> None:
    mark_synthetic(tmp_path, **describe_twin(0, num_subjects=24, layout=RAVDESS))
    video = touch(tmp_path / "Actor_02/02-01-03-01-01-01-02.mp4")
    data = {"_target_": f"{module}.SyntheticRAVDESS", "root": str(tmp_path)}
    assert has_seen(known(data=data, subjects=("02",)), FILE, video)
    assert not has_seen(known(data=data, subjects=("01",)), FILE, video)


def touching(made: Path) -> dict[str, Any]:
    return {"_target_": "pathlib.Path.touch", "_args_": [{"_target_": "pathlib.Path", "_args_": [str(made)]}]}


@pytest.mark.parametrize(
    "settings",
    [
        lambda made: {"_target_": "pathlib.Path.touch", "_args_": [str(made)]},
        lambda made: {"more": touching(made)},
        lambda made: {"more": f"${{oc.create:{{_target_: builtins.open, _args_: [{made}, w]}}}}"},
        lambda made: {"_target_": "fer3d.twin.generation.generate_twin", "folder": str(made)},
        lambda made: {"_target_": "fer3d.corpora.own_videos.videos.os.mkdir", "path": str(made)},
        lambda made: {"_target_": "bright_faces.Corpus"},
    ],
    ids=["another function", "a part", "an interpolation", "a function of fer3d", "an import", "another package"],
)
def test_the_settings_of_a_corpus_run_no_other_code(
    corpus: Path, tmp_path: Path, settings: Callable[[Path], dict[str, Any]]
) -> None:
    trained = known(data=data_of(corpus, **settings(tmp_path / "made")), subjects=("P0",))
    with pytest.raises(PredictionError, match=r"cannot check whether the network was trained on"):
        has_seen(trained, FILE, corpus / "P0/happy")
    assert not (tmp_path / "made").exists()
    # Of other videos nobody asks.
    assert not has_seen(trained, FILE, tmp_path)


def test_a_corpus_without_a_root_has_no_videos(corpus: Path) -> None:
    for data in ({}, {"_target_": "fer3d.corpora.own_videos.Videos", "root": None}):
        assert not has_seen(known(data=data, subjects=("P0",)), FILE, corpus / "P0/happy")


def load(tmp_path: Path, root: Path, *subjects: tuple[str, ...], **fields: Any) -> Predictor:
    """Loads a network a tuple of subjects."""
    for number, those in enumerate(subjects):
        path = tmp_path / f"run/fold_{number:03d}/last.ckpt"
        write_network(path, data=data_of(root), subjects=those, fold=number, **fields)
    return Predictor.load(tmp_path / "run", trusted=TRUST)


def test_a_video_of_the_corpus_is_predicted_by_networks_that_have_not_seen_its_subject(
    tmp_path: Path, corpus: Path
) -> None:
    predictor = load(tmp_path, corpus, ("P1", "P2"), ("P0", "P2"), ("P0",))

    def chosen(path: Path) -> tuple[list[int], str]:
        unseen, caution = predictor.unseen(FrameFolder(path, "a"))
        return [member.trained.fold for member in unseen.ensemble.members], caution

    assert chosen(corpus / "P0/happy") == ([0], "")
    assert chosen(corpus / "P1/sad") == ([1, 2], "")
    assert chosen(corpus / "P2/sad") == ([2], "")
    assert chosen(tmp_path) == ([0, 1, 2], "")
    assert predictor.unseen(Camera(0)) == (predictor, "")


def test_what_all_networks_have_seen_is_said_to_be_seen(tmp_path: Path, corpus: Path) -> None:
    predictor = load(tmp_path, corpus, ("P0", "P1"), ("P0", "P2"), synthetic=True, corpus="mine")
    unseen, caution = predictor.unseen(FrameFolder(corpus / "P0/happy", "a"))
    assert len(unseen.ensemble.members) == 2
    assert caution.startswith("SYNTHETIC: trained on rendered faces (mine), SEEN IN TRAINING")
    table = predictor(corpus / "P0/happy")
    assert set(table["caution"]) == {caution}


def test_rendered_faces_are_called_so_whatever_the_network_has_learnt_from(tmp_path: Path, corpus: Path) -> None:
    predictor = load(tmp_path, corpus, ("P9",))
    assert predictor.unseen(FrameFolder(corpus / "P0/happy", "a"))[1] == ""
    (corpus / SYNTHETIC_MARKER).touch()
    assert predictor.unseen(FrameFolder(corpus / "P0/happy", "a"))[1].startswith("SYNTHETIC")
