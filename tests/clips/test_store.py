from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fer3d.checked_json import sealed
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
    folder: Path, of: StoreHeader | None = None, records: tuple[ClipRecord, ...] = RECORDS, pixels: np.ndarray = PIXELS
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
    np.testing.assert_array_equal(np.load(store.folder / "clips.npy"), PIXELS)
    assert isinstance(opened.clips, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        opened.clips[0] = 0
    assert opened.records == RECORDS
    assert opened.header == header()
    assert len(opened) == 3
    assert opened.clip_ids == ("S005/001", "S005/002", "S010/001")
    assert opened.subjects == ("S005", "S005", "S010")
    assert opened.clip_emotions == ("surprise", "anger", "happy")
    assert opened.labels.dtype == np.int64
    assert opened.labels.tolist() == [2, 0, 1]
    assert (opened.emotions, opened.corpus, opened.synthetic, opened.num_channels) == (EMOTIONS, "ckplus", False, 1)


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


Damage = Callable[[Path], None]


def changed(change: Callable[[bytes], bytes], name: str = "clips.npy") -> Damage:
    """Changes the bytes of a file."""
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes())) and None


def flipped(place: int) -> Damage:
    return changed(lambda data: data[:place] + bytes([data[place] ^ 1]) + (data[place:][1:]))


def other(pixels: np.ndarray, save: Callable[..., None] = np.save) -> Damage:
    """Saves other pixels."""

    def damage(folder: Path) -> None:
        with (folder / "clips.npy").open("wb") as file:
            save(file, pixels)

    return damage


def gone(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


def edit(**changes: object) -> Damage:
    """Edits the index; None drops an entry."""

    def damage(folder: Path) -> None:
        content = {**json.loads((folder / "index.json").read_text()), **changes}
        kept = {key: value for key, value in content.items() if value is not None}
        (folder / "index.json").write_text(json.dumps(kept))

    return damage


def lie(**changes: object) -> Damage:
    """Edits the index as somebody would who knows of the checksum."""

    def damage(folder: Path) -> None:
        edit(**changes)(folder)
        content = json.loads((folder / "index.json").read_text())
        (folder / "index.json").write_text(json.dumps(sealed(content)))

    return damage


def lie_of_a_clip(**changes: object) -> Damage:
    def damage(folder: Path) -> None:
        first, *others = json.loads((folder / "index.json").read_text())["clips"]
        lie(clips=[{**first, **changes}, *others])(folder)

    return damage


def whole(content: object) -> Damage:
    return lambda folder: (folder / "index.json").write_text(json.dumps(content)) and None


EDITED = "edited or damaged"
DAMAGES: dict[str, tuple[Damage, str]] = {
    "truncated pixels": (changed(lambda data: data[:-1]), "mmap length is greater than file size"),
    "empty pixels": (changed(lambda _: b""), "EOF|no data|magic"),
    "fewer clips": (other(PIXELS[:2]), r"clips\.npy holds uint8 \(2, 3, 8, 8, 1\) instead of uint8 \(3, 3, 8, 8, 1\)"),
    "pixels of another kind": (other(PIXELS.astype(np.float32)), "holds float32"),
    "pixels that are objects": (other(PIXELS.astype(object)), "object"),
    "pixels in an archive": (other(PIXELS, np.savez), "magic"),
    "no pixels": (gone("clips.npy"), r"No such file or directory.*clips\.npy"),
    "a flipped bit of the first pixel": (flipped(128), EDITED),
    "a flipped bit of the last pixel": (flipped(-1), EDITED),
    "another order of clips": (other(PIXELS[::-1]), EDITED),
    "half an index": (changed(lambda data: data[: len(data) // 2], "index.json"), "line"),
    "no index": (gone("index.json"), r"No such file.*index\.json"),
    **{f"an index of {value}": (whole(value), "instead of an object") for value in ([], None, 3, "x")},
    "another format": (edit(format=99), "its format is 99 instead of 1"),
    **{f"another {key}, edited": (edit(**{key: value}), EDITED) for key, value in (("synthetic", True), ("key", "y"))},
    **{
        f"no {key}": (lie(**{key: None}), f"{key}: field required")
        for key in ("corpus", "synthetic", "emotions", "num_frames", "size", "digest")
    },
    "a text for a truth": (lie(synthetic="no"), "synthetic: input should be a valid boolean"),
    "a list for a text": (lie(corpus=[]), "corpus: input should be a valid string"),
    "a number for the clips": (lie(clips=3), "clips: input should be"),
    "another number of clips": (lie(num_clips=4), "names 3 clips instead of 4"),
    "another digest": (lie(digest="0" * 64), EDITED),
    "other emotions": (lie(emotions=["anger", "surprise", "happy"]), EDITED),
    "an emotion twice": (lie(emotions=[*EMOTIONS, "anger"]), "names an emotion twice"),
    "an emotion of no store": (lie_of_a_clip(emotion="glee"), "S005/001 shows glee"),
    "another emotion": (lie_of_a_clip(emotion="happy"), EDITED),
    "another subject": (lie_of_a_clip(subject="S006"), EDITED),
    "a clip twice": (lie_of_a_clip(clip_id="S005/002"), "names the clip S005/002 twice"),
    "a clip of another name": (lie_of_a_clip(clip_id="S005/009"), EDITED),
    "a frame too few": (lie_of_a_clip(frames=["a.png"]), "S005/001 .*3 frames"),
    "boxes of three sides": (lie_of_a_clip(boxes=[[1, 2, 3]] * 3), r"clips\.0\.boxes\.0"),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGES.values(), ids=DAMAGES)
def test_damaged_store_says_which_and_what_to_do(store: ClipStore, damage: Damage, reason: str) -> None:
    damage(store.folder)
    with pytest.raises(StoreError, match=rf"ckplus-0123 is not a usable clip store: .*({reason})") as raised:
        ClipStore.open(store.folder)
    assert str(raised.value).endswith("Delete it and run `python -m fer3d.prepare` again.")
    assert "\n" not in str(raised.value)


def test_stores_of_earlier_versions_are_read(store: ClipStore) -> None:
    edit(checksum=None)(store.folder)
    assert ClipStore.open(store.folder).digest == store.digest


def test_a_store_that_says_other_than_expected_is_refused(store: ClipStore) -> None:
    """One without a checksum could say that its images are real."""
    assert ClipStore.open(store.folder, header(versions={"opencv": "5"})).digest == store.digest
    with pytest.raises(StoreError, match="its synthetic is False instead of True"):
        ClipStore.open(store.folder, header(synthetic=True))


def test_the_same_pixels_in_another_order_in_memory_are_the_same_store(store: ClipStore) -> None:
    np.save(store.folder / "clips.npy", np.asfortranarray(PIXELS))
    np.testing.assert_array_equal(ClipStore.open(store.folder).clips, PIXELS)


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
