"""Explains the predictions for clips: `python -m fer3d.explain outputs/RUN --clip S005/001`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer3d.command import orderly_end, user_errors
from fer3d.options import CommandParser

if TYPE_CHECKING:
    from fer3d.clips.store import ClipStore
    from fer3d.explanation.explain_clip import Explanation
    from fer3d.explanation.sources import ShownClip, TrainedNetwork
    from fer3d.prediction.sources import Source

EXPLANATION_NAME = "explanation.json"
_FORMAT = 1


def explain(arguments: Sequence[str] | None = None) -> None:
    """Explains clips; writes a figure of each, and its numbers as JSON.

    Args:
        arguments: Command-line arguments; None for those of the process.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.video and not (options.face is None and options.at is None):
        parser.error("--face and --at select a clip of a video, but no video is given")
    with user_errors():
        _explain_all(options)


def _explain_all(options: argparse.Namespace) -> None:
    import torch

    from fer3d.atomic_file import write_file
    from fer3d.explanation.gradcam import ExplanationError
    from fer3d.explanation.sources import TrainedNetwork, checkpoint_of
    from fer3d.prediction.sources import find_sources

    if not (options.clip or options.video):
        raise ExplanationError(
            "nothing to explain: give clips of the corpus, such as --clip S005/001, or a video after the checkpoint"
        )
    what: dict[Path, list[str | Source]] = {}
    for clip_id in dict.fromkeys(options.clip):
        what.setdefault(checkpoint_of(options.checkpoint, clip_id), []).append(clip_id)
    if options.video:
        what.setdefault(checkpoint_of(options.checkpoint), []).extend(find_sources(options.video))
    out = options.out or _default_folder(next(iter(what)))
    store: ClipStore | None = None
    told: list[dict[str, Any]] = []
    files: list[str] = [EXPLANATION_NAME]
    for path, named in what.items():
        trained = TrainedNetwork.read(path, options.trust, "cuda" if torch.cuda.is_available() else "cpu")
        if options.clip and store is None:
            store = _store(trained, options)
        for one in named:
            told.append(_explain_clip(trained, _clip(trained, store, one, options), options, out, files))
    caution = ", ".join(dict.fromkeys(filter(None, (one["caution"] for one in told))))
    content = {"format": _FORMAT, "caution": caution, "clips": told}
    write_file(out / EXPLANATION_NAME, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    print(f"{out}: {', '.join(files)}")


def _store(trained: TrainedNetwork, options: argparse.Namespace) -> ClipStore:
    """The clip store of the checkpoint's run; checks that it contains all requested clips."""
    from fer3d.clips.store import find_store
    from fer3d.explanation.gradcam import ExplanationError

    clips = options.clips or trained.path.absolute().parents[2] / "clips"
    store = find_store(clips, trained.checkpoint.clip_store)
    if store is None:
        raise ExplanationError(
            f"{clips} does not contain the clip store that {trained.path} was trained on (digest "
            f"{trained.checkpoint.clip_store[:8]}): give its folder with --clips"
        )
    for clip_id in options.clip:
        trained.stored_clip(store, clip_id)
    return store


def _clip(
    trained: TrainedNetwork, store: ClipStore | None, what: str | Source, options: argparse.Namespace
) -> ShownClip:
    from fer3d.explanation.video_clips import video_clip

    if isinstance(what, str):
        assert store is not None
        return trained.stored_clip(store, what)
    return video_clip(
        trained,
        what,
        face=options.face,
        second=options.at,
        emotion=_label(trained, options.emotion[0]) if options.emotion else None,
        trusted=tuple(options.trust),
    )


def _label(trained: TrainedNetwork, emotion: str) -> int:
    from fer3d.explanation.gradcam import ExplanationError

    emotions = trained.trained.emotions
    if emotion not in emotions:
        raise ExplanationError(f"{emotion} is not an emotion of {trained.path}; it has {', '.join(emotions)}")
    return emotions.index(emotion)


def _explain_clip(
    trained: TrainedNetwork, clip: ShownClip, options: argparse.Namespace, out: Path, files: list[str]
) -> dict[str, Any]:
    """Explains a clip, writes its figures, appends their names to `files`, and returns the JSON entry."""
    import torch

    from fer3d.atomic_file import write_file
    from fer3d.clips.preprocess import to_unit_range
    from fer3d.explanation import explain_clip
    from fer3d.reporting.strips import explanation_figure
    from fer3d.reporting.theme import png, svg

    network, given, emotions = trained.network_for(clip), trained.given(clip), trained.trained.emotions
    with torch.no_grad():
        probabilities = network(to_unit_range(given)[None])[0]
    said, probability = emotions[int(probabilities.argmax())], float(probabilities.max())
    explained = []
    for emotion in options.emotion or [said]:
        found = explain_clip.explain(
            network, given, _label(trained, emotion), layer=options.layer, method=options.method
        )
        figure = explanation_figure(clip, found, emotions, (said, probability))
        name = _free_name(f"{clip.name} {emotion}", files)
        write_file(out / f"{name}.png", png(figure))
        write_file(out / f"{name}.svg", svg(figure))
        files += [f"{name}.png", f"{name}.svg"]
        explained.append({"emotion": emotion, **_told(found, clip), "files": files[-2:]})
        _say(clip, emotion, found)
    return {
        "clip": clip.name,
        "caution": clip.caution,
        "label": clip.label,
        "said": said,
        "probabilities": dict(zip(emotions, map(float, probabilities), strict=True)),
        "checkpoint": {"file": str(trained.path), **trained.checkpoint.origin()},
        "explained": explained,
    }


def _free_name(text: str, files: Sequence[str]) -> str:
    """A file name from a text, unique among `files`, without a suffix."""
    from fer3d.reporting.page import slug

    name = slug(text)
    while f"{name}.png" in files:
        name += "-again"
    return name


def _told(explanation: Explanation, clip: ShownClip) -> dict[str, Any]:
    evidence, curves = explanation.evidence, explanation.curves
    shares = zip(clip.frames, evidence.shares.tolist(), strict=True)
    return {
        "probability": explanation.probability,
        "method": evidence.method,
        "layer": evidence.layer.name,
        "grid": list(evidence.layer.grid),
        "frames": [{"frame": frame, "share": share} for frame, share in shares],
        "better_than_random": curves.is_better_than_random,
        "shares_of_voxels": curves.shares.tolist(),
        **{
            name: {
                "area": float(curves.area(own)),
                "random_areas": curves.area(random).tolist(),
                "probabilities": own.tolist(),
            }
            for name, own, random in (
                ("deletion", curves.deletion, curves.random_deletion),
                ("insertion", curves.insertion, curves.random_insertion),
            )
        },
    }


def _say(clip: ShownClip, emotion: str, explanation: Explanation) -> None:
    curves = explanation.curves
    caution = f" [{clip.caution}]" if clip.caution else ""
    frame = int(explanation.evidence.shares.argmax())
    areas = [
        f"{name} {curves.area(own):.2f} (random {curves.area(random).mean():.2f})"
        for name, own, random in (
            ("deletion", curves.deletion, curves.random_deletion),
            ("insertion", curves.insertion, curves.random_insertion),
        )
    ]
    print(
        f"{clip.name}: {emotion} {explanation.probability:.2f}{caution}; most in frame {frame + 1} "
        f"({explanation.evidence.shares[frame]:.0%}); {', '.join(areas)}",
        *filter(None, [explanation.doubt]),
        sep="\n  ",
        flush=True,
    )


def _default_folder(checkpoint: Path) -> Path:
    """Beside the folds of the checkpoint's run, or beside a checkpoint outside of a run."""
    folder = checkpoint.absolute().parent
    return (folder.parent if folder.name.startswith("fold_") else folder) / "explanation"


def _parser() -> CommandParser:
    parser = CommandParser(
        "explain", "Shows where and when a network has evidence for an emotion, and tests the map's faithfulness."
    )
    add = parser.add_argument
    add(
        "checkpoint",
        type=Path,
        metavar="CHECKPOINT",
        help="a last.ckpt, or the folder of a run with save_checkpoint=true, for the fold that held out the clip",
    )
    add("video", nargs="*", metavar="VIDEO", help="video files, folders of videos or frame images")
    add("--clip", action="append", default=[], metavar="ID", help="a clip of the corpus, such as S005/001; repeatable")
    add("--emotion", action="append", default=[], metavar="NAME", help="emotion to explain (the predicted); repeatable")
    add("--face", type=int, metavar="N", help="face of a video (the one visible longest)")
    add("--at", type=float, metavar="SECONDS", help="end of the clip in a video (that of the most confident clip)")
    add("--layer", metavar="NAME", help="layer of the map, such as features.3.0")
    add("--method", choices=("hirescam", "gradcam"), default="hirescam", help="gradcam averages gradients (hirescam)")
    parser.add_out("explanation/ in the run's folder")
    parser.add_clips()
    parser.add_trust()
    return parser


if __name__ == "__main__":
    with orderly_end("nothing was left half-written"):
        explain()
