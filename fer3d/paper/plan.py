"""Plans of `make reproduce-ckplus`, `make benchmark-ravdess`, `make rehearse` and the like, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from fer3d.evaluation.effects import Change
from fer3d.overrides import override
from fer3d.paper.ablation import BASE, VARIANTS
from fer3d.twin.own_videos import TABLE_NAME, OwnVideos

# The corpora by the names that `data=` knows.
CKPLUS, OULU = "ckplus", "oulu_casia"
RAVDESS, CREMA_D = "ravdess", "crema_d"
VIDEOS = "videos"


@dataclass(frozen=True)
class Step:
    """One run.

    Attributes:
        experiment: The experiment of `conf/experiment` that it is, or is made of; None for none.
        corpus: The corpus that it trains on.
        starts_from: The run, a step before, from whose checkpoint every fold starts; None for none.
        overrides: Settings as on the command line.
        named: The run's name where it is not the experiment's.
        is_evaluated: Whether the run holds out clips; otherwise it only makes a checkpoint.
        seed: The run's seed, where a plan has several; None for the default one.
    """

    experiment: str | None
    corpus: str
    starts_from: str | None = None
    overrides: tuple[str, ...] = ()
    named: str = ""
    is_evaluated: bool = True
    seed: int | None = None

    @property
    def name(self) -> str:
        """The run's name."""
        return self.named or self.experiment or ""

    @property
    def run(self) -> str:
        """The name by which other steps and comparisons refer to the run."""
        return self.name if self.seed is None else f"{self.name} with seed {self.seed}"

    @property
    def settings(self) -> tuple[str, ...]:
        """All its settings as on the command line."""
        experiment = (f"experiment={self.experiment}",) if self.experiment else ()
        name = (override("name", self.named),) if self.named else ()
        seed = () if self.seed is None else (f"seed={self.seed}",)
        return (*experiment, *self.overrides, *name, *seed)


@dataclass(frozen=True)
class Plan:
    """Runs in training order, and the comparisons and the report made from them.

    Attributes:
        steps: The runs.
        comparisons: Pairs of runs to compare, the one that is expected to be better first.
        outputs: Where everything goes.
        report: Name of the report's folder there; each plan has its own.
        of_paper: Whether the report shows the paper beside the runs.
        is_ranking: Whether all runs are compared with each other, the seeds of a configuration together.
        changes: Changes of the settings whose effects are shown together, by a title.
        study: The folder of a search whose importances stand beside the effects of the paper's choices; None for none.
        own_videos: A folder of videos that is made before the first step on `videos`; None where no step needs it.
    """

    steps: tuple[Step, ...]
    comparisons: tuple[tuple[str, str], ...]
    outputs: Path
    report: str
    of_paper: bool = True
    is_ranking: bool = False
    changes: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    study: str | None = None
    own_videos: OwnVideos | None = None

    def without(self, corpus: str) -> Plan:
        """The plan without a missing corpus: neither its runs nor those that start from them."""
        gone = {step.run for step in self.steps if step.corpus == corpus}
        kept = tuple(step for step in self.steps if step.run not in gone and step.starts_from not in gone)
        names = {step.run for step in kept}
        return replace(self, steps=kept, comparisons=tuple(pair for pair in self.comparisons if names.issuperset(pair)))


# The reference of each comparison table comes first.
_CKPLUS_STEPS = (
    Step("ckplus_kfold10", CKPLUS),
    Step("ckplus_kfold10_c2", CKPLUS),
    Step("oulu_all", OULU, is_evaluated=False),
    Step("ckplus_kfold10_c3", CKPLUS, starts_from="oulu_all"),
    Step("ckplus_kfold10_inner_val", CKPLUS),
    # The longest run comes last, so that the others do not wait for it.
    Step("ckplus_loso", CKPLUS),
)
_OULU_STEPS = (
    Step("oulu_kfold10", OULU),
    Step("oulu_kfold10_c1", OULU),
    Step("ckplus_all", CKPLUS, is_evaluated=False),
    Step("oulu_kfold10_c4", OULU, starts_from="ckplus_all"),
    Step("oulu_kfold10_inner_val", OULU),
)
# The literature's protocol on each open corpus.
_BENCHMARKS = {RAVDESS: Step("ravdess6", RAVDESS), CREMA_D: Step("crema_d5", CREMA_D)}
_CKPLUS_COMPARISONS = (("ckplus_kfold10", "ckplus_kfold10_c2"), ("ckplus_kfold10", "ckplus_kfold10_c3"))
_OULU_COMPARISONS = (("oulu_kfold10", "oulu_kfold10_c1"), ("oulu_kfold10", "oulu_kfold10_c4"))

