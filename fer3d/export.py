"""Exports trained networks to ONNX: `fer3d export outputs/<run>/fold_001/last.ckpt`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fer3d.command import orderly_end, user_errors
from fer3d.options import CommandParser


def export(arguments: Sequence[str] | None = None) -> None:
    """Writes the ONNX file of a checkpoint, or of each fold of a run.

    Args:
        arguments: Command-line arguments; None for those of the process.
    """
    options = _parser().parse_args(arguments)
    with user_errors():
        from fer3d.atomic_file import write_file
        from fer3d.prediction.onnx_export import export_checkpoint

        for checkpoint, target in _targets(options.checkpoint, options.out):
            made = export_checkpoint(checkpoint, options.trust)
            write_file(target, made.content)
            caution = f", {made.trained.caution}" if made.trained.caution else ""
            print(
                f"{target}: {len(made.trained.emotions)} emotions, {len(made.content) / 1e6:.1f} MB, logits within "
                f"{made.difference:.1g} of PyTorch's{caution}",
                flush=True,
            )


def _targets(checkpoint: Path, out: Path | None) -> list[tuple[Path, Path]]:
    """Each checkpoint and its ONNX file.

    Raises:
        PredictionError: There is no checkpoint, or one output file for several.
    """
    from fer3d.prediction.networks import network_files
    from fer3d.prediction.trained import PredictionError

    if out is not None and out.suffix and out.suffix.lower() != ".onnx" and not out.is_dir():
        raise PredictionError(f"--out must be a folder or end in .onnx, got {out}")
    if not checkpoint.is_dir():
        return [(checkpoint, _target(checkpoint, out, "model.onnx"))]
    found = list(network_files(checkpoint))
    if len(found) > 1 and out is not None and out.suffix.lower() == ".onnx":
        raise PredictionError(
            f"{checkpoint} contains {len(found)} checkpoints, but {out} is one file: give a folder as --out, or one "
            "checkpoint"
        )
    return [(path, _target(path, out, f"{path.absolute().parent.name}.onnx")) for path in found]


def _target(checkpoint: Path, out: Path | None, name: str) -> Path:
    if out is None:
        return checkpoint.with_suffix(".onnx")
    return out if out.suffix.lower() == ".onnx" else out / name


def _parser() -> CommandParser:
    parser = CommandParser(
        "export", "Exports a trained network to ONNX, for prediction without PyTorch (docs/export.md)."
    )
    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="last.ckpt of a fold, or a run folder for all its folds"
    )
    parser.add_out("last.onnx beside the checkpoint; a .onnx file or a folder", "PATH")
    parser.add_trust()
    return parser


if __name__ == "__main__":
    with orderly_end("nothing was left half-written"):
        export()
