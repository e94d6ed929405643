from __future__ import annotations

import shutil
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from trees import CKPLUS_IMAGES, full_ckplus_codes, make_ckplus, mark_synthetic, touch

from fer3d.atomic_folder import atomic_folder
from fer3d.corpora.ckplus import CKPlus
from fer3d.corpora.sequences import SYNTHETIC_MARKER, CorpusError, CorpusWarning
from fer3d.twin import CKPLUS, OULU, TwinSettings, describe_twin
from fer3d.twin.layouts import Layout
from fer3d.twin.synthetic_ckplus import SyntheticCKPlus

SMALL = {"S005/001": 3, "S010/002": 7, "S010/004": 1}
Generator = Callable[..., None]
UseGenerator = Callable[[Generator], None]


def write_twin(root: Path, seed: int = 0, num_subjects: int = 2, **settings: object) -> Path:
    """Writes what `generate_twin` does, with empty images; `settings` are those that differ from the default."""
    make_ckplus(root, full_ckplus_codes() if num_subjects == 118 else SMALL, num_frames=1)
    description = describe_twin(seed, replace(TwinSettings(), **settings), num_subjects)  # type: ignore[arg-type]
    return mark_synthetic(root, **description, anny="0.6.2")


def quick_generator(root: Path, seed: int, num_subjects: int, settings: None = None, layout: Layout = CKPLUS) -> None:
    assert layout is CKPLUS
    assert settings is None
    with atomic_folder(root) as work:
        write_twin(work, seed, num_subjects)


def forbidden_generator(root: Path, **_: object) -> None:
    raise AssertionError(f"nothing was to be rendered into {root}")


@pytest.fixture
def use_generator(monkeypatch: pytest.MonkeyPatch) -> UseGenerator:
    """Puts a quick generator in the place of the renderer; until then nothing may be rendered."""

    def use(generator: Generator) -> None:
        monkeypatch.setattr("fer3d.twin.on_demand.generate_twin", generator)

    use(forbidden_generator)
    return use


def error_text(corpus: SyntheticCKPlus) -> str:
    with pytest.raises(CorpusError) as caught:
        corpus.read()
    return str(caught.value)


def test_constants_are_those_of_the_corpus(tmp_path: Path) -> None:
    corpus = SyntheticCKPlus(tmp_path)
    assert (corpus.name, corpus.num_channels, corpus.synthetic) == ("synthetic", 1, True)
    assert corpus.emotions == CKPlus.emotions
    assert (corpus.seed, corpus.num_subjects) == (0, 118)


def test_a_twin_that_several_need_at_once_is_rendered_once(tmp_path: Path, use_generator: UseGenerator) -> None:
    rendered = []

    def generator(root: Path, seed: int, num_subjects: int, settings: None, layout: Layout) -> None:
        rendered.append(root)
        time.sleep(0.05)
        quick_generator(root, seed, num_subjects, settings, layout)

    use_generator(generator)
    with ThreadPoolExecutor() as pool:
        one, other = pool.map(lambda _: SyntheticCKPlus(tmp_path / "twin", num_subjects=2).read(), range(2))
    assert one == other
    assert rendered == [tmp_path / "twin"]
    assert list(tmp_path.iterdir()) == rendered


def test_home_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert SyntheticCKPlus("~/twin").root == tmp_path / "twin"


def test_sequences_equal_those_of_the_ckplus_reader(tmp_path: Path, use_generator: UseGenerator) -> None:
    root = write_twin(tmp_path / "twin")
    real = CKPlus(root)
    with pytest.warns(CorpusWarning):
        sequences = real.read()
    assert SyntheticCKPlus(root, num_subjects=2).read() == sequences
    assert len(sequences) == len(SMALL)
    assert real.synthetic is True


def test_a_twin_is_rendered_once_and_then_read(tmp_path: Path, use_generator: UseGenerator) -> None:
    root = tmp_path / "data" / "twin"
    use_generator(quick_generator)
    first = SyntheticCKPlus(root, seed=4, num_subjects=2).read()
    use_generator(forbidden_generator)
    assert SyntheticCKPlus(root, seed=4, num_subjects=2).read() == first
    assert [sequence.clip_id for sequence in first] == list(SMALL)
    assert all(frame.is_file() for sequence in first for frame in sequence.frames)
    assert [path.name for path in root.parent.iterdir()] == ["twin"]


