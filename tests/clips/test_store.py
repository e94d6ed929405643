from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from fer3d.clips.store import ClipRecord, ClipStore, StoreError, StoreHeader, StoreWriter

EMOTIONS = ("anger", "happy", "surprise")


def header(**changes: object) -> StoreHeader:
    fields = {
        "corpus": "ckplus",
        "synthetic": False,
        "emotions": EMOTIONS,
        "num_channels": 1,
        "num_frames": 3,
        "size": 8,
        "key": "k" * 64,
        "settings": {"faces": {"detector": {"name": "res10"}}},
        "versions": {"opencv": "4"},
    }
    return StoreHeader(**{**fields, **changes})  # type: ignore[arg-type]


def record(clip_id: str, emotion: str) -> ClipRecord:
    return ClipRecord(
        clip_id=clip_id,
        subject=clip_id.split("/")[0],
        emotion=emotion,
        frames=("a.png", "b.png", "b.png"),
        boxes=((1, 2, 3, 4),) * 3,
        confidences=(0.75, None, None),
        sources=("detected", "nearest", "repeated"),
    )


RECORDS = (record("S005/001", "surprise"), record("S005/002", "anger"), record("S010/001", "happy"))
PIXELS = np.random.default_rng(3).integers(0, 256, (3, 3, 8, 8, 1), dtype=np.uint8)


def write(
    folder: Path,
    of: StoreHeader | None = None,
    records: tuple[ClipRecord, ...] = RECORDS,
    pixels: np.ndarray = PIXELS,
) -> ClipStore:
    folder.mkdir(parents=True)
    with StoreWriter(folder, of or header()) as writer:
        for entry, clip in zip(records, pixels, strict=True):
            writer.add(entry, clip)
        return writer.seal()


@pytest.fixture
def store(tmp_path: Path) -> ClipStore:
    return write(tmp_path / "stores" / "ckplus-0123")


def test_gives_back_what_was_written(store: ClipStore) -> None:
    opened = ClipStore.open(store.folder)
    np.testing.assert_array_equal(opened.clips, PIXELS)
    assert opened.records == RECORDS
    assert opened.header == header()
    assert len(opened) == 3
    assert opened.clip_ids == ("S005/001", "S005/002", "S010/001")
    assert opened.subjects == ("S005", "S005", "S010")
    assert opened.clip_emotions == ("surprise", "anger", "happy")
    assert opened.labels.dtype == np.int64
    assert opened.labels.tolist() == [2, 0, 1]
    assert (opened.emotions, opened.corpus, opened.synthetic, opened.num_channels) == (EMOTIONS, "ckplus", False, 1)