# For each corpus, its synthetic twin's name in `data=` and folder.
_TWINS = {
    CKPLUS: ("synthetic", "synthetic_ckplus"),
    OULU: ("synthetic_oulu", "synthetic_oulu"),
    # Separate folders, since these twins are smaller than the default ones.
    RAVDESS: ("synthetic_ravdess", "small_ravdess"),
    CREMA_D: ("synthetic_crema_d", "small_crema_d"),
}
# Settings that make the paper's network and its training small enough for two CPU cores; the experiments set everything
# else.
_SMALL_FILTERS = "filters=[[4],[16],[32],[64],[64]]"
_SMALL_NETWORK = ("model.downsample=4", f"model.{_SMALL_FILTERS}", "model.hidden=[256,256]")
_SHORT_TRAINING = (
    "scheduler=cosine",
    # Few steps need a larger learning rate.
    "learning_rate=2e-3",
    "batch_size=10",
    "augment=flip",
    "logger=csv",
)
_REHEARSAL = (*_SMALL_NETWORK, *_SHORT_TRAINING)
# The twin of Oulu-CASIA has fewer clips, and so fewer steps an epoch.
_REHEARSAL_EPOCHS = {CKPLUS: "trainer.max_epochs=8", OULU: "trainer.max_epochs=12"}

# The part of each video twin that renders in minutes: 192 clips of 24 people, and 60 of 10.
_FEW_VIDEOS = {RAVDESS: "data.num_repetitions=1", CREMA_D: "data.num_subjects=10"}
_REHEARSAL_OF_VIDEOS = (
    *_REHEARSAL,
    "trainer.max_epochs=20",
    # Cuts the time of face detection to a third.
    "faces.every=4",
)


def reproduce_ckplus(outputs: Path) -> Plan:
    """Everything the paper reports on CK+; c3 needs Oulu-CASIA, too."""
    return Plan(_CKPLUS_STEPS, _CKPLUS_COMPARISONS, outputs, "report_ckplus")


def reproduce_oulu(outputs: Path) -> Plan:
    """Everything the paper reports on Oulu-CASIA; c4 needs CK+, too."""
    return Plan(_OULU_STEPS, _OULU_COMPARISONS, outputs, "report_oulu")


def benchmark(corpus: str, outputs: Path) -> Plan:
    """The literature's protocol on an open corpus, `ravdess` or `crema_d`."""
    return Plan((_BENCHMARKS[corpus],), (), outputs, f"report_{corpus}", of_paper=False)


def rehearsal(outputs: Path, corpora: Path) -> Plan:
    """The same steps for both corpora on their synthetic twins, with a small network.

    Args:
        outputs: Where everything goes.
        corpora: Where the twins lie, or are rendered.
    """
    steps = tuple(
        _on_twin(step, corpora, (*_REHEARSAL, _REHEARSAL_EPOCHS[step.corpus]))
        for step in (*_CKPLUS_STEPS, *_OULU_STEPS)
    )
    return Plan(steps, (*_CKPLUS_COMPARISONS, *_OULU_COMPARISONS), outputs, "report")


def rehearsal_of_videos(outputs: Path, corpora: Path) -> Plan:
    """The benchmarks of the open corpora, and videos of one's own, on synthetic twins with a small network.

    Args:
        outputs: Where everything goes, the folder of own videos included.
        corpora: Where the twins lie, or are filmed.
    """

    def small(corpus: str, *settings: str, named: str = "") -> Step:
        step = replace(_BENCHMARKS[corpus], named=named)
        return _on_twin(step, corpora, (_FEW_VIDEOS[corpus], *_REHEARSAL_OF_VIDEOS, *settings))

    own = OwnVideos(corpora / _TWINS[RAVDESS][1], outputs / "own_videos")
    # The settings of a user with videos and a table.
    data = ("data=videos", override("data.root", str(own.folder)), override("data.table", TABLE_NAME))
    own_settings = (*data, "cv.num_folds=4", "clips.num_frames=16", *_REHEARSAL_OF_VIDEOS)
    steps = (
        small(RAVDESS),
        small(RAVDESS, "frames=uniform", named="ravdess6_uniform"),
        # Needs the videos that the first step renders.
        Step(None, VIDEOS, overrides=own_settings, named="own_videos"),
        small(CREMA_D),
    )
    return Plan(steps, (("ravdess6", "ravdess6_uniform"),), outputs, "report", of_paper=False, own_videos=own)