def test_an_empty_folder_is_as_good_as_none(tmp_path: Path, use_generator: UseGenerator) -> None:
    use_generator(quick_generator)
    assert len(SyntheticCKPlus(tmp_path, num_subjects=2).read()) == len(SMALL)


def test_a_link_to_another_disk_stays_a_link(tmp_path: Path, use_generator: UseGenerator) -> None:
    use_generator(quick_generator)
    disk, link = tmp_path / "disk", tmp_path / "twin"
    disk.mkdir()
    link.symlink_to(disk)
    assert len(SyntheticCKPlus(link, num_subjects=2).read()) == len(SMALL)
    assert link.is_symlink()
    assert (disk / SYNTHETIC_MARKER).is_file()


def test_the_full_twin_gives_no_warning(tmp_path: Path, use_generator: UseGenerator) -> None:
    use_generator(quick_generator)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(SyntheticCKPlus(tmp_path / "twin").read()) == 327


def test_a_full_twin_with_other_counts_gives_a_warning(tmp_path: Path, use_generator: UseGenerator) -> None:
    write_twin(tmp_path)
    mark_synthetic(tmp_path, **describe_twin(0))
    with pytest.warns(CorpusWarning, match="synthetic twin of CK.*sequences: 3 instead of 327") as caught:
        SyntheticCKPlus(tmp_path).read()
    assert Path(caught[0].filename) == Path(__file__)


@pytest.mark.parametrize("others_seed", [0, 1])
def test_a_twin_that_another_process_finished_first_is_used_if_it_is_the_same(
    tmp_path: Path, use_generator: UseGenerator, others_seed: int
) -> None:
    root = tmp_path / "twin"

    def overtaken(unfinished: Path, seed: int, num_subjects: int, settings: None, layout: Layout) -> None:
        # The generator drops its own work when the folder has come meanwhile.
        with atomic_folder(unfinished) as work:
            write_twin(work, seed, num_subjects)
            quick_generator(root, others_seed, num_subjects)

    use_generator(overtaken)
    corpus = SyntheticCKPlus(root, num_subjects=2)
    if others_seed == corpus.seed:
        assert len(corpus.read()) == len(SMALL)
    else:
        assert "seed is 1 there and 0 here" in error_text(corpus)
    assert [path.name for path in tmp_path.iterdir()] == ["twin"]


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path, use_generator: UseGenerator) -> None:
    make_ckplus(tmp_path, SMALL)
    before = sorted(tmp_path.rglob("*"))
    message = error_text(SyntheticCKPlus(tmp_path))
    assert f"data.root is {tmp_path}, which exists but is not a synthetic twin" in message
    assert SYNTHETIC_MARKER in message
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_is_left_alone(tmp_path: Path, use_generator: UseGenerator) -> None:
    file = touch(tmp_path / "twin")
    assert "is not a synthetic twin" in error_text(SyntheticCKPlus(file))
    assert file.is_file()


@pytest.mark.parametrize(
    ("made", "difference"),
    [
        ({"seed": 1}, "seed is 1 there and 0 here"),
        ({"num_subjects": 3}, "num_subjects is 3 there and 2 here"),
        ({"width": 160}, "settings.width is 160 there and 640 here"),
        ({"noise": (0.0, 0.0)}, "settings.noise is [0.0, 0.0] there and [1.0, 3.0] here"),
        ({"seed": 1, "gaze": 0.0}, "seed is 1 there and 0 here; settings.gaze is 0.0 there and 0.3 here"),
    ],
)
def test_another_twin_is_left_alone(
    tmp_path: Path, use_generator: UseGenerator, made: dict[str, int], difference: str
) -> None:
    root = write_twin(tmp_path / "twin", **made)
    before = sorted(root.rglob("*"))
    message = error_text(SyntheticCKPlus(root, num_subjects=2))
    assert message.startswith(f"{root} holds another synthetic twin: {difference}. ")
    assert "data.root" in message
    assert sorted(root.rglob("*")) == before


