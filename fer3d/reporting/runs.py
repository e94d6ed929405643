"""The runs of a report, checked before anything is drawn, each with its evaluation, label and clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fer3d.clips.independence import NOT_INDEPENDENT
from fer3d.clips.store import ClipStore, find_store
from fer3d.evaluation.evaluation import Evaluation
from fer3d.evaluation.run_results import EvaluationError, RunResults
from fer3d.reporting.page import slug

# What a report says of all numbers from synthetic clips.
RENDERED = (
    "measured on rendered faces. Such numbers say whether the pipeline works, not how well a network reads real faces."
)
# Display names of the corpora.
CORPUS_TITLES = {
    "ckplus": "CK+",
    "oulu_casia": "Oulu-CASIA",
    "synthetic": "the synthetic twin of CK+",
    "synthetic_oulu": "the synthetic twin of Oulu-CASIA",
    "ravdess": "RAVDESS",
    "crema_d": "CREMA-D",
    "synthetic_ravdess": "the synthetic twin of RAVDESS",
    "synthetic_crema_d": "the synthetic twin of CREMA-D",
    "videos": "your own videos",
}


def corpus_title(corpus: str) -> str:
    """The corpus's display name; for an unknown corpus, its name in configurations."""
    return CORPUS_TITLES.get(corpus, corpus)


@dataclass(frozen=True)
class ReportRun:
    """A run of the report with its measures."""

    evaluation: Evaluation
    label: str  # its name on the page: the configured one; with the start of its digest where several have that
    store: ClipStore | None  # None where it was not found

    @property
    def run(self) -> RunResults:
        """The run's fold results."""
        return self.evaluation.run

    @property
    def renamed(self) -> RunResults:
        """The run with its label as its folder, for messages that appear on the page."""
        return replace(self.run, folder=Path(self.label))

    @property
    def slug(self) -> str:
        """The run's unique slug in URLs and file names."""
        return slug(f"{self.run.name}-{self.run.digest[:8]}")

    @property
    def title(self) -> str:
        """The label after the name of the published configuration that the run uses, if any: `c1: ckplus_loso`."""
        name = self.run.config.get("configuration")
        return f"{name}: {self.label}" if name else self.label

    @property
    def corpus_title(self) -> str:
        """The corpus's display name."""
        return corpus_title(self.run.corpus)

    @property
    def marked_label(self) -> str:
        """The label with the caution that belongs to each of the run's numbers."""
        return f"{self.label} [{self.run.caution}]" if self.run.caution else self.label


def read_runs(folders: Sequence[Path], *, partial: bool = False, clips: Path | None = None) -> list[ReportRun]:
    """Reads and evaluates runs.

    `partial` goes on where folds are missing. `clips` is where to look for the clip stores, or a store itself; None
    looks beside each run, in `clips`.

    Raises:
        EvaluationError: A folder is not a run folder, a run misses folds or is given twice, or `clips` is not a folder.
        ResultError: A fold's result cannot be read.
    """
    if clips is not None and not clips.is_dir():
        raise EvaluationError(f"{clips} is not a folder; --clips takes a folder of clip stores, such as outputs/clips")
    runs = [RunResults.read(folder, partial=partial) for folder in folders]
    for number, run in enumerate(runs):
        if first := next((other for other in runs[:number] if other.digest == run.digest), None):
            where = str(run.folder) if run.folder == first.folder else f"{first.folder} and {run.folder}"
            raise EvaluationError(f"{where} is the same run (digest {run.digest[:8]}) twice: give each run once")
    names = Counter(run.name for run in runs)
    return [
        ReportRun(
            evaluation=Evaluation.of(run),
            label=run.name if names[run.name] == 1 else f"{run.name}-{run.digest[:8]}",
            store=find_store(clips or run.folder.absolute().parent / "clips", str(run.info["clip_store"])),
        )
        for run in runs
    ]


def joint_caution(runs: Sequence[ReportRun]) -> str:
    """The caution of a heading over several runs; if they differ, each run is marked as well."""
    if len({one.run.caution for one in runs}) <= 1:
        return runs[0].run.caution if runs else ""
    said = (
        _of_some("SYNTHETIC data", [one.run.synthetic for one in runs]),
        independence_caution(runs),
        _of_some("PARTIAL", [one.run.partial for one in runs]),
    )
    return ", ".join(filter(None, said))


def independence_caution(runs: Sequence[ReportRun]) -> str:
    """The caution for runs that are not subject-independent, with their number; empty if all are."""
    return _of_some(NOT_INDEPENDENT, [not one.run.independence.holds for one in runs])


def alike(runs: Sequence[ReportRun]) -> list[list[ReportRun]]:
    """Groups runs by corpus and cross-validation: they should hold out the same clips in the same folds."""
    groups: dict[tuple[str, str], list[ReportRun]] = {}
    for one in runs:
        groups.setdefault((one.run.corpus, one.run.cross_validation), []).append(one)
    return list(groups.values())


def _of_some(caution: str, holds: Sequence[bool]) -> str:
    """A caution with the number of runs that it applies to, if not all; empty if none."""
    if all(holds) or not any(holds):
        return caution if any(holds) else ""
    return f"{caution} in {sum(holds)} of {len(holds)} runs"
