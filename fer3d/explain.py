"""Explains what a network says of clips: `python -m fer3d.explain outputs/RUN --clip S005/001`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer3d.command import orderly_end, user_errors

if TYPE_CHECKING:
    from fer3d.explanation.explain_clip import Explanation, ViewedNetwork
    from fer3d.explanation.sources import ShownClip
    from fer3d.training.checkpoint import Checkpoint

EXPLANATION_NAME = "explanation.json"


def main(arguments: Sequence[str] | None = None) -> None:
    """Explains clips one by one and writes a picture of each, and what it says as numbers.

    Args:
        arguments: The command line; None for the real one.
    """
    options = _parser().parse_args(arguments)
    with user_errors():
        _explain(options)


def _explain(options: argparse.Namespace) -> None:
    import torch

    from fer3d.atomic_file import write_file
    from fer3d.explanation.explain_clip import ViewedNetwork
    from fer3d.explanation.gradcam import ExplanationError
    from fer3d.explanation.sources import checkpoint_of, find_store, network_of, stored_clip, views_of
    from fer3d.training.checkpoint import Checkpoint

    if not options.clip:
        raise ExplanationError("nothing to explain: name clips, such as --clip S005/001")
    told = []
    for clip_id in options.clip:
        path = checkpoint_of(options.checkpoint, clip_id)
        run = path.absolute().parent.parent
        checkpoint = Checkpoint.read(path)
        clips = options.clips or run.parent / "clips"
        store = find_store(clips, checkpoint.clip_store)
        if store is None:
            raise ExplanationError(
                f"{clips} holds no clip store with digest {checkpoint.clip_store[:8]}, which {path} was trained on; "
                "--clips names the folder where it lies"
            )
        views = views_of(checkpoint.config, store.header.num_frames)
        network = ViewedNetwork(
            network_of(checkpoint, store.num_channels),
            torch.unique(views, return_inverse=True)[1],
            normalised=bool(checkpoint.config["clips"]["normalise"]),
        )
        clip = stored_clip(store, clip_id, views, checkpoint)
        into = options.into or run / "explanation"
        told.append(_explain_clip(network, clip, checkpoint, options, into))
    file = into / EXPLANATION_NAME
    write_file(file, json.dumps({"clips": told}, indent=2, ensure_ascii=False) + "\n")
    print(f"{file}")


def _explain_clip(
    network: ViewedNetwork, clip: ShownClip, checkpoint: Checkpoint, options: argparse.Namespace, into: Path
) -> dict[str, Any]:
    import torch

    from fer3d.atomic_file import write_file
    from fer3d.clips.preprocess import load_clips, to_unit_range
    from fer3d.explanation.explain_clip import explain
    from fer3d.explanation.gradcam import ExplanationError
    from fer3d.reporting.explanation_strips import explanation_figure
    from fer3d.reporting.parts import slug
    from fer3d.reporting.theme import png, svg

    (pixels,) = load_clips(clip.pixels[None], clahe=bool(checkpoint.config["clips"]["clahe"]))
    with torch.no_grad():
        probabilities = network(to_unit_range(pixels[None]))[0]
    best = int(probabilities.argmax())
    said = checkpoint.emotions[best], float(probabilities[best])
    caution = ", ".join(filter(None, ["SYNTHETIC data" if checkpoint.synthetic else "", clip.seen]))
    told = []
    for emotion in options.emotion or [said[0]]:
        if emotion not in checkpoint.emotions:
            raise ExplanationError(f"the network does not know {emotion}; it knows {', '.join(checkpoint.emotions)}")
        found = explain(network, pixels, checkpoint.emotions.index(emotion), layer=options.layer)
        figure = explanation_figure(clip, found, checkpoint.emotions, said, caution)
        name = slug(f"{clip.name} {emotion}")
        write_file(into / f"{name}.png", png(figure))
        write_file(into / f"{name}.svg", svg(figure))
        told.append(_told(found, emotion, clip))
    return {"clip": clip.name, "caution": caution, "said": said[0], "probability": said[1], "explained": told}


def _told(explanation: Explanation, emotion: str, clip: ShownClip) -> dict[str, Any]:
    return {
        "emotion": emotion,
        "probability": explanation.probability,
        "layer": explanation.layer.name,
        "shares": dict(zip(clip.frames, explanation.shares.tolist(), strict=True)),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fer3d.explain",
        description="Shows where and when a network has evidence for an emotion (Grad-CAM), and checks that.",
    )
    parser.add_argument(
        "checkpoint", type=Path, help="a last.ckpt, or the folder of a fold or of a run with save_checkpoint=true"
    )
    parser.add_argument("--clip", action="append", default=[], metavar="ID", help="a clip of its corpus; repeatable")
    parser.add_argument("--emotion", action="append", default=[], metavar="NAME", help="by default what it says")
    parser.add_argument("--layer", metavar="NAME", help="the layer to look at, such as features.2.1")
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="by default explanation/ in the run's folder")
    parser.add_argument("--clips", type=Path, metavar="FOLDER", help="where the clip stores are")
    return parser


if __name__ == "__main__":
    with orderly_end("nothing was left half-written"):
        main()