def test_a_twin_in_another_layout_is_another_one(tmp_path: Path, use_generator: UseGenerator) -> None:
    root = mark_synthetic(tmp_path / "twin", **describe_twin(0, num_subjects=2, layout=OULU))
    message = error_text(SyntheticCKPlus(root, num_subjects=2))
    assert message.startswith(f"{root} holds another synthetic twin: layout is oulu_casia there and ckplus here; ")


@pytest.mark.parametrize("lost", ["format", "seed", "num_subjects", "settings"])
def test_a_twin_that_does_not_say_all_about_itself_is_another_one(
    tmp_path: Path, use_generator: UseGenerator, lost: str
) -> None:
    root = write_twin(tmp_path / "twin")
    description = describe_twin(0, num_subjects=2)
    del description[lost]
    mark_synthetic(root, **description)
    assert f"{lost} is not recorded there and " in error_text(SyntheticCKPlus(root, num_subjects=2))


def test_a_setting_that_is_no_longer_known_makes_another_twin(tmp_path: Path, use_generator: UseGenerator) -> None:
    root = write_twin(tmp_path / "twin")
    description = describe_twin(0, num_subjects=2)
    description["settings"]["beard"] = 0.5
    mark_synthetic(root, **description)
    assert "settings.beard is 0.5 there and not recorded here" in error_text(SyntheticCKPlus(root, num_subjects=2))


def test_another_version_of_anny_is_no_other_twin(tmp_path: Path, use_generator: UseGenerator) -> None:
    root = write_twin(tmp_path / "twin")
    mark_synthetic(root, **describe_twin(0, num_subjects=2), anny="9.9")
    assert len(SyntheticCKPlus(root, num_subjects=2).read()) == len(SMALL)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "cannot be read"),
        ("[]", "should hold a JSON object"),
        ("{}", "seed is not recorded there and 0 here"),
    ],
)
def test_a_marker_that_says_nothing_is_an_error(
    tmp_path: Path, use_generator: UseGenerator, content: str, reason: str
) -> None:
    root = write_twin(tmp_path / "twin")
    (root / SYNTHETIC_MARKER).write_text(content)
    message = error_text(SyntheticCKPlus(root, num_subjects=2))
    assert reason in message
    assert str(root) in message


def test_a_damaged_twin_is_an_error_that_says_to_delete_it(tmp_path: Path, use_generator: UseGenerator) -> None:
    root = write_twin(tmp_path / "twin")
    shutil.rmtree(root / CKPLUS_IMAGES / "S005")
    message = error_text(SyntheticCKPlus(root, num_subjects=2))
    assert f"{root} is damaged; delete that folder" in message
    assert "S005/001" in message


def test_without_the_extra_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anny", None)
    assert "pip install fer3d[synthetic]" in error_text(SyntheticCKPlus(tmp_path / "twin"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_real_generator_writes_a_twin_that_can_be_read(tmp_path: Path) -> None:
    pytest.importorskip("anny")
    sequences = SyntheticCKPlus(tmp_path / "twin", seed=1, num_subjects=2).read()
    assert {sequence.emotion for sequence in sequences} <= set(SyntheticCKPlus.emotions)
    assert len({sequence.subject for sequence in sequences}) == 2
    assert all(frame.stat().st_size > 0 for sequence in sequences for frame in sequence.frames)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe\x00", b"3"])
def test_a_damaged_marker_is_named(tmp_path: Path, use_generator: UseGenerator, content: bytes) -> None:
    root = write_twin(tmp_path / "twin")
    (root / SYNTHETIC_MARKER).write_bytes(content)
    assert str(root / SYNTHETIC_MARKER) in error_text(SyntheticCKPlus(root, num_subjects=2))


@pytest.mark.parametrize("place", ["loop", "x" * 300])
def test_a_root_that_cannot_be_opened_is_named(tmp_path: Path, use_generator: UseGenerator, place: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    message = error_text(SyntheticCKPlus(tmp_path / place, num_subjects=2))
    assert f"data.root is {tmp_path / place}, which cannot be opened" in message


def test_a_root_that_cannot_be_written_is_named(tmp_path: Path, use_generator: UseGenerator) -> None:
    use_generator(quick_generator)
    touch(tmp_path / "file")
    message = error_text(SyntheticCKPlus(tmp_path / "file/twin", num_subjects=2))
    assert f"data.root, which is {tmp_path / 'file/twin'}: " in message
    assert "set data.root to another folder" in message
