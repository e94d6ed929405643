"""What `make reproduce-ckplus`, `make benchmark-ravdess`, `make rehearse` and the like do, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from fer3d.overrides import override

# The corpora by the names that `data=` knows.
CKPLUS, OULU = "ckplus", "oulu_casia"
RAVDESS, CREMA_D = "ravdess", "crema_d"


@dataclass(frozen=True)
class Step:
    """One run: an experiment of `conf/experiment`.

    Attributes:
        experiment: Its name.
        corpus: The corpus that it trains on.
        configuration: The paper's configuration that it uses, of `conf/paper`.
        starts_from: The experiment, a step before, from whose checkpoint every fold starts; None for none.
        overrides: Settings as on the command line.
    """

    experiment: str
    corpus: str
    configuration: str
    starts_from: str | None = None
    overrides: tuple[str, ...] = ()

    @property
    def is_evaluated(self) -> bool:
        """Whether the run holds out clips; otherwise it only makes a checkpoint."""
        return not self.experiment.endswith("_all")


@dataclass(frozen=True)
class Plan:
    """Runs in the order of their making, and what is made of them.

    Attributes:
        steps: The runs.
        comparisons: Pairs of experiments to compare, the one that is expected to be better first.
        outputs: Where everything goes.
        report: Name of the report's folder there; each plan has its own.
    """

    steps: tuple[Step, ...]
    comparisons: tuple[tuple[str, str], ...]
    outputs: Path
    report: str

    def without(self, corpus: str) -> Plan:
        """The plan without a corpus that is not there: its own runs, and those that start from them."""
        gone = {step.experiment for step in self.steps if step.corpus == corpus}
        kept = tuple(step for step in self.steps if step.experiment not in gone and step.starts_from not in gone)
        names = {step.experiment for step in kept}
        return replace(self, steps=kept, comparisons=tuple(pair for pair in self.comparisons if names.issuperset(pair)))


# The reference of each comparison table comes first.
_CKPLUS_STEPS = (
    Step("ckplus_kfold10", CKPLUS, "c1"),
    Step("ckplus_kfold10_c2", CKPLUS, "c2"),
    Step("oulu_all", OULU, "c2"),
    Step("ckplus_kfold10_c3", CKPLUS, "c2", starts_from="oulu_all"),
    Step("ckplus_kfold10_inner_val", CKPLUS, "c1"),
    # The longest one last, so that the others do not wait for it.
    Step("ckplus_loso", CKPLUS, "c1"),
)
_OULU_STEPS = (
    Step("oulu_kfold10", OULU, "c2"),
    Step("oulu_kfold10_c1", OULU, "c1"),
    Step("ckplus_all", CKPLUS, "c1"),
    Step("oulu_kfold10_c4", OULU, "c1", starts_from="ckplus_all"),
    Step("oulu_kfold10_inner_val", OULU, "c2"),
)
# On the open corpora: the literature's protocol, once.
_BENCHMARKS = {RAVDESS: Step("ravdess6", RAVDESS, "c1"), CREMA_D: Step("crema_d5", CREMA_D, "c1")}
_CKPLUS_COMPARISONS = (("ckplus_kfold10", "ckplus_kfold10_c2"), ("ckplus_kfold10", "ckplus_kfold10_c3"))
_OULU_COMPARISONS = (("oulu_kfold10", "oulu_kfold10_c1"), ("oulu_kfold10", "oulu_kfold10_c4"))

# By corpus, what `data=` calls its synthetic twin, and the folder that the twin lies in.
_TWINS = {CKPLUS: ("synthetic", "synthetic_ckplus"), OULU: ("synthetic_oulu", "synthetic_oulu")}
# What makes the paper's network small enough for two CPU cores; everything else stays as the experiments have it.
_REHEARSAL = (
    "model.downsample=4",
    "model.filters=[[4],[16],[32],[64],[64]]",
    "model.hidden=[256,256]",
    "scheduler=cosine",
    # So few steps need longer ones.
    "learning_rate=2e-3",
    "batch_size=10",
    "augment=flip",
    "logger=csv",
)
# The twin of Oulu-CASIA has fewer clips, and so fewer steps an epoch.
_REHEARSAL_EPOCHS = {CKPLUS: "trainer.max_epochs=8", OULU: "trainer.max_epochs=12"}


def reproduce_ckplus(outputs: Path) -> Plan:
    """Everything the paper reports on CK+; c3 needs Oulu-CASIA, too."""
    return Plan(_CKPLUS_STEPS, _CKPLUS_COMPARISONS, outputs, "report_ckplus")


def reproduce_oulu(outputs: Path) -> Plan:
    """Everything the paper reports on Oulu-CASIA; c4 needs CK+, too."""
    return Plan(_OULU_STEPS, _OULU_COMPARISONS, outputs, "report_oulu")


def benchmark(corpus: str, outputs: Path) -> Plan:
    """The literature's protocol on an open corpus, `ravdess` or `crema_d`."""
    return Plan((_BENCHMARKS[corpus],), (), outputs, f"report_{corpus}")


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


def _on_twin(step: Step, corpora: Path, settings: tuple[str, ...]) -> Step:
    """A step on the synthetic twin of its corpus, with settings that make it small."""
    data, folder = _TWINS[step.corpus]
    return replace(step, overrides=(f"data={data}", override("data.root", str(corpora / folder)), *settings))