# Networks of about the rehearsal's size, with the presets and settings that make them so.
_SMALL_ENCODER = ("model.encoder.downsample=4", f"model.encoder.{_SMALL_FILTERS}")
_SMALL_RESNET = ("model.encoder.downsample=4",)
_SMALL_NETWORKS = {
    "cnn3d": ("compact", _SMALL_NETWORK),
    "factorised": ("factorised", _SMALL_NETWORK),
    "frame": ("frame_compact", _SMALL_ENCODER),
    "frame_mean": ("frame_mean_compact", _SMALL_ENCODER),
    "frame_attention": ("frame_attention_compact", _SMALL_ENCODER),
    "cnn_lstm": ("cnn_lstm_compact", _SMALL_ENCODER),
    "cnn_gru": ("cnn_gru_compact", _SMALL_ENCODER),
    "transformer": ("transformer_compact", _SMALL_ENCODER),
    "c3d_lstm": ("c3d_lstm_compact", _SMALL_ENCODER),
    "r3d_18": ("r3d_18_compact", _SMALL_RESNET),
    "mc3_18": ("mc3_18_compact", _SMALL_RESNET),
    "r2plus1d_18": ("r2plus1d_18_compact", _SMALL_RESNET),
    "videomae": ("videomae_compact", ("model.encoder.patch=28",)),
}
_SEEDS = (0, 1, 2)
_SHUFFLED = "_shuffled"  # in the names of runs


def comparison_of_networks(outputs: Path, corpora: Path) -> Plan:
    """All networks on the folds of the twin of CK+, in small, with three seeds.

    Args:
        outputs: Where everything goes.
        corpora: Where the twin lies, or is rendered.
    """
    # Seed by seed, so that a first comparison stands after a third of the time.
    steps = tuple(_network_step(name, seed, corpora) for seed in _SEEDS for name in _SMALL_NETWORKS)
    return Plan(steps, (), outputs, "report", of_paper=False, is_ranking=True)


def comparison_of_orders(outputs: Path, corpora: Path) -> Plan:
    """What each of these networks loses without the order of time.

    Args:
        outputs: Where everything goes; runs of `comparison_of_networks` that are there count.
        corpora: Where the twin lies, or is rendered.
    """
    steps = tuple(
        _network_step(name, seed, corpora, is_shuffled=is_shuffled)
        for is_shuffled in (False, True)
        for seed in _SEEDS
        for name in _SMALL_NETWORKS
    )
    changes = {
        "Networks trained on shuffled frames": tuple(
            Change(name, f"{name}{_SHUFFLED}", name) for name in _SMALL_NETWORKS
        )
    }
    return Plan(steps, (), outputs, "report_orders", of_paper=False, changes=changes)


def ablation(outputs: Path, corpora: Path) -> Plan:
    """The paper's ten choices, one at a time around c1, on the twin of CK+, in small, with three seeds.

    Args:
        outputs: Where everything goes.
        corpora: Where the twin lies, or is rendered.
    """
    settings = (*_REHEARSAL, _REHEARSAL_EPOCHS[CKPLUS])
    choices = {BASE: (), **{each.name: (each.setting, "configuration=null") for each in VARIANTS}}
    steps = tuple(
        _on_twin(Step("ckplus_kfold10", CKPLUS, named=name, seed=seed), corpora, (*settings, *choice))
        for seed in _SEEDS
        for name, choice in choices.items()
    )
    changes = {f"One choice at a time around {BASE}": tuple(each.change for each in VARIANTS)}
    return Plan(steps, (), outputs, "report", of_paper=False, changes=changes)


def _network_step(name: str, seed: int, corpora: Path, *, is_shuffled: bool = False) -> Step:
    preset, small = _SMALL_NETWORKS[name]
    order = ("frames.order=shuffled",) if is_shuffled else ()
    settings = ("cv=kfold10", *_SHORT_TRAINING, _REHEARSAL_EPOCHS[CKPLUS], f"model={preset}", *small, *order)
    return _on_twin(Step(None, CKPLUS, named=f"{name}{_SHUFFLED if order else ''}", seed=seed), corpora, settings)


def _on_twin(step: Step, corpora: Path, settings: tuple[str, ...]) -> Step:
    """A step on the synthetic twin of its corpus, with settings that make it small."""
    data, folder = _TWINS[step.corpus]
    return replace(step, overrides=(f"data={data}", override("data.root", str(corpora / folder)), *settings))