def test_pixels_are_mapped_and_read_only(store: ClipStore) -> None:
    assert isinstance(store.clips, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        store.clips[0] = 0


def test_array_is_a_plain_npy_file(store: ClipStore) -> None:
    np.testing.assert_array_equal(np.load(store.folder / "clips.npy"), PIXELS)


def test_index_is_json_with_one_clip_a_line(store: ClipStore) -> None:
    text = (store.folder / "index.json").read_text()
    assert json.loads(text)["clips"][1]["clip_id"] == "S005/002"
    lines = [line for line in text.splitlines() if "clip_id" in line]
    assert [json.loads(line.strip().rstrip(","))["emotion"] for line in lines] == ["surprise", "anger", "happy"]


def test_digest_can_be_computed_from_what_is_documented(store: ClipStore) -> None:
    content = {
        "shape": [3, 3, 8, 8, 1],
        "emotions": EMOTIONS,
        "clips": [(r.clip_id, r.subject, r.emotion) for r in RECORDS],
    }
    want = hashlib.sha256(PIXELS.tobytes() + json.dumps(content, sort_keys=True).encode()).hexdigest()
    assert store.digest == want


def test_digest_is_of_the_content_alone(tmp_path: Path, store: ClipStore) -> None:
    other = header(corpus="other", key="x" * 64, settings={}, versions={})
    assert write(tmp_path / "elsewhere", other).digest == store.digest
    changed = PIXELS.copy()
    changed[2, 2, 7, 7, 0] ^= 1
    relabelled = (*RECORDS[:2], record("S010/001", "anger"))
    renamed = (*RECORDS[:2], record("S011/001", "happy"))
    digests = {
        store.digest,
        write(tmp_path / "pixels", pixels=changed).digest,
        write(tmp_path / "labels", records=relabelled).digest,
        write(tmp_path / "ids", records=renamed).digest,
        write(tmp_path / "order", records=RECORDS[::-1], pixels=PIXELS[::-1]).digest,
    }
    assert len(digests) == 5


def test_verify_notices_a_changed_pixel(store: ClipStore) -> None:
    store.verify()
    path = store.folder / "clips.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"differs from its digest.*fer3d\.prepare"):
        ClipStore.open(store.folder).verify()


def damage_array(folder: Path) -> None:
    (folder / "clips.npy").write_bytes((folder / "clips.npy").read_bytes()[:-1])


def other_shape(folder: Path) -> None:
    np.save(folder / "clips.npy", PIXELS[:2])


def other_dtype(folder: Path) -> None:
    np.save(folder / "clips.npy", PIXELS.astype(np.float32))


def no_array(folder: Path) -> None:
    (folder / "clips.npy").unlink()


def half_an_index(folder: Path) -> None:
    text = (folder / "index.json").read_text()
    (folder / "index.json").write_text(text[: len(text) // 2])


def other_format(folder: Path) -> None:
    text = (folder / "index.json").read_text()
    (folder / "index.json").write_text(text.replace('"format": 1', '"format": 99'))


def no_key(folder: Path) -> None:
    text = (folder / "index.json").read_text()
    (folder / "index.json").write_text(text.replace('"emotions"', '"feelings"'))


def odd_emotion(folder: Path) -> None:
    text = (folder / "index.json").read_text()
    (folder / "index.json").write_text(text.replace('"emotion": "happy"', '"emotion": "glee"'))


def not_an_object(folder: Path) -> None:
    (folder / "index.json").write_text("[]")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (damage_array, "mmap length is greater than file size"),
        (other_shape, r"clips\.npy holds uint8 \(2, 3, 8, 8, 1\) instead of uint8 \(3, 3, 8, 8, 1\)"),
        (other_dtype, "holds float32"),
        (no_array, r"No such file or directory.*clips\.npy"),
        (half_an_index, "line"),
        (other_format, "its format is 99 instead of 1"),
        (no_key, "no entry 'emotions'"),
        (odd_emotion, "no entry 'glee'"),
        (not_an_object, "list"),
    ],
)
def test_damaged_store_says_which_and_what_to_do(store: ClipStore, damage: object, reason: str) -> None:
    damage(store.folder)  # type: ignore[operator]
    with pytest.raises(StoreError, match=rf"ckplus-0123 is not a usable clip store: .*{reason}") as raised:
        ClipStore.open(store.folder)
    assert "Delete it and run `python -m fer3d.prepare` again." in str(raised.value)


def test_missing_store_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"gone is not a usable clip store: .*No such file"):
        ClipStore.open(tmp_path / "gone")


def test_an_unsealed_store_cannot_be_opened(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, header()) as writer:
        writer.add(RECORDS[0], PIXELS[0])
    with pytest.raises(StoreError, match="is not a usable clip store"):
        ClipStore.open(tmp_path)


@pytest.mark.parametrize(
    ("entry", "clip", "message"),
    [
        (RECORDS[0], PIXELS[0, :2], r"S005/001: uint8 \(2, 8, 8, 1\) instead of \(3, 8, 8, 1\)"),
        (RECORDS[0], PIXELS[0].astype(np.int16), "S005/001: int16"),
        (record("S005/001", "glee"), PIXELS[0], "S005/001: glee is not one of anger, happy, surprise"),
    ],
)
def test_clips_that_do_not_fit_are_refused(tmp_path: Path, entry: ClipRecord, clip: np.ndarray, message: str) -> None:
    with StoreWriter(tmp_path, header()) as writer, pytest.raises(ValueError, match=message):
        writer.add(entry, clip)
