"""What is known of networks that nobody trained, for tests that need no more."""

from __future__ import annotations

from typing import Any

from fer3d.prediction.trained import Trained

EMOTIONS = ("anger", "happy", "sad")
LAST = {"_target_": "fer3d.clips.frames.LastFrames"}
UNIFORM = {"_target_": "fer3d.clips.frames.UniformFrames", "stored": 12, "views": 1}
WINDOW = {"_target_": "fer3d.clips.frames.WindowFrames", "stride": 2, "stored": None, "views": 1}


def known(**fields: Any) -> Trained:
    """Returns a description of a grey network of ten frames, trained on image files; the fields are `Trained`'s."""
    crop = {"_target_": "fer3d.clips.faces.FaceCropper", "size": 4}
    told: dict[str, Any] = {
        "emotions": EMOTIONS,
        "num_channels": 1,
        "num_frames": 10,
        "num_stored": 10,
        "views": (tuple(range(10)),),
        "clahe": False,
        "normalise": False,
        "faces": {"_target_": "fer3d.clips.faces.FaceExtraction", "crop": crop},
        "frames": LAST,
        "temperature": None,
        "corpus": "test",
        "synthetic": False,
        "data": {},
        "subjects": (),
        "training_clips": {},
        "run": "d" * 64,
        "fold": 1,
        "weights": "w" * 64,
    }
    return Trained(**{**told, **fields})
