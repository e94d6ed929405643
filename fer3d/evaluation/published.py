"""Published results on RAVDESS and CREMA-D with their protocols, and whether a run is comparable.

Accuracies are weighted (WAR: the share of all held-out clips that are right), in percent, from the face alone, in
subject-independent folds. They are quoted from the sources; how they were measured was not checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fer3d.clips.folds import FoldKind
from fer3d.evaluation.run_results import RunResults


@dataclass(frozen=True)
class Published:
    """A published accuracy.

    Attributes:
        approach: The network, or the people who rated the clips.
        accuracy: WAR in percent.
        pretraining: The data of its pretraining, if the source names it.
        source: Where the number is printed.
    """

    approach: str
    accuracy: float
    pretraining: str
    source: str


@dataclass(frozen=True)
class Benchmark:
    """A corpus under the protocol of the literature.

    Attributes:
        corpus: As in `RunResults.corpus`.
        twin: The corpus's synthetic twin.
        cv: The file of `conf/cv` with the literature's folds.
        ranges: The first and the last number of the subjects that each fold holds out.
        emotions: All classes.
        wanted: Required settings, by the keys of the configuration's section `data`.
        num_clips: Number of clips of the whole corpus.
        num_largest: Number of clips of its largest class.
        results: The published results, in ascending order of accuracy.
        warning: Which figures in circulation do not belong beside these.
    """

    corpus: str
    twin: str
    cv: str
    ranges: tuple[tuple[int, int], ...]
    emotions: tuple[str, ...]
    wanted: dict[str, str]
    num_clips: int
    num_largest: int
    results: tuple[Published, ...]
    warning: str = ""

    @property
    def chance(self) -> float:
        """The accuracy of guessing, in percent."""
        return 100 / len(self.emotions)

    @property
    def majority(self) -> float:
        """The accuracy of always saying the largest class, in percent."""
        return 100 * self.num_largest / self.num_clips

    @property
    def protocol(self) -> str:
        """The literature's protocol in a sentence."""
        folds = ", ".join(f"{first}-{last}" for first, last in self.ranges)
        return (
            f"{self.num_clips:,} clips, {len(self.emotions)} emotions, {len(self.ranges)} subject-independent folds by "
            f"actors {folds} (cv={self.cv}); the predictions of all folds are pooled before the accuracy (WAR) and the "
            "mean recall (UAR) are taken"
        )


LEAKING = (
    "Figures of 92 to 99 % that circulate for RAVDESS come from random splits, or from splits with the same take on "
    "both sides, so that a network has seen the person or the very clip: they never belong beside these."
)

RAVDESS = Benchmark(
    corpus="ravdess",
    twin="synthetic_ravdess",
    cv="ravdess6",
    ranges=((1, 4), (5, 8), (9, 12), (13, 16), (17, 20), (21, 24)),
    emotions=("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"),
    wanted={"channel": "speech"},
    num_clips=1440,
    num_largest=192,
    results=(
        Published("VO-LSTM", 60.50, "-", "arXiv 2401.00416, Tables 11, 12"),
        Published("3D ResNeXt-50", 62.99, "-", "arXiv 2401.00416, Tables 11, 12"),
        Published("SVFAP-S", 73.90, "VoxCeleb2", "arXiv 2401.00416, Tables 11, 12"),
        Published("SVFAP-B", 75.01, "VoxCeleb2", "arXiv 2401.00416, Tables 11, 12"),
        Published("MAE-DFER", 75.56, "VoxCeleb2", "table of AVF-MAE++"),
    ),
    warning=LEAKING,
)
CREMA_D = Benchmark(
    corpus="crema_d",
    twin="synthetic_crema_d",
    cv="crema_d5",
    ranges=((1001, 1018), (1019, 1036), (1037, 1054), (1055, 1072), (1073, 1091)),
    emotions=("anger", "disgust", "fear", "happy", "neutral", "sad"),
    wanted={"labels": "intended"},
    num_clips=7442,
    num_largest=1271,
    results=(
        Published("raters who see only the face", 58.2, "people", "Cao et al., PMC4313618"),
        Published("VO-LSTM", 66.80, "-", "arXiv 2401.00416, Tables 11, 12"),
        Published("SVFAP-S", 74.58, "VoxCeleb2", "arXiv 2401.00416, Tables 11, 12"),
        Published("SVFAP-B", 77.37, "VoxCeleb2", "arXiv 2401.00416, Tables 11, 12"),
        Published("MAE-DFER", 77.38, "VoxCeleb2", "table of AVF-MAE++"),
    ),
)
BENCHMARKS = (RAVDESS, CREMA_D)
_NEARLY_ALL = 0.99


def benchmark_of(corpus: str) -> Benchmark | None:
    """The benchmark of a corpus or of its synthetic twin; None for other corpora."""
    return next((benchmark for benchmark in BENCHMARKS if corpus in (benchmark.corpus, benchmark.twin)), None)


def differences(run: RunResults, benchmark: Benchmark) -> list[str]:
    """How a run differs from the protocol of the literature; empty if it is comparable."""
    return list(_differences(run, benchmark))


def _differences(run: RunResults, benchmark: Benchmark) -> Iterator[str]:
    cv, data = run.config["cv"], run.config["data"]
    if run.fold_kind is not FoldKind.RANGES or tuple(map(tuple, cv.get("ranges", ()))) != benchmark.ranges:
        yield f"its folds differ ({run.cross_validation}, not cv={benchmark.cv})"
    if set(run.emotions) != set(benchmark.emotions):
        yield f"it has {len(run.emotions)} of the {len(benchmark.emotions)} emotions (data.emotions)"
    for key, value in benchmark.wanted.items():
        if data.get(key, value) != value:
            yield f"data.{key} is {data[key]} and not {value}"
    if run.partial:
        yield f"{len(run.missing)} of its {run.num_folds} folds are missing"
    num_clips = sum(len(fold.clip_ids) for fold in run.folds)
    # A twin may have any size, and a few clips may fail to decode.
    if not run.synthetic and not run.partial and num_clips < _NEARLY_ALL * benchmark.num_clips:
        yield f"it holds out {num_clips:,} of the corpus's {benchmark.num_clips:,} clips"
